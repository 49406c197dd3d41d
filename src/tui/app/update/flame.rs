//! Actions of the flamegraph.

use crate::tui::app::layout::geometry;
use crate::tui::app::message::Effect;
use crate::tui::app::state::flame::{Orientation, Roots};
use crate::tui::app::state::popup::Purpose;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{detail, load, prompt, switch};
use crate::tui::data::filter::Filter;
use crate::tui::flame::cell_layout::CellContent;
use crate::tui::flame::shape::TOP;
use crate::tui::input::key_lookup::Action;

/// Handles an action.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    let (width, height) = geometry::flame_window(app);
    if handle_movement(app, action, width, height) {
        return Vec::new();
    }
    match action {
        Action::Activate => {
            app.flame.zoom_in(width);
            Vec::new()
        }
        Action::Back => back(app),
        Action::ResetZoom => {
            app.flame.cursor.zoom.clear();
            Vec::new()
        }
        Action::Search => {
            let text = app.flame.search.as_ref().map_or("", |it| it.pattern.as_str()).to_owned();
            let help =
                "a regular expression; lower case also matches upper case; empty: end the search";
            prompt(app, "search functions", Purpose::Search, help, &text)
        }
        Action::Next | Action::Previous => {
            let forward = action == Action::Next;
            if !app.flame.next_match(forward, width, height) {
                app.notify("no match in the visible part; /: search, Backspace: zoom out");
            }
            Vec::new()
        }
        Action::NextMeasure
        | Action::Flip
        | Action::ToggleBottomUp
        | Action::ToggleLibraryFrames
        | Action::ToggleRecursion => {
            change_view_options(app, action);
            load::request_tree(app)
        }
        _ => on_function(app, action, width),
    }
}

fn handle_movement(app: &mut App, action: Action, width: u16, height: usize) -> bool {
    let inwards = match app.flame.roots {
        Roots::Top => 1,
        Roots::Bottom => -1,
    };
    let page = (height as i64 / 2).max(1);
    match action {
        Action::Up => app.flame.step_row(-inwards, width, height),
        Action::Down => app.flame.step_row(inwards, width, height),
        Action::PageUp | Action::HalfPageUp => app.flame.step_row(-inwards * page, width, height),
        Action::PageDown | Action::HalfPageDown => {
            app.flame.step_row(inwards * page, width, height);
        }
        Action::Left => app.flame.step_cell(-1, width, height),
        Action::Right => app.flame.step_cell(1, width, height),
        Action::First => app.flame.step_row(i64::from(i32::MIN), width, height),
        Action::Last => app.flame.step_row(i64::from(i32::MAX), width, height),
        _ => return false,
    }
    true
}

fn back(app: &mut App) -> Vec<Effect> {
    if app.flame.cursor.zoom_out() {
        return Vec::new();
    }
    if matches!(app.flame.orientation, Orientation::Sandwich(_)) {
        app.flame.orientation = Orientation::TopDown;
        return load::request_shapes(app);
    }
    if app.flame.over.take().is_some() {
        app.notify("showing the filtered allocations again");
        return load::request_tree(app);
    }
    app.notify("already zoomed out; x: remove the last filter, q: quit");
    Vec::new()
}

/// Changes measure, orientation or collapsing, for the Flame and Tree views.
pub fn change_view_options(app: &mut App, action: Action) {
    let flame = &mut app.flame;
    match action {
        Action::NextMeasure => {
            flame.measure = flame.measure.next();
            flame.measure_before = None;
        }
        Action::Flip => {
            flame.roots = match flame.roots {
                Roots::Top => Roots::Bottom,
                Roots::Bottom => Roots::Top,
            }
        }
        Action::ToggleBottomUp => {
            flame.orientation = match flame.orientation {
                Orientation::BottomUp => Orientation::TopDown,
                _ => Orientation::BottomUp,
            }
        }
        Action::ToggleLibraryFrames => flame.library = flame.library.toggled(),
        _ => flame.recursion = flame.recursion.toggled(),
    }
}

/// Actions on the function of the selected cell.
fn on_function(app: &mut App, action: Action, width: u16) -> Vec<Effect> {
    let Some(sym) = app.flame.symbol(width) else {
        let more =
            app.flame.cell(width).is_some_and(|it| matches!(it.content, CellContent::More { .. }));
        app.notify(match more {
            true => "several small functions; Enter: show them",
            false => "select a function first (arrow keys, or / to search)",
        });
        return Vec::new();
    };
    match action {
        Action::CopyAll => {
            let path = path(app, width);
            detail::copy(app, path, "call path")
        }
        _ => on_symbol(app, action, sym),
    }
}

/// Actions on a function.
pub fn on_symbol(app: &mut App, action: Action, sym: String) -> Vec<Effect> {
    match action {
        Action::Sandwich => {
            app.flame.orientation = Orientation::Sandwich(sym);
            load::request_shapes(app)
        }
        Action::KeepThrough => load::add_filter(app, Filter::Through(sym)),
        Action::ExcludeThrough => load::add_filter(app, Filter::NotThrough(sym)),
        Action::HideFunction => load::add_filter(app, Filter::Hide(sym)),
        Action::RootAtFunction => load::add_filter(app, Filter::From(sym)),
        Action::ShowBlocks => {
            app.filters.add(Filter::Through(sym));
            app.rows.truncate(1);
            switch(app, ViewKind::Rows)
        }
        Action::Copy => detail::copy(app, sym, "function's name"),
        Action::ShowSource | Action::OpenInEditor => {
            let position = source_position(app, &sym);
            let (file, line) = position.unwrap_or_default();
            match action {
                Action::OpenInEditor => detail::open(app, file, line),
                _ => detail::source(app, sym, file, line),
            }
        }
        _ => Vec::new(),
    }
}

fn source_position(app: &App, sym: &str) -> Option<(Option<String>, Option<u32>)> {
    let symbols = app.flame.shown.as_ref()?.symbols();
    let symbol = symbols.get(symbols.by_name(sym)?)?;
    Some((symbol.file.clone(), symbol.line))
}

/// The call path of the cell, outermost first, separated by `;`.
fn path(app: &App, width: u16) -> String {
    let (Some(shown), Some(mut node)) = (&app.flame.shown, app.flame.node(width)) else {
        return String::new();
    };
    let mut names = Vec::new();
    while node != TOP {
        names.push(shown.symbol(node).map_or("[library]", |it| it.sym.as_str()));
        node = shown.parent(node);
    }
    names.reverse();
    names.join(";")
}
