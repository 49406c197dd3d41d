//! Exports backtraces with weights, or tables, in the formats of other tools.
//!
//! Invariants:
//! - Memory grows with distinct backtraces and frames, not with allocations.
//! - Names are escaped by the rules of each format.
//! - Omitted backtraces and blocks are counted and reported.

mod formats;
pub(crate) mod omissions;
pub(crate) mod tables;
mod trie;
mod stacks;
mod weights;
mod json;
mod names;
mod metadata;
pub(crate) mod target;
pub(crate) mod request;
pub(crate) mod error;

use std::io::Write;

use crate::database::Database;
use crate::database::caveats::Caveats;
use crate::present::export::error::ExportError;
use crate::present::export::request::{Format, Request};
use crate::present::export::stacks::Stacks;

pub(crate) use crate::present::export::formats::external_stacks;
pub(crate) use crate::present::export::tables::Table;

/// The result of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The plural noun for `count`.
    pub noun: &'static str,
    /// Number of written items.
    pub count: u64,
    /// Backtraces that were omitted because the format has no negative weights.
    pub negative_weights: u64,
    /// A sentence about excluded aggregated blocks.
    pub omission: Option<String>,
    /// A sentence if the weights are estimates.
    pub sampling_caveat: Option<String>,
}

/// Exports backtraces with weights.
///
/// # Errors
/// If a query fails, the request is invalid for this database, or the writer fails.
pub(crate) fn export(
    database: &Database,
    request: &Request<'_>,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let stacks = Stacks::read(database, request)?;
    let caveats = Caveats::read(database, &request.limits())?;
    let title = title(database, &caveats);
    let summary = match request.format {
        Format::Folded => crate::present::export::formats::folded::write(&stacks, out),
        Format::Svg => crate::present::export::formats::svg::write(&stacks, request, &title, out),
        Format::Pprof => {
            crate::present::export::formats::pprof::write(&stacks, database, request, &caveats, out)
        }
        Format::Speedscope => {
            crate::present::export::formats::speedscope::write(&stacks, &title, out)
        }
        Format::Firefox => {
            crate::present::export::formats::firefox::write(&stacks, database, request, &title, out)
        }
        Format::Dhat => {
            crate::present::export::formats::dhat::write(&stacks, database, request, &caveats, out)
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

/// The tables of a request.
///
/// # Errors
/// If a table does not exist, or its rows can't be read.
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

/// Exports one table.
///
/// # Errors
/// If a query fails, a value does not have its column's type, or the writer fails.
pub(crate) fn export_table(
    table: &Table,
    database: &Database,
    request: &Request<'_>,
    out: &mut (dyn Write + Send),
) -> Result<Summary, ExportError> {
    match request.format {
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            crate::present::export::formats::parquet::write(table, database, request, out)
        }
        _ => crate::present::export::formats::csv::write(table, database, request, out),
    }
}

/// The title of an export: the database's file name, and a tag if it is sampled.
fn title(database: &Database, caveats: &Caveats) -> String {
    let name = database.path().file_name().unwrap_or_default().to_string_lossy();
    match caveats.sampled {
        Some(sampled) => format!("{name} ({})", sampled.tag()),
        None => name.into_owned(),
    }
}
