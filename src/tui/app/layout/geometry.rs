//! Sizes of windows inside the regions, and clamping of all selections to them.
//!
//! Reads: the regions of the screen. Writes: cursors, after every message.

use crate::tui::app::layout::areas::{inner_area, regions};
use crate::tui::app::state::compare::CompareMode;
use crate::tui::app::state::popup::Popup;
use crate::tui::app::state::{App, Pane, ViewKind};

/// Panes with fewer rows have no rules and no footer.
pub const COMPACT_ROWS: u16 = 6;

/// Rows of a table that are drawn: the pane without its border, column names and filters.
pub fn table_window(app: &App) -> u64 {
    let regions = regions(app);
    let pane = match app.view {
        ViewKind::Sql => regions.detail,
        _ => regions.main,
    };
    u64::from(inner_area(pane).height.saturating_sub(1)).max(1)
}

/// Suspects that are drawn: the pane without column names and description.
pub fn suspects_window(app: &App) -> u64 {
    let inside = inner_area(regions(app).main);
    u64::from(inside.height.saturating_sub(1 + sentence_rows(app))).max(1)
}

/// Rows of the description of the selected suspect, with the rule above it.
pub fn sentence_rows(app: &App) -> u16 {
    let inside = inner_area(regions(app).main);
    let Some(suspect) = app.suspects.selected() else {
        return 0;
    };
    if inside.height < COMPACT_ROWS {
        return inside.height.min(1);
    }
    let needed = (suspect.sentence.chars().count() as u16).div_ceil(inside.width.max(1)) + 1;
    needed.min(4).min(inside.height / 2)
}

/// Frames that are drawn in the detail pane.
pub fn detail_window(app: &App) -> u64 {
    u64::from(detail_rows(app).0).max(1)
}

/// Rows of the detail pane's parts: frames, source, totals.
pub fn detail_rows(app: &App) -> (u16, u16, u16) {
    let height = inner_area(regions(app).detail).height;
    let totals = match height {
        0..=8 => 0,
        9..=13 => 2,
        _ => 4,
    };
    let frames = app.detail.lines().len() as u16;
    let source = match height {
        0..=6 => 0,
        7..=12 => 3,
        _ => (height / 3).min(11),
    };
    let room = height.saturating_sub(totals + source);
    let frame_rows = room.min(frames.max(3));
    let source = if source > 0 { height - totals - frame_rows } else { 0 };
    (frame_rows, source.min(15), totals)
}

/// Columns and rows of the flamegraph, without the callers of a sandwich.
pub fn flame_window(app: &App) -> (u16, usize) {
    let inside = inner_area(regions(app).main);
    let height = inside.height.saturating_sub(flame_footer_rows(app) + callers_rows(app));
    (inside.width, usize::from(height))
}

/// Lines of the tree that are drawn: the pane without column names and footer.
pub fn tree_window(app: &App) -> u64 {
    let height = inner_area(regions(app).main).height;
    u64::from(height.saturating_sub(1 + tree_footer_rows(height))).max(1)
}

/// Rows below the tree about the selected line.
pub fn tree_footer_rows(height: u16) -> u16 {
    if height < COMPACT_ROWS { 0 } else { 2 }
}

/// Columns left of the time chart, for its labels.
pub const TIME_GUTTER: u16 = 10;

/// Columns of the legend of the largest sites.
const TIME_LEGEND: u16 = 38;

/// Whether the legend is drawn.
pub fn has_time_legend(app: &App) -> bool {
    inner_area(regions(app).main).width >= 100
}

/// Columns of the chart.
pub fn time_width(app: &App) -> u16 {
    let legend = if has_time_legend(app) { TIME_LEGEND } else { 0 };
    inner_area(regions(app).main).width.saturating_sub(TIME_GUTTER + legend).max(1)
}

/// The column of the chart for an edge of the axis.
pub fn time_column(app: &App, edge: usize, width: u16) -> u16 {
    let points = app.overview.axis.points().max(1);
    let x = edge * usize::from(width.saturating_sub(1)) / points;
    (x as u16).min(width.saturating_sub(1))
}

/// Bars of a histogram that are drawn: one row is its column names.
pub fn bars_window(app: &App) -> u64 {
    u64::from(inner_area(regions(app).main).height.saturating_sub(1)).max(1)
}

/// Rows below the flamegraph about the selected cell.
pub fn flame_footer_rows(app: &App) -> u16 {
    if inner_area(regions(app).main).height < COMPACT_ROWS { 1 } else { 2 }
}

/// Rows below the comparison about the selected site.
pub fn compare_footer_rows(app: &App) -> u16 {
    match (inner_area(regions(app).main).height, app.compare.mode) {
        (..COMPACT_ROWS, _) => 1,
        (14.., CompareMode::List) => 6,
        _ => 2,
    }
}

/// Lines of the comparison's list or tree that are drawn: one is their column names.
pub fn compare_window(app: &App) -> u64 {
    let height = inner_area(regions(app).main).height;
    u64::from(height.saturating_sub(1 + compare_footer_rows(app))).max(1)
}

/// Columns and rows of the comparison's flamegraph.
pub fn compare_flame_window(app: &App) -> (u16, usize) {
    let inside = inner_area(regions(app).main);
    (inside.width, usize::from(inside.height.saturating_sub(compare_footer_rows(app))))
}

/// Rows of the callers above a sandwich: as many as needed, at most half.
pub fn callers_rows(app: &App) -> u16 {
    let Some(callers) = &app.flame.callers else {
        return 0;
    };
    let half = inner_area(regions(app).main).height.saturating_sub(flame_footer_rows(app)) / 2;
    // The first two are the root and the function itself.
    (callers.depth() as u16).saturating_sub(2).min(half)
}

/// Rows below a list for the full text of the selected line.
pub fn picker_footer_rows(height: u16) -> u16 {
    if height >= 12 { 4 } else { 0 }
}

/// Lines of a pop-up that are drawn, without border and head.
pub fn popup_window(app: &App) -> u64 {
    let height = inner_area(crate::tui::app::layout::areas::popup(app)).height;
    let footer = match app.popups.last() {
        Some(Popup::Picker(_)) => picker_footer_rows(height),
        _ => 0,
    };
    u64::from(height.saturating_sub(1 + footer)).max(1)
}

/// Moves every selection into its range.
pub fn clamp_selections(app: &mut App) {
    let window = suspects_window(app);
    let listed = app.suspects.listed().len() as u64;
    app.suspects.cursor.clamp(listed, window);

    let window = detail_window(app);
    let lines = app.detail.lines().len() as u64;
    app.detail.cursor.clamp(lines, window);

    let window = table_window(app);
    if let Some(table) = app.table_mut() {
        let len = table.len();
        table.cursor.clamp(len, window);
        table.column = table.column.min(table.columns.len().saturating_sub(1));
    }

    app.sql.tab = app.sql.tab.min(app.sql.tabs.len().saturating_sub(1));
    if app.pane == Pane::Detail && !has_detail(app) {
        app.pane = Pane::Main;
    }
    if app.view == ViewKind::Flame {
        let (width, height) = flame_window(app);
        app.flame.clamp(width, height);
    }
    let (lines, window) = (app.tree.lines().len() as u64, tree_window(app));
    app.tree.cursor.clamp(lines, window);
    if app.view == ViewKind::Tree {
        app.tree.sum_visible(window);
    }
    let ((width, height), window) = (compare_flame_window(app), compare_window(app));
    app.compare.clamp(width, height, window);
    app.time.clamp(app.overview.axis.points());
    let (bars, window) = (app.histograms.bins().len() as u64, bars_window(app));
    app.histograms.cursor.clamp(bars, window);
    clamp_popup(app);
}

fn has_detail(app: &App) -> bool {
    match app.view {
        ViewKind::Suspects => app.suspects.selected().is_some(),
        ViewKind::Rows => app.detail.bt.is_some(),
        ViewKind::Sql => !app.sql.tabs.is_empty(),
        ViewKind::Flame
        | ViewKind::Tree
        | ViewKind::Time
        | ViewKind::Histograms
        | ViewKind::Compare => false,
    }
}

fn clamp_popup(app: &mut App) {
    let window = popup_window(app);
    match app.popups.last_mut() {
        Some(Popup::Picker(picker)) => {
            let len = picker.matching().len() as u64;
            picker.cursor.clamp(len, window);
        }
        Some(Popup::Prompt(prompt)) => {
            prompt.focused = prompt.focused.min(prompt.fields.len().saturating_sub(1));
        }
        // A text has no selection; it is scrolled up to its last page.
        Some(Popup::Text(text)) => {
            let lines = text.body.lines().count() as u64;
            text.cursor.at = text.cursor.at.min(lines.saturating_sub(window));
            text.cursor.top = text.cursor.at;
        }
        Some(Popup::Source(popup)) => {
            let lines = popup.source.as_ref().map_or(0, |it| it.lines.len()) as u64;
            popup.cursor.at = popup.cursor.at.min(lines.saturating_sub(window));
            popup.cursor.top = popup.cursor.at;
        }
        None => {}
    }
}
