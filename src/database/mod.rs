//! Contract 2: what is in a rheaper database, and how to ask it.
//!
//! [`Database::open`] opens a file for reading only; [`Database::query`] asks it,
//! [`Database::page`] asks for a screenful of any query. The canned analyses of `queries/` are in
//! [`canned`], what they and every other answer are made of in [`table`]; [`compare`] tells two
//! databases apart.
//!
//! Invariant: no SQL given to a [`Database`] can write anywhere.

pub mod complete;
pub mod compare;
pub mod canned;
pub mod notes;
pub mod page;
pub mod query;
pub mod connection;
pub mod estimate;
pub mod mark;
pub mod schema;
pub mod cancel;
pub mod functions;
pub mod lexer;
pub mod human;
pub mod error;
pub mod table;
pub mod clean;

pub use crate::database::cancel::CancelToken;
pub use crate::database::canned::{Canned, Catalog};
pub use crate::database::connection::{Database, OpenOptions};
pub use crate::database::error::{OpenError, OpenProblem, QueryError, QueryErrorKind};
pub use crate::database::page::{Comparison, Filter, Order, Sort, View};
pub use crate::database::query::{Limits, Params};
pub use crate::database::table::{Column, Completeness, Table, Unit, Value};
