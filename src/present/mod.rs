//! Presentation outside of the explorer: tables, reports, comparisons, exports.

#[cfg(feature = "cli")]
pub(crate) mod report;
#[cfg(feature = "cli")]
pub(crate) mod diff;
#[cfg(feature = "cli")]
pub(crate) mod table_printer;
#[cfg(feature = "cli")]
pub(crate) mod export;
