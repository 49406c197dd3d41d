//! Draws the state. One file per view or region, each with a function `render`.
//!
//! Reads: [`App`](crate::tui::app::state::App). Writes: a buffer.
//!
//! Invariant: drawing does not change the state, and all text from a recording is sanitized by
//! [`text::clean`].

pub mod screen;
pub mod bars;
pub mod suspects;
pub mod compare;
pub mod flame;
pub mod tree;
pub mod time;
pub mod histograms;
pub mod table;
pub mod sql;
pub mod popup;
pub mod detail;
pub mod freshness;
pub mod text;
