//! Actions of the backtrace, and those shared with other panes: moving, copying, opening source.

use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Effect, Queue, RequestBody};
use crate::tui::app::state::cursor::Step;
use crate::tui::app::state::popup::{Popup, SourcePopup};
use crate::tui::app::state::requests::Purpose;
use crate::tui::app::state::{App, Pane, ViewKind};
use crate::tui::app::update::switch;
use crate::tui::data::filter::Filter;
use crate::tui::input::key_lookup::Action;

/// Handles an action.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(step) = step(action) {
        let (len, window) = (app.detail.lines().len() as u64, geometry::detail_window(app));
        app.detail.cursor.step(step, len, window);
        return Vec::new();
    }
    match action {
        Action::Back | Action::Left => {
            app.pane = Pane::Main;
            if app.view == ViewKind::Rows {
                app.detail.start(None);
            }
            Vec::new()
        }
        Action::ToggleLibraryFrames => {
            app.detail.library = app.detail.library.toggled();
            Vec::new()
        }
        Action::Activate if app.detail.is_on_collapsed() => {
            app.detail.library = app.detail.library.toggled();
            Vec::new()
        }
        Action::CopyAll => {
            let trace = trace(app);
            copy(app, trace, "backtrace")
        }
        Action::ShowFlame | Action::ShowBlocks => match app.detail.bt {
            Some(bt) => {
                app.filters.add(Filter::Backtrace(bt));
                app.flame.over = None;
                app.rows.truncate(1);
                let to = if action == Action::ShowFlame { ViewKind::Flame } else { ViewKind::Rows };
                switch(app, to)
            }
            None => Vec::new(),
        },
        Action::Activate
        | Action::Right
        | Action::OpenInEditor
        | Action::FlameThrough
        | Action::Copy => frame(app, action),
        _ => Vec::new(),
    }
}

/// Actions on the selected frame.
fn frame(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(frame) = app.detail.selected().cloned() else {
        return Vec::new();
    };
    match action {
        Action::FlameThrough => through(app, frame.sym),
        Action::Copy => {
            let place = place_text(&frame.function, frame.file.as_deref(), frame.line);
            copy(app, place, "source location")
        }
        Action::OpenInEditor => open(app, frame.file, frame.line),
        _ => source(app, frame.sym, frame.file, frame.line),
    }
}

/// Shows a source file at a line.
pub fn source(app: &mut App, sym: String, file: Option<String>, line: Option<u32>) -> Vec<Effect> {
    let (Some(file), Some(line)) = (file, line) else {
        app.show_error("source line unknown: was the program built with debug information?");
        return Vec::new();
    };
    app.popups.push(Popup::Source(SourcePopup {
        sym,
        file: file.clone(),
        line,
        ..SourcePopup::default()
    }));
    app.requests.send(Queue::View, Purpose::Source, RequestBody::Source { file, line }, app.now)
}

/// Opens a source file at a line in the user's editor.
pub fn open(app: &mut App, file: Option<String>, line: Option<u32>) -> Vec<Effect> {
    match (file, line) {
        (Some(file), Some(line)) => vec![Effect::OpenSource(file.into(), line)],
        _ => {
            app.show_error("source line unknown");
            Vec::new()
        }
    }
}

/// Shows a flamegraph of everything allocated through a function.
pub fn through(app: &mut App, sym: String) -> Vec<Effect> {
    app.popups.clear();
    app.filters.add(Filter::Through(sym));
    app.flame.over = None;
    switch(app, ViewKind::Flame)
}

/// Sends text to the clipboard and reports how far that is known to have succeeded.
pub fn copy(app: &mut App, text: String, what: &str) -> Vec<Effect> {
    app.notify(format!("sent the {what} to the terminal's clipboard"));
    vec![Effect::Copy(text)]
}

/// The backtrace as text, one frame per line.
pub fn trace(app: &App) -> String {
    let frames = app.detail.frames.iter().flatten();
    let lines = frames.map(|frame| {
        format!(
            "{:>4}: {}",
            frame.number,
            place_text(&frame.sym, frame.file.as_deref(), frame.line)
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The step of an action that moves in a list.
pub fn step(action: Action) -> Option<Step> {
    Some(match action {
        Action::Up => Step::Rows(-1),
        Action::Down => Step::Rows(1),
        Action::PageUp => Step::HalfPages(-2),
        Action::PageDown => Step::HalfPages(2),
        Action::HalfPageUp => Step::HalfPages(-1),
        Action::HalfPageDown => Step::HalfPages(1),
        Action::First => Step::First,
        Action::Last => Step::Last,
        _ => return None,
    })
}

fn place_text(name: &str, file: Option<&str>, line: Option<u32>) -> String {
    match (file, line) {
        (Some(file), Some(line)) => format!("{name} at {file}:{line}"),
        (Some(file), None) => format!("{name} at {file}"),
        _ => name.to_owned(),
    }
}
