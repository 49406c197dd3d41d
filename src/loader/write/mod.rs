//! The database file: rows, pages, metadata, diagnostics.

pub(crate) mod metadata;
pub(crate) mod diagnostics;
pub(crate) mod annotations;
pub(crate) mod tables;
pub(crate) mod atomic_file;
pub(crate) mod row_writer;
pub(crate) mod sqlite_pages;
pub(crate) mod zone_map;
