//! One file per subcommand, and `open`, which they share.

#[cfg(feature = "collector")]
pub(crate) mod demo;
pub(crate) mod tui;
pub(crate) mod export;
pub(crate) mod export_view;
pub(crate) mod check;
pub(crate) mod query;
pub(crate) mod sql;
pub(crate) mod report;
pub(crate) mod diff;
pub(crate) mod info;
pub(crate) mod symbolize;
pub(crate) mod completions;
pub(crate) mod open;
pub(crate) mod load;
