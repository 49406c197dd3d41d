//! Text for people: units, control characters.

pub mod units;
pub mod sanitize;
