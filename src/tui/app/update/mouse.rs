//! Handles clicks and the wheel.
//!
//! Invariant: everything the mouse can do has a key.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::{Position, Rect};

use crate::tui::app::layout::areas::{inner_area, popup as popup_area, regions};
use crate::tui::app::layout::geometry;
use crate::tui::app::message::Effect;
use crate::tui::app::state::compare::CompareMode;
use crate::tui::app::state::flame::Roots;
use crate::tui::app::state::popup::Popup;
use crate::tui::app::state::{App, Pane, ViewKind};
use crate::tui::app::update::{handle_action, switch};
use crate::tui::flame::cell_layout::CellContent;
use crate::tui::input::key_lookup::Action;

/// Lines per step of the wheel.
const WHEEL_LINES: usize = 3;

/// Handles a mouse event.
pub fn on_mouse(app: &mut App, event: MouseEvent) -> Vec<Effect> {
    let at = Position::new(event.column, event.row);
    match event.kind {
        MouseEventKind::ScrollDown => repeat(app, Action::Down),
        MouseEventKind::ScrollUp => repeat(app, Action::Up),
        MouseEventKind::Down(MouseButton::Left) => on_click(app, at),
        MouseEventKind::Down(MouseButton::Right) if app.popups.is_empty() => {
            let back = (app.view, app.pane) != (ViewKind::Sql, Pane::Main);
            if back { handle_action(app, Action::Back) } else { Vec::new() }
        }
        _ => Vec::new(),
    }
}

fn repeat(app: &mut App, action: Action) -> Vec<Effect> {
    if app.popups.is_empty() && (app.view, app.pane) == (ViewKind::Sql, Pane::Main) {
        return Vec::new();
    }
    let mut effects = Vec::new();
    for _ in 0..WHEEL_LINES {
        effects.extend(handle_action(app, action));
    }
    effects
}

fn on_click(app: &mut App, at: Position) -> Vec<Effect> {
    if !app.popups.is_empty() {
        return on_popup_click(app, at);
    }
    let regions = regions(app);
    if regions.tabs.contains(at) {
        return match view_at(app, at.x) {
            Some(view) => switch(app, view),
            None => Vec::new(),
        };
    }
    if regions.main.contains(at) {
        app.pane = Pane::Main;
        return on_main_click(app, inner_area(regions.main), at);
    }
    if regions.detail.contains(at) {
        app.pane = Pane::Detail;
        return on_detail_click(app, inner_area(regions.detail), at);
    }
    Vec::new()
}

/// The tabs: first column, number of columns, view. Without room for all names, only the current view
/// has its name.
pub fn tabs(app: &App) -> impl Iterator<Item = (u16, u16, ViewKind)> {
    let has_sides = app.compare.sides.is_some();
    let views = ViewKind::ALL.into_iter().filter(move |it| *it != ViewKind::Compare || has_sides);
    let whole: usize = views.clone().map(|view| view.title().1.len() + 4).sum();
    let has_room = whole <= usize::from(app.size.0);
    let shown = app.view;
    let mut x = 1;
    views.map(move |view| {
        let is_named = has_room || view == shown;
        let width = if is_named { view.title().1.len() as u16 + 2 } else { 1 };
        let tab = (x, width, view);
        x += width + 2;
        tab
    })
}

fn view_at(app: &App, x: u16) -> Option<ViewKind> {
    let mut tabs = tabs(app);
    tabs.find(|(first, width, _)| *first <= x && x < first + width).map(|(_, _, view)| view)
}

fn on_main_click(app: &mut App, inside: Rect, at: Position) -> Vec<Effect> {
    let row = u64::from(at.y.saturating_sub(inside.y));
    match app.view {
        // The first line is the column names.
        ViewKind::Suspects if row > 0 && row <= geometry::suspects_window(app) => {
            let to = app.suspects.cursor.top + row - 1;
            if to == app.suspects.cursor.at {
                return handle_action(app, Action::Activate);
            }
            app.suspects.cursor.at = to;
            Vec::new()
        }
        ViewKind::Rows if row > 0 => on_row_click(app, row - 1),
        ViewKind::Flame => on_cell_click(app, inside, at),
        ViewKind::Tree if row > 0 && row <= geometry::tree_window(app) => {
            let to = app.tree.cursor.top + row - 1;
            if to == app.tree.cursor.at {
                return handle_action(app, Action::Activate);
            }
            app.tree.cursor.at = to.min(app.tree.lines().len() as u64);
            Vec::new()
        }
        ViewKind::Histograms if row > 0 && row <= geometry::bars_window(app) => {
            app.histograms.cursor.at = app.histograms.cursor.top + row - 1;
            Vec::new()
        }
        ViewKind::Compare => on_compare_click(app, row, at.x.saturating_sub(inside.x)),
        ViewKind::Time => {
            on_time_click(app, at.x.saturating_sub(inside.x));
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// Selects a line or cell of the comparison; a second click opens it.
fn on_compare_click(app: &mut App, row: u64, x: u16) -> Vec<Effect> {
    let window = geometry::compare_window(app);
    let (width, height) = geometry::compare_flame_window(app);
    let compare = &mut app.compare;
    let was_selected = match compare.mode {
        CompareMode::Flame if row < height as u64 => {
            let before = compare.cursor.selected;
            let row = compare.cursor.top_row + row as usize;
            let is_cell = compare.with_cursor(width, |cursor, graph| cursor.point(graph, row, x));
            is_cell && compare.cursor.selected == before
        }
        CompareMode::List | CompareMode::Tree if row > 0 && row <= window => {
            let cursor = if compare.mode == CompareMode::List {
                &mut compare.list
            } else {
                &mut compare.lines
            };
            let before = cursor.at;
            cursor.at = cursor.top + row - 1;
            cursor.at == before
        }
        _ => false,
    };
    if was_selected { handle_action(app, Action::Activate) } else { Vec::new() }
}

/// Moves the active cursor to the column.
fn on_time_click(app: &mut App, x: u16) {
    let Some(column) = x.checked_sub(geometry::TIME_GUTTER) else {
        return;
    };
    let (width, points) = (geometry::time_width(app), app.overview.axis.points());
    let edge = usize::from(column) * points / usize::from(width.saturating_sub(1).max(1));
    app.time.move_to(edge, points);
}

fn on_row_click(app: &mut App, row: u64) -> Vec<Effect> {
    let Some(table) = app.table_mut() else {
        return Vec::new();
    };
    let to = table.cursor.top + row;
    if to >= table.len() {
        return Vec::new();
    }
    if to == table.cursor.at {
        return handle_action(app, Action::Activate);
    }
    table.cursor.at = to;
    Vec::new()
}

fn on_cell_click(app: &mut App, inside: Rect, at: Position) -> Vec<Effect> {
    let (width, height) = geometry::flame_window(app);
    let callers = geometry::callers_rows(app);
    let Some(line) = at.y.checked_sub(inside.y + callers).map(usize::from) else {
        return Vec::new();
    };
    if line >= height {
        return Vec::new();
    }
    let line = match app.flame.roots {
        Roots::Top => line,
        Roots::Bottom => height - 1 - line,
    };
    let before = app.flame.cursor.selected;
    let row = app.flame.cursor.top_row + line;
    if !app.flame.point(row, at.x.saturating_sub(inside.x), width) {
        return Vec::new();
    }
    let is_more =
        matches!(app.flame.cell(width).map(|it| it.content), Some(CellContent::More { .. }));
    if app.flame.cursor.selected == before || is_more {
        return handle_action(app, Action::Activate);
    }
    Vec::new()
}

fn on_detail_click(app: &mut App, inside: Rect, at: Position) -> Vec<Effect> {
    let row = u64::from(at.y.saturating_sub(inside.y));
    match app.view {
        ViewKind::Sql if row > 0 => on_row_click(app, row - 1),
        ViewKind::Suspects | ViewKind::Rows if row < geometry::detail_window(app) => {
            let to = app.detail.cursor.top + row;
            if to == app.detail.cursor.at {
                return handle_action(app, Action::Activate);
            }
            app.detail.cursor.at = to;
            Vec::new()
        }
        _ => Vec::new(),
    }
}

fn on_popup_click(app: &mut App, at: Position) -> Vec<Effect> {
    let area = popup_area(app);
    if !area.contains(at) {
        app.popups.pop();
        return Vec::new();
    }
    let row = u64::from(at.y.saturating_sub(inner_area(area).y));
    if let Some(Popup::Picker(picker)) = app.popups.last_mut()
        && row > 0
    {
        let to = picker.cursor.top + row - 1;
        if to >= picker.matching().len() as u64 {
            return Vec::new();
        }
        if to == picker.cursor.at {
            return handle_action(app, Action::Activate);
        }
        picker.cursor.at = to;
    }
    Vec::new()
}
