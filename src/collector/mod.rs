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

mod allocator;
mod control;
mod session;
mod options;
mod flusher;
#[cfg(feature = "tracing")]
mod spans;
mod scope;
mod marks;
mod memory;
mod fold;
mod quota;
mod file;
mod sampling;
mod record;
mod entry;
mod pool;
mod tracker;
mod threads;
mod scopes;
mod limits;
#[cfg(walks_with_framehop)]
mod walk;
#[cfg(not(walks_with_framehop))]
#[path = "portable.rs"]
mod walk;
#[cfg(walks_with_framehop)]
mod tails;
mod region;
#[cfg_attr(
    not(walks_with_framehop),
    expect(dead_code, reason = "the walk over framehop alone asks for late modules")
)]
mod registry;
#[cfg(walks_with_framehop)]
mod late;
#[cfg(walks_with_framehop)]
mod unwind;
#[cfg(walks_with_framehop)]
mod unwind_table;
#[cfg(walks_with_framehop)]
mod aside;
#[cfg_attr(
    not(walks_with_framehop),
    expect(dead_code, reason = "the walk over framehop alone asks for late modules")
)]
mod modules;
#[cfg(rheaper_testing)]
pub mod testing;
mod nodes;
mod label;
mod clock;
mod signal;
mod pages;
mod queue;
mod sync;
mod tally;
#[cfg_attr(
    not(walks_with_framehop),
    expect(dead_code, reason = "the walk over framehop alone reads foreign stacks")
)]
mod sys;
mod error;

pub use allocator::Allocator;
pub use control::{
    Control, ControlBuilder, ControlError, ControlStatus, Measure, Trigger, control,
};
pub use error::Error;
pub use marks::mark;
pub use options::{Options, TrackerConfig};
pub use scope::{Scope, scope};
pub use session::{disable_tracking, enable_tracking};
#[cfg(feature = "tracing")]
pub use spans::ScopeLayer;
