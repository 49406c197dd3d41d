//! The path of an event, from the hook in the allocator to the ring buffer of its thread.

pub(crate) mod marks;
pub(crate) mod sampling;
pub(crate) mod hooks;
pub(crate) mod thread_guard;
pub(crate) mod recorder_pool;
pub(crate) mod thread_recorder;
pub(crate) mod threads;
pub(crate) mod scope_table;
pub(crate) mod session_word;
pub(crate) mod session_config;
pub(crate) mod ring;
