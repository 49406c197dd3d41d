//! `rheaper check`: a built-in query as a check for CI.
//!
//! Invariant: it passes only if the query completes and its rows are within all given limits.

use std::io::{self, BufWriter};

use crate::cli::args::CheckArgs;
use crate::cli::commands::open;
use crate::cli::commands::query;
use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::run_query;
use crate::database::text::units;
use crate::database::{BuiltinQuery, CancelToken, Limits, Params, Table, Unit, Value};
use crate::present::table_printer::Printer;

/// Limit on printed rows.
const SHOWN_MAX: usize = 10_000;

/// `rheaper check`
pub(crate) fn check(args: &CheckArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let catalog = query::catalog();
    let query = query::find(&catalog, &args.query)?;
    let params = params(query, &args.param)?;
    let bytes_max = args.max_bytes.as_deref().map(units::parse_bytes).transpose();
    let bytes_max = bytes_max.map_err(|error| Failure::usage(format!("--max-bytes: {error}")))?;
    let rows_max = args.max_rows.or(if bytes_max.is_none() { Some(0) } else { None });

    let database = open::database(&args.database)?;
    progress::print_caveats(&database);
    let limits = Limits { rows_max: usize::MAX, ..Limits::none() }.cancelled_by(cancel);
    let table = query.run(&database, &params, &limits)?;

    let mut faults = Vec::new();
    let rows = u64::try_from(table.rows.len()).unwrap_or(u64::MAX);
    if let Some(most) = rows_max.filter(|most| rows > *most) {
        faults.push(format!("{rows} rows, at most {most} allowed"));
    }
    if let Some(most) = bytes_max {
        let sum = sum(&table, args.column.as_deref())?;
        if sum > most {
            let shown = |bytes: i64| units::bytes(bytes as f64);
            faults.push(format!("{}, at most {} allowed", shown(sum), shown(most)));
        }
    }
    if faults.is_empty() {
        progress::print_line(&format!("ok: {}: {rows} rows", query.name));
        return Ok(());
    }
    print(args, &table)?;
    Err(Failure::failed(format!("check failed: {}: {}", query.name, faults.join("; "))))
}

/// Parses `NAME=VALUE` words into parameters.
pub(crate) fn params(query: &BuiltinQuery, typed: &[String]) -> Result<Params, Failure> {
    let mut given = Vec::new();
    for pair in typed {
        let pair = pair.split_once('=');
        given
            .push(pair.ok_or_else(|| Failure::usage("--param needs NAME=VALUE, such as age=10m"))?);
    }
    query.bind(&given).map_err(|error| Failure::usage(format!("{}: {error}", query.name)))
}

fn sum(table: &Table, named: Option<&str>) -> Result<i64, Failure> {
    let column = match named {
        Some(name) => table.column(name),
        None => table.columns.iter().position(|column| column.unit == Unit::Bytes),
    };
    let column =
        column.ok_or_else(|| {
            Failure::usage(named.map_or(
                "the query has no column with bytes: --column names one".to_owned(),
                |name| format!("the query has no column `{name}`"),
            ))
        })?;
    let numbers = table.rows.iter().filter_map(|row| row.get(column).and_then(Value::as_i64));
    Ok(numbers.fold(0, i64::saturating_add))
}

fn print(args: &CheckArgs, table: &Table) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut printer =
        Printer::new(&mut out, &run_query::style_of(args.output.format), &table.columns);
    for row in table.rows.iter().take(SHOWN_MAX) {
        printer.row(row)?;
    }
    printer.finish()
}
