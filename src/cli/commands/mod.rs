//! One file per subcommand, and what they share: `open` and `view_writer`.

#[cfg(feature = "collector")]
pub(crate) mod demo;
pub(crate) mod tui;
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
