//! The geometry of the screen, shared by update and view.

pub mod areas;
pub mod geometry;
