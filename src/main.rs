//! The `rheaper` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    rheaper::cli::run(std::env::args_os())
}
