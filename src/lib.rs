//! rheaper: ask your heap.
#![doc = include_str!("../README.md")]

#[cfg(feature = "collector")]
mod collector;
// Modules for the binary, the tests and the benches; not part of the public interface.
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod loader;
pub mod recording;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod tui;
#[cfg(feature = "cli")]
mod present;
#[cfg(feature = "cli")]
#[doc(hidden)]
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
