//! The `rheaper` command.

use std::process::ExitCode;

/// For `rheaper demo`, which records this binary; otherwise it costs one relaxed load a call.
#[cfg(feature = "collector")]
#[global_allocator]
static GLOBAL: rheaper::Allocator<std::alloc::System> =
    rheaper::Allocator::from_allocator(std::alloc::System);

fn main() -> ExitCode {
    rheaper::cli::run(std::env::args_os())
}
