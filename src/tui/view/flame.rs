//! Draws the flamegraph: cells, the callers of a sandwich above them, the selected cell below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::database::table::Unit;
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::state::App;
use crate::tui::app::state::flame::{Orientation, Roots};
use crate::tui::flame::cell_layout::{self, Cell, CellContent, Top};
use crate::tui::flame::shape::{Collapse, Key, ShapedId, ShapedTree, TOP};
use crate::tui::flame::tree::FrameKind;
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::freshness::{self, Freshness};
use crate::tui::view::text;

/// Draws the view.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let inside = text::pane(buffer, theme, area, &title(app), Focus::Here);
    if inside.is_empty() {
        return;
    }
    let flame = &app.flame;
    if let Some(error) = &flame.error {
        let words = format!("! {}", text::clean(&error.message));
        text::put(buffer, theme, inside, 1, &words, theme.error());
        return;
    }
    let Some(shown) = &flame.shown else {
        text::put(buffer, theme, inside, 1, "reading…", theme.dim());
        return;
    };
    if shown.is_empty() {
        let words = "Nothing to show for this measure with these filters.";
        text::put(buffer, theme, inside, 1, words, theme.dim());
        let words = "m: next measure · x: remove the last filter · u: undo";
        text::put(buffer, theme, text::line(inside, 1), 1, words, theme.dim());
        return;
    }
    let (width, height) = geometry::flame_window(app);
    let callers = geometry::callers_rows(app).min(inside.height);
    let height = (height as u16 + callers).min(inside.height);
    let picture = Rect { height, ..inside };
    let (above, below) = (
        Rect { height: callers, ..picture },
        Rect { y: picture.y + callers, height: height - callers, ..picture },
    );
    if let Some(callers) = &flame.callers {
        draw_callers(buffer, above, callers, theme);
    }
    let rows = flame.rows(width, flame.cursor.top_row + usize::from(below.height));
    for (at, row) in rows.iter().enumerate().skip(flame.cursor.top_row) {
        let line = (at - flame.cursor.top_row) as u16;
        if line >= below.height {
            break;
        }
        let y = match flame.roots {
            Roots::Top => line,
            Roots::Bottom => below.height - 1 - line,
        };
        for cell in row {
            let state = CellState {
                selected: (at, cell.x) == flame.cursor.selected,
                matched: matches!(cell.content, CellContent::Node(node) if flame.is_match(shown, node)),
            };
            draw_cell(buffer, text::line(below, y), cell, shown, theme, &state);
        }
    }
    let footer = Rect { y: inside.y + height, height: inside.height - height, ..inside };
    draw_summary(buffer, footer, app, shown, theme);
    if freshness::freshness(app) == Freshness::Stale {
        text::tint(buffer, inside, theme.stale());
    }
}

struct CellState {
    selected: bool,
    matched: bool,
}

fn title(app: &App) -> String {
    let flame = &app.flame;
    let orientation = match &flame.orientation {
        Orientation::TopDown => "top-down".to_owned(),
        Orientation::BottomUp => "bottom-up, callers below".to_owned(),
        Orientation::Sandwich(sym) => format!("callers and callees of {}", text::clean(sym)),
    };
    let mut title = format!("flame: {orientation}");
    if flame.recursion == Collapse::Expanded {
        title.push_str(" · recursion expanded");
    }
    if flame.library == Collapse::Expanded {
        title.push_str(" · library frames expanded");
    }
    let cut = flame.shown.as_ref().map_or(0, |it| it.cut());
    if cut + flame.drawn_tree.as_ref().map_or(0, |it| it.cut_stacks()) > 0 {
        title.push_str(" · too many stacks: the deepest are truncated, add a filter");
    }
    match flame.shown {
        Some(_) => title + freshness::stale_suffix(app),
        None => title,
    }
}

fn draw_callers(buffer: &mut Buffer, area: Rect, callers: &ShapedTree, theme: Theme) {
    let top = Top { node: TOP, skip: 0 };
    // The first two rows are the root and the function itself, which is drawn below.
    let rows = cell_layout::rows(callers, top, area.width, usize::from(area.height) + 2);
    for (at, row) in rows.iter().skip(2).enumerate() {
        let Some(y) = area.height.checked_sub(1 + at as u16) else {
            break;
        };
        for cell in row {
            let state = CellState { selected: false, matched: false };
            draw_cell(buffer, text::line(area, y), cell, callers, theme, &state);
        }
    }
}

fn draw_cell(
    buffer: &mut Buffer,
    line: Rect,
    cell: &Cell,
    shown: &ShapedTree,
    theme: Theme,
    state: &CellState,
) {
    let area = Rect {
        x: line.x + cell.x.min(line.width),
        width: cell.width.min(line.width.saturating_sub(cell.x)),
        ..line
    };
    if area.is_empty() {
        return;
    }
    let (label, kind) = label(cell, shown, theme);
    let mut style = match cell.content {
        CellContent::Node(_) => theme.cell(kind, &label),
        CellContent::More { .. } => theme.dim(),
    };
    if state.matched {
        style = theme.matched().add_modifier(Modifier::REVERSED);
    }
    if state.selected {
        style =
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD | Modifier::UNDERLINED);
    }
    let edge = match (state.selected, state.matched, cell.content) {
        (true, ..) => theme.glyph("▶", ">"),
        (_, true, _) => "*",
        (_, _, CellContent::More { .. }) => "+",
        _ => theme.glyph("▏", "|"),
    };
    text::tint(buffer, area, style);
    let blank = " ".repeat(usize::from(area.width));
    buffer.set_stringn(area.x, area.y, &blank, usize::from(area.width), style);
    text::put(buffer, theme, area, 0, edge, style);
    if area.width > 3 {
        text::put(buffer, theme, area, 1, &label, style);
    }
}

fn label(cell: &Cell, shown: &ShapedTree, theme: Theme) -> (String, FrameKind) {
    match cell.content {
        CellContent::More { parent, skip } => {
            let count = shown.children(parent).len().saturating_sub(skip);
            (format!("{} more", units::count(count as i64)), FrameKind::Unknown)
        }
        CellContent::Node(node) => match shown.key(node) {
            Key::All => ("all".into(), FrameKind::Dependency),
            Key::Library => {
                (format!("library and runtime {}", theme.glyph("▸", ">")), FrameKind::Std)
            }
            Key::Symbol(_) => match shown.symbol(node) {
                Some(symbol) => (text::clean(&symbol.function).into_owned(), symbol.kind),
                None => ("?".into(), FrameKind::Unknown),
            },
        },
    }
}

/// Two lines about the selected cell: function and figures.
fn draw_summary(buffer: &mut Buffer, area: Rect, app: &App, shown: &ShapedTree, theme: Theme) {
    let Some(cell) = app.flame.cell(geometry::flame_window(app).0) else {
        return;
    };
    let unit = shown.shape().measure.unit();
    let number = |value: u64| match unit {
        Unit::Bytes => units::bytes(value as f64),
        _ => format!("{} blocks", units::count(i64::try_from(value).unwrap_or(i64::MAX))),
    };
    let share = |value: u64, whole: u64| units::share(value as f64 / whole.max(1) as f64);
    let (name, self_value) = match cell.content {
        CellContent::More { parent, skip } => {
            let count = shown.children(parent).len().saturating_sub(skip);
            let count = units::count(count as i64);
            (format!("{count} more functions, each too small to draw; Enter: show them"), None)
        }
        CellContent::Node(node) => (name_of(shown, node), Some(shown.self_value(node))),
    };
    let mut x = 1;
    let numbers = match area.height {
        1 => {
            let short = text::cut(&name, usize::from(area.width) / 2, theme).into_owned();
            x += 1 + text::put(buffer, theme, area, x, &short, theme.key());
            text::line(area, 0)
        }
        _ => {
            text::put(buffer, theme, text::line(area, 0), 1, &name, theme.key());
            text::line(area, 1)
        }
    };
    let total = shown.value(TOP);
    let whole = match app.flame.callers {
        Some(_) => "of this function",
        None => "of all",
    };
    let is_sampled = app.overview.caveats.sampled.is_some();
    let stats = match cell.content {
        CellContent::Node(node) if is_sampled => app.tree.stats_below(shown, node),
        _ => None,
    };
    let bounds = app.bounds(stats.as_ref(), shown.shape().measure, cell.value);
    let mut words =
        format!("{}{bounds} · {} {whole}", number(cell.value), share(cell.value, total));
    let top = app.flame.top().node;
    if top != TOP && shown.value(top) < total {
        words.push_str(&format!(" · {} of the zoom", share(cell.value, shown.value(top))));
    }
    if let Some(self_value) = self_value.filter(|value| *value > 0) {
        words.push_str(&format!(" · {} self", number(self_value)));
    }
    if let Some(search) = &app.flame.search {
        let found = search.symbols.len();
        words.push_str(&format!(
            " · ~{} matches {found} {} with {}",
            text::clean(&search.pattern),
            if found == 1 { "function" } else { "functions" },
            share(search.value, total)
        ));
    }
    text::put(buffer, theme, numbers, x, &words, theme.number());
}

fn name_of(shown: &ShapedTree, node: ShapedId) -> String {
    match (shown.key(node), shown.symbol(node)) {
        (Key::All, _) => "all selected allocations".into(),
        (Key::Library, _) => "library and runtime frames; .: expand them".into(),
        (_, Some(symbol)) => match (&symbol.file, symbol.line) {
            (Some(file), Some(line)) => format!("{}  ({file}:{line})", symbol.sym),
            _ => symbol.sym.clone(),
        },
        _ => String::new(),
    }
}
