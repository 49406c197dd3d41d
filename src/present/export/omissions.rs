//! What an export can't count, since the recording added it to sums and kept no rows of it.
//!
//! Reads: `meta`, `aggregation_steps`, and how a statement would run. Writes: nothing.
//!
//! Invariant: an export that counts every block is said to, by silence.

use crate::database::text::units;
use crate::database::{Database, Measure, Params, Value};
use crate::present::export::error::ExportError;
use crate::present::export::metadata::Metadata;
use crate::present::export::request::{Format, Request};
use crate::present::export::stacks::Stacks;
use crate::present::export::tables::Table;

/// The tables that have no rows of aggregated blocks.
const OF_BLOCKS: [&str; 3] = ["allocations", "reallocs", "allocation_scopes"];

/// What an export of backtraces leaves out, as a sentence.
pub(crate) fn of_stacks(
    stacks: &Stacks<'_>,
    database: &Database,
    request: &Request<'_>,
) -> Result<Option<String>, ExportError> {
    let is_one = matches!(request.format, Format::Folded | Format::Svg);
    let shows = |bytes: Measure| {
        !is_one || request.measure == bytes || request.measure == bytes.counterpart()
    };
    // Aggregated blocks are freed ones: what is never freed all has rows.
    let by_rows = if request.weight.is_some() {
        reads_blocks(database, request)?
    } else {
        let is_earlier = request.window.to.is_some();
        let counts = shows(Measure::AllocatedBytes) || shows(Measure::LiveBytes) && is_earlier;
        !stacks.from_sites && counts
    };
    match (by_rows, request.weight.is_none() && shows(Measure::PeakBytes)) {
        (true, _) => sentence(database, request, "counted here"),
        (false, true) => sentence(database, request, "in the peak"),
        (false, false) => Ok(None),
    }
}

/// What exports of tables leave out, as a sentence.
///
/// # Errors
/// If the database can't be read.
pub(crate) fn of_tables(
    tables: &[Table],
    database: &Database,
    request: &Request<'_>,
) -> Result<Option<String>, ExportError> {
    let is_by_rows = match request.selection {
        Some(_) => reads_blocks(database, request)?,
        None => tables.iter().any(|table| OF_BLOCKS.contains(&table.name.as_str())),
    };
    if is_by_rows { sentence(database, request, "among the rows") } else { Ok(None) }
}

fn sentence(
    database: &Database,
    request: &Request<'_>,
    place: &str,
) -> Result<Option<String>, ExportError> {
    let metadata = Metadata::read(database, request)?;
    let blocks = metadata.number("aggregated_blocks");
    if blocks == 0 {
        return Ok(None);
    }
    let sql = "SELECT max(aggregate_below_ns) FROM aggregation_steps";
    let limit = database.query(sql, &Params::none(), &request.limits())?;
    let limit = limit.rows.first().and_then(|row| row[0].as_i64()).unwrap_or(0);
    Ok(Some(format!(
        "not {place}: {} aggregated blocks of {}, which have no rows; they lived shorter than {}",
        units::count(blocks),
        units::bytes(metadata.number("aggregated_bytes") as f64),
        units::duration(limit as f64),
    )))
}

/// Whether the request's selection reads rows of blocks, or an index of them: what SQLite would
/// open to run it.
fn reads_blocks(database: &Database, request: &Request<'_>) -> Result<bool, ExportError> {
    let Some(selection) = &request.selection else { return Ok(false) };
    let names = OF_BLOCKS.map(|name| format!("'{name}'")).join(", ");
    let sql = format!("SELECT rootpage FROM sqlite_schema WHERE tbl_name IN ({names})");
    let pages = database.query(&sql, &Params::none(), &request.limits())?;
    // What is an EXPLAIN itself runs nothing.
    let sql = format!("EXPLAIN {}", selection.sql);
    let Ok(plan) = database.query(&sql, &selection.params, &request.limits()) else {
        return Ok(false);
    };
    Ok((0..plan.rows.len()).any(|row| {
        let value = |column: &str| plan.get(row, column);
        let opens = value("opcode").and_then(Value::as_str) == Some("OpenRead");
        let page = value("p2").and_then(Value::as_i64);
        opens && pages.rows.iter().any(|known| known[0].as_i64() == page)
    }))
}
