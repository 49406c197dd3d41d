//! rheaper: ask your heap.

pub mod recording;

#[cfg(feature = "collector")]
mod collector;

#[cfg(feature = "cli")]
pub mod loader;

#[cfg(feature = "cli")]
pub mod database;

#[cfg(feature = "cli")]
pub mod tui;

#[cfg(feature = "cli")]
pub mod cli;

#[cfg(feature = "collector")]
pub use collector::{Allocator, Error, TrackerConfig, disable_tracking, enable_tracking};
