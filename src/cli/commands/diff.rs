//! `rheaper diff`: compares two databases, or two moments of one; also a check for CI.
//!
//! Invariant: without differences stdout is empty, in every format but JSON.

use std::io::{self, BufWriter, Write};

use crate::cli::args::DiffArgs;
use crate::cli::commands::open;
use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::run_query;
use crate::database::CancelToken;
use crate::database::compare::{Measure, Moment, Normalization, Row, Side, Window, compare};
use crate::database::table::Unit;
use crate::database::text::units;
use crate::present::diff::{self, Diff, DiffFormat};

/// Default limit on rows in the formats for people.
const ROWS_SHOWN: usize = 30;

/// `rheaper diff`
pub(crate) fn diff(args: &DiffArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let measure = args.measure;
    let per = args.per.as_deref().map(Normalization::parse).transpose();
    let per = per.map_err(|error| usage("--per", &error))?.unwrap_or_default();
    let least = args.min.as_deref().map(|text| amount(text, measure)).transpose();
    let least = least.map_err(|error| usage("--min", &error))?.unwrap_or(1);
    let most = args.fail_if_grown.as_deref().map(|text| amount(text, measure)).transpose();
    let most = most.map_err(|error| usage("--fail-if-grown", &error))?;
    let windows = windows(args)?;

    let before = open::database(&args.before)?;
    let after = open::database(args.after.as_deref().unwrap_or(&args.before))?;
    let [first, second] = windows;
    let comparison = compare(
        &Side { database: &before, window: first },
        &Side { database: &after, window: second },
        &per,
        cancel,
    )?;
    if let Some(warning) = comparison.warning() {
        progress::print_line(&format!("note: {warning}"));
    }
    let mut rows = comparison.changed(measure, least);
    let offending = |row: &&Row| most.is_some_and(|most| row.difference(measure) > most);
    let failed = rows.iter().filter(offending).count();
    if failed > 0 {
        rows.retain(|row| offending(&row));
    }
    if rows.is_empty() {
        progress::print_line(&format!(
            "no difference in {}{}",
            measure.title(),
            if least > 1 { " as large as --min" } else { "" }
        ));
    }
    let limit = match (args.limit, args.format) {
        (Some(0), _) | (None, DiffFormat::Json | DiffFormat::Folded) => usize::MAX,
        (Some(limit), _) => limit,
        (None, DiffFormat::Text | DiffFormat::Markdown) => ROWS_SHOWN,
    };
    let shown = Diff {
        comparison: &comparison,
        rows: &rows,
        limit,
        measure,
        include_unchanged: args.include_unchanged,
        width: run_query::terminal_width(),
    };
    let mut out = BufWriter::new(io::stdout().lock());
    diff::write(&shown, args.format, &mut out)?;
    out.flush()?;
    match (failed, most) {
        (1.., Some(most)) => Err(Failure::failed(format!(
            "grown: {} by more than {}{}",
            if failed == 1 { "1 site".to_owned() } else { format!("{failed} sites") },
            measure.format(most),
            per.label(),
        ))),
        _ => Ok(()),
    }
}

fn amount(text: &str, measure: Measure) -> Result<i64, String> {
    let parsed = match measure.unit() {
        Unit::Bytes => units::parse_bytes(text),
        _ => units::parse_count(text),
    };
    parsed.map_err(|error| error.to_string())
}

/// The window of each side.
fn windows(args: &DiffArgs) -> Result<[Window; 2], Failure> {
    let moment = |option: &str, text: &str| {
        Moment::parse(text).map(Some).map_err(|error| usage(option, &error))
    };
    if let Some(between) = &args.between {
        let (first, second) = between
            .split_once("..")
            .ok_or_else(|| usage("--between", "expected two moments such as 5m..end"))?;
        let at = |moment| Window { from: None, to: moment };
        return Ok([at(moment("--between", first)?), at(moment("--between", second)?)]);
    }
    let asked = |option: &str, text: &Option<String>| match text {
        Some(text) => moment(option, text),
        None => Ok(None),
    };
    let window = Window { from: asked("--from", &args.from)?, to: asked("--to", &args.to)? };
    Ok([window.clone(), window])
}

fn usage(option: &str, error: &str) -> Failure {
    Failure::usage(format!("{option}: {error}"))
}
