//! Contract 2: the schema of a database, and read-only queries on it.
//!
//! [`Database::open`] opens a file for reading; [`Database::query`] runs a statement and
//! [`Database::page`] fetches a page of its rows. [`builtin`] has the queries of `queries/`,
//! [`compare`] the differences of two databases.
//!
//! Invariant: no SQL that is run through a [`Database`] can write anywhere.

pub mod compare;
pub mod page;
pub mod completion;
pub mod builtin;
pub mod caveats;
pub mod query;
pub mod connection;
pub mod estimate;
pub mod measure;
pub mod cancel;
pub mod error;
pub mod schema;
pub mod sql;
pub mod text;
pub mod table;

pub use crate::database::builtin::{BuiltinQuery, Catalog};
pub use crate::database::cancel::CancelToken;
pub use crate::database::connection::{Database, OpenOptions};
pub use crate::database::error::{OpenError, OpenProblem, QueryError, QueryErrorKind};
pub use crate::database::measure::Measure;
pub use crate::database::page::{Condition, Filter, Order, RowView, Sort};
pub use crate::database::query::{Limits, Params};
pub use crate::database::table::{Column, Completeness, Table, Unit, Value};
