//! Formatting and parsing of units; sanitizing of untrusted text.

pub mod units;
pub mod sanitize;
