//! Writes the database file.

pub(crate) mod metadata;
pub(crate) mod losses;
pub(crate) mod annotations;
pub(crate) mod tables;
pub(crate) mod symbol_tables;
pub(crate) mod statistics;
pub(crate) mod insert;
pub(crate) mod database_file;
pub(crate) mod row_writer;
pub(crate) mod sqlite_pages;
pub(crate) mod zone_map;
