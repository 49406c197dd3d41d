//! The schema, and the numbers in the file header that identify it.

/// `CREATE` statements of all tables and views, with a comment for each column.
pub const SCHEMA: &str = include_str!("schema.sql");

/// `CREATE` statements of the indices, to be run after all rows are inserted.
pub const INDICES: &str = include_str!("indices.sql");

/// Refills `functions` from `sites` and `frames`.
pub const FUNCTIONS: &str = include_str!("functions.sql");

/// `PRAGMA application_id` of a rheaper database: "rhea" in ASCII.
pub const APPLICATION_ID: i32 = 0x7268_6561;

/// `PRAGMA user_version` of the schema that this version writes and reads.
pub const SCHEMA_VERSION: i32 = 2;
