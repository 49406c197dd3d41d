//! The operations of the loader: load a recording, describe it, resolve a database's names again.

pub(crate) mod load;
pub(crate) mod info;
pub(crate) mod symbolize;
