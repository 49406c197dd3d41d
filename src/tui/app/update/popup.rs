//! Opens pop-ups and handles their actions.

use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Effect, Query};
use crate::tui::app::state::cursor::Step;
use crate::tui::app::state::popup::{
    Field, Picker, PickerAction, PickerItem, Popup, Prompt, Purpose, Text,
};
use crate::tui::app::state::table::Origin;
use crate::tui::app::state::text_input::TextInput;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{compare, detail, export, load, suspects, table, time, tree};
use crate::tui::data::column_filter;
use crate::tui::data::filter::{Filter, parse_filter};
use crate::tui::input::key_lookup::{self, Action, Context};

/// Handles an action in the topmost pop-up.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    let window = geometry::popup_window(app);
    if action == Action::Back {
        let closed = app.popups.pop();
        if matches!(closed, Some(Popup::Prompt(prompt)) if prompt.purpose == Purpose::Search) {
            app.flame.find("");
        }
        return Vec::new();
    }
    match app.popups.last_mut() {
        Some(Popup::Picker(picker)) => match detail::step(action) {
            Some(step) => {
                let len = picker.matching().len() as u64;
                picker.cursor.step(step, len, window);
                Vec::new()
            }
            None if action == Action::Activate => choose(app),
            None => Vec::new(),
        },
        Some(Popup::Prompt(prompt)) => match action {
            Action::Activate => submit(app),
            Action::Up | Action::Down => {
                let len = prompt.fields.len();
                prompt.focused = match action {
                    Action::Up => (prompt.focused + len - 1) % len,
                    _ => (prompt.focused + 1) % len,
                };
                Vec::new()
            }
            _ => Vec::new(),
        },
        Some(Popup::Text(text)) => match detail::step(action) {
            Some(step) => {
                scroll(&mut text.cursor.at, step, window);
                Vec::new()
            }
            None if action == Action::Copy => {
                let body = text.body.clone();
                detail::copy(app, body, "text")
            }
            None => Vec::new(),
        },
        Some(Popup::Source(_)) => on_source(app, action, window),
        None => Vec::new(),
    }
}

fn on_source(app: &mut App, action: Action, window: u64) -> Vec<Effect> {
    let Some(Popup::Source(popup)) = app.popups.last_mut() else {
        return Vec::new();
    };
    if let Some(step) = detail::step(action) {
        scroll(&mut popup.cursor.at, step, window);
        return Vec::new();
    }
    let (sym, file, line) = (popup.sym.clone(), popup.file.clone(), popup.line);
    match action {
        Action::OpenInEditor => detail::open(app, Some(file), Some(line)),
        Action::Copy => detail::copy(app, format!("{file}:{line}"), "source location"),
        Action::FlameThrough if !sym.is_empty() => detail::through(app, sym),
        _ => Vec::new(),
    }
}

fn scroll(at: &mut u64, step: Step, window: u64) {
    *at = match step {
        Step::Rows(rows) => at.saturating_add_signed(rows),
        Step::HalfPages(halves) => at.saturating_add_signed(halves * (window as i64 / 2).max(1)),
        Step::First => 0,
        Step::Last => u64::MAX / 2,
    };
}

/// The prompt for a new filter.
pub fn filter_prompt() -> Prompt {
    let help =
        "live · age 10m · size 4K..1M · made 1m..2m · at 5m · crate tokio · ~cache.*insert · bt 17";
    Prompt::one("add a filter", Purpose::AddFilter, help, "")
}

/// Opens the list of built-in queries.
pub fn open_queries(app: &mut App) -> Vec<Effect> {
    let items = app.catalog.iter().map(|it| PickerItem {
        action: PickerAction::RunQuery(it.name.clone()),
        group: it.group.clone(),
        title: it.title.clone(),
        help: it.description.clone(),
    });
    let picker = Picker {
        title: "built-in queries".into(),
        items: items.collect(),
        typed: TextInput::default(),
        cursor: Default::default(),
    };
    app.popups.push(Popup::Picker(picker));
    Vec::new()
}

/// Opens the list of all actions of this context and of all built-in queries.
pub fn open_palette(app: &mut App) -> Vec<Effect> {
    let contexts = app.contexts();
    let here = key_lookup::bindings(contexts).filter(|it| it.context != Context::Motion);
    let mut items: Vec<PickerItem> = here
        .map(|it| PickerItem {
            action: PickerAction::Perform(it.action),
            group: it.keys.first().map(|key| key.spelling()).unwrap_or_default(),
            title: it.label.to_owned(),
            help: it.help.to_owned(),
        })
        .collect();
    items.extend(app.catalog.iter().map(|it| PickerItem {
        action: PickerAction::RunQuery(it.name.clone()),
        group: "query".into(),
        title: it.title.clone(),
        help: it.description.clone(),
    }));
    app.popups.push(Popup::Picker(Picker {
        title: "actions and queries".into(),
        items,
        typed: TextInput::default(),
        cursor: Default::default(),
    }));
    Vec::new()
}

/// Opens the help page for the current context.
pub fn open_help(app: &mut App) -> Vec<Effect> {
    app.popups.push(Popup::Text(Text {
        title: "keys".into(),
        body: help(app.contexts()),
        ..Text::default()
    }));
    Vec::new()
}

/// The help text: the key table of these contexts.
pub fn help(contexts: &[Context]) -> String {
    let mut body = String::new();
    let mut heading = None;
    for binding in key_lookup::bindings(contexts) {
        if heading != Some(binding.context) {
            if heading.is_some() {
                body.push('\n');
            }
            body.push_str(binding.context.title());
            body.push('\n');
            heading = Some(binding.context);
        }
        let keys: Vec<String> = binding.keys.iter().map(|key| key.spelling()).collect();
        body.push_str(&format!("  {:<18} {}\n", keys.join(" "), binding.help));
    }
    body
}

/// Called after every change of a prompt: a search is incremental.
pub fn on_text_changed(app: &mut App) {
    if let Some(Popup::Prompt(prompt)) = app.popups.last()
        && prompt.purpose == Purpose::Search
        && let Some(field) = prompt.fields.first()
    {
        let pattern = field.input.text().to_owned();
        app.flame.find(&pattern);
    }
}

fn choose(app: &mut App) -> Vec<Effect> {
    let Some(Popup::Picker(picker)) = app.popups.last() else {
        return Vec::new();
    };
    let selected = picker.matching().get(picker.cursor.at as usize).map(|it| it.action.clone());
    let Some(action) = selected else {
        app.notify("nothing matches");
        return Vec::new();
    };
    app.popups.pop();
    match action {
        PickerAction::RunQuery(name) => ask_parameters(app, &name),
        PickerAction::Perform(action) => crate::tui::app::update::handle_action(app, action),
    }
}

/// Runs a built-in query, after a prompt for its parameters if it has any.
fn ask_parameters(app: &mut App, name: &str) -> Vec<Effect> {
    let Some(query) = app.catalog.iter().find(|it| it.name == name) else {
        return Vec::new();
    };
    if query.parameters.is_empty() {
        return run_query(app, name, &[]);
    }
    let fields = query.parameters.iter().map(|parameter| Field {
        label: parameter.name.clone(),
        help: format!("{}: {}", parameter.kind.name(), parameter.help),
        input: TextInput::with_default(parameter.default.clone().unwrap_or_default()),
        error: None,
        parameter: Some(parameter.clone()),
    });
    let prompt = Prompt {
        title: query.title.clone(),
        purpose: Purpose::QueryParameters(name.to_owned()),
        fields: fields.collect(),
        focused: 0,
    };
    app.popups.push(Popup::Prompt(prompt));
    Vec::new()
}

fn run_query(app: &mut App, name: &str, values: &[(&str, &str)]) -> Vec<Effect> {
    let Some(query) = app.catalog.iter().find(|it| it.name == name).cloned() else {
        return Vec::new();
    };
    let params = match query.bind(values) {
        Ok(params) => params,
        Err(error) => {
            app.show_error(error.to_string());
            return Vec::new();
        }
    };
    let shown_values: Vec<String> = values
        .iter()
        .filter(|(name, _)| *name != "limit")
        .map(|(_, it)| (*it).to_owned())
        .collect();
    let title = match shown_values.is_empty() {
        true => query.title.clone(),
        false => format!("{} ({})", query.title, shown_values.join(", ")),
    };
    let statement = Query { sql: query.sql_for(&app.overview.caveats), params };
    let mut answer = app.new_table(title, Origin::BuiltinQuery(name.to_owned()), statement);
    answer.units = query.columns.iter().map(|it| (it.name.clone(), it.unit)).collect();
    app.rows.truncate(1);
    table::push(app, answer)
}

fn submit(app: &mut App) -> Vec<Effect> {
    let Some(Popup::Prompt(prompt)) = app.popups.last_mut() else {
        return Vec::new();
    };
    let purpose = prompt.purpose.clone();
    let text = prompt.fields.first().map(|it| it.input.text().to_owned()).unwrap_or_default();
    let result = match purpose {
        Purpose::AddFilter => parse_filter(&thread_name_to_id(app, &text)).map(|filter| {
            app.popups.pop();
            let filter = with_thread_name(app, filter);
            let filter = time::snap_to_axis(app, filter);
            load::add_filter(app, filter)
        }),
        Purpose::FilterColumn(column) => filter_column(app, column, &text),
        Purpose::Search => {
            if app.flame.find(&text) {
                app.popups.pop();
                let (width, height) = geometry::flame_window(app);
                match app.view {
                    ViewKind::Tree => drop(tree::next_match(app, true)),
                    _ => drop(app.flame.next_match(true, width, height)),
                }
                Ok(Vec::new())
            } else {
                Err("invalid regular expression; escape special characters with \\".into())
            }
        }
        Purpose::Accept(pattern) => {
            app.popups.pop();
            Ok(suspects::accept(app, &pattern, &text))
        }
        Purpose::QueryParameters(name) => Ok(submit_parameters(app, &name)),
        Purpose::Export => export::submit(app, &text),
        Purpose::Moments => compare::begin_moments(app, &text),
        Purpose::CompareOnly => compare::set_pattern(app, &text),
    };
    match result {
        Ok(effects) => effects,
        Err(error) => {
            if let Some(Popup::Prompt(prompt)) = app.popups.last_mut()
                && let Some(field) = prompt.focused_field()
            {
                field.error = Some(error);
            }
            Vec::new()
        }
    }
}

/// Replaces the name of a thread by its number: `thread worker-1` by `thread 3`.
fn thread_name_to_id(app: &App, text: &str) -> String {
    let named = text.trim().strip_prefix("thread").map(str::trim);
    let mut threads = app.overview.threads.iter();
    match threads.find(|(_, name)| !name.is_empty() && Some(name.as_str()) == named) {
        Some((id, _)) => format!("thread {id}"),
        None => text.to_owned(),
    }
}

fn with_thread_name(app: &App, filter: Filter) -> Filter {
    match filter {
        Filter::Thread(id, _) => {
            let known = app.overview.threads.iter().find(|(known, _)| *known == id);
            Filter::Thread(id, known.map(|(_, name)| name.clone()).unwrap_or_default())
        }
        other => other,
    }
}

fn filter_column(app: &mut App, column: usize, text: &str) -> Result<Vec<Effect>, String> {
    let Some(table) = app.table_mut() else {
        return Ok(Vec::new());
    };
    let unit = table.columns.get(column).map_or(Default::default(), |it| it.unit);
    let condition = column_filter::parse(text, unit)?;
    table.filter(column, condition);
    let id = table.id;
    app.popups.pop();
    Ok(load::reload(app, id))
}

/// Checks all fields; the first invalid one gets the focus and an error.
fn submit_parameters(app: &mut App, name: &str) -> Vec<Effect> {
    let Some(Popup::Prompt(prompt)) = app.popups.last_mut() else {
        return Vec::new();
    };
    for (at, field) in prompt.fields.iter_mut().enumerate() {
        let checked = field.parameter.as_ref().map(|it| it.parse(field.input.text()));
        if let Some(Err(error)) = checked {
            field.error = Some(error);
            prompt.focused = at;
            return Vec::new();
        }
    }
    let values: Vec<(String, String)> = prompt
        .fields
        .iter()
        .map(|field| (field.label.clone(), field.input.text().to_owned()))
        .collect();
    app.popups.pop();
    let values: Vec<(&str, &str)> =
        values.iter().map(|(name, it)| (name.as_str(), it.as_str())).collect();
    run_query(app, name, &values)
}
