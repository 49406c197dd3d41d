//! Actions of the SQL editor and of its results.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_textarea::Input;

use crate::database::error::QueryError;
use crate::tui::app::message::{Effect, Query};
use crate::tui::app::state::requests::TableId;
use crate::tui::app::state::table::Origin;
use crate::tui::app::state::{App, Pane, ViewKind};
use crate::tui::app::update::{load, popup, table};
use crate::tui::input::key_lookup::Action;

/// Maximum size of a paste.
const PASTE_MAX: usize = 1 << 20;

/// Handles an action in the editor.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    match action {
        Action::RunStatement => {
            let statements = app.sql.statement().into_iter().collect();
            return run(app, statements);
        }
        Action::RunAll => {
            let statements = app.sql.statements();
            return run(app, statements);
        }
        Action::Complete => complete(app),
        Action::AcceptCompletion => app.sql.accept_completion(),
        Action::Up | Action::Down => step_completion(app, action),
        Action::Back if app.sql.completions.is_some() => app.sql.completions = None,
        Action::Back => leave_editor(app),
        Action::FormatSql => format_sql(app),
        Action::EditInEditor => return vec![Effect::EditSql(app.sql.text())],
        Action::OlderStatement => app.sql.step_history(-1),
        Action::NewerStatement => app.sql.step_history(1),
        Action::Queries => return popup::open_queries(app),
        Action::Help => return popup::open_help(app),
        _ => {}
    }
    Vec::new()
}

/// Handles an action in the results.
pub fn handle_results_action(app: &mut App, action: Action) -> Vec<Effect> {
    let tabs = app.sql.tabs.len();
    match action {
        Action::NextTab if tabs > 0 => app.sql.tab = (app.sql.tab + 1) % tabs,
        Action::PreviousTab if tabs > 0 => app.sql.tab = (app.sql.tab + tabs - 1) % tabs,
        Action::CloseTab if tabs > 0 => {
            app.sql.tabs.remove(app.sql.tab);
        }
        _ => return table::handle_action(app, action),
    }
    Vec::new()
}

/// Passes a key to the editor.
pub fn on_text_key(app: &mut App, event: KeyEvent) {
    let was_open = app.sql.completions.is_some();
    let before = app.sql.editor.lines().to_vec();
    app.sql.editor.input(Input::from(event));
    if app.sql.editor.lines() != before.as_slice() {
        app.sql.on_text_changed();
        app.sql.history_at = None;
        let is_word = matches!(event.code, KeyCode::Char(c) if c.is_alphanumeric() || c == '_' || c == '.')
            && (event.modifiers - KeyModifiers::SHIFT).is_empty();
        if was_open && (is_word || event.code == KeyCode::Backspace) {
            app.sql.complete_again();
        }
    } else {
        app.sql.completions = None;
    }
}

/// Inserts pasted text into the editor.
pub fn on_paste(app: &mut App, text: &str) {
    let mut end = text.len().min(PASTE_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let cleaned = crate::database::text::sanitize::block(&text[..end]).replace('\r', "\n");
    app.sql.editor.insert_str(&cleaned);
    app.sql.on_text_changed();
}

/// Moves the cursor to the error that SQLite reported.
pub fn point_at_error(app: &mut App, id: TableId, error: &QueryError) {
    if app.view == ViewKind::Sql {
        app.pane = Pane::Main;
    }
    let Some(offset) = error.offset else { return };
    let Some(statement) = app.table_by_id(id).map(|table| table.query.sql.clone()) else {
        return;
    };
    // If the text was edited since, the position is no longer valid.
    let text = app.sql.text();
    if let Some(start) = text.find(&statement) {
        let at = (start + offset).min(text.len());
        app.sql.error_offset = Some(at);
        app.sql.go_to(at);
    }
}

fn run(app: &mut App, statements: Vec<(usize, String)>) -> Vec<Effect> {
    app.sql.completions = None;
    app.sql.error_offset = None;
    if statements.is_empty() {
        app.notify("there is no statement to run; Ctrl-T: built-in queries");
        return Vec::new();
    }
    let mut effects = Vec::new();
    for (_, sql) in statements {
        if app.sql.remember(&sql) {
            effects.push(Effect::Remember(sql.clone()));
        }
        let title = title(&sql);
        let table = app.new_table(title, Origin::Statement, Query::plain(sql));
        let id = table.id;
        app.sql.add_tab(table);
        effects.extend(load::request_page(app, id, 0));
    }
    app.pane = Pane::Detail;
    effects
}

/// The beginning of a statement as the title of its tab.
fn title(sql: &str) -> String {
    let words = sql.lines().filter(|line| !line.trim_start().starts_with("--"));
    let flat: Vec<String> =
        words.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let flat = flat.join(" ");
    match flat.char_indices().nth(28) {
        Some((end, _)) => format!("{}…", &flat[..end]),
        None => flat,
    }
}

fn complete(app: &mut App) {
    let cursor = app.sql.editor.cursor();
    let line = app.sql.editor.lines().get(cursor.0);
    let blank = line.is_none_or(|line| line.chars().take(cursor.1).all(char::is_whitespace));
    match blank && app.sql.text().lines().count() > 1 {
        true => {
            app.sql.editor.insert_tab();
            app.sql.on_text_changed();
        }
        false => app.sql.complete(),
    }
}

fn step_completion(app: &mut App, action: Action) {
    if let Some(completions) = &mut app.sql.completions {
        let len = completions.completion.candidates.len();
        completions.at = match action {
            Action::Up => (completions.at + len.saturating_sub(1)) % len.max(1),
            _ => (completions.at + 1) % len.max(1),
        };
    }
}

fn leave_editor(app: &mut App) {
    if app.sql.tabs.is_empty() {
        app.view = ViewKind::Suspects;
        app.notify("7: back to the editor");
        return;
    }
    app.pane = Pane::Detail;
}

fn format_sql(app: &mut App) {
    let text = app.sql.text();
    let options =
        sqlformat::FormatOptions { uppercase: Some(true), ..sqlformat::FormatOptions::default() };
    let formatted = sqlformat::format(&text, &sqlformat::QueryParams::None, &options);
    match formatted == text {
        true => app.notify("already formatted"),
        false => app.sql.set_text(&formatted),
    }
}
