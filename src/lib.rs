//! rheaper: ask your heap.
#![doc = include_str!("../README.md")]

mod guards;

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

#[cfg(all(feature = "cli", feature = "collector"))]
mod demo;

#[cfg(feature = "cli")]
mod prompt;

#[cfg(feature = "cli")]
mod report;

#[cfg(feature = "cli")]
mod export;

#[cfg(feature = "cli")]
mod diff;

#[cfg(feature = "cli")]
mod output;

#[cfg(feature = "cli")]
mod interrupt;

#[cfg(feature = "collector")]
pub use collector::{
    Allocator, Control, ControlBuilder, ControlError, ControlStatus, Error, Measure, Options,
    Scope, TrackerConfig, Trigger, control, disable_tracking, enable_tracking, mark, scope,
};

#[cfg(feature = "tracing")]
pub use collector::ScopeLayer;

#[cfg(all(feature = "collector", rheaper_testing))]
#[doc(hidden)]
pub use collector::testing;
