//! Exports: what a database knows, in the formats of other tools.
//!
//! Reads: a database. Writes: one format to any writer, or a table each into a directory.
//!
//! Invariants:
//! - Memory grows with distinct backtraces and frames, never with allocations.
//! - Names reach every format by its own rules of escaping; no byte of a recording can begin
//!   something else there.
//! - What is left out of an export is counted and said.

pub(crate) mod pprof;
pub(crate) mod speedscope;
pub(crate) mod firefox;
pub(crate) mod dhat;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
pub(crate) mod trie;
pub(crate) mod json;
pub(crate) mod external_stacks;
pub(crate) mod folded;
pub(crate) mod svg;
pub(crate) mod names;
pub(crate) mod csv;
pub(crate) mod target;
pub(crate) mod omissions;
pub(crate) mod tables;
pub(crate) mod stacks;
pub(crate) mod weights;
pub(crate) mod metadata;
pub(crate) mod request;
pub(crate) mod error;

use std::io::Write;

use crate::database::Database;
use crate::database::caveats::Caveats;
use crate::present::export::error::ExportError;
use crate::present::export::request::{Format, Request};
use crate::present::export::stacks::Stacks;

pub(crate) use crate::present::export::tables::Table;

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// What `count` counts.
    pub noun: &'static str,
    /// How many of them were written.
    pub count: u64,
    /// Backtraces that were left out, as a format has no negative weights.
    pub negative_weights: u64,
    /// What is not in it since the recording kept no rows of it, as a sentence.
    pub omission: Option<String>,
    /// That its weights are estimates, as a sentence.
    pub sampling_caveat: Option<String>,
}

/// Writes one format of backtraces and weights.
///
/// # Errors
/// If the question fails, the request makes no sense for this database, or the writer fails.
pub(crate) fn export(
    database: &Database,
    request: &Request<'_>,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let stacks = Stacks::read(database, request)?;
    let caveats = Caveats::read(database, &request.limits())?;
    let title = title(database, &caveats);
    let summary = match request.format {
        Format::Folded => crate::present::export::folded::write(&stacks, out),
        Format::Svg => crate::present::export::svg::write(&stacks, request, &title, out),
        Format::Pprof => {
            crate::present::export::pprof::write(&stacks, database, request, &caveats, out)
        }
        Format::Speedscope => crate::present::export::speedscope::write(&stacks, &title, out),
        Format::Firefox => {
            crate::present::export::firefox::write(&stacks, database, request, &title, out)
        }
        Format::Dhat => {
            crate::present::export::dhat::write(&stacks, database, request, &caveats, out)
        }
        Format::Csv | Format::Parquet => Err(ExportError::Request(format!(
            "{} holds tables, not backtraces",
            request.format.name()
        ))),
    }?;
    let sampling_caveat = caveats.sampled.map(|sampled| sampled.sentence());
    Ok(Summary {
        omission: crate::present::export::omissions::of_stacks(&stacks, database, request)?,
        sampling_caveat,
        ..summary
    })
}

/// The tables that a request asks for.
///
/// # Errors
/// If there is no such table, or its rows can't be read.
pub(crate) fn tables(
    database: &Database,
    request: &Request<'_>,
) -> Result<Vec<Table>, ExportError> {
    if request.format == Format::Parquet && cfg!(not(feature = "parquet")) {
        return Err(ExportError::Request(
            "this rheaper was built without Parquet: cargo install rheaper --features parquet"
                .to_owned(),
        ));
    }
    crate::present::export::tables::select(database, request)
}

/// Writes one table.
///
/// # Errors
/// If the question fails, a value does not fit its column, or the writer fails.
pub(crate) fn export_table(
    table: &Table,
    database: &Database,
    request: &Request<'_>,
    out: &mut (dyn Write + Send),
) -> Result<Summary, ExportError> {
    match request.format {
        #[cfg(feature = "parquet")]
        Format::Parquet => crate::present::export::parquet::write(table, database, request, out),
        _ => crate::present::export::csv::write(table, database, request, out),
    }
}

/// What an export is called where it has a title: the database's file name, and what that is worth.
fn title(database: &Database, caveats: &Caveats) -> String {
    let name = database.path().file_name().unwrap_or_default().to_string_lossy();
    match caveats.sampled {
        Some(sampled) => format!("{name} ({})", sampled.tag()),
        None => name.into_owned(),
    }
}
