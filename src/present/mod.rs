//! Output of the command line: result tables, reports, comparisons, exports.

pub(crate) mod report;
pub(crate) mod diff;
pub(crate) mod export;
pub(crate) mod table_printer;
mod csv;
mod json;
