//! The blocks that are live at the current event.

pub(crate) mod live_map;
pub(crate) mod live_block;
pub(crate) mod prefetch;
