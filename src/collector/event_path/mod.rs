//! The path of an event, from the hook in the allocator to the ring buffer of its thread.

/// Marks: named moments that the program reports.
pub(crate) mod marks;
/// Selection of allocations at random, one byte in a given number.
pub(crate) mod sampling;
/// The calls from the allocator wrapper.
pub(crate) mod hooks;
/// Entry of a thread into its recorder, with protection against re-entrance.
pub(crate) mod thread_guard;
/// Thread recorders, reused when threads end.
pub(crate) mod recorder_pool;
/// The state with which one thread records.
pub(crate) mod thread_recorder;
/// Numbers and names of threads.
pub(crate) mod threads;
/// The scopes that the program named.
pub(crate) mod scope_table;
/// The number and the flags of the running session in one word, loaded at every event.
pub(crate) mod session_word;
/// Sizes and limits of a session.
pub(crate) mod session_config;
/// The ring buffer between a thread and the flusher.
pub(crate) mod ring;
