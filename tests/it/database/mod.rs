//! The database: schema, built-in queries against naive references, the SQL sandbox.

pub(crate) mod builtin_queries;
pub(crate) mod estimates;
pub(crate) mod query_text;
pub(crate) mod reference_blocks;
pub(crate) mod reference_rest;
pub(crate) mod reference_sites;
pub(crate) mod sandbox;
pub(crate) mod schema;
