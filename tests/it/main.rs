//! The integration tests, one binary with a module a subject.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]
#![allow(clippy::print_stdout, reason = "what a failing test looked at")]

mod format;
mod cli;
mod control;
mod cli_load;
mod cli_check;
mod export;
mod export_json;
mod export_memory;
mod export_names;
mod export_tables;
#[cfg(feature = "parquet")]
mod fleet;
mod diff;
mod gate;
mod prompt;
mod queries;
mod queries_text;
mod queries_twins_blocks;
mod queries_twins_rest;
mod queries_twins_sites;
mod heap;
mod heap_write;
mod load;
mod support;
mod load_context;
mod load_damage;
mod load_rollups;
mod load_schema;
mod load_symbols;
mod documents;
mod import;
mod import_bytehound;
mod import_heaptrack;
mod tui;
mod tui_keys;
mod tui_lenses;
mod tui_walk;
mod screens;
mod tui_driver;
mod tui_pty;
mod tui_bench;
mod tui_fixture;
mod tui_terminal;
mod programs;
mod doors;
mod mutants;
mod witness;
mod disks;
mod hardships;
mod recorder;
mod recorder_context;
mod tidy;
mod tools;
mod walkthrough;
