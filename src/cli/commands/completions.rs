//! `rheaper completions` and `rheaper man`: generates completions and manual pages from the argument
//! types.

use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

use crate::cli::args::{Cli, CompletionsArgs, ManArgs};
use crate::cli::exit::Failure;

/// `rheaper completions`
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "rheaper", &mut text);
    Ok(io::stdout().write_all(&text)?)
}

/// `rheaper man`
pub(crate) fn man(args: &ManArgs) -> Result<(), Failure> {
    match &args.directory {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut page)?;
            Ok(io::stdout().write_all(&page)?)
        }
        Some(directory) => write_pages(directory)
            .map_err(|error| Failure::file(format!("{}: {error}", directory.display()))),
    }
}

fn write_pages(directory: &Path) -> io::Result<()> {
    clap_mangen::generate_to(Cli::command(), directory)
}
