//! The documents: links, examples and promises hold.

pub(crate) mod documents;
pub(crate) mod reliability;
