//! The rectangles of the screen, for drawing and for the mouse.
//!
//! ```text
//!  header   file · duration · live · peak · allocations            1 row
//!  tabs     1 Suspects 2 Flame 3 Tree … 7 SQL      live curve      1 row
//!  filters  filters as chips, definition of the measure      1 row, if there is room
//!  body     the view                                               the rest
//!    main     │ detail     side by side from 110 columns on,
//!                          above each other from 20 rows on,
//!                          else one at a time
//!  status   row n of m, run time, running request                 1 row
//!  footer   keys of the current state                              1 row
//! ```
//!
//! Invariants: rectangles lie in the terminal and don't overlap; below [`COLUMNS_MIN`]×[`ROWS_MIN`]
//! there is only a notice.

use ratatui::layout::Rect;

use crate::tui::app::state::popup::Popup;
use crate::tui::app::state::{App, Pane, ViewKind};

/// Minimum number of columns.
pub const COLUMNS_MIN: u16 = 40;
/// Minimum number of rows.
pub const ROWS_MIN: u16 = 10;
/// Columns from which list and detail are side by side.
const SIDE_BY_SIDE_COLUMNS: u16 = 110;
/// Rows of the body from which they are above each other.
const STACKED_ROWS: u16 = 15;

/// The regions. Regions without room are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// The overview.
    pub header: Rect,
    /// Views and curve.
    pub tabs: Rect,
    /// The filters.
    pub filters: Rect,
    /// The view's first pane, with its border.
    pub main: Rect,
    /// The second pane: a backtrace, or the results under the editor.
    pub detail: Rect,
    /// Messages and position.
    pub status: Rect,
    /// Keys.
    pub footer: Rect,
}

/// Whether the terminal is large enough for more than a notice.
pub fn is_large_enough(size: (u16, u16)) -> bool {
    size.0 >= COLUMNS_MIN && size.1 >= ROWS_MIN
}

/// The regions for the current state.
pub fn regions(app: &App) -> Regions {
    let (width, height) = app.size;
    if !is_large_enough(app.size) {
        return Regions::default();
    }
    let row = |y: u16| Rect::new(0, y, width, 1);
    let has_filter_row = height >= 16 || !app.filters.current().filters().is_empty();
    let top = 2 + u16::from(has_filter_row);
    let body = Rect::new(0, top, width, height - top - 2);
    let (main, detail) = split(app, body);
    Regions {
        header: row(0),
        tabs: row(1),
        filters: if has_filter_row { row(2) } else { Rect::default() },
        main,
        detail,
        status: row(height - 2),
        footer: row(height - 1),
    }
}

/// The inside of a pane with a border.
pub fn inner_area(pane: Rect) -> Rect {
    Rect::new(
        pane.x + pane.width.min(1),
        pane.y + pane.height.min(1),
        pane.width.saturating_sub(2),
        pane.height.saturating_sub(2),
    )
}

fn split(app: &App, body: Rect) -> (Rect, Rect) {
    let none = Rect::default();
    let above = |rows: u16| {
        let rows = rows.min(body.height);
        let main = Rect { height: rows, ..body };
        let y = body.y + rows;
        (main, Rect { y, height: body.height - rows, ..body })
    };
    let one = |first: bool| if first { (body, none) } else { (none, body) };
    match app.view {
        _ if !has_two_panes(app) => (body, none),
        ViewKind::Sql if body.height >= 12 => {
            let lines = app.sql.editor.lines().len().min(1000) as u16 + 2;
            above(lines.clamp(5, body.height / 2))
        }
        ViewKind::Suspects | ViewKind::Rows if body.width >= SIDE_BY_SIDE_COLUMNS => {
            let width = (u32::from(body.width) * 62 / 100) as u16;
            let main = Rect { width, ..body };
            let x = body.x + width;
            (main, Rect { x, width: body.width - width, ..body })
        }
        ViewKind::Suspects | ViewKind::Rows if body.height >= STACKED_ROWS => {
            above(body.height / 2)
        }
        _ => one(app.pane == Pane::Main),
    }
}

fn has_two_panes(app: &App) -> bool {
    match app.view {
        ViewKind::Suspects => true,
        ViewKind::Flame
        | ViewKind::Tree
        | ViewKind::Time
        | ViewKind::Histograms
        | ViewKind::Compare => false,
        ViewKind::Rows => app.detail.bt.is_some() || app.pane == Pane::Detail,
        ViewKind::Sql => !app.sql.tabs.is_empty(),
    }
}

/// The rectangle of the topmost pop-up.
pub fn popup(app: &App) -> Rect {
    let (width, height) = app.size;
    if !is_large_enough(app.size) {
        return Rect::default();
    }
    let (wanted_width, wanted_height) = match app.popups.last() {
        None => return Rect::default(),
        Some(Popup::Prompt(prompt)) => {
            let rows: u16 =
                prompt.fields.iter().map(|field| 2 + u16::from(!field.help.is_empty())).sum();
            (76, rows + 2)
        }
        Some(Popup::Picker(_)) => (110, height - 4),
        Some(Popup::Source(_)) => (130, height - 2),
        Some(Popup::Text(text)) => {
            let widest = text.body.lines().map(str::len).max().unwrap_or(0);
            let lines = text.body.lines().count();
            (widest.clamp(40, 110) as u16 + 4, lines.min(200) as u16 + 3)
        }
    };
    let width_taken = wanted_width.min(width);
    let height_taken = wanted_height.clamp(5, height.saturating_sub(2));
    Rect::new((width - width_taken) / 2, (height - height_taken) / 2, width_taken, height_taken)
}
