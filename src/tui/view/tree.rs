//! Draws the Tree view: one line per function or run of functions, with its figures.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::database::table::Unit;
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::state::App;
use crate::tui::app::state::flame::Orientation;
use crate::tui::flame::measure::Measure;
use crate::tui::flame::shape::{Collapse, Direction, Key, ShapedId, ShapedTree, TOP};
use crate::tui::flame::site_stats::{SiteStats, TREND};
use crate::tui::flame::tree_lines::{Expansion, LINES_MAX, Line};
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::freshness::{self, Freshness};
use crate::tui::view::text;
use crate::tui::view::text::select_row;

/// Minimum columns of the function names.
const NAMES_MIN: usize = 32;

/// Draws the view.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let inside = text::pane(buffer, theme, area, &title(app), Focus::Here);
    if inside.is_empty() {
        return;
    }
    if let Some((words, style)) = placeholder(app, theme) {
        for (at, line) in text::wrap(&words, usize::from(inside.width)).iter().enumerate() {
            text::put(buffer, theme, text::line(inside, at as u16), 1, line, style);
        }
        return;
    }
    let Some(shown) = app.tree.shown() else {
        return;
    };
    let columns = Columns::fitting(inside.width, shown.shape().measure);
    let head = columns.head();
    text::put(buffer, theme, text::line(inside, 0), 0, &head, theme.title());
    let window = geometry::tree_window(app);
    for row in 0..window {
        let at = app.tree.cursor.top + row;
        let Some(drawn) = app.tree.lines().get(at as usize) else {
            break;
        };
        let line = text::line(inside, 1 + row as u16);
        columns.row(buffer, theme, line, app, drawn);
        if at == app.tree.cursor.at {
            select_row(buffer, theme, line, Focus::Here);
        }
    }
    let rows = geometry::tree_footer_rows(inside.height);
    let footer = Rect { y: inside.y + inside.height - rows, height: rows, ..inside };
    draw_summary(buffer, footer, app, shown, theme);
    if freshness::freshness(app) == Freshness::Stale {
        text::tint(buffer, inside, theme.stale());
    }
}

fn title(app: &App) -> String {
    let flame = &app.flame;
    let orientation = match &flame.orientation {
        Orientation::TopDown => "top-down".to_owned(),
        Orientation::BottomUp => "bottom-up, callers below".to_owned(),
        Orientation::Sandwich(sym) => format!("callees of {}", text::clean(sym)),
    };
    let mut title = format!("tree: {orientation}");
    if let Some(shown) = app.tree.shown() {
        title.push_str(&format!(" · {}", number(shown.shape().measure, shown.value(TOP))));
    }
    if flame.recursion == Collapse::Expanded {
        title.push_str(" · recursion expanded");
    }
    if flame.library == Collapse::Expanded {
        title.push_str(" · library frames expanded");
    }
    if app.tree.lines().len() >= LINES_MAX {
        title.push_str(" · only the first 100,000 lines: collapse some");
    }
    title + freshness::stale_suffix(app)
}

fn placeholder(app: &App, theme: Theme) -> Option<(String, Style)> {
    if let Some(error) = &app.flame.error {
        return Some((format!("! {}", text::clean(&error.message)), theme.error()));
    }
    match app.tree.shown() {
        None => Some(("reading…".into(), theme.dim())),
        Some(shown) if shown.is_empty() => Some((
            "Nothing to show for this measure with these filters.\nm: next measure · x: remove the last filter · u: undo".into(),
            theme.dim(),
        )),
        Some(_) => None,
    }
}

fn number(measure: Measure, value: u64) -> String {
    match measure.unit() {
        Unit::Bytes => units::bytes(value as f64),
        _ => format!("{} blocks", units::count_short(value as f64)),
    }
}

/// The columns that fit; total and functions are always shown.
struct Columns {
    measure: Measure,
    share: bool,
    own: bool,
    blocks: bool,
    average: bool,
    age: bool,
    trend: bool,
    names: usize,
}

impl Columns {
    fn fitting(width: u16, measure: Measure) -> Self {
        let mut room = usize::from(width).saturating_sub(2 + 10 + NAMES_MIN);
        let mut take = |columns: usize, wanted: bool| {
            let fits = wanted && room >= columns;
            room -= if fits { columns } else { 0 };
            fits
        };
        let has_blocks = measure.blocks().is_some();
        let own = take(10, true);
        let blocks = take(8, has_blocks);
        let trend = take(TREND + 2, true);
        let share = take(8, true);
        let average = take(10, has_blocks && measure.bytes().is_some());
        let age = take(9, true);
        Self { measure, share, own, blocks, average, age, trend, names: room + NAMES_MIN }
    }

    fn cells(&self, cells: &[&str; 7]) -> String {
        let [total, share, own, blocks, average, age, trend] = cells;
        let mut line = format!("  {total:>9} ");
        if self.share {
            line.push_str(&format!("{share:>7} "));
        }
        if self.own {
            line.push_str(&format!("{own:>9} "));
        }
        if self.blocks {
            line.push_str(&format!("{blocks:>7} "));
        }
        if self.average {
            line.push_str(&format!("{average:>9} "));
        }
        if self.age {
            line.push_str(&format!("{age:>8} "));
        }
        if self.trend {
            line.push_str(&format!("{trend:<TREND$}  "));
        }
        line
    }

    fn head(&self) -> String {
        let cells = self.cells(&["total", "share", "self", "blocks", "average", "age", "trend"]);
        format!("{cells}function")
    }

    fn row(&self, buffer: &mut Buffer, theme: Theme, line: Rect, app: &App, drawn: &Line) {
        let Some(shown) = app.tree.shown() else {
            return;
        };
        let value = |value: u64| match self.measure.unit() {
            Unit::Bytes => units::bytes(value as f64),
            _ => units::count_short(value as f64),
        };
        let node = drawn.node();
        let pair = shown.pair(node);
        let total = shown.value(TOP).max(1);
        let self_value = shown.self_value(node);
        let stats = app.tree.stats(drawn);
        let trend = stats.map(|it| {
            let max = it.trend.iter().copied().max().unwrap_or(0);
            if max == 0 { String::new() } else { theme.spark(&it.trend, max) }
        });
        let age = match stats {
            None => "…".into(),
            Some(stats) => stats.age_ns().map(units::duration).unwrap_or_else(|| "-".into()),
        };
        let average = match pair.blocks {
            0 => "-".into(),
            blocks => units::bytes((pair.bytes as f64 / blocks as f64).round()),
        };
        let cells = self.cells(&[
            &value(shown.value(node)),
            &units::share(shown.value(node) as f64 / total as f64),
            &if self_value > 0 { value(self_value) } else { String::new() },
            &units::count_short(pair.blocks as f64),
            &average,
            &age,
            &trend.unwrap_or_default(),
        ]);
        let x = text::put(buffer, theme, line, 0, &cells, Style::new());
        let mark = match drawn.expansion {
            Expansion::Open => theme.glyph("▾", "-"),
            Expansion::Closed => theme.glyph("▸", "+"),
            Expansion::Leaf => " ",
        };
        let indent = " ".repeat((drawn.depth * 2).min(self.names / 2));
        let x = x + text::put(buffer, theme, line, x, &format!("{indent}{mark} "), theme.key());
        let room = usize::from(line.width.saturating_sub(x));
        let is_match = drawn.run.iter().any(|node| app.flame.is_match(shown, *node));
        let style = if is_match { theme.matched() } else { Style::new() };
        let name = join_names(shown, &drawn.run, room, theme);
        text::put(buffer, theme, line, x, &name, style);
    }
}

/// The names of a run. Without room for all, the middle is replaced by its number, and the function
/// nearest to the allocation is kept.
fn join_names(shown: &ShapedTree, run: &[ShapedId], room: usize, theme: Theme) -> String {
    let arrow = theme.glyph(" › ", " > ");
    // Library frames are left out of runs with other functions.
    let named = run.iter().filter(|node| shown.symbol(**node).is_some());
    let mut names: Vec<String> = named.map(|node| name(shown, *node)).collect();
    if names.is_empty() {
        names = vec![name(shown, run.first().copied().unwrap_or(TOP))];
    }
    let (Some(first), Some(last)) = (names.first(), names.last()) else {
        return String::new();
    };
    let count = names.len();
    let is_inverted = matches!(shown.shape().direction, Direction::BottomUp);
    let short = match is_inverted {
        true => format!("{first}{arrow}({})", count - 1),
        false => format!("({}){arrow}{last}", count - 1),
    };
    let both = format!("{first}{arrow}({}){arrow}{last}", count.saturating_sub(2));
    let mut choices = vec![names.join(arrow)];
    choices.extend((count > 2).then_some(both));
    choices.extend((count > 1).then_some(short));
    let fits = choices.into_iter().find(|text| text.width() <= room);
    fits.unwrap_or_else(|| match is_inverted {
        true => text::cut_front(first, room, theme).into_owned(),
        false => text::cut_front(last, room, theme).into_owned(),
    })
}

fn name(shown: &ShapedTree, node: ShapedId) -> String {
    match (shown.key(node), shown.symbol(node)) {
        (Key::Library, _) => "[library]".into(),
        (_, Some(symbol)) => text::clean(&symbol.function).into_owned(),
        _ => "?".into(),
    }
}

/// Two lines about the selected line: location, and figures whose columns may not fit.
fn draw_summary(buffer: &mut Buffer, area: Rect, app: &App, shown: &ShapedTree, theme: Theme) {
    let (Some(line), false) = (app.tree.selected(), area.is_empty()) else {
        return;
    };
    let last = line.run.iter().rev().find_map(|node| shown.symbol(*node));
    let place = match last {
        Some(symbol) => match (&symbol.file, symbol.line) {
            (Some(file), Some(at)) => format!("{}  ({file}:{at})", symbol.sym),
            _ => symbol.sym.clone(),
        },
        None => "library and runtime frames; .: expand them".into(),
    };
    text::put(buffer, theme, text::line(area, 0), 1, &place, theme.key());
    let measure = shown.shape().measure;
    let node = line.node();
    let mut words = format!(
        "{}{} · {} of all · {} self",
        number(measure, shown.value(node)),
        app.bounds(app.tree.stats(line), measure, shown.value(node)),
        units::share(shown.value(node) as f64 / shown.value(TOP).max(1) as f64),
        number(measure, shown.self_value(node)),
    );
    let pair = shown.pair(node);
    if let (Some(_), blocks) = (measure.blocks(), pair.blocks.max(1)) {
        let average = units::bytes((pair.bytes as f64 / blocks as f64).round());
        let blocks = units::count(i64::try_from(pair.blocks).unwrap_or(i64::MAX));
        words.push_str(&format!(" · {blocks} blocks, {average} on average"));
    }
    if let Some(age) = app.tree.stats(line).and_then(SiteStats::age_ns) {
        words.push_str(&format!(" · average age of live blocks {}", units::duration(age)));
    }
    text::put(buffer, theme, text::line(area, 1), 1, &words, theme.number());
}
