//! rheaper: ask your heap.

pub mod recording;
