//! `rheaper symbolize`: resolves symbols again in a database that was loaded without the binaries.

use std::fs;

use crate::cli::args::SymbolizeArgs;
use crate::cli::exit::Failure;
use crate::cli::progress::{self, ProgressReporter};
use crate::database::CancelToken;
use crate::database::text::units;
use crate::loader::{self, SymbolSummary};

/// `rheaper symbolize`
pub(crate) fn symbolize(args: &SymbolizeArgs, cancel: &CancelToken) -> Result<(), Failure> {
    for path in &args.symbols {
        fs::metadata(path)
            .map_err(|error| Failure::file(format!("--symbols {}: {error}", path.display())))?;
    }
    let mut reporter = ProgressReporter::new(cancel.clone());
    let summary = loader::symbolize(&args.database, &args.symbols, &mut reporter)?;
    print_summary(&summary);
    Ok(())
}

fn print_summary(summary: &SymbolSummary) {
    let count = |count: u64| units::count(i64::try_from(count).unwrap_or(i64::MAX));
    progress::print_line(&format!(
        "{} of {} addresses have names, {} have lines",
        count(summary.named),
        count(summary.addresses),
        count(summary.with_lines),
    ));
    for file in &summary.files {
        progress::print_line(&format!("names from {}", file.display()));
    }
    for note in &summary.notes {
        progress::print_line(&format!("symbols: {note}"));
    }
}
