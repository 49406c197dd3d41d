//! One file per subcommand, and `open`, which they share.

pub(crate) mod demo;
pub(crate) mod tui;
#[cfg(feature = "collector")]
pub(crate) mod view_writer;
pub(crate) mod export;
pub(crate) mod check;
pub(crate) mod query;
pub(crate) mod sql;
pub(crate) mod report;
pub(crate) mod diff;
pub(crate) mod open;
pub(crate) mod info;
pub(crate) mod symbolize;
pub(crate) mod completions;
pub(crate) mod load;
