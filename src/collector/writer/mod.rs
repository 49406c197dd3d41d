//! The writer thread (the flusher): turns the events of all threads into blocks and writes the
//! recording.

pub(crate) mod flusher;
pub(crate) mod counters;
pub(crate) mod definitions;
pub(crate) mod block_file;
pub(crate) mod process_memory;
pub(crate) mod quota;
pub(crate) mod create;
