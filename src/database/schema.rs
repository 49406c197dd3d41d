//! The schema as text and as numbers: what marks a SQLite file as ours.
//!
//! Reads: `schema.sql`, `indices.sql` and `functions.sql`, at compile time. Writes: nothing.

/// The tables and views, with a comment for each column. Makes an empty file a rheaper database.
pub const SCHEMA: &str = include_str!("schema.sql");

/// The indices, to be made when all rows are in.
pub const INDICES: &str = include_str!("indices.sql");

/// Fills `functions` anew, from `sites` and `frames`.
pub const FUNCTIONS: &str = include_str!("functions.sql");

/// `PRAGMA application_id` of a rheaper database: "rhea".
pub const APPLICATION_ID: i32 = 0x7268_6561;

/// `PRAGMA user_version` of the schema that this code writes.
pub const SCHEMA_VERSION: i32 = 1;
