//! rheaper: ask your heap.
#![doc = include_str!("../README.md")]

#[cfg(feature = "collector")]
mod collector;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "cli")]
pub mod loader;
pub mod recording;
#[cfg(feature = "cli")]
pub mod tui;
#[cfg(feature = "cli")]
mod present;
#[cfg(feature = "cli")]
pub mod database;
#[cfg(feature = "cli")]
mod atomic_file;
mod safeguards;

#[cfg(feature = "collector")]
pub use collector::{
    Allocator, Control, ControlBuilder, ControlError, ControlStatus, Error, Measure, Options,
    Recording, Scope, TrackerConfig, Trigger, control, disable_tracking, enable_tracking, mark,
    record, scope,
};

#[cfg(feature = "tracing")]
pub use collector::ScopeLayer;

#[cfg(all(feature = "collector", rheaper_testing))]
#[doc(hidden)]
pub use collector::testing;
