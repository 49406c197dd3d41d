//! Helpers: recorded programs, an oracle beside them, random heaps, tools and terminals.

pub(crate) mod oracle;
pub(crate) mod programs;
pub(crate) mod random_heap;
pub(crate) mod random_heap_db;
pub(crate) mod terminal;
pub(crate) mod tools;
