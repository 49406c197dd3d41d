//! Actions and requests of the comparison.

use crate::database::compare::{Measure, Metrics, Moment, Normalization, Row, State, Window};
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Effect, Queue, RequestBody, Sides};
use crate::tui::app::state::compare::CompareMode;
use crate::tui::app::state::cursor::Step;
use crate::tui::app::state::flame_cursor::FlameCursor;
use crate::tui::app::state::popup::{Popup, Purpose as PromptPurpose, Text};
use crate::tui::app::state::requests::Purpose;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{detail, prompt, switch};
use crate::tui::data::filter::Filter;
use crate::tui::flame::difference_tree::{self, StackEnd};
use crate::tui::flame::shape::ShapedId;
use crate::tui::input::key_lookup::Action;

/// Rates that one key steps through.
const RATES: [&str; 3] = ["second", "minute", "hour"];

/// Requests the comparison, or its list and tree for the current options.
pub fn load(app: &mut App) -> Vec<Effect> {
    let Some(sides) = app.compare.sides.clone() else {
        return Vec::new();
    };
    if app.compare.error.is_some() || app.requests.is_pending(|it| it == Purpose::Compared) {
        return Vec::new();
    }
    if app.compare.comparison.is_none() {
        let body = RequestBody::Compare(sides, app.compare.per.clone());
        return app.requests.send(Queue::View, Purpose::Compared, body, app.now);
    }
    shape(app)
}

/// Requests list and tree for the current options, unless they are shown.
pub fn shape(app: &mut App) -> Vec<Effect> {
    let Some(comparison) = app.compare.comparison.clone() else {
        return Vec::new();
    };
    let is_current = app.compare.shown.as_ref().is_some_and(|shown| {
        shown.options == app.compare.options
            && std::sync::Arc::ptr_eq(&shown.comparison, &comparison)
    });
    if is_current {
        return app.requests.cancel(|request| request.purpose == Purpose::Differences);
    }
    let body = RequestBody::Differences(comparison, app.compare.options.clone());
    app.requests.send(Queue::View, Purpose::Differences, body, app.now)
}

/// Opens the prompt for two moments.
pub fn prompt_moments(app: &mut App) -> Vec<Effect> {
    let (from, to) = app.time.range();
    let points = app.overview.axis.points();
    let edge = |edge: usize| units::duration(app.overview.axis.edge(edge) as f64);
    let suggestion = match from < to && to < points {
        true => format!("{} .. {}", edge(from), edge(to)),
        false if 0 < from && from < points => format!("{} .. end", edge(from)),
        false => "peak .. end".to_owned(),
    };
    let help = "two moments: a time since the start (5m), start, peak, end or @MARK";
    prompt(app, "compare two moments of this recording", PromptPurpose::Moments, help, &suggestion)
}

/// Starts a comparison of two moments.
///
/// # Errors
/// A message if the text is not two moments.
pub fn begin_moments(app: &mut App, text: &str) -> Result<Vec<Effect>, String> {
    let (first, second) =
        text.split_once("..").ok_or("expected two moments, for example 5m .. end")?;
    let at = |text| Ok::<_, String>(Window { from: None, to: Some(Moment::parse(text)?) });
    let windows = [at(first)?, at(second)?];
    app.popups.pop();
    app.compare.start(Sides { before: None, windows });
    let mut effects = app
        .requests
        .cancel(|request| matches!(request.purpose, Purpose::Compared | Purpose::Differences));
    effects.extend(switch(app, ViewKind::Compare));
    Ok(effects)
}

/// Shows only call paths that match a pattern.
///
/// # Errors
/// A message if the pattern is not valid.
pub fn set_pattern(app: &mut App, text: &str) -> Result<Vec<Effect>, String> {
    if difference_tree::parse_pattern(text).is_none() {
        return Err("invalid regular expression; escape special characters with \\".into());
    }
    app.popups.pop();
    app.compare.options.pattern = text.to_owned();
    Ok(shape(app))
}

/// Handles an action.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    if handle_movement(app, action) {
        return Vec::new();
    }
    match action {
        Action::NextKind => {
            app.compare.mode = app.compare.mode.next();
            Vec::new()
        }
        Action::NextMeasure => {
            app.compare.options.measure = app.compare.options.measure.next();
            shape(app)
        }
        Action::ToggleBottomUp => {
            app.compare.options.root = match app.compare.options.root {
                StackEnd::Outermost => StackEnd::Innermost,
                StackEnd::Innermost => StackEnd::Outermost,
            };
            if app.compare.mode == CompareMode::List {
                app.notify("the tree and the flamegraph (Tab) have changed direction");
            }
            shape(app)
        }
        Action::NextState => {
            let only = app.compare.options.only;
            let at = only.and_then(|only| State::CHANGES.iter().position(|it| *it == only));
            app.compare.options.only = State::CHANGES.get(at.map_or(0, |at| at + 1)).copied();
            shape(app)
        }
        Action::NextRate => normalise(app),
        Action::Search => {
            let text = app.compare.options.pattern.clone();
            let help = "a regular expression for functions and files; empty: show all";
            prompt(app, "show only matching call paths", PromptPurpose::CompareOnly, help, &text)
        }
        Action::RunAgain => {
            app.compare.error = None;
            app.compare.comparison = None;
            load(app)
        }
        Action::Activate | Action::Right | Action::Left | Action::Back => {
            handle_navigation(app, action)
        }
        Action::Explain => {
            explain(app);
            Vec::new()
        }
        _ => on_function(app, action),
    }
}

fn handle_movement(app: &mut App, action: Action) -> bool {
    let Some(step) = detail::step(action) else {
        return move_in_flame(app, action);
    };
    let window = geometry::compare_window(app);
    match app.compare.mode {
        CompareMode::List => {
            let len = app.compare.shown.as_ref().map_or(0, |it| it.rows.len() as u64);
            app.compare.list.step(step, len, window);
        }
        CompareMode::Tree => {
            let len = app.compare.opened_lines().len() as u64;
            app.compare.lines.step(step, len, window);
        }
        CompareMode::Flame => {
            let (width, height) = geometry::compare_flame_window(app);
            let rows = match step {
                Step::Rows(rows) => rows,
                Step::HalfPages(halves) => halves * (height as i64 / 2).max(1),
                Step::First => -i64::from(i32::MAX),
                Step::Last => i64::from(i32::MAX),
            };
            app.compare.with_cursor(width, |cursor, graph| cursor.step_row(graph, rows));
        }
    }
    true
}

fn move_in_flame(app: &mut App, action: Action) -> bool {
    let cells = match (app.compare.mode, action) {
        (CompareMode::Flame, Action::Left) => -1,
        (CompareMode::Flame, Action::Right) => 1,
        _ => return false,
    };
    let (width, _) = geometry::compare_flame_window(app);
    app.compare.with_cursor(width, |cursor, graph| cursor.step_cell(graph, cells));
    true
}

fn normalise(app: &mut App) -> Vec<Effect> {
    let word = app.compare.per.to_argument();
    let at = word.and_then(|word| RATES.iter().position(|it| *it == word));
    let next = RATES.get(at.map_or(0, |at| at + 1));
    app.compare.per = next.and_then(|word| Normalization::parse(word).ok()).unwrap_or_default();
    app.compare.comparison = None;
    app.compare.error = None;
    let mut effects = app
        .requests
        .cancel(|request| matches!(request.purpose, Purpose::Compared | Purpose::Differences));
    effects.extend(load(app));
    effects
}

fn handle_navigation(app: &mut App, action: Action) -> Vec<Effect> {
    let (width, _) = geometry::compare_flame_window(app);
    match (app.compare.mode, action) {
        (CompareMode::List, Action::Activate) => explain(app),
        (CompareMode::Flame, Action::Activate) => {
            app.compare.with_cursor(width, FlameCursor::zoom_in);
        }
        (CompareMode::Flame, Action::Back) if app.compare.cursor.zoom_out() => {}
        (CompareMode::Tree, _) if toggle_line(app, action) => {}
        (_, Action::Back) if !app.compare.options.pattern.is_empty() => {
            app.compare.options.pattern.clear();
            return shape(app);
        }
        (_, Action::Back) => {
            app.notify("nothing to go back to; Tab: another presentation, q: quit");
        }
        _ => {}
    }
    Vec::new()
}

/// Expands or collapses the selected line; returns whether the action applies.
fn toggle_line(app: &mut App, action: Action) -> bool {
    let Some(line) = app.compare.line() else {
        return false;
    };
    let is_open = app.compare.opened.contains(&line.node);
    match action {
        Action::Activate | Action::Right if !is_open => {
            app.compare.opened.insert(line.node);
        }
        Action::Activate => {
            app.compare.opened.remove(&line.node);
        }
        Action::Left | Action::Back if is_open => {
            app.compare.opened.remove(&line.node);
        }
        Action::Left | Action::Back if line.depth > 0 => {
            let lines = app.compare.opened_lines();
            let before = lines.get(..app.compare.lines.at as usize).unwrap_or_default();
            let above = before.iter().rposition(|it| it.depth < line.depth);
            app.compare.lines.at = above.unwrap_or(0) as u64;
        }
        _ => return false,
    }
    app.compare.refresh();
    true
}

/// The function at the cursor with its source location.
fn function(app: &App) -> Option<(String, Option<String>, Option<u32>)> {
    let shown = app.compare.shown.as_ref()?;
    let stacks = &shown.comparison.stacks;
    let name = match app.compare.mode {
        CompareMode::List => shown.comparison.frames(app.compare.row()?).next()?,
        CompareMode::Flame | CompareMode::Tree => {
            let node: ShapedId = app.compare.node(geometry::compare_flame_window(app).0)?;
            stacks.get(shown.node(node)?.name?)?
        }
    };
    Some((name.sym.clone(), name.file.clone(), name.line))
}

fn on_function(app: &mut App, action: Action) -> Vec<Effect> {
    let Some((sym, file, line)) = function(app) else {
        if matches!(
            action,
            Action::ShowSource | Action::OpenInEditor | Action::ShowBlocks | Action::Copy
        ) {
            app.notify("select a function first with the arrow keys");
        }
        return Vec::new();
    };
    match action {
        Action::ShowSource => detail::source(app, sym, file, line),
        Action::OpenInEditor => detail::open(app, file, line),
        Action::ShowBlocks => {
            let is_gone = app.compare.row().is_some_and(|row| row.bt_after.is_none());
            if is_gone && app.compare.mode == CompareMode::List {
                app.notify(
                    "this site is only in the other recording, whose blocks are not available here",
                );
                return Vec::new();
            }
            app.filters.add(Filter::Through(sym));
            app.rows.truncate(1);
            switch(app, ViewKind::Rows)
        }
        Action::Copy => detail::copy(app, sym, "function's name"),
        Action::CopyAll => match details(app) {
            Some((_, body)) => detail::copy(app, body, "difference"),
            None => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn explain(app: &mut App) {
    match details(app) {
        Some((title, body)) => {
            app.popups.push(Popup::Text(Text { title, body, ..Text::default() }));
        }
        None => app.notify("the list (Tab) shows the figures of each site"),
    }
}

/// Everything about the selected site, as text.
fn details(app: &App) -> Option<(String, String)> {
    if app.compare.mode != CompareMode::List {
        return None;
    }
    let row = app.compare.row()?;
    let comparison = &app.compare.shown.as_ref()?.comparison;
    let mut body = format!(
        "{}{}\n\n{:17}{:>12}{:>12}{:>13}\n",
        app.compare.state(row).name(),
        comparison.per.label(),
        "",
        "before",
        "after",
        "difference"
    );
    for measure in Measure::COMPARED {
        body.push_str(&format!(
            "{:17}{:>12}{:>12}{:>13}\n",
            measure.title(),
            measure.format(row.before.get(measure)),
            measure.format(row.after.get(measure)),
            measure.format_difference(row.difference(measure)),
        ));
    }
    for (words, of) in RATE_LINES {
        let rate = |figures: &Metrics, total: &crate::database::compare::Total| {
            let undivided = total.ratio.denominator as f64 / total.ratio.numerator.max(1) as f64;
            let seconds = total.span.duration_ns().max(1) as f64 / 1e9;
            figures.get(of) as f64 * undivided / seconds
        };
        let show = |rate: f64| match of {
            Measure::AllocatedBytes => units::bytes(rate.round()),
            _ => units::count_short((rate * 10.0).round() / 10.0),
        };
        let before = rate(&row.before, &comparison.before);
        let after = rate(&row.after, &comparison.after);
        body.push_str(&format!("{words:17}{:>12}{:>12}\n", show(before), show(after)));
    }
    body.push_str("\nown frames, innermost first\n");
    for name in comparison.frames(row) {
        body.push_str(&format!("  {}{}\n", name.sym, place(name)));
    }
    Some((title(row, comparison), body))
}

const RATE_LINES: [(&str, Measure); 2] =
    [("bytes per second", Measure::AllocatedBytes), ("blocks per second", Measure::Allocations)];

fn title(row: &Row, comparison: &crate::database::compare::Comparison) -> String {
    format!("changes at {}", comparison.function(row))
}

fn place(name: &crate::database::compare::Name) -> String {
    match (&name.file, name.line) {
        (Some(file), Some(line)) => format!("  {file}:{line}"),
        _ => String::new(),
    }
}
