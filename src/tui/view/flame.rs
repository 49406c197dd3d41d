//! The flamegraph: cells with edges, the callers above in a sandwich, and what is selected below.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::database::table::Unit;
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::state::App;
use crate::tui::app::state::flame::{Look, Roots};
use crate::tui::flame::cells::{self, Cell, Top, What};
use crate::tui::flame::shape::{Collapse, Key, Shown, ShownId, TOP};
use crate::tui::flame::tree::FrameKind;
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::freshness::{self, Freshness};
use crate::tui::view::text;

/// Draws it.
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
        let words = "Nothing to show by this measure with these filters.";
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
    let rows = flame.rows(width, flame.top_row + usize::from(below.height));
    for (at, row) in rows.iter().enumerate().skip(flame.top_row) {
        let line = (at - flame.top_row) as u16;
        if line >= below.height {
            break;
        }
        let y = match flame.roots {
            Roots::Top => line,
            Roots::Bottom => below.height - 1 - line,
        };
        for cell in row {
            let look = Drawn {
                selected: (at, cell.x) == flame.selected,
                matched: matches!(cell.what, What::Node(node) if flame.is_match(shown, node)),
            };
            draw(buffer, text::line(below, y), cell, shown, theme, &look);
        }
    }
    let foot = Rect { y: inside.y + height, height: inside.height - height, ..inside };
    selected(buffer, foot, app, shown, theme);
    if freshness::freshness(app) == Freshness::Stale {
        text::tint(buffer, inside, theme.stale());
    }
}

struct Drawn {
    selected: bool,
    matched: bool,
}

fn title(app: &App) -> String {
    let flame = &app.flame;
    let look = match &flame.look {
        Look::TopDown => "who calls what, outermost first".to_owned(),
        Look::BottomUp => "who allocates, callers below".to_owned(),
        Look::Sandwich(sym) => format!("callers above, callees below {}", text::clean(sym)),
    };
    let mut title = format!("flame: {look}");
    if flame.recursion == Collapse::Expanded {
        title.push_str(" · recursion expanded");
    }
    if flame.noise == Collapse::Expanded {
        title.push_str(" · library frames expanded");
    }
    let cut = flame.shown.as_ref().map_or(0, |it| it.cut());
    if cut + flame.drawn.as_ref().map_or(0, |it| it.cut_stacks()) > 0 {
        title.push_str(" · too many stacks: the deepest are cut, add a filter");
    }
    match flame.shown {
        Some(_) => title + freshness::stale_words(app),
        None => title,
    }
}

fn draw_callers(buffer: &mut Buffer, area: Rect, callers: &Shown, theme: Theme) {
    let top = Top { node: TOP, skip: 0 };
    // The first two rows are the whole and the function itself, which is drawn below.
    let rows = cells::rows(callers, top, area.width, usize::from(area.height) + 2);
    for (at, row) in rows.iter().skip(2).enumerate() {
        let Some(y) = area.height.checked_sub(1 + at as u16) else {
            break;
        };
        for cell in row {
            let look = Drawn { selected: false, matched: false };
            draw(buffer, text::line(area, y), cell, callers, theme, &look);
        }
    }
}

fn draw(buffer: &mut Buffer, line: Rect, cell: &Cell, shown: &Shown, theme: Theme, look: &Drawn) {
    let area = Rect {
        x: line.x + cell.x.min(line.width),
        width: cell.width.min(line.width.saturating_sub(cell.x)),
        ..line
    };
    if area.is_empty() {
        return;
    }
    let (label, kind) = label(cell, shown, theme);
    let mut style = match cell.what {
        What::Node(_) => theme.cell(kind, &label),
        What::More { .. } => theme.dim(),
    };
    if look.matched {
        style = theme.matched().add_modifier(Modifier::REVERSED);
    }
    if look.selected {
        style =
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD | Modifier::UNDERLINED);
    }
    let edge = match (look.selected, look.matched, cell.what) {
        (true, ..) => theme.glyph("▶", ">"),
        (_, true, _) => "*",
        (_, _, What::More { .. }) => "+",
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

fn label(cell: &Cell, shown: &Shown, theme: Theme) -> (String, FrameKind) {
    match cell.what {
        What::More { parent, skip } => {
            let count = shown.children(parent).len().saturating_sub(skip);
            (format!("{} more", units::count(count as i64)), FrameKind::Unknown)
        }
        What::Node(node) => match shown.key(node) {
            Key::All => ("all".into(), FrameKind::Dependency),
            Key::Noise => {
                (format!("library and runtime {}", theme.glyph("▸", ">")), FrameKind::Std)
            }
            Key::Symbol(_) => match shown.symbol(node) {
                Some(symbol) => (text::clean(&symbol.function).into_owned(), symbol.kind),
                None => ("?".into(), FrameKind::Unknown),
            },
        },
    }
}

/// Two lines about the selected cell: what it is, and how much.
fn selected(buffer: &mut Buffer, area: Rect, app: &App, shown: &Shown, theme: Theme) {
    let Some(cell) = app.flame.cell(geometry::flame_window(app).0) else {
        return;
    };
    let unit = shown.shape().measure.unit();
    let number = |value: u64| match unit {
        Unit::Bytes => units::bytes(value as f64),
        _ => format!("{} blocks", units::count(i64::try_from(value).unwrap_or(i64::MAX))),
    };
    let of = |value: u64, whole: u64| units::share(value as f64 / whole.max(1) as f64);
    let (name, own) = match cell.what {
        What::More { parent, skip } => {
            let count = shown.children(parent).len().saturating_sub(skip);
            let count = units::count(count as i64);
            (format!("{count} more functions, each too small to draw; Enter opens them"), None)
        }
        What::Node(node) => (name_of(shown, node), Some(shown.own(node))),
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
    let is_sampled = app.facts.notes.sampled.is_some();
    let facts = match cell.what {
        What::Node(node) if is_sampled => app.tree.below(shown, node),
        _ => None,
    };
    let bounds = app.bounds(facts.as_ref(), shown.shape().measure, cell.value);
    let mut words = format!("{}{bounds} · {} {whole}", number(cell.value), of(cell.value, total));
    let top = app.flame.top().node;
    if top != TOP && shown.value(top) < total {
        words.push_str(&format!(" · {} of the zoom", of(cell.value, shown.value(top))));
    }
    if let Some(own) = own.filter(|own| *own > 0) {
        words.push_str(&format!(" · {} by itself", number(own)));
    }
    if let Some(search) = &app.flame.search {
        let found = search.symbols.len();
        words.push_str(&format!(
            " · ~{} matches {found} {} with {}",
            text::clean(&search.pattern),
            if found == 1 { "function" } else { "functions" },
            of(search.value, total)
        ));
    }
    text::put(buffer, theme, numbers, x, &words, theme.number());
}

fn name_of(shown: &Shown, node: ShownId) -> String {
    match (shown.key(node), shown.symbol(node)) {
        (Key::All, _) => "all selected allocations".into(),
        (Key::Noise, _) => "frames of the standard library and of runtimes; . expands them".into(),
        (_, Some(symbol)) => match (&symbol.file, symbol.line) {
            (Some(file), Some(line)) => format!("{}  ({file}:{line})", symbol.sym),
            _ => symbol.sym.clone(),
        },
        _ => String::new(),
    }
}
