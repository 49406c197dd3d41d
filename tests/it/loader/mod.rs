//! The loader: from recordings of ours and of other profilers to the database.

pub(crate) mod annotations;
pub(crate) mod damaged_input;
pub(crate) mod end_to_end;
pub(crate) mod endings;
pub(crate) mod import;
pub(crate) mod import_bytehound;
pub(crate) mod import_heaptrack;
pub(crate) mod causes;
pub(crate) mod kinds;
pub(crate) mod names;
pub(crate) mod sampled;
pub(crate) mod split_symbols;
pub(crate) mod summary_tables;
pub(crate) mod symbols;
