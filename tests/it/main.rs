//! The integration tests, one binary with a module a subject.
#![allow(clippy::unwrap_used, reason = "a test that can't go on should stop")]
#![allow(clippy::print_stdout, reason = "what a failing test looked at")]

mod cli;
mod database;
mod docs;
mod export;
mod loader;
mod recorder;
mod recording;
mod support;
mod synthetic;
mod tidy;
mod tui;

// The sampler's own files are taken in by `recorder::sampler` and find these by their paths in the package.
use tidy::safeguards;
mod collector {
    pub(crate) mod platform {
        pub(crate) use crate::recorder::sampler::sys;
    }
}
