//! The file format, and input that nobody vouches for.

pub(crate) mod format;
pub(crate) mod mutated_inputs;
pub(crate) mod untrusted_inputs;
