//! The geometry of the screen, shared by update and view.

pub mod geometry;
pub mod areas;
