//! The integration tests, one binary with a module a subject.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod format;
#[cfg(feature = "cli")]
mod tui;
#[cfg(feature = "cli")]
mod screens;
#[cfg(feature = "cli")]
mod tui_driver;
#[cfg(feature = "cli")]
mod tui_walk;
#[cfg(feature = "cli")]
mod tui_fixture;
#[cfg(feature = "cli")]
mod tui_bench;
#[cfg(feature = "cli")]
mod tui_pty;
#[cfg(feature = "cli")]
mod tui_terminal;
mod load;
mod support;
mod cli;
mod gate;
mod heap;
