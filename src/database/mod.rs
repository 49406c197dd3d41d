//! Contract 2: what is in a rheaper database, and how to ask it.

pub mod schema;
