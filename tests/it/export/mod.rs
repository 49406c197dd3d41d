//! Exports, read back by the tools that they are for.

pub(crate) mod aggregation;
#[cfg(feature = "parquet")]
pub(crate) mod fleet;
pub(crate) mod json;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod stacks;
pub(crate) mod tables;
