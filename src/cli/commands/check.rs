//! `rheaper check`: a built-in query as a check for CI.
//!
//! Invariant: it passes only if the query completes and all of its rows together are within all given
//! limits; it compares a part of the rows only if `limit` was given.

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

    let rows = u64::try_from(table.rows.len()).unwrap_or(u64::MAX);
    let count = |rows: u64| units::count(i64::try_from(rows).unwrap_or(i64::MAX));
    let mut found = vec![format!("{} row{}", count(rows), if rows == 1 { "" } else { "s" })];
    let mut fails = false;
    if let Some(most) = rows_max {
        fails |= rows > most;
        found = vec![format!("{} of at most {}", found[0], count(most))];
    }
    if let Some(most) = bytes_max {
        let sum = sum(&table, args.column.as_deref())?;
        fails |= sum > most;
        let shown = |bytes: i64| units::bytes(bytes as f64);
        found.push(format!("{} of at most {}", shown(sum), shown(most)));
    }
    // With a limit only a part of the rows was compared.
    if query.limit(&params).is_some_and(|limit| limit <= rows) {
        let all = query.count(&database, &params, &limits)?;
        if all > rows {
            found.push(format!(
                "of {} rows only the first were compared, because of `limit`",
                count(all)
            ));
        }
    }
    let found = found.join(", ");
    if !fails {
        progress::print_line(&format!("ok: {}: {found}", query.name));
        return Ok(());
    }
    print(args, &table)?;
    Err(Failure::failed(format!("check failed: {}: {found}", query.name)))
}

/// Parses `NAME=VALUE` words into parameters; without a `limit` there is none.
pub(crate) fn params(query: &BuiltinQuery, typed: &[String]) -> Result<Params, Failure> {
    let mut given = Vec::new();
    for pair in typed {
        let pair = pair.split_once('=');
        given
            .push(pair.ok_or_else(|| Failure::usage("--param needs NAME=VALUE, such as age=10m"))?);
    }
    query.bind_whole(&given).map_err(|error| Failure::usage(format!("{}: {error}", query.name)))
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
    let (mut whole, mut rest) = (0_i64, 0.0);
    for value in table.rows.iter().filter_map(|row| row.get(column)) {
        match value {
            Value::Integer(bytes) => whole = whole.saturating_add(*bytes),
            // Means are not whole numbers of bytes.
            other => rest += other.as_f64().unwrap_or(0.0),
        }
    }
    // Rounded up, so that a fraction above the limit fails.
    Ok(whole.saturating_add(f64::ceil(rest) as i64))
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
