//! A comparison as text or Markdown: totals of both sides, then the sites by the size of their change.
//!
//! Invariant: text of a database is sanitized here or by the printer.

use std::io::{self, Write};

use crate::database::compare::{Comparison, Measure, Row, State, Total};
use crate::database::table::{Column, Unit, Value};
use crate::database::text::{sanitize, units};
use crate::present::diff::Diff;
use crate::present::table_printer::{Format, Printer, Style};

/// Limit on the own functions that are printed per site.
const FRAMES_NAMED: usize = 3;

pub(super) fn text(diff: &Diff<'_>, out: &mut dyn Write) -> io::Result<()> {
    let comparison = diff.comparison;
    writeln!(out, "rheaper diff: {}\n", sides(comparison))?;
    table(diff, totals(comparison), Format::Table, out)?;
    writeln!(out, "\n{}\n", summary(diff))?;
    table(diff, rows(diff), Format::Table, out)?;
    more(diff, out)
}

pub(super) fn markdown(diff: &Diff<'_>, out: &mut dyn Write) -> io::Result<()> {
    let comparison = diff.comparison;
    writeln!(out, "## rheaper diff: {}\n", sides(comparison).replace(['`', '|', '<'], "'"))?;
    table(diff, totals(comparison), Format::Markdown, out)?;
    writeln!(out, "\n{}\n", summary(diff))?;
    table(diff, rows(diff), Format::Markdown, out)?;
    more(diff, out)
}

/// "before.db (12m 00s) → after.db (11m 58s), per hour"
fn sides(comparison: &Comparison) -> String {
    let side = |total: &Total| {
        let time = |ns: i64| units::duration(ns as f64);
        let length = match total.span.from_ns {
            ..0 => time(total.span.to_ns),
            from => format!("{} to {}", time(from), time(total.span.to_ns)),
        };
        let tag = total.caveats.tag();
        let comma = if tag.is_empty() { "" } else { "; " };
        format!("{} ({length}{comma}{tag})", sanitize::line(&total.file))
    };
    let per = sanitize::line(&comparison.per.label()).into_owned();
    let (before, after) = (side(&comparison.before), side(&comparison.after));
    let comma = if per.is_empty() { "" } else { "," };
    format!("{before} → {after}{comma}{per}")
}

/// "live bytes: 12.0 KiB more at 3 sites, 1.20 MiB less at 1 site; 14 unchanged"
fn summary(diff: &Diff<'_>) -> String {
    let comparison = diff.comparison;
    let count = |wanted: &[State]| {
        let states = comparison.rows.iter().map(|row| row.state(diff.measure));
        states.filter(|state| wanted.contains(state)).count()
    };
    let (growth, shrinkage) = comparison.movement(diff.measure);
    let grown = count(&[State::New, State::Grown]);
    let shrunk = count(&[State::Gone, State::Shrunk]);
    let sites =
        |count: usize| if count == 1 { "1 site".to_owned() } else { format!("{count} sites") };
    let same = comparison.unchanged.len() + comparison.rows.len() - grown - shrunk;
    format!(
        "{}{}: {} more at {}, {} less at {}; {same} unchanged",
        diff.measure.title(),
        sanitize::line(&comparison.per.label()),
        diff.measure.format(growth),
        sites(grown),
        diff.measure.format(shrinkage),
        sites(shrunk),
    )
}

type Rows = (Vec<Column>, Vec<Vec<Value>>);

fn column(name: &str, unit: Unit) -> Column {
    Column { name: name.to_owned(), unit }
}

fn totals(comparison: &Comparison) -> Rows {
    let columns = vec![
        column("all sites", Unit::None),
        column("before", Unit::Bytes),
        column("after", Unit::Bytes),
        column("difference", Unit::Bytes),
    ];
    let row = |measure: Measure| {
        let of = |total: &Total| total.ratio.apply(total.metrics.get(measure));
        let (before, after) = (of(&comparison.before), of(&comparison.after));
        vec![
            Value::Text(measure.title().to_owned()),
            Value::Text(measure.format(before)),
            Value::Text(measure.format(after)),
            Value::Text(measure.format_difference(after.saturating_sub(before))),
        ]
    };
    (columns, Measure::COMPARED.into_iter().map(row).collect())
}

fn rows(diff: &Diff<'_>) -> Rows {
    // The last column is the same measure in the other unit.
    let other = diff.measure.counterpart();
    let columns = vec![
        column("difference", Unit::Bytes),
        column("before", Unit::Bytes),
        column("after", Unit::Bytes),
        column(other.title(), Unit::Bytes),
        column("state", Unit::None),
        column("site", Unit::None),
        column("place", Unit::None),
    ];
    let row = |row: &Row| {
        let measure = diff.measure;
        vec![
            Value::Text(measure.format_difference(row.difference(measure))),
            Value::Text(measure.format(row.before.get(measure))),
            Value::Text(measure.format(row.after.get(measure))),
            Value::Text(other.format_difference(row.difference(other))),
            Value::Text(row.state(measure).name().to_owned()),
            Value::Text(site(diff.comparison, row)),
            Value::Text(place(diff.comparison, row)),
        ]
    };
    (columns, diff.shown().map(row).collect())
}

/// "Cache::insert < session::open < server::handle < …": callees first.
fn site(comparison: &Comparison, row: &Row) -> String {
    let mut frames = comparison.frames(row).map(|name| name.function.as_str());
    let named: Vec<&str> = frames.by_ref().take(FRAMES_NAMED).collect();
    let rest = if frames.next().is_some() { " < …" } else { "" };
    if named.is_empty() { "(no frames)".to_owned() } else { named.join(" < ") + rest }
}

fn place(comparison: &Comparison, row: &Row) -> String {
    let Some(name) = comparison.frames(row).next() else { return String::new() };
    match (&name.file, name.line) {
        (Some(file), Some(line)) => format!("{file}:{line}"),
        (Some(file), None) => file.clone(),
        _ => String::new(),
    }
}

fn table(
    diff: &Diff<'_>,
    (columns, rows): Rows,
    format: Format,
    out: &mut dyn Write,
) -> io::Result<()> {
    let style = Style { format, width: diff.width, ..Style::default() };
    let mut printer = Printer::new(out, &style, &columns);
    for row in rows {
        printer.row(&row)?;
    }
    printer.finish()
}

fn more(diff: &Diff<'_>, out: &mut dyn Write) -> io::Result<()> {
    match diff.rows.len().saturating_sub(diff.limit) {
        0 => Ok(()),
        left => writeln!(out, "\n{left} more; --limit 0 shows all"),
    }
}
