//! Draws the state. One file a region, each with one `render`.
//!
//! Reads: [`App`](crate::tui::app::state::App). Writes: a buffer.
//!
//! Invariant: drawing changes nothing, and whatever text comes from a recording passes
//! [`text::clean`] on its way to the buffer.

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
