//! Keys of the backtrace, and what other panes share with it: steps, copying, opening source.

use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Ask, Effect, RequestQueue};
use crate::tui::app::state::cursor::Step;
use crate::tui::app::state::popup::{Popup, SourcePopup};
use crate::tui::app::state::requests::Purpose;
use crate::tui::app::state::{App, Pane, ViewKind};
use crate::tui::app::update::switch;
use crate::tui::data::filter::Filter;
use crate::tui::input::keymap::Action;

/// Does it.
pub fn perform(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(step) = step(action) {
        let (len, window) = (app.detail.lines().len() as u64, geometry::detail_window(app));
        app.detail.cursor.step(step, len, window);
        return Vec::new();
    }
    match action {
        Action::Back | Action::Left => {
            app.pane = Pane::Main;
            if app.view == ViewKind::Rows {
                app.detail.begin(None);
            }
            Vec::new()
        }
        Action::CollapseLibrary => {
            app.detail.noise = app.detail.noise.flipped();
            Vec::new()
        }
        Action::Enter if app.detail.is_on_collapsed() => {
            app.detail.noise = app.detail.noise.flipped();
            Vec::new()
        }
        Action::CopyMore => {
            let trace = trace(app);
            copy(app, trace, "backtrace")
        }
        Action::Flame | Action::Blocks => match app.detail.bt {
            Some(bt) => {
                app.filters.add(Filter::Backtrace(bt));
                app.flame.over = None;
                app.rows.truncate(1);
                let to = if action == Action::Flame { ViewKind::Flame } else { ViewKind::Rows };
                switch(app, to)
            }
            None => Vec::new(),
        },
        Action::Enter | Action::Right | Action::Open | Action::Through | Action::Copy => {
            frame(app, action)
        }
        _ => Vec::new(),
    }
}

/// What is done with the selected frame.
fn frame(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(frame) = app.detail.selected().cloned() else {
        return Vec::new();
    };
    match action {
        Action::Through => through(app, frame.sym),
        Action::Copy => {
            let place = place_text(&frame.function, frame.file.as_deref(), frame.line);
            copy(app, place, "place")
        }
        Action::Open => open(app, frame.file, frame.line),
        _ => source(app, frame.sym, frame.file, frame.line),
    }
}

/// Shows a source file at a line.
pub fn source(app: &mut App, sym: String, file: Option<String>, line: Option<u32>) -> Vec<Effect> {
    let (Some(file), Some(line)) = (file, line) else {
        app.show_error("its source line is not known: was the program built with line tables?");
        return Vec::new();
    };
    app.popups.push(Popup::Source(SourcePopup {
        sym,
        file: file.clone(),
        line,
        ..SourcePopup::default()
    }));
    app.asked.ask(RequestQueue::View, Purpose::Source, Ask::Source { file, line }, app.now)
}

/// Opens a source file at a line in the user's editor.
pub fn open(app: &mut App, file: Option<String>, line: Option<u32>) -> Vec<Effect> {
    match (file, line) {
        (Some(file), Some(line)) => vec![Effect::OpenSource(file.into(), line)],
        _ => {
            app.show_error("its source line is not known");
            Vec::new()
        }
    }
}

/// Shows everything allocated through a function.
pub fn through(app: &mut App, sym: String) -> Vec<Effect> {
    app.popups.clear();
    app.filters.add(Filter::Through(sym));
    app.flame.over = None;
    switch(app, ViewKind::Flame)
}

/// Hands text to the clipboard, and says how far that is known to have come.
pub fn copy(app: &mut App, text: String, what: &str) -> Vec<Effect> {
    app.say(format!("sent the {what} to the terminal's clipboard"));
    vec![Effect::Copy(text)]
}

/// The backtrace as text, one frame a line.
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

/// The movement that an action is, if it is one in a list.
pub fn step(action: Action) -> Option<Step> {
    Some(match action {
        Action::Up => Step::Rows(-1),
        Action::Down => Step::Rows(1),
        Action::PageUp => Step::HalfWindows(-2),
        Action::PageDown => Step::HalfWindows(2),
        Action::HalfUp => Step::HalfWindows(-1),
        Action::HalfDown => Step::HalfWindows(1),
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
