//! Draws the Compare view: growth and shrinkage as a list, a flamegraph or a tree.
//!
//! Invariant: the direction of a change has a glyph in addition to its colour.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::database::compare::{Comparison, Measure, Metrics, Name, Row, Total, Window};
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::state::App;
use crate::tui::app::state::compare::CompareMode;
use crate::tui::flame::cell_layout::{Cell, CellContent, WeightedTree};
use crate::tui::flame::difference_tree::{Differences, Node, StackEnd};
use crate::tui::flame::shape::ShapedId;
use crate::tui::terminal::theme::{Change, Focus, Theme};
use crate::tui::view::freshness::{self, Freshness};
use crate::tui::view::text;
use crate::tui::view::text::select_row;

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
    let Some(shown) = &app.compare.shown else {
        return;
    };
    let footer = geometry::compare_footer_rows(app).min(inside.height);
    let body = Rect { height: inside.height - footer, ..inside };
    let below = Rect { y: inside.y + body.height, height: footer, ..inside };
    match app.compare.mode {
        CompareMode::List => draw_list(buffer, body, app, shown, theme),
        CompareMode::Flame => draw_flame(buffer, body, app, shown, theme),
        CompareMode::Tree => draw_tree(buffer, body, app, shown, theme),
    }
    match app.compare.mode {
        CompareMode::List => draw_site_summary(buffer, below, app, shown, theme),
        CompareMode::Flame | CompareMode::Tree => {
            draw_node_summary(buffer, below, app, shown, theme);
        }
    }
    if freshness::freshness(app) == Freshness::Stale {
        text::tint(buffer, inside, theme.stale());
    }
}

fn title(app: &App) -> String {
    let compare = &app.compare;
    let mut title = match compare.mode {
        CompareMode::List => "compare".to_owned(),
        CompareMode::Flame => "compare, flame".to_owned(),
        CompareMode::Tree => "compare, tree".to_owned(),
    };
    if let Some(comparison) = &compare.comparison {
        let (before, after) = sides(comparison);
        title.push_str(&format!(": {before} → {after}"));
        if comparison.warning().is_some() {
            title.push_str(" · estimates");
        }
    }
    title.push_str(&format!(" · {}{}", compare.options.measure.title(), compare.per.label()));
    if let Some(only) = compare.options.only {
        title.push_str(&format!(" · only {}", only.name()));
    }
    if !compare.options.pattern.is_empty() {
        title.push_str(&format!(" · ~{}", text::clean(&compare.options.pattern)));
    }
    if compare.mode != CompareMode::List && compare.options.root == StackEnd::Innermost {
        title.push_str(" · bottom-up");
    }
    title + freshness::stale_suffix(app)
}

/// The names of the sides: files, or moments of one file.
fn sides(comparison: &Comparison) -> (String, String) {
    let (before, after) = (&comparison.before, &comparison.after);
    if before.window == Window::default() && after.window == Window::default() {
        return (text::clean(&before.file).into_owned(), text::clean(&after.file).into_owned());
    }
    let moment = |total: &Total| match &total.window.to {
        Some(moment) => text::clean(&moment.to_string()).into_owned(),
        None => "end".to_owned(),
    };
    (moment(before), moment(after))
}

fn placeholder(app: &App, theme: Theme) -> Option<(String, Style)> {
    let compare = &app.compare;
    if let Some(error) = &compare.error {
        return Some((format!("! {}", text::clean(&error.message)), theme.error()));
    }
    match &compare.shown {
        None if compare.sides.is_none() => Some((
            "Nothing to compare with. Start with --compare OTHER.db, or press C to compare two moments of this recording.".into(),
            theme.dim(),
        )),
        None => Some(("reading…".into(), theme.dim())),
        Some(shown) if shown.comparison.rows.is_empty() => {
            Some(("No differences.".into(), theme.dim()))
        }
        Some(shown) if shown.is_empty() => Some((
            "No differences in this measure with this filter.\nm: next measure · w: other changes · Backspace: all functions".into(),
            theme.dim(),
        )),
        Some(_) => None,
    }
}

fn change_sides(up: u64, down: u64) -> Change {
    match (up, down) {
        (0, 0) => Change::None,
        (_, 0) => Change::Grown,
        (0, _) => Change::Shrunk,
        _ => Change::Both,
    }
}

fn change_of(difference: i64) -> Change {
    match difference {
        0 => Change::None,
        1.. => Change::Grown,
        _ => Change::Shrunk,
    }
}

/// The columns that fit; difference and site are always shown.
struct Columns {
    sides: bool,
    other: bool,
    state: bool,
    bar: usize,
}

impl Columns {
    fn fitting(width: u16) -> Self {
        Self {
            sides: width >= 62,
            other: width >= 100,
            state: width >= 48,
            bar: if width >= 112 { 16 } else { 0 },
        }
    }

    fn cells(&self, [difference, before, after, other, state, bar]: [&str; 6]) -> String {
        let mut line = format!("  {difference:>10} ");
        if self.bar > 0 {
            line.push_str(&format!("{bar:<width$} ", width = self.bar));
        }
        if self.sides {
            line.push_str(&format!("{before:>9} {after:>9} "));
        }
        if self.other {
            line.push_str(&format!("{other:>11} "));
        }
        if self.state {
            line.push_str(&format!("{state:<6} "));
        }
        line
    }
}

fn draw_list(buffer: &mut Buffer, area: Rect, app: &App, shown: &Differences, theme: Theme) {
    let measure = shown.options.measure;
    let columns = Columns::fitting(area.width);
    let head = columns.cells([
        "difference",
        "before",
        "after",
        measure.counterpart().title(),
        "state",
        "",
    ]) + "site";
    text::put(buffer, theme, text::line(area, 0), 0, &head, theme.title());
    let largest = shown.rows.first().map_or(1, |row| row.difference(measure).unsigned_abs()).max(1);
    for at in 0..geometry::compare_window(app) {
        let Some(row) = shown.rows.get((app.compare.list.top + at) as usize) else { break };
        let line = text::line(area, 1 + at as u16);
        let difference = row.difference(measure);
        let share = u128::from(difference.unsigned_abs()) * columns.bar as u128;
        let bar = share.div_ceil(u128::from(largest)) as usize;
        let glyph = theme.change_glyph(change_of(difference));
        let cells = columns.cells([
            &measure.format_difference(difference),
            &measure.format(row.before.get(measure)),
            &measure.format(row.after.get(measure)),
            &measure.counterpart().format_difference(row.difference(measure.counterpart())),
            row.state(measure).name(),
            &glyph.repeat(bar.min(columns.bar)),
        ]);
        let style = theme.change(change_of(difference));
        let x = text::put(buffer, theme, line, 0, &cells, style);
        text::put(buffer, theme, line, x, &site(&shown.comparison, row), Style::new());
        if app.compare.list.top + at == app.compare.list.at {
            select_row(buffer, theme, line, Focus::Here);
        }
    }
}

/// The innermost own function and its callers.
fn site(comparison: &Comparison, row: &Row) -> String {
    let names: Vec<&str> =
        comparison.frames(row).take(4).map(|name| name.function.as_str()).collect();
    if names.is_empty() { "(no frames)".to_owned() } else { names.join(" < ") }
}

fn place(name: &Name) -> String {
    match (&name.file, name.line) {
        (Some(file), Some(line)) => format!("{}  ({file}:{line})", name.sym),
        _ => name.sym.clone(),
    }
}

fn draw_site_summary(
    buffer: &mut Buffer,
    area: Rect,
    app: &App,
    shown: &Differences,
    theme: Theme,
) {
    let Some(row) = app.compare.row() else { return };
    let mut lines = Vec::new();
    let mut frames = shown.comparison.frames(row);
    let name = frames.next().map(place).unwrap_or_default();
    let callers: Vec<&str> = frames.map(|name| name.function.as_str()).collect();
    lines.push((name, theme.key()));
    let measure = shown.options.measure;
    let figures = |measure: Measure| {
        let of = |figures: &Metrics| measure.format(figures.get(measure));
        format!(
            "{} {} → {} ({})",
            measure.title(),
            of(&row.before),
            of(&row.after),
            measure.format_difference(row.difference(measure))
        )
    };
    if area.height < 3 {
        lines.push((figures(measure), theme.number()));
    } else {
        let from = if callers.is_empty() { String::new() } else { "called by ".to_owned() };
        lines.push((from + &callers.join(" < "), theme.dim()));
        lines.extend(Measure::COMPARED.map(|measure| (figures(measure), theme.number())));
    }
    for (at, (words, style)) in lines.iter().enumerate() {
        text::put(buffer, theme, text::line(area, at as u16), 1, words, *style);
    }
}

fn draw_flame(buffer: &mut Buffer, area: Rect, app: &App, shown: &Differences, theme: Theme) {
    let top = app.compare.cursor.top_row;
    let rows = app.compare.rows(area.width, top + usize::from(area.height));
    for (at, row) in rows.iter().enumerate().skip(top).take(usize::from(area.height)) {
        let line = text::line(area, (at - top) as u16);
        for cell in row {
            let selected = (at, cell.x) == app.compare.cursor.selected;
            draw_cell(buffer, line, cell, shown, theme, selected);
        }
    }
}

fn draw_cell(
    buffer: &mut Buffer,
    line: Rect,
    cell: &Cell,
    shown: &Differences,
    theme: Theme,
    selected: bool,
) {
    let area = Rect {
        x: line.x + cell.x.min(line.width),
        width: cell.width.min(line.width.saturating_sub(cell.x)),
        ..line
    };
    if area.is_empty() {
        return;
    }
    let (label, change) = match cell.content {
        CellContent::More { parent, skip } => {
            let all = WeightedTree::children(shown, parent);
            let count = all.len().saturating_sub(skip);
            (format!("{} more", units::count(count as i64)), Change::None)
        }
        CellContent::Node(node) => {
            (text::clean(shown.function(node)).into_owned(), node_change(shown, node))
        }
    };
    let mut style = theme.change_cell(change);
    if selected {
        style =
            Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD | Modifier::UNDERLINED);
    }
    let edge = match (selected, cell.content) {
        (true, _) if area.width > 2 => theme.glyph("▶", ">"),
        (_, CellContent::More { .. }) => "…",
        _ => theme.change_glyph(change),
    };
    text::tint(buffer, area, style);
    let blank = " ".repeat(usize::from(area.width));
    buffer.set_stringn(area.x, area.y, &blank, usize::from(area.width), style);
    text::put(buffer, theme, area, 0, edge, style);
    // The selected cell has its sign after the mark.
    let sign = if selected && area.width > 2 { theme.change_glyph(change) } else { "" };
    if area.width > 3 {
        text::put(buffer, theme, area, 1, &format!("{sign}{label}"), style);
    }
}

fn node_change(shown: &Differences, node: ShapedId) -> Change {
    shown.node(node).map_or(Change::None, |node| change_sides(node.up, node.down))
}

fn draw_tree(buffer: &mut Buffer, area: Rect, app: &App, shown: &Differences, theme: Theme) {
    let measure = shown.options.measure;
    let wide = area.width >= 76;
    let head = match wide {
        true => format!(
            "  {:>10} {:>9} {:>9} {:>9} {:>9} ",
            "net", "grown", "shrunk", "before", "after"
        ),
        false => format!("  {:>10} ", "net"),
    };
    text::put(buffer, theme, text::line(area, 0), 0, &(head + "function"), theme.title());
    for at in 0..geometry::compare_window(app) {
        let index = app.compare.lines.top + at;
        let Some(drawn) = app.compare.opened_lines().get(index as usize) else { break };
        let Some(node) = shown.node(drawn.node) else { break };
        let line = text::line(area, 1 + at as u16);
        let amount = |value: u64| match value {
            0 => "-".to_owned(),
            value => measure.format(i64::try_from(value).unwrap_or(i64::MAX)),
        };
        let mut cells = format!("  {:>10} ", measure.format_difference(node.net()));
        if wide {
            cells.push_str(&format!(
                "{:>9} {:>9} {:>9} {:>9} ",
                amount(node.up),
                amount(node.down),
                measure.format(node.before),
                measure.format(node.after)
            ));
        }
        let style = theme.change(change_sides(node.up, node.down));
        let x = text::put(buffer, theme, line, 0, &cells, style);
        let mark = match (
            WeightedTree::children(shown, drawn.node),
            app.compare.opened.contains(&drawn.node),
        ) {
            ([], _) => " ",
            (_, true) => theme.glyph("▾", "-"),
            (_, false) => theme.glyph("▸", "+"),
        };
        let indent =
            " ".repeat((drawn.depth * 2).min(usize::from(line.width.saturating_sub(x)) / 2));
        let x = x + text::put(buffer, theme, line, x, &format!("{indent}{mark} "), theme.key());
        text::put(buffer, theme, line, x, shown.function(drawn.node), Style::new());
        if index == app.compare.lines.at {
            select_row(buffer, theme, line, Focus::Here);
        }
    }
}

fn draw_node_summary(
    buffer: &mut Buffer,
    area: Rect,
    app: &App,
    shown: &Differences,
    theme: Theme,
) {
    let measure = shown.options.measure;
    let (width, _) = geometry::compare_flame_window(app);
    let Some(id) = app.compare.node(width) else {
        let words = "several functions, each too small to draw; Enter: show them";
        text::put(buffer, theme, area, 1, words, theme.dim());
        return;
    };
    let node = shown.node(id).cloned().unwrap_or_default();
    let name = node.name.and_then(|name| shown.comparison.stacks.get(name));
    let name = name.map_or_else(|| "all differences".to_owned(), place);
    let words = change_summary(&node, measure, &shown.top());
    if area.height == 1 {
        let half = usize::from(area.width) / 2;
        let short = text::cut(&name, half, theme).into_owned();
        let x = 2 + text::put(buffer, theme, area, 1, &short, theme.key());
        text::put(buffer, theme, area, x, &words, theme.number());
        return;
    }
    text::put(buffer, theme, text::line(area, 0), 1, &name, theme.key());
    text::put(buffer, theme, text::line(area, 1), 1, &words, theme.number());
}

fn change_summary(node: &Node, measure: Measure, top: &Node) -> String {
    let show = |value: u64| measure.format(i64::try_from(value).unwrap_or(i64::MAX));
    let moved = node.up.saturating_add(node.down) as f64;
    let all = top.up.saturating_add(top.down).max(1) as f64;
    format!(
        "+{} -{} = {} · {} of all changes · {} → {}",
        show(node.up),
        show(node.down),
        measure.format_difference(node.net()),
        units::share(moved / all),
        measure.format(node.before),
        measure.format(node.after),
    )
}
