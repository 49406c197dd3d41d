//! Reading a recording: blocks, event streams, their merge by time.

pub(crate) mod decoder_thread;
pub(crate) mod merge;
pub(crate) mod stream;
pub(crate) mod clock;
pub(crate) mod modules;
pub(crate) mod reader;
