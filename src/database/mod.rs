//! Contract 2: what is in a rheaper database, and how to ask it.
//!
//! [`Database::open`] opens a file for reading only; [`Database::query`] asks it,
//! [`Database::page`] asks for a screenful of any query. The canned analyses of `queries/` are in
//! [`canned`], what they and every other answer are made of in [`table`]; [`compare`] tells two
//! databases apart.
//!
//! Invariant: no SQL given to a [`Database`] can write anywhere.

pub mod compare;
pub mod page;
pub mod completion;
pub mod builtin;
pub mod caveats;
pub mod query;
pub mod connection;
pub mod estimate;
pub mod cancel;
pub mod trend;
pub mod error;
pub mod mark_ref;
pub mod schema;
pub mod sql;
pub mod text;
pub mod table;

pub use crate::database::builtin::{Canned, Catalog};
pub use crate::database::cancel::CancelToken;
pub use crate::database::connection::{Database, OpenOptions};
pub use crate::database::error::{OpenError, OpenProblem, QueryError, QueryErrorKind};
pub use crate::database::page::{Comparison, Filter, Order, Sort, View};
pub use crate::database::query::{Limits, Params};
pub use crate::database::table::{Column, Completeness, Table, Unit, Value};
