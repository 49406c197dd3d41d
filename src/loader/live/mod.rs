//! The blocks that are alive at the current moment of the event pass.

pub(crate) mod live_map;
pub(crate) mod live_block;
