//! Text: units, references to marks, sanitizing of untrusted text.

pub mod mark_ref;
pub mod units;
pub mod sanitize;
