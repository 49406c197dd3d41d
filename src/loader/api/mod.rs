//! The types by which a caller controls a load and learns its result.

pub(crate) mod options;
pub(crate) mod progress;
pub(crate) mod summary;
pub(crate) mod error;
