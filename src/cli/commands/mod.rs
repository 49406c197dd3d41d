//! One file per subcommand.

pub(crate) mod symbolize;
pub(crate) mod sql;
pub(crate) mod diff;
pub(crate) mod info;
pub(crate) mod export;
pub(crate) mod check;
pub(crate) mod query;
pub(crate) mod export_view;
pub(crate) mod completions;
pub(crate) mod open;
pub(crate) mod load;
