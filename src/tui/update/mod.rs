//! One function that changes the state: what happened in, what is to be done out.
//!
//! Reads: a [`Message`] and the state. Writes: the state, and [`Effect`]s.
//!
//! Invariants:
//! - Pure: no terminal, no database, no clock, no file.
//! - After every message all selections are in range.

use crate::tui::key::Key;
use crate::tui::keymap::{self, Action};
use crate::tui::message::{Effect, Lane, Message, Query};
use crate::tui::scope::ScopeHistory;
use crate::tui::state::popup::{Popup, Purpose as PromptPurpose};
use crate::tui::state::{App, Lens, Pane, Tone};
use crossterm::event::{KeyEvent, KeyEventKind};
use std::time::Duration;

pub mod answers;
pub mod mouse;
pub mod popup;
pub mod sql;
pub mod tree;
pub mod flame;
pub mod time;
pub mod histograms;
pub mod table;
pub mod compare;
pub mod command;
pub mod export;
pub mod difference;
pub mod suspects;
pub mod detail;
pub mod fit;
pub mod load;

/// How long a second Ctrl-C quits.
const AGAIN: Duration = Duration::from_secs(2);

/// How long a sentence stays in the status line.
const NOTE: Duration = Duration::from_secs(8);

/// What is asked before anything was pressed.
pub fn start(app: &mut App) -> Vec<Effect> {
    let mut effects = load::header(app);
    effects.extend(load::lens(app));
    effects
}

/// Changes the state, and says what is to be done.
pub fn update(app: &mut App, message: Message) -> Vec<Effect> {
    let mut effects = match message {
        Message::Key(key) => pressed(app, key),
        Message::Mouse(event) => mouse::mouse(app, event),
        Message::Paste(text) => pasted(app, &text),
        Message::Resize(width, height) => {
            app.size = (width, height);
            Vec::new()
        }
        Message::Tick(now) => {
            ticked(app, now);
            Vec::new()
        }
        Message::Answer(answer) => answers::answered(app, answer),
        Message::Stop => vec![Effect::Suspend],
        Message::Edited(text) => {
            app.sql.set_text(&text);
            app.say("the editor's text is here");
            Vec::new()
        }
        Message::Told(text) => {
            app.complain(text);
            Vec::new()
        }
    };
    fit::fit(app);
    effects.extend(load::missing(app));
    effects
}

/// Does what the key table calls by this name, as if its key had been pressed.
pub fn perform(app: &mut App, action: Action) -> Vec<Effect> {
    if !app.popups.is_empty() {
        return match always(app, action) {
            Some(effects) => effects,
            None => popup::perform(app, action),
        };
    }
    if let Some(effects) = always(app, action) {
        return effects;
    }
    if let Some(effects) = global(app, action) {
        return effects;
    }
    match (app.lens, app.pane) {
        (Lens::Suspects, Pane::Main) => suspects::perform(app, action),
        (Lens::Suspects | Lens::Rows, Pane::Detail) => detail::perform(app, action),
        (Lens::Flame, _) => flame::perform(app, action),
        (Lens::Tree, _) => tree::perform(app, action),
        (Lens::Time, _) => time::perform(app, action),
        (Lens::Histograms, _) => histograms::perform(app, action),
        (Lens::Compare, _) => difference::perform(app, action),
        (Lens::Rows, Pane::Main) => table::perform(app, action),
        (Lens::Sql, Pane::Main) => sql::perform(app, action),
        (Lens::Sql, Pane::Detail) => sql::perform_on_results(app, action),
    }
}

fn pressed(app: &mut App, event: KeyEvent) -> Vec<Effect> {
    if event.kind == KeyEventKind::Release {
        return Vec::new();
    }
    let contexts = app.contexts();
    match keymap::action(contexts, Key::of(event)) {
        Some(action) => perform(app, action),
        None => {
            typed(app, event);
            Vec::new()
        }
    }
}

/// A key without a meaning of its own is typed, where something is typed.
fn typed(app: &mut App, event: KeyEvent) {
    match app.popups.last_mut() {
        Some(Popup::Prompt(prompt)) => {
            if let Some(field) = prompt.field()
                && field.line.key(event)
            {
                field.error = None;
            }
            popup::typed(app);
        }
        Some(Popup::Picker(picker)) => {
            let changed = picker.typed.key(event);
            picker.cursor.at = if changed { 0 } else { picker.cursor.at };
        }
        None if (app.lens, app.pane) == (Lens::Sql, Pane::Main) => sql::typed(app, event),
        Some(Popup::Text(_) | Popup::Source(_)) | None => {}
    }
}

fn pasted(app: &mut App, text: &str) -> Vec<Effect> {
    match app.popups.last_mut() {
        Some(Popup::Prompt(prompt)) => {
            if let Some(field) = prompt.field() {
                field.line.insert(text);
            }
            popup::typed(app);
        }
        Some(Popup::Picker(picker)) => picker.typed.insert(text),
        Some(Popup::Text(_) | Popup::Source(_)) => {}
        None if (app.lens, app.pane) == (Lens::Sql, Pane::Main) => sql::pasted(app, text),
        None => app.say("pasting: go to the SQL lens (7) first"),
    }
    Vec::new()
}

fn ticked(app: &mut App, now: Duration) {
    app.now = now;
    if app.note.as_ref().is_some_and(|note| now > note.at + NOTE) {
        app.note = None;
    }
}

/// What works everywhere, also while text is typed.
fn always(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    Some(match action {
        Action::ToggleMouse => {
            app.mouse = app.mouse.flipped();
            app.say(match app.mouse {
                crate::tui::terminal::Mouse::Captured => "the mouse is ours: click and scroll",
                crate::tui::terminal::Mouse::Free => {
                    "the mouse is the terminal's: select and copy text"
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
    let stopped = load::stop(app, |open| open.lane == Lane::Sql);
    if !stopped.is_empty() {
        app.complain("stopped");
        if app.lens == Lens::Sql {
            app.pane = Pane::Main;
        }
        return stopped;
    }
    let (slow, now) = (Duration::from_millis(500), app.now);
    let stopped = load::stop(app, |open| open.lane == Lane::Lens && now > open.since + slow);
    if !stopped.is_empty() {
        app.complain("stopped; Ctrl-C quits now");
        return stopped;
    }
    if app.interrupted_at.is_some_and(|at| now < at + AGAIN) {
        return vec![Effect::Quit];
    }
    app.interrupted_at = Some(now);
    app.say("nothing is running; press Ctrl-C again to quit");
    Vec::new()
}

/// What works everywhere but where text is typed.
fn global(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    Some(match action {
        Action::LensSuspects => switch(app, Lens::Suspects),
        Action::LensFlame => {
            app.flame.over = None;
            switch(app, Lens::Flame)
        }
        Action::LensTree => {
            app.flame.over = None;
            switch(app, Lens::Tree)
        }
        Action::LensTime => switch(app, Lens::Time),
        Action::LensHistograms => switch(app, Lens::Histograms),
        Action::LensRows => {
            app.rows.truncate(1);
            switch(app, Lens::Rows)
        }
        Action::LensSql => switch(app, Lens::Sql),
        Action::LensCompare => match app.compare.sides {
            Some(_) => switch(app, Lens::Compare),
            None => difference::ask_moments(app),
        },
        Action::CommandLine => command::show(app),
        Action::Export => export::ask(app),
        Action::Moments => difference::ask_moments(app),
        Action::Ask => popup::open_questions(app),
        Action::Palette => popup::open_palette(app),
        Action::Help => popup::open_help(app),
        Action::ShowSql => show_sql(app),
        Action::NextPane => next_pane(app),
        Action::Quit => vec![Effect::Quit],
        Action::AddFilter => {
            let prompt = popup::filter_prompt();
            app.popups.push(Popup::Prompt(prompt));
            Vec::new()
        }
        Action::NeverFreed => load::narrow(app, crate::tui::scope::Filter::NeverFreed),
        Action::DropFilter => load::rescope(app, ScopeHistory::drop_last),
        Action::ClearFilters => load::rescope(app, ScopeHistory::clear),
        Action::Undo => {
            if !app.scope.undo() {
                app.say("nothing to undo");
            }
            load::lens(app)
        }
        Action::Redo => {
            if !app.scope.redo() {
                app.say("nothing to redo");
            }
            load::lens(app)
        }
        _ => return None,
    })
}

/// Goes to a lens, and asks for what it lacks.
pub fn switch(app: &mut App, lens: Lens) -> Vec<Effect> {
    let shares = |lens: Lens| matches!(lens, Lens::Flame | Lens::Tree);
    let goes_on = app.lens == lens || shares(app.lens) && shares(lens);
    let mut effects = if goes_on { Vec::new() } else { load::give_way(app) };
    app.lens = lens;
    app.pane = Pane::Main;
    effects.extend(load::lens(app));
    effects
}

fn next_pane(app: &mut App) -> Vec<Effect> {
    app.pane = match (app.lens, app.pane) {
        (Lens::Flame | Lens::Tree | Lens::Time | Lens::Histograms | Lens::Compare, _)
        | (_, Pane::Detail) => Pane::Main,
        (Lens::Sql, Pane::Main) if app.sql.tabs.is_empty() => Pane::Main,
        (Lens::Rows, Pane::Main) if app.detail.bt.is_none() => Pane::Main,
        _ => Pane::Detail,
    };
    Vec::new()
}

/// Puts the SQL behind the shown lens into the editor.
fn show_sql(app: &mut App) -> Vec<Effect> {
    if app.lens == Lens::Sql {
        return next_pane(app);
    }
    let Query { sql, params } = load::sql_behind(app);
    let sql = sql::with_values(&sql, &params);
    app.sql.set_text(&sql);
    app.lens = Lens::Sql;
    app.pane = Pane::Main;
    app.say("this is the SQL behind it: change it, run it with Ctrl-J or F5");
    Vec::new()
}

/// Opens a prompt to type a filter of a column or a search.
pub fn prompt(
    app: &mut App,
    title: &str,
    purpose: PromptPurpose,
    help: &str,
    text: &str,
) -> Vec<Effect> {
    let prompt = crate::tui::state::popup::Prompt::one(title, purpose, help, text);
    app.popups.push(Popup::Prompt(prompt));
    Vec::new()
}

/// Whether the last thing said was bad.
pub fn has_complained(app: &App) -> bool {
    app.note.as_ref().is_some_and(|note| note.tone == Tone::Bad)
}
