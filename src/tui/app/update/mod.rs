//! The update function: takes a message, changes the state, returns effects.
//!
//! Reads: a [`Message`] and the state. Writes: the state, and [`Effect`]s.
//!
//! Invariants:
//! - Pure: it uses no terminal, database, clock or file.
//! - After every message, all selections are in range.

pub mod mouse;
pub mod histograms;
pub mod shell_command;
pub mod responses;
pub mod sql;
pub mod popup;
pub mod tree;
pub mod flame;
pub mod time;
pub mod table;
pub mod export;
pub mod suspects;
pub mod load;
pub mod compare;
pub mod detail;

use crate::tui::app::message::{Effect, Message, Query, Queue};
use crate::tui::app::state::popup::{Popup, Purpose as PromptPurpose};
use crate::tui::app::state::{App, Pane, Severity, ViewKind};
use crate::tui::data::filter::FilterHistory;
use crate::tui::input::key::Key;
use crate::tui::input::key_lookup::{self, Action};
use crossterm::event::{KeyEvent, KeyEventKind};
use std::time::Duration;

/// Time in which a second Ctrl-C quits.
const QUIT_WINDOW: Duration = Duration::from_secs(2);

/// Time that a message stays in the status line.
const NOTICE_DURATION: Duration = Duration::from_secs(8);

/// The effects at the start.
pub fn start(app: &mut App) -> Vec<Effect> {
    let mut effects = crate::tui::app::update::load::request_overview(app);
    effects.extend(crate::tui::app::update::load::load_view(app));
    effects
}

/// Changes the state and returns the effects to run.
pub fn update(app: &mut App, message: Message) -> Vec<Effect> {
    let mut effects = match message {
        Message::Key(key) => on_key(app, key),
        Message::Mouse(event) => crate::tui::app::update::mouse::on_mouse(app, event),
        Message::Paste(text) => on_paste(app, &text),
        Message::Resize(width, height) => {
            app.size = (width, height);
            Vec::new()
        }
        Message::Tick(now) => {
            on_tick(app, now);
            Vec::new()
        }
        Message::Response(answer) => crate::tui::app::update::responses::on_response(app, answer),
        Message::Stop => vec![Effect::Suspend],
        Message::Edited(text) => {
            app.sql.set_text(&text);
            app.notify("text taken over from the editor");
            Vec::new()
        }
        Message::Notice(text) => {
            app.show_error(text);
            Vec::new()
        }
    };
    crate::tui::app::layout::geometry::clamp_selections(app);
    effects.extend(crate::tui::app::update::load::request_missing(app));
    effects
}

/// Handles an action in the current context.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    if !app.popups.is_empty() {
        return match handle_always(app, action) {
            Some(effects) => effects,
            None => crate::tui::app::update::popup::handle_action(app, action),
        };
    }
    if let Some(effects) = handle_always(app, action) {
        return effects;
    }
    if let Some(effects) = handle_global(app, action) {
        return effects;
    }
    match (app.view, app.pane) {
        (ViewKind::Suspects, Pane::Main) => {
            crate::tui::app::update::suspects::handle_action(app, action)
        }
        (ViewKind::Suspects | ViewKind::Rows, Pane::Detail) => {
            crate::tui::app::update::detail::handle_action(app, action)
        }
        (ViewKind::Flame, _) => crate::tui::app::update::flame::handle_action(app, action),
        (ViewKind::Tree, _) => crate::tui::app::update::tree::handle_action(app, action),
        (ViewKind::Time, _) => crate::tui::app::update::time::handle_action(app, action),
        (ViewKind::Histograms, _) => {
            crate::tui::app::update::histograms::handle_action(app, action)
        }
        (ViewKind::Compare, _) => crate::tui::app::update::compare::handle_action(app, action),
        (ViewKind::Rows, Pane::Main) => crate::tui::app::update::table::handle_action(app, action),
        (ViewKind::Sql, Pane::Main) => crate::tui::app::update::sql::handle_action(app, action),
        (ViewKind::Sql, Pane::Detail) => {
            crate::tui::app::update::sql::handle_results_action(app, action)
        }
    }
}

fn on_key(app: &mut App, event: KeyEvent) -> Vec<Effect> {
    if event.kind == KeyEventKind::Release {
        return Vec::new();
    }
    let contexts = app.contexts();
    match key_lookup::action(contexts, Key::from_event(event)) {
        Some(action) => handle_action(app, action),
        None => {
            on_text_key(app, event);
            Vec::new()
        }
    }
}

/// Passes a key without an action to the text field or editor that has the focus.
fn on_text_key(app: &mut App, event: KeyEvent) {
    match app.popups.last_mut() {
        Some(Popup::Prompt(prompt)) => {
            if let Some(field) = prompt.focused_field()
                && field.input.key(event)
            {
                field.error = None;
            }
            crate::tui::app::update::popup::on_text_changed(app);
        }
        Some(Popup::Picker(picker)) => {
            let changed = picker.typed.key(event);
            picker.cursor.at = if changed { 0 } else { picker.cursor.at };
        }
        None if (app.view, app.pane) == (ViewKind::Sql, Pane::Main) => {
            crate::tui::app::update::sql::on_text_key(app, event);
        }
        Some(Popup::Text(_) | Popup::Source(_)) | None => {}
    }
}

fn on_paste(app: &mut App, text: &str) -> Vec<Effect> {
    match app.popups.last_mut() {
        Some(Popup::Prompt(prompt)) => {
            if let Some(field) = prompt.focused_field() {
                field.input.insert(text);
            }
            crate::tui::app::update::popup::on_text_changed(app);
        }
        Some(Popup::Picker(picker)) => picker.typed.insert(text),
        Some(Popup::Text(_) | Popup::Source(_)) => {}
        None if (app.view, app.pane) == (ViewKind::Sql, Pane::Main) => {
            crate::tui::app::update::sql::on_paste(app, text);
        }
        None => app.notify("to paste, go to the SQL view first (7)"),
    }
    Vec::new()
}

fn on_tick(app: &mut App, now: Duration) {
    app.now = now;
    if app.notice.as_ref().is_some_and(|notice| now > notice.at + NOTICE_DURATION) {
        app.notice = None;
    }
}

/// Actions that work everywhere, even in text fields.
fn handle_always(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    Some(match action {
        Action::ToggleMouse => {
            app.mouse = app.mouse.toggled();
            app.notify(match app.mouse {
                crate::tui::terminal::terminal_guard::Mouse::Captured => {
                    "mouse on: click and scroll"
                }
                crate::tui::terminal::terminal_guard::Mouse::Free => {
                    "mouse off: the terminal can select and copy text"
                }
            });
            vec![Effect::SetMouse(app.mouse)]
        }
        Action::Suspend => vec![Effect::Suspend],
        Action::Interrupt => interrupt(app),
        _ => return None,
    })
}

fn interrupt(app: &mut App) -> Vec<Effect> {
    let stopped = crate::tui::app::update::load::stop(app, |request| request.queue == Queue::Sql);
    if !stopped.is_empty() {
        app.show_error("stopped");
        if app.view == ViewKind::Sql {
            app.pane = Pane::Main;
        }
        return stopped;
    }
    let (slow, now) = (Duration::from_millis(500), app.now);
    let stopped = crate::tui::app::update::load::stop(app, |request| {
        request.queue == Queue::View && now > request.since + slow
    });
    if !stopped.is_empty() {
        app.show_error("stopped; Ctrl-C again: quit");
        return stopped;
    }
    if app.interrupted_at.is_some_and(|at| now < at + QUIT_WINDOW) {
        return vec![Effect::Quit];
    }
    app.interrupted_at = Some(now);
    app.notify("nothing is running; press Ctrl-C again to quit");
    Vec::new()
}

/// Actions that work everywhere except in text fields.
fn handle_global(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    Some(match action {
        Action::ViewSuspects => switch(app, ViewKind::Suspects),
        Action::ViewFlame => {
            app.flame.over = None;
            switch(app, ViewKind::Flame)
        }
        Action::ViewTree => {
            app.flame.over = None;
            switch(app, ViewKind::Tree)
        }
        Action::ViewTime => switch(app, ViewKind::Time),
        Action::ViewHistograms => switch(app, ViewKind::Histograms),
        Action::ViewRows => {
            app.rows.truncate(1);
            switch(app, ViewKind::Rows)
        }
        Action::ViewSql => switch(app, ViewKind::Sql),
        Action::ViewCompare => match app.compare.sides {
            Some(_) => switch(app, ViewKind::Compare),
            None => crate::tui::app::update::compare::prompt_moments(app),
        },
        Action::ShowCommand => crate::tui::app::update::shell_command::show(app),
        Action::Export => crate::tui::app::update::export::open_prompt(app),
        Action::CompareMoments => crate::tui::app::update::compare::prompt_moments(app),
        Action::Queries => crate::tui::app::update::popup::open_queries(app),
        Action::Palette => crate::tui::app::update::popup::open_palette(app),
        Action::Help => crate::tui::app::update::popup::open_help(app),
        Action::ShowSql => show_sql(app),
        Action::NextPane => next_pane(app),
        Action::Quit => vec![Effect::Quit],
        Action::AddFilter => {
            let prompt = crate::tui::app::update::popup::filter_prompt();
            app.popups.push(Popup::Prompt(prompt));
            Vec::new()
        }
        Action::FilterNeverFreed => crate::tui::app::update::load::add_filter(
            app,
            crate::tui::data::filter::Filter::NeverFreed,
        ),
        Action::RemoveFilter => {
            crate::tui::app::update::load::set_filters(app, FilterHistory::drop_last)
        }
        Action::ClearFilters => {
            crate::tui::app::update::load::set_filters(app, FilterHistory::clear)
        }
        Action::Undo => {
            if !app.filters.undo() {
                app.notify("nothing to undo");
            }
            crate::tui::app::update::load::load_view(app)
        }
        Action::Redo => {
            if !app.filters.redo() {
                app.notify("nothing to redo");
            }
            crate::tui::app::update::load::load_view(app)
        }
        _ => return None,
    })
}

/// Switches to a view and loads it.
pub fn switch(app: &mut App, view: ViewKind) -> Vec<Effect> {
    let shows_tree = |view: ViewKind| matches!(view, ViewKind::Flame | ViewKind::Tree);
    let keeps_requests = app.view == view || shows_tree(app.view) && shows_tree(view);
    let mut effects = if keeps_requests {
        Vec::new()
    } else {
        crate::tui::app::update::load::cancel_background_requests(app)
    };
    app.view = view;
    app.pane = Pane::Main;
    effects.extend(crate::tui::app::update::load::load_view(app));
    effects
}

fn next_pane(app: &mut App) -> Vec<Effect> {
    app.pane = match (app.view, app.pane) {
        (
            ViewKind::Flame
            | ViewKind::Tree
            | ViewKind::Time
            | ViewKind::Histograms
            | ViewKind::Compare,
            _,
        )
        | (_, Pane::Detail) => Pane::Main,
        (ViewKind::Sql, Pane::Main) if app.sql.tabs.is_empty() => Pane::Main,
        (ViewKind::Rows, Pane::Main) if app.detail.bt.is_none() => Pane::Main,
        _ => Pane::Detail,
    };
    Vec::new()
}

/// Opens the SQL of the current view in the editor.
fn show_sql(app: &mut App) -> Vec<Effect> {
    if app.view == ViewKind::Sql {
        return next_pane(app);
    }
    let Query { sql, params } = crate::tui::app::update::load::current_query(app);
    let sql = crate::tui::app::inline_params::with_values(&sql, &params);
    app.sql.set_text(&sql);
    app.view = ViewKind::Sql;
    app.pane = Pane::Main;
    app.notify("the SQL of the last view; Ctrl-J or F5: run");
    Vec::new()
}

/// Opens a prompt with one field.
pub fn prompt(
    app: &mut App,
    title: &str,
    purpose: PromptPurpose,
    help: &str,
    text: &str,
) -> Vec<Effect> {
    let prompt = crate::tui::app::state::popup::Prompt::one(title, purpose, help, text);
    app.popups.push(Popup::Prompt(prompt));
    Vec::new()
}

/// Whether the status line shows an error.
pub fn has_error_notice(app: &App) -> bool {
    app.notice.as_ref().is_some_and(|notice| notice.severity == Severity::Error)
}
