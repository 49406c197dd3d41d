//! The files of `queries/`, as part of this binary, in the order in which they are listed.
//!
//! Invariant: every file of `queries/` is here; a test compares.

macro_rules! queries {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../queries/", $name, ".sql")))),*]
    };
}

/// Name and text of each.
pub(super) const QUERIES: &[(&str, &str)] = queries! {
    "never_freed_older_than"
};
