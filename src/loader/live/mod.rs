//! The blocks that are alive at the current moment of the event pass.

pub(crate) mod map;
pub(crate) mod block;
