//! The analysis of finished totals: suspects, call tree, estimates.

pub(crate) mod name_tables;
pub(crate) mod outline;
pub(crate) mod causes;
pub(crate) mod suspects;
pub(crate) mod verdict;
pub(crate) mod call_tree;
pub(crate) mod estimates;
pub(crate) mod site_summary;
pub(crate) mod shutdown;
