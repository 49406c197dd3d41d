//! One writer per output format.

pub(crate) mod external_stacks;
pub(crate) mod folded;
pub(crate) mod svg;
pub(crate) mod pprof;
pub(crate) mod speedscope;
pub(crate) mod firefox;
pub(crate) mod firefox_tables;
pub(crate) mod dhat;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
pub(crate) mod csv;
