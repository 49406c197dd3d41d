//! Exports the current view of the explorer to a new file that only the user may read.
//!
//! Invariant: no file is overwritten, and a file exists only when it is complete.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::cli::commands::load;
use crate::database::table::Unit;
use crate::database::text::{sanitize, units};
use crate::database::{CancelToken, Database, Limits, Measure, Value};
use crate::present::diff::{self, Diff, DiffFormat};
use crate::present::export::error::ExportError;
use crate::present::export::external_stacks::{self, Caption, StackSink};
use crate::present::export::request::{Format as Stacks, Request, Selection, Window};
use crate::present::export::target::{Overwrite, Target};
use crate::present::export::{self, Summary};
use crate::present::table_printer::{Format as Output, Printer, Style};
use crate::tui::app::export::{Content, Export, Format, Rows};
use crate::tui::flame::cell_layout::Top;
use crate::tui::flame::shape::{Key, ShapedId, ShapedTree};

/// Writes the file; returns a sentence with its path and size.
///
/// # Errors
/// A sentence, if the file exists or can't be written, or a query fails.
pub fn write_view(
    database: &Database,
    export: &Export,
    cancel: &CancelToken,
) -> Result<String, String> {
    let path = expand(&export.path);
    let sanitized = |error: ExportError| sanitize::line(&error.to_string()).into_owned();
    let mut target =
        Target::begin(&path, Overwrite::NeverPrivate, load::is_recording).map_err(sanitized)?;
    let written = content(database, export, cancel, &mut target).map_err(sanitized)?;
    let bytes = target.finish().map_err(sanitized)?;
    let shown = path.to_string_lossy();
    let count = units::count(written.count.cast_signed());
    let bytes = units::bytes(bytes as f64);
    let mut message =
        format!("wrote {}: {count} {}, {bytes}", sanitize::line(&shown), written.noun);
    if written.negative_weights > 0 {
        let count = written.negative_weights;
        message.push_str(&format!("; left out: {count} backtraces whose weight is negative"));
    }
    if let Some(omission) = &written.omission {
        message.push_str(&format!("; {omission}"));
    }
    if written.sampling_caveat.is_some() {
        message.push_str("; estimates");
    }
    Ok(message)
}

/// The absolute path, with `~/` expanded as by a shell.
fn expand(path: &Path) -> PathBuf {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    let path = match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    };
    std::path::absolute(&path).unwrap_or(path)
}

fn content(
    database: &Database,
    export: &Export,
    cancel: &CancelToken,
    target: &mut Target,
) -> Result<Summary, ExportError> {
    let file = database.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    match &export.content {
        Content::Rows(rows) if export.format.needs_stacks() => {
            let selection = Selection {
                title: export.title.clone(),
                sql: rows.sql.clone(),
                params: rows.params.clone(),
            };
            let request = Request {
                format: if export.format == Format::Svg { Stacks::Svg } else { Stacks::Folded },
                measure: Measure::default(),
                window: Window::default(),
                is_collapsed: false,
                selection: Some(selection),
                weight: None,
                tables: Vec::new(),
                labels: Vec::new(),
                cancel,
            };
            export::export(database, &request, target.out())
        }
        Content::Rows(rows) => print(database, rows, export.format, cancel, target),
        Content::Stacks(shown, top) => {
            let unit = shown.shape().measure.unit();
            let caption = Caption { title: file, subtitle: export.title.clone(), unit };
            let each = |each: &mut StackSink<'_>| stacks(shown, *top, each);
            match export.format {
                Format::Svg => external_stacks::svg(each, &caption, target.out()),
                _ => external_stacks::folded(each, target.out()),
            }
        }
        Content::Changes(comparison, rows, measure) => {
            let format = match export.format {
                Format::Json => DiffFormat::Json,
                Format::Markdown => DiffFormat::Markdown,
                Format::Folded => DiffFormat::Folded,
                Format::Csv => {
                    return changes(export, target);
                }
                Format::Svg => {
                    let mut stacks = Vec::new();
                    for row in rows {
                        let names = comparison.frames(row).map(|name| name.sym.clone());
                        let mut names: Vec<String> = names.collect();
                        names.reverse();
                        stacks.push((names, row.difference(*measure)));
                    }
                    let subtitle = export.title.clone();
                    let caption = Caption { title: file, subtitle, unit: measure.unit() };
                    return external_stacks::difference_svg(stacks, &caption, target.out());
                }
            };
            let diff = Diff {
                comparison,
                rows,
                limit: usize::MAX,
                measure: *measure,
                include_unchanged: false,
                width: None,
            };
            diff::write(&diff, format, target.out())?;
            Ok(Summary { noun: "sites", count: rows.len() as u64, ..Summary::default() })
        }
    }
}

fn style(format: Format) -> Style {
    let format = match format {
        Format::Json => Output::Json,
        Format::Markdown => Output::Markdown,
        _ => Output::Csv,
    };
    Style { format, ..Style::default() }
}

/// Prints all rows of the statement, not only those that were shown.
fn print(
    database: &Database,
    rows: &Rows,
    format: Format,
    cancel: &CancelToken,
    target: &mut Target,
) -> Result<Summary, ExportError> {
    let mut all = database.columns(&rows.sql)?;
    for column in &mut all {
        if let Some((_, unit)) = rows.units.iter().find(|(name, _)| *name == column.name) {
            column.unit = *unit;
        }
    }
    let shown: Vec<usize> = match rows.columns.is_empty() {
        true => (0..all.len()).collect(),
        false => rows.columns.iter().copied().filter(|at| *at < all.len()).collect(),
    };
    let columns: Vec<_> = shown.iter().map(|at| all[*at].clone()).collect();
    let mut printer = Printer::new(target.out(), &style(format), &columns);
    let mut written = Ok(());
    let mut count = 0;
    let limits = Limits::none().cancelled_by(cancel);
    database.stream(&rows.sql, &rows.params, &limits, |row: &[Value]| {
        let row: Vec<Value> = shown.iter().filter_map(|at| row.get(*at).cloned()).collect();
        written = printer.row(&row);
        count += 1;
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written?;
    printer.finish()?;
    Ok(Summary { noun: "rows", count, ..Summary::default() })
}

/// Prints differences as CSV, one row per site.
fn changes(export: &Export, target: &mut Target) -> Result<Summary, ExportError> {
    let Content::Changes(comparison, rows, measure) = &export.content else {
        return Ok(Summary::default());
    };
    let column = |name: &str, unit: Unit| crate::database::Column { name: name.to_owned(), unit };
    let unit = measure.unit();
    let columns = [
        column("site", Unit::None),
        column("state", Unit::None),
        column("before", unit),
        column("after", unit),
        column("difference", unit),
        column("bt", Unit::None),
    ];
    let mut printer = Printer::new(target.out(), &style(export.format), &columns);
    for row in rows {
        printer.row(&[
            Value::Text(comparison.function(row).to_owned()),
            Value::Text(row.state(*measure).name().to_owned()),
            Value::Integer(row.before.get(*measure)),
            Value::Integer(row.after.get(*measure)),
            Value::Integer(row.difference(*measure)),
            row.bt_after.map_or(Value::Null, Value::Integer),
        ])?;
    }
    printer.finish()?;
    Ok(Summary { noun: "sites", count: rows.len() as u64, ..Summary::default() })
}

/// StackSink shown node with a weight of its own, and the names that lead to it from the top.
fn stacks(shown: &ShapedTree, top: Top, each: &mut StackSink<'_>) -> Result<(), ExportError> {
    let mut path: Vec<String> = Vec::new();
    let mut open: Vec<(ShapedId, usize)> = vec![(top.node, 0)];
    while let Some((node, depth)) = open.pop() {
        path.truncate(depth);
        match shown.key(node) {
            Key::All => {}
            Key::Library => path.push("[library and runtime]".to_owned()),
            Key::Symbol(_) => {
                path.push(shown.symbol(node).map_or(String::new(), |it| it.sym.clone()));
            }
        }
        let is_part = node == top.node && top.skip > 0;
        let own = if is_part { 0 } else { shown.self_value(node) };
        if own > 0 {
            each(&path, i64::try_from(own).unwrap_or(i64::MAX))?;
        }
        let skip = if is_part { top.skip } else { 0 };
        let children = shown.children(node).iter().skip(skip).rev();
        open.extend(children.map(|child| (*child, path.len())));
    }
    Ok(())
}
