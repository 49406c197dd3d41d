//! Exports the current view: prompts for the file name, then sends the request.
//!
//! Invariant: the file name extension selects the format; one that does not fit the view is rejected
//! before anything is written.

use std::path::Path;

use crate::tui::app::export::{Content, Export, Format, Rows};
use crate::tui::app::message::{Effect, Queue, RequestBody};
use crate::tui::app::state::popup::{Popup, Prompt, Purpose as PromptPurpose};
use crate::tui::app::state::requests::Purpose;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::load;
use crate::tui::flame::cell_layout::Top;
use crate::tui::flame::shape::TOP;

/// Opens the prompt for the file name.
pub fn open_prompt(app: &mut App) -> Vec<Effect> {
    let stem = app.overview.name.trim_end_matches(".db");
    let (_, view) = app.view.title();
    let end = match app.view {
        ViewKind::Flame => "svg",
        ViewKind::Compare => "md",
        _ => "csv",
    };
    let name = format!("{stem}-{}.{end}", view.to_ascii_lowercase());
    let help = match has_stacks(app) {
        true => {
            ".csv .json .md for rows, .folded .svg for stacks; existing files are not overwritten"
        }
        false => ".csv .json .md; existing files are not overwritten",
    };
    let prompt = Prompt::one("export this view to a file", PromptPurpose::Export, help, &name);
    app.popups.push(Popup::Prompt(prompt));
    Vec::new()
}

/// Sends the export.
///
/// # Errors
/// A message if the view can't be written in this format.
pub fn submit(app: &mut App, name: &str) -> Result<Vec<Effect>, String> {
    let writer = app.exporter.ok_or("exports are not available here")?;
    let path = Path::new(name.trim());
    let format = Format::from_path(path).ok_or_else(|| {
        let ends: Vec<&str> = Format::ALL.iter().map(|(_, end)| *end).collect();
        format!("the name must end in .{}", ends.join(", ."))
    })?;
    let (title, content) = content(app, format)?;
    app.popups.pop();
    app.notify("writing…");
    let export = Box::new(Export { path: path.to_owned(), format, title, content });
    let body = RequestBody::Export(export, writer);
    Ok(app.requests.send(Queue::Sql, Purpose::Export, body, app.now))
}

/// Whether the view has call paths.
fn has_stacks(app: &App) -> bool {
    match app.view {
        ViewKind::Flame | ViewKind::Tree | ViewKind::Compare => true,
        ViewKind::Rows | ViewKind::Sql => app.table().is_some_and(|table| {
            table.columns.iter().any(|column| column.name.eq_ignore_ascii_case("bt"))
        }),
        ViewKind::Suspects | ViewKind::Time | ViewKind::Histograms => false,
    }
}

fn content(app: &App, format: Format) -> Result<(String, Content), String> {
    if format.needs_stacks() && !has_stacks(app) {
        let words = "this view has no stacks: .folded and .svg need Flame, Tree, Compare or rows \
                     with a column bt";
        return Err(words.to_owned());
    }
    let (_, view) = app.view.title();
    match app.view {
        ViewKind::Compare => {
            let shown = app.compare.shown.as_ref().ok_or("there is no comparison yet")?;
            let measure = app.compare.options.measure;
            let changes = Content::Changes(shown.comparison.clone(), shown.rows.clone(), measure);
            Ok((
                format!("growth and shrinkage of {}{}", measure.title(), app.compare.per.label()),
                changes,
            ))
        }
        ViewKind::Flame | ViewKind::Tree if format.needs_stacks() => {
            let shown = app.flame.shown.clone().ok_or("the call tree is still being read")?;
            let title = match &app.flame.over {
                Some((of, _)) => format!("{} of {of}", app.flame.measure.title()),
                None => app.flame.measure.title().to_owned(),
            };
            // The Tree view has no zoom.
            let top = match app.view {
                ViewKind::Flame => app.flame.top(),
                _ => Top { node: TOP, skip: 0 },
            };
            Ok((title, Content::Stacks(shown, top)))
        }
        ViewKind::Rows | ViewKind::Sql => {
            let table = app.table().ok_or("there is no result yet: run a statement")?;
            if let Some(error) = &table.error {
                return Err(format!("there are no rows: {error}"));
            }
            let mut rows = current_rows(app);
            rows.units = table.units.clone();
            let shown = table.order();
            if shown.iter().copied().ne(0..table.columns.len()) {
                rows.columns = shown;
            }
            Ok((table.title.clone(), Content::Rows(rows)))
        }
        ViewKind::Suspects
        | ViewKind::Flame
        | ViewKind::Tree
        | ViewKind::Time
        | ViewKind::Histograms => Ok((view.to_owned(), Content::Rows(current_rows(app)))),
    }
}

fn current_rows(app: &App) -> Rows {
    let query = load::current_query(app);
    Rows { sql: query.sql, params: query.params, ..Rows::default() }
}

/// Shows the result of the export.
pub fn on_written(app: &mut App, outcome: Result<String, String>) {
    match outcome {
        Ok(summary) => app.notify(summary),
        Err(problem) => app.show_error(problem),
    }
}
