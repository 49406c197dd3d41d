//! The recorder, which runs inside the allocator of the recorded process and writes the recording.
//!
//! The path of an event: the allocator wrapper (`api`), the hooks, thread recorder and ring buffer
//! of the calling thread (`event_path`, with the stack walker in `unwind`), then on the flusher
//! thread `aggregate` and `writer`. `session` starts and stops a recording, and `platform` has the
//! primitives.
//!
//! Invariants of this folder:
//! - No panic and no unwinding: unwinding out of an allocator is undefined behaviour. No indexing,
//!   no `unwrap`, no arithmetic that can overflow.
//! - On the event path no allocation, no lock that the program can hold, and no unbounded wait.
//! - Every loss has a counter.
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
