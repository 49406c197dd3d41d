//! Writes what the explorer shows to a file, in the formats of the other commands.
//!
//! Reads: the database, or what the explorer holds. Writes: a new file that only the user may read.
//!
//! Invariant: nothing is overwritten, and a file is there only when all of it is.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::cli::commands::load;
use crate::database::table::Unit;
use crate::database::text::{sanitize, units};
use crate::database::{CancelToken, Database, Limits, Value};
use crate::present::diff::{self, Diff, DiffFormat};
use crate::present::export::error::ExportError;
use crate::present::export::external_stacks::{self, Caption, Each};
use crate::present::export::request::{Format as Stacks, Measure, Question, Request, Window};
use crate::present::export::target::{Replace, Target};
use crate::present::export::{self, Summary};
use crate::present::table_printer::{Format as Output, Printer, Style};
use crate::tui::app::export::{Content, Export, Format, Rows};
use crate::tui::flame::cell_layout::Top;
use crate::tui::flame::shape::{Key, Shown, ShownId};

/// Writes it; says where and how much.
///
/// # Errors
/// A sentence, if something stands there already, the file can't be written, or the database has
/// no answer.
pub fn write_view(
    database: &Database,
    export: &Export,
    cancel: &CancelToken,
) -> Result<String, String> {
    let path = whole(&export.path);
    let cleaned = |error: ExportError| sanitize::line(&error.to_string()).into_owned();
    let mut target =
        Target::begin(&path, Replace::NeverPrivate, load::is_recording).map_err(cleaned)?;
    let written = content(database, export, cancel, &mut target).map_err(cleaned)?;
    let bytes = target.finish().map_err(cleaned)?;
    let shown = path.to_string_lossy();
    let count = units::count(written.count.cast_signed());
    let bytes = units::bytes(bytes as f64);
    let mut said = format!("wrote {}: {count} {}, {bytes}", sanitize::line(&shown), written.of);
    if written.negative > 0 {
        let negative = written.negative;
        said.push_str(&format!("; left out: {negative} backtraces whose weight is negative"));
    }
    if let Some(absent) = &written.absent {
        said.push_str(&format!("; {absent}"));
    }
    if written.estimated.is_some() {
        said.push_str("; estimates");
    }
    Ok(said)
}

/// The path from the root, `~/` as a shell has it.
fn whole(path: &Path) -> PathBuf {
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
            let question = Question {
                title: export.title.clone(),
                sql: rows.sql.clone(),
                params: rows.params.clone(),
            };
            let request = Request {
                format: if export.format == Format::Svg { Stacks::Svg } else { Stacks::Folded },
                measure: Measure::default(),
                unit: Default::default(),
                window: Window::default(),
                question: Some(question),
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
            let caption = Caption { title: file, about: export.title.clone(), unit };
            let each = |each: &mut Each<'_>| stacks(shown, *top, each);
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
                    let about = export.title.clone();
                    let caption = Caption { title: file, about, unit: measure.unit() };
                    return external_stacks::changes(stacks, &caption, target.out());
                }
            };
            let diff = Diff {
                comparison,
                rows,
                limit: usize::MAX,
                measure: *measure,
                unchanged: false,
                width: None,
            };
            diff::write(&diff, format, target.out())?;
            Ok(Summary { of: "sites", count: rows.len() as u64, ..Summary::default() })
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

/// All rows of the statement, not only those that were looked at.
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
    Ok(Summary { of: "rows", count, ..Summary::default() })
}

/// Content differs as rows, one a site.
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
            Value::Text(row.state(*measure).word().to_owned()),
            Value::Integer(row.before.get(*measure)),
            Value::Integer(row.after.get(*measure)),
            Value::Integer(row.difference(*measure)),
            row.bt_after.map_or(Value::Null, Value::Integer),
        ])?;
    }
    printer.finish()?;
    Ok(Summary { of: "sites", count: rows.len() as u64, ..Summary::default() })
}

/// Each shown node with a weight of its own, and the names that lead to it from the top.
fn stacks(shown: &Shown, top: Top, each: &mut Each<'_>) -> Result<(), ExportError> {
    let mut path: Vec<String> = Vec::new();
    let mut open: Vec<(ShownId, usize)> = vec![(top.node, 0)];
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
        let own = if is_part { 0 } else { shown.own(node) };
        if own > 0 {
            each(&path, i64::try_from(own).unwrap_or(i64::MAX))?;
        }
        let skip = if is_part { top.skip } else { 0 };
        let children = shown.children(node).iter().skip(skip).rev();
        open.extend(children.map(|child| (*child, path.len())));
    }
    Ok(())
}
