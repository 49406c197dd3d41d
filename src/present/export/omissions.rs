//! Caveats of an export that excludes aggregated blocks, which have no rows.
//!
//! Invariant: returns `None` if the export covers every block.

use crate::database::text::units;
use crate::database::{Database, Measure, Params, Value};
use crate::present::export::error::ExportError;
use crate::present::export::metadata::Metadata;
use crate::present::export::request::{Format, Request};
use crate::present::export::stacks::Stacks;
use crate::present::export::tables::Table;

/// The tables without rows of aggregated blocks.
const OF_BLOCKS: [&str; 3] = ["allocations", "reallocs", "allocation_scopes"];

/// The caveat of an export of backtraces.
pub(crate) fn of_stacks(
    stacks: &Stacks<'_>,
    database: &Database,
    request: &Request<'_>,
) -> Result<Option<String>, ExportError> {
    let is_one = matches!(request.format, Format::Folded | Format::Svg);
    let shows = |bytes: Measure| {
        !is_one || request.measure == bytes || request.measure == bytes.counterpart()
    };
    // Aggregated blocks are freed, so live and leaked blocks at the end are complete.
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

/// The caveat of an export of tables.
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

/// Whether the selection reads tables or indices of blocks, according to SQLite's bytecode.
fn reads_blocks(database: &Database, request: &Request<'_>) -> Result<bool, ExportError> {
    let Some(selection) = &request.selection else { return Ok(false) };
    let names = OF_BLOCKS.map(|name| format!("'{name}'")).join(", ");
    let sql = format!("SELECT rootpage FROM sqlite_schema WHERE tbl_name IN ({names})");
    let pages = database.query(&sql, &Params::none(), &request.limits())?;
    // A statement that is an EXPLAIN itself fails here and reads no blocks.
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
