//! The integration tests, one binary with a module a subject.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod format;
mod load;
mod load_damage;
mod load_rollups;
mod load_schema;
mod load_symbols;
mod support;
mod cli;
mod gate;
mod heap;
mod queries;
mod queries_twins_blocks;
mod queries_twins_sites;
mod tui;
mod tui_fixture;
mod tui_pty;
mod tui_terminal;
mod programs;
mod recorder;
mod tidy;
mod walkthrough;
