//! Records: event → region → file. Runs inside the allocator of the recorded process.
//!
//! Reads: the calls of the wrapped allocator. Writes: one recording file.
//!
//! The files stand in the order in which an event meets them: the front, the recorder, the
//! thread's tracker with its walk and its region, the flusher; then what they stand on.
//!
//! Invariants, for everything in this folder:
//! - No panic, no unwinding: an allocator that unwinds is undefined behaviour. Nothing here
//!   indexes, unwraps, or does arithmetic that can overflow.
//! - No allocation and no lock of the program's on a recording path, no wait without a bound.
//! - Nothing is lost without a counter.
#![deny(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod api;
mod session;
mod options;
mod writer;
mod aggregate;
mod event_path;
mod unwind;
#[cfg(rheaper_testing)]
pub mod testing;
mod platform;
mod error;

pub use crate::collector::api::allocator::Allocator;
pub use crate::collector::api::control::{
    Control, ControlBuilder, ControlError, ControlStatus, Measure, Trigger, control,
};
pub use crate::collector::api::recording::{Recording, record};
pub use crate::collector::api::scope::{Scope, scope};
#[cfg(feature = "tracing")]
pub use crate::collector::api::tracing_layer::ScopeLayer;
pub use crate::collector::event_path::marks::mark;
pub use error::Error;
pub use options::{Options, TrackerConfig};
pub use session::{disable_tracking, enable_tracking};
