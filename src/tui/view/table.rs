//! Draws a table: column names with sorting and filters, and the visible rows.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::database::page::{Condition, Order};
use crate::database::table::{Unit, Value};
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::state::table::{Origin, Placement, TableState};
use crate::tui::app::state::{App, ViewKind};
use crate::tui::data::time_axis::RowKind;
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::text;
use crate::tui::view::text::select_row;
use crate::tui::view::text::total_text;

/// Maximum natural width of a column.
const WIDTH_MAX: usize = 48;

/// Draws the current table.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme, focus: Focus) {
    if area.is_empty() {
        return;
    }
    let Some(table) = app.table() else {
        text::pane(buffer, theme, area, "rows", focus);
        return;
    };
    let inside = text::pane(buffer, theme, area, &title(app, table), focus);
    if inside.is_empty() {
        return;
    }
    if let Some(words) = placeholder(table) {
        let style = if table.error.is_some() { theme.error() } else { theme.dim() };
        for (at, line) in text::wrap(&words, usize::from(inside.width)).iter().enumerate() {
            text::put(buffer, theme, text::line(inside, at as u16), 0, line, style);
        }
        if table.error.is_some() || !table.is_loaded() {
            return;
        }
    }
    let columns = columns(table, usize::from(inside.width), geometry::table_window(app));
    let head = text::line(inside, 0);
    for column in &columns {
        let style = match column.at == table.column {
            true => theme.title().patch(theme.selected_elsewhere()),
            false => theme.title(),
        };
        put_cell(buffer, theme, head, column, &column.head, style);
    }
    for row in 0..geometry::table_window(app) {
        let at = table.cursor.top + row;
        if at >= table.len() {
            break;
        }
        let line = text::line(inside, 1 + row as u16);
        match table.row(at) {
            Some(values) => draw_row(buffer, theme, line, &columns, values, table),
            None => {
                text::put(buffer, theme, line, 2, "…", theme.dim());
            }
        }
        if at == table.cursor.at {
            select_row(buffer, theme, line, focus);
            underline_cell(buffer, line, &columns, table, theme);
        }
    }
}

struct VisibleColumn {
    at: usize,
    x: u16,
    width: usize,
    unit: Unit,
    head: String,
}

fn title(app: &App, table: &TableState) -> String {
    let rows = format!("{} rows", total_text(table.total));
    let mut title = match app.view {
        ViewKind::Sql => {
            let tab = app.sql.tab + 1;
            format!("{tab}/{} {}: {rows}", app.sql.tabs.len(), text::clean(&table.title))
        }
        _ => format!("{}: {rows}", text::clean(&table.title)),
    };
    if app.overview.axis.rows == RowKind::Samples {
        title.push_str(match table.origin {
            Origin::Allocations | Origin::Groups { .. } => " · samples",
            Origin::BuiltinQuery(_) => " · estimates",
            Origin::Statement => "",
        });
    }
    if table.error.is_some() {
        return format!("{} · failed", text::clean(&table.title));
    }
    if !table.is_loaded() {
        title = format!("{} · running…", text::clean(&table.title));
    }
    if let (ViewKind::Sql, Some(elapsed)) = (app.view, table.elapsed) {
        let age = app.now.saturating_sub(table.ran_at).as_secs();
        let took = units::duration(elapsed.as_nanos() as f64);
        let age = match age {
            0 => "just now".into(),
            age => format!("{} ago", units::duration(age as f64 * 1e9)),
        };
        title.push_str(&format!(" · took {took}, {age}"));
    }
    title
}

fn placeholder(table: &TableState) -> Option<String> {
    if let Some(error) = &table.error {
        return Some(format!("! {}", text::clean(&error.message)));
    }
    if !table.is_loaded() {
        return Some(" running… Ctrl-C: stop".into());
    }
    if !table.is_empty() {
        return None;
    }
    Some(match table.view.filters.is_empty() {
        true => "\n no rows match the filters; x: remove the last filter".into(),
        false => "\n no rows match the column filters; _: remove them".into(),
    })
}

/// The columns that fit, pinned ones first, scrolled to the selected one.
fn columns(table: &TableState, width: usize, window: u64) -> Vec<VisibleColumn> {
    let order = table.order();
    let mut drawn: Vec<VisibleColumn> =
        order.iter().map(|at| measure(table, *at, window)).collect();
    let pinned = order.iter().filter(|at| is_pinned(table, **at)).count();
    let mut first = pinned;
    loop {
        let mut x = 2;
        let mut seen = false;
        for (place, column) in drawn.iter_mut().enumerate() {
            let skipped = place >= pinned && place < first;
            column.x = if skipped || x >= width { u16::MAX } else { x as u16 };
            if skipped {
                continue;
            }
            let whole = x + column.width <= width;
            seen |= column.at == table.column && (whole || place <= first);
            x += column.width + 2;
        }
        if seen || first + 1 >= drawn.len() {
            break;
        }
        first += 1;
    }
    drawn.retain(|column| column.x != u16::MAX);
    if let Some(last) = drawn.last_mut() {
        last.width = last.width.min(width.saturating_sub(usize::from(last.x)));
    }
    drawn
}

fn is_pinned(table: &TableState, at: usize) -> bool {
    table.column_layouts.get(at).is_some_and(|layout| layout.placement == Placement::Pinned)
}

fn measure(table: &TableState, at: usize, window: u64) -> VisibleColumn {
    let (name, unit) = match table.columns.get(at) {
        Some(column) => (text::clean(&column.name).into_owned(), column.unit),
        None => (String::new(), Unit::None),
    };
    let mut head = name.clone();
    if let Some(sort) = table.view.sort.first().filter(|sort| sort.column == name) {
        head.push_str(if sort.order == Order::Descending { " ↓" } else { " ↑" });
    }
    if let Some(filter) = table.view.filters.iter().find(|it| it.column == name) {
        head.push_str(&format!(" {}", condition(&filter.condition, unit)));
    }
    let top = table.cursor.top;
    let rows = (top..top + window).filter_map(|row| table.row(row));
    let widest = rows
        .filter_map(|row| Some(shown(row.get(at)?, unit, never(table, at, row)).width()))
        .map(|width| width.min(WIDTH_MAX))
        .max();
    let natural = widest.unwrap_or(0).max(head.width()).max(2) as i64;
    let extra = table.column_layouts.get(at).map_or(0, |layout| i64::from(layout.extra_width));
    VisibleColumn { at, x: 0, width: (natural + extra).clamp(2, 400) as usize, unit, head }
}

/// A filter as the user types it.
fn condition(condition: &Condition, unit: Unit) -> String {
    let value = |value: &Value| units::value(value, unit);
    match condition {
        Condition::Equal(it) => format!("={}", value(it)),
        Condition::NotEqual(it) => format!("!={}", value(it)),
        Condition::Less(it) => format!("<{}", value(it)),
        Condition::AtMost(it) => format!("<={}", value(it)),
        Condition::More(it) => format!(">{}", value(it)),
        Condition::AtLeast(it) => format!(">={}", value(it)),
        Condition::Between(low, high) => format!("{}..{}", value(low), value(high)),
        Condition::Contains(text) => format!("has {text}"),
        Condition::Matches(pattern) => format!("~{pattern}"),
        Condition::IsNull => "null".into(),
        Condition::IsNotNull => "!null".into(),
    }
}

/// Whether what is missing in this column never came, as the moment and the thread of a block's free.
/// Elsewhere it was not recorded.
fn never(table: &TableState, at: usize, row: &[Value]) -> bool {
    is_never(|at| table.columns.get(at).map_or("", |column| &*column.name), at, row)
}

fn is_never<'a>(name: impl Fn(usize) -> &'a str, at: usize, row: &[Value]) -> bool {
    match name(at) {
        "dealloc_thread" => {
            let freed = (0..row.len()).find(|at| name(*at) == "dealloc_after");
            freed.is_some_and(|at| matches!(row.get(at), Some(Value::Null)))
        }
        name => !name.starts_with("alloc_"),
    }
}

fn shown(value: &Value, unit: Unit, is_never: bool) -> String {
    match (value, unit) {
        (Value::Null, Unit::Moment | Unit::Thread) if is_never => "never".into(),
        (Value::Null, Unit::Moment | Unit::Thread) => "–".into(),
        (Value::Null, _) => "-".into(),
        _ => units::value(value, unit),
    }
}

fn draw_row(
    buffer: &mut Buffer,
    theme: Theme,
    line: Rect,
    columns: &[VisibleColumn],
    values: &[Value],
    table: &TableState,
) {
    for column in columns {
        let Some(value) = values.get(column.at) else {
            continue;
        };
        let style = match (value, is_pinned(table, column.at)) {
            (Value::Null, _) => theme.dim(),
            (_, true) => theme.key(),
            (Value::Integer(_) | Value::Real(_), _) if column.unit == Unit::Bytes => theme.number(),
            _ => Style::new(),
        };
        let text =
            text::clean(&shown(value, column.unit, never(table, column.at, values))).into_owned();
        put_cell(buffer, theme, line, column, &text, style);
    }
}

fn put_cell(
    buffer: &mut Buffer,
    theme: Theme,
    line: Rect,
    column: &VisibleColumn,
    text: &str,
    style: Style,
) {
    if column.x >= line.width {
        return;
    }
    let area = Rect {
        x: line.x + column.x,
        width: (column.width as u16).min(line.width - column.x),
        ..line
    };
    match column.unit.is_numeric() && text.width() <= usize::from(area.width) {
        true => text::put_right(buffer, theme, area, text, style),
        false => text::put(buffer, theme, area, 0, text, style),
    };
}

/// The selected cell of the selected row.
fn underline_cell(
    buffer: &mut Buffer,
    line: Rect,
    columns: &[VisibleColumn],
    table: &TableState,
    theme: Theme,
) {
    let Some(column) = columns.iter().find(|column| column.at == table.column) else {
        return;
    };
    if column.x < line.width {
        let area = Rect {
            x: line.x + column.x,
            width: (column.width as u16).min(line.width - column.x),
            ..line
        };
        text::tint(buffer, area, theme.selected_elsewhere().patch(theme.key()));
    }
}

#[cfg(test)]
mod tests {
    use crate::database::table::{Unit, Value};
    use crate::tui::view::table::{is_never, shown};

    #[test]
    fn only_a_free_that_did_not_come_is_never() {
        let names = ["alloc_after", "dealloc_after", "alloc_thread", "dealloc_thread"];
        let units = [Unit::Moment, Unit::Moment, Unit::Thread, Unit::Thread];
        let (at, none) = (Value::Integer(1), Value::Null);
        for (row, expected) in [
            (
                [at.clone(), none.clone(), at.clone(), none.clone()],
                [None, Some("never"), None, Some("never")],
            ),
            (
                [at.clone(), none.clone(), none.clone(), none.clone()],
                [None, Some("never"), Some("–"), Some("never")],
            ),
            (
                [at.clone(), at.clone(), none.clone(), none.clone()],
                [None, None, Some("–"), Some("–")],
            ),
        ] {
            for (column, expected) in expected.into_iter().enumerate() {
                let is_never = is_never(|at| names[at], column, &row);
                let text = shown(&row[column], units[column], is_never);
                assert!(expected.is_none_or(|it| it == text), "{row:?}, {column}: {text}");
            }
        }
    }
}
