//! Draws the Time view: chart, cursors, marks, sparklines, and figures at the cursors.
//!
//! ```text
//!  1.3M ┤            ▂▃▅███      live bytes; the darker part is never freed
//!       │      ▂▄▆▒▒▒▒▒▒▒▒      or, stacked, one letter per site
//!       └────────[━━━━━━]──      the range between the cursors
//!  marks         ▲deploy         marks of the program
//!  blocks ▁▁▂▂▃▃▄▄▅▅▆▆▇▇██      and rates, where there is room
//!  5m 00s: 650 KiB live in …     the active cursor
//!  range 3m..5m: allocated …     between both
//! ```

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::database::text::units;
use crate::tui::app::layout::geometry::{self, TIME_GUTTER};
use crate::tui::app::state::App;
use crate::tui::app::state::suspects::downsample_max;
use crate::tui::app::state::time::{Point, Stacking};
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::freshness::{self, Freshness};
use crate::tui::view::text;

/// Resident memory is drawn in the chart if it is at most this multiple of the live bytes.
const RSS_TIMES: u64 = 4;

/// Draws the view.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let inside = text::pane(buffer, theme, area, &title(app, theme), Focus::Here);
    if inside.is_empty() {
        return;
    }
    if let Some(error) = &app.time.error {
        let words = format!("! {}", text::clean(&error.message));
        text::put(buffer, theme, inside, 1, &words, theme.error());
        return;
    }
    if app.time.points.is_empty() {
        text::put(buffer, theme, inside, 1, "reading…", theme.dim());
        return;
    }
    let rows = PartHeights::fitting(app, inside.height);
    let width = geometry::time_width(app);
    let chart = Rect {
        x: inside.x + TIME_GUTTER,
        width: width.min(inside.width.saturating_sub(TIME_GUTTER)),
        height: rows.chart,
        ..inside
    };
    let max = scale(app);
    match app.time.stacking {
        Stacking::Sum => draw_sum(buffer, chart, app, max, theme),
        Stacking::Sites => draw_sites(buffer, chart, app, max, theme),
    }
    draw_cursors(buffer, chart, app, theme);
    draw_scale(buffer, inside, rows.chart, max, theme);
    let mut y = rows.chart;
    draw_axis(buffer, text::line(inside, y), chart, app, theme);
    y += 1;
    if rows.marks > 0 {
        draw_marks(buffer, text::line(inside, y), chart, app, theme);
        y += 1;
    }
    if app.time.stacking == Stacking::Sites && !geometry::has_time_legend(app) {
        let area = Rect { y: chart.y + y, height: rows.sparks, ..chart };
        draw_letters(buffer, area, app, theme);
    } else {
        for (at, (label, values)) in sparks(app).into_iter().take(rows.sparks.into()).enumerate() {
            draw_spark(buffer, text::line(inside, y + at as u16), chart, label, &values, theme);
        }
    }
    y += rows.sparks;
    let footer = Rect {
        y: inside.y + y.min(inside.height),
        height: inside.height.saturating_sub(y),
        ..inside
    };
    draw_summary(buffer, footer, app, theme);
    if geometry::has_time_legend(app) {
        let x = chart.x + chart.width + 1;
        let width = (inside.x + inside.width).saturating_sub(x);
        draw_legend(buffer, Rect { x, width, height: rows.chart, ..inside }, app, theme);
    }
    if freshness::freshness(app) == Freshness::Stale {
        text::tint(buffer, inside, theme.stale());
    }
}

fn title(app: &App, theme: Theme) -> String {
    let what = match app.time.stacking {
        Stacking::Sum => format!(
            "live bytes ({} never freed, {} freed later)",
            theme.glyph("█", "#"),
            theme.glyph("▒", ":")
        ),
        Stacking::Sites => "live bytes, one letter per site".into(),
    };
    let mut title = format!("time: {what}");
    if has_rss_over_chart(app) {
        title.push_str(&format!(", {} resident", theme.glyph("•", "o")));
    }
    let filters = app.filters.current().filters();
    if filters.iter().any(|it| !it.is_site_filter() && !it.is_time_filter()) {
        title.push_str(" · all allocations of the selected sites");
    }
    title + freshness::stale_suffix(app)
}

/// Rows of each part.
struct PartHeights {
    chart: u16,
    marks: u16,
    sparks: u16,
}

impl PartHeights {
    fn fitting(app: &App, height: u16) -> Self {
        let facts: u16 = if height >= 8 { 3 } else { 1 };
        let left = height.saturating_sub(facts + 1);
        let marks = u16::from(!app.time.marks.is_empty() && left > 4);
        let left = left - marks;
        let sparks = match left {
            0..=7 => 0,
            8..=10 => 1,
            11..=13 => 3,
            _ => 4,
        };
        let sparks = sparks.min(self::sparks(app).len() as u16);
        Self { chart: left.saturating_sub(sparks), marks, sparks }
    }
}

/// The bytes at the top of the chart.
fn scale(app: &App) -> u64 {
    let live = app.time.points.iter().map(|it| it.live_bytes).max().unwrap_or(0);
    let live = u64::try_from(live).unwrap_or(0).max(1);
    if has_rss_over_chart(app) { live.max(rss_max(app)) } else { live }
}

fn rss_max(app: &App) -> u64 {
    let rss = app.time.rss.iter().map(|it| it.1).max().unwrap_or(0);
    u64::try_from(rss).unwrap_or(0)
}

/// Whether resident memory is drawn in the chart; if it is far above the curve, it is only a sparkline.
fn has_rss_over_chart(app: &App) -> bool {
    let live = app.time.points.iter().map(|it| it.live_bytes).max().unwrap_or(0);
    let live = u64::try_from(live).unwrap_or(0).max(1);
    let is_near = rss_max(app) <= live.saturating_mul(RSS_TIMES);
    app.time.stacking == Stacking::Sum && !app.time.rss.is_empty() && is_near
}

fn curve(app: &App, width: u16, of: impl Fn(&Point) -> i64) -> Vec<u64> {
    let values = app.time.points.iter().map(|point| u64::try_from(of(point)).unwrap_or(0));
    downsample_max(&values.collect::<Vec<_>>(), usize::from(width))
}

/// Resident memory per column; `None` before the first reading.
fn rss(app: &App, width: u16) -> Vec<Option<u64>> {
    let mut columns = vec![None; usize::from(width)];
    let end = app.overview.axis.end_ns.max(1) as u128;
    for (at, bytes) in &app.time.rss {
        let x = u128::try_from(*at).unwrap_or(0) * u128::from(width) / (end + 1);
        if let Some(column) = columns.get_mut(x as usize) {
            let bytes = u64::try_from(*bytes).unwrap_or(0);
            *column = Some(column.unwrap_or(0).max(bytes));
        }
    }
    // A reading holds until the next one.
    let mut last = None;
    for column in &mut columns {
        last = column.or(last);
        *column = last;
    }
    columns
}

/// The height of a value in eighths of a row; at least one for values above 0.
fn eighths(value: u64, max: u64, rows: u16) -> u64 {
    let high = u128::from(value) * u128::from(rows) * 8 / u128::from(max.max(1));
    if value > 0 { (high as u64).max(1) } else { 0 }
}

fn draw_sum(buffer: &mut Buffer, chart: Rect, app: &App, max: u64, theme: Theme) {
    const PARTS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
    const ASCII: [&str; 8] = ["_", "_", ".", ".", ":", ":", ":", ":"];
    let live = curve(app, chart.width, |it| it.live_bytes);
    let never = curve(app, chart.width, |it| it.never_freed_bytes);
    let rss = rss(app, chart.width);
    for x in 0..chart.width {
        let at = |values: &[u64]| values.get(usize::from(x)).copied().unwrap_or(0);
        let high = eighths(at(&live), max, chart.height);
        let never_freed = at(&never).saturating_mul(u64::from(chart.height)) / max.max(1);
        for row in 0..u64::from(chart.height) {
            let line = text::line(chart, chart.height - 1 - row as u16);
            let left = high.saturating_sub(row * 8);
            let (glyph, style) = match left {
                0 => continue,
                _ if row < never_freed => (theme.glyph("█", "#"), theme.number()),
                8.. => (theme.glyph("▒", ":"), theme.number()),
                part => {
                    let part = part as usize - 1;
                    (theme.glyph(PARTS[part], ASCII[part]), theme.number())
                }
            };
            text::put(buffer, theme, line, x, glyph, style);
        }
        if let Some(Some(bytes)) =
            rss.get(usize::from(x)).filter(|it| it.is_some_and(|it| it <= max))
        {
            let row = bytes.saturating_mul(u64::from(chart.height)) / max.max(1);
            let row = (row as u16).min(chart.height.saturating_sub(1));
            let line = text::line(chart, chart.height - 1 - row);
            text::put(buffer, theme, line, x, theme.glyph("•", "o"), theme.matched());
        }
    }
}

/// The letter of a stacked site.
fn letter(rank: usize) -> String {
    char::from(b'A' + (rank % 26) as u8).to_string()
}

fn draw_sites(buffer: &mut Buffer, chart: Rect, app: &App, max: u64, theme: Theme) {
    let live = app.time.points.iter().map(|it| u64::try_from(it.live_bytes).unwrap_or(0));
    let total = downsample_mean(&live.collect::<Vec<_>>(), chart.width);
    let bands: Vec<Vec<u64>> = app
        .time
        .sites
        .iter()
        .map(|site| {
            let values = site.live_bytes.iter().map(|it| u64::try_from(*it).unwrap_or(0));
            downsample_mean(&values.collect::<Vec<_>>(), chart.width)
        })
        .collect();
    for x in 0..chart.width {
        let at = |values: &[u64]| values.get(usize::from(x)).copied().unwrap_or(0);
        let high = eighths(at(&total), max, chart.height).div_ceil(8);
        for row in 0..high.min(u64::from(chart.height)) {
            // The band at the middle of the cell, counted from the largest site.
            let level =
                (u128::from(max) * u128::from(row * 2 + 1) / (u128::from(chart.height) * 2)) as u64;
            let mut below = 0_u64;
            let rank = bands.iter().position(|band| {
                below = below.saturating_add(at(band));
                level < below
            });
            let line = text::line(chart, chart.height - 1 - row as u16);
            match rank {
                Some(rank) => {
                    text::put(buffer, theme, line, x, &letter(rank), theme.stacked(rank));
                }
                None => {
                    text::put(buffer, theme, line, x, theme.glyph("·", "."), theme.dim());
                }
            }
        }
    }
}

/// Reduces a curve to the mean per column, so that bands can be added and noise is smoothed.
fn downsample_mean(values: &[u64], width: u16) -> Vec<u64> {
    let width = usize::from(width).max(1);
    let mean = |at: usize| {
        let from = at * values.len() / width;
        let to = ((at + 1) * values.len() / width).clamp(from + 1, values.len().max(from + 1));
        let share = values.get(from..to).unwrap_or_default();
        let sum: u128 = share.iter().map(|value| u128::from(*value)).sum();
        (sum / share.len().max(1) as u128) as u64
    };
    (0..width).map(mean).collect()
}

/// The cursors: a line in empty cells, highlighted cells elsewhere.
fn draw_cursors(buffer: &mut Buffer, chart: Rect, app: &App, theme: Theme) {
    for (at, edge) in app.time.cursors.iter().enumerate() {
        let x = geometry::time_column(app, *edge, chart.width);
        let style = if at == app.time.active { theme.title() } else { theme.dim() };
        for row in 0..chart.height {
            let line = text::line(chart, row);
            let is_empty = buffer.cell((line.x + x, line.y)).is_some_and(|it| it.symbol() == " ");
            if is_empty {
                text::put(buffer, theme, line, x, theme.glyph("│", "|"), style);
            } else if at == app.time.active {
                text::tint(buffer, Rect { x: line.x + x, width: 1, ..line }, theme.selected());
            }
        }
    }
}

fn draw_scale(buffer: &mut Buffer, inside: Rect, rows: u16, max: u64, theme: Theme) {
    let gutter = Rect { width: TIME_GUTTER.saturating_sub(1).min(inside.width), ..inside };
    let mut put = |row: u16, bytes: u64| {
        let words = units::bytes(bytes as f64);
        text::put_right(buffer, theme, text::line(gutter, row), &words, theme.dim());
    };
    if rows == 0 {
        return;
    }
    put(0, max);
    if rows > 5 {
        put(rows / 2, max - max * u64::from(rows / 2) / u64::from(rows));
    }
}

/// The line below the chart with the range between the cursors.
fn draw_axis(buffer: &mut Buffer, line: Rect, chart: Rect, app: &App, theme: Theme) {
    let line = Rect { x: chart.x, width: chart.width, ..line };
    let (first, last) = app.time.range();
    let column = |edge: usize| geometry::time_column(app, edge, chart.width);
    let (from, to) = (column(first), column(last));
    let rule = theme.glyph("─", "-").repeat(usize::from(chart.width));
    text::put(buffer, theme, line, 0, &rule, theme.dim());
    if from < to {
        let range = theme.glyph("━", "=").repeat(usize::from(to - from));
        text::put(buffer, theme, line, from, &range, theme.chip());
    }
    let active = column(app.time.cursor());
    for x in [from, to] {
        let is_active = x == active;
        let glyph = if is_active { theme.glyph("▲", "^") } else { theme.glyph("┃", "|") };
        let style = if is_active { theme.title() } else { theme.chip() };
        text::put(buffer, theme, line, x, glyph, style);
    }
    let gutter = Rect { x: line.x - TIME_GUTTER, width: TIME_GUTTER - 1, ..line };
    text::put_right(buffer, theme, gutter, "range", theme.dim());
}

fn draw_marks(buffer: &mut Buffer, line: Rect, chart: Rect, app: &App, theme: Theme) {
    let gutter = Rect { width: TIME_GUTTER - 1, ..line };
    text::put_right(buffer, theme, gutter, "marks", theme.dim());
    let line = Rect { x: chart.x, width: chart.width, ..line };
    let column = |at: i64| geometry::time_column(app, app.overview.axis.nearest(at), chart.width);
    let mut free = 0;
    for (at, mark) in app.time.marks.iter().enumerate() {
        let x = column(mark.at_ns);
        text::put(buffer, theme, line, x, theme.glyph("▲", "^"), theme.matched());
        let next = app.time.marks.get(at + 1).map_or(chart.width, |it| column(it.at_ns));
        let room = usize::from(next.saturating_sub(x + 2));
        if x >= free && room >= 3 {
            let name = text::clean(&mark.name);
            let name = text::cut(&name, room, theme).into_owned();
            free = x + 1 + text::put(buffer, theme, line, x + 1, &name, theme.dim());
        }
    }
}

/// The sparklines, most important first.
fn sparks(app: &App) -> Vec<(&'static str, Vec<u64>)> {
    let width = geometry::time_width(app);
    let mut sparks = Vec::new();
    let has_rss = !app.time.rss.is_empty();
    if has_rss {
        sparks.push(("rss", rss(app, width).into_iter().map(|it| it.unwrap_or(0)).collect()));
    }
    sparks.push(("blocks", curve(app, width, |it| it.live_blocks)));
    sparks.push(("allocs", curve(app, width, |it| it.allocations)));
    sparks.push(("frees", curve(app, width, |it| it.frees)));
    sparks
}

fn draw_spark(
    buffer: &mut Buffer,
    line: Rect,
    chart: Rect,
    label: &str,
    values: &[u64],
    theme: Theme,
) {
    let gutter = Rect { width: TIME_GUTTER - 1, ..line };
    text::put_right(buffer, theme, gutter, label, theme.dim());
    let max = values.iter().copied().max().unwrap_or(0);
    let spark = theme.spark(values, max);
    text::put(
        buffer,
        theme,
        Rect { x: chart.x, width: chart.width, ..line },
        0,
        &spark,
        Style::new(),
    );
}

/// Figures at the active cursor, and of the range.
fn draw_summary(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let axis = &app.overview.axis;
    let time = |edge: usize| match edge {
        0 => "0 s".to_owned(),
        edge => units::duration(axis.edge(edge).min(axis.end_ns) as f64),
    };
    let bytes = |bytes: i64| units::bytes(bytes as f64);
    let edge = app.time.cursor();
    let now = app.time.live_at(edge);
    let mut words = format!(
        "{}: {} live in {} blocks",
        time(edge),
        bytes(now.live_bytes),
        units::count(now.live_blocks)
    );
    if let Some(rss) = rss_at(app, axis.edge(edge)) {
        words.push_str(&format!(" · resident {}", bytes(rss)));
    }
    if let Some(mark) = app.time.marks.iter().find(|it| axis.nearest(it.at_ns) == edge) {
        let value = mark.value.map(|it| format!(" {it}")).unwrap_or_default();
        words.push_str(&format!(" · mark {}{value}", text::clean(&mark.name)));
    }
    text::put(buffer, theme, text::line(area, 0), 1, &words, theme.key());
    let (first, last) = app.time.range();
    let sum = app.time.between(first, last);
    let seconds = (axis.edge(last).min(axis.end_ns) - axis.edge(first)).max(1) as f64 / 1e9;
    let rate = |count: i64| units::count_short((count as f64 / seconds).round());
    let growth = live_change(app, last, first);
    let sign = if growth < 0 { "" } else { "+" };
    let range = format!(
        "range {} .. {}: {sign}{} · allocated {} in {} blocks ({}/s)",
        time(first),
        time(last),
        bytes(growth),
        bytes(sum.allocated_bytes),
        units::count(sum.allocations),
        rate(sum.allocations),
    );
    text::put(buffer, theme, text::line(area, 1), 1, &range, theme.number());
    let mut rest = format!(
        "freed {} in {} blocks ({}/s)",
        bytes(sum.freed_bytes),
        units::count(sum.frees),
        rate(sum.frees)
    );
    if app.filters.current().site_condition().is_none() {
        rest.push_str(&format!(" · survivors {}", bytes(sum.never_freed_bytes)));
    }
    text::put(buffer, theme, text::line(area, 2), 1, &rest, theme.number());
}

fn live_change(app: &App, last: usize, first: usize) -> i64 {
    app.time.live_at(last).live_bytes - app.time.live_at(first).live_bytes
}

fn rss_at(app: &App, at_ns: i64) -> Option<i64> {
    let count = app.time.rss.partition_point(|it| it.0 <= at_ns);
    app.time.rss.get(count.checked_sub(1)?).map(|it| it.1)
}

/// A stacked site: letter, style, bytes at the cursor, name.
type Band = (String, Style, i64, String);

/// The stacked sites, all others last.
fn bands(app: &App, theme: Theme) -> Vec<Band> {
    let edge = app.time.cursor();
    let bytes_at_cursor =
        |values: &[i64]| edge.checked_sub(1).and_then(|at| values.get(at)).copied().unwrap_or(0);
    let mut rest = app.time.live_at(edge).live_bytes;
    let mut bands: Vec<Band> = Vec::new();
    for (rank, site) in app.time.sites.iter().enumerate() {
        let bytes = bytes_at_cursor(&site.live_bytes);
        rest -= bytes;
        let name = text::clean(&site.name).into_owned();
        bands.push((letter(rank), theme.stacked(rank), bytes, name));
    }
    bands.push((theme.glyph("·", ".").into(), theme.dim(), rest, "other sites".into()));
    bands
}

/// The legend next to the chart, one site per row.
fn draw_legend(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    text::put(buffer, theme, area, 0, "at the cursor", theme.title());
    for (at, (mark, style, bytes, name)) in bands(app, theme).iter().enumerate() {
        let line = text::line(area, 1 + at as u16);
        if line.is_empty() {
            break;
        }
        let mut x = text::put(buffer, theme, line, 0, mark, *style);
        let numbers = format!(" {:>9} ", units::bytes(*bytes as f64));
        x += text::put(buffer, theme, line, x, &numbers, Style::new());
        let room = usize::from(line.width.saturating_sub(x));
        text::put(buffer, theme, line, x, &text::cut_front(name, room, theme), Style::new());
    }
}

/// The legend below the chart, if there is no room next to it.
fn draw_letters(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let (mut x, mut row) = (0, 0);
    for (mark, style, bytes, name) in bands(app, theme).iter().filter(|it| it.2 != 0) {
        let words = format!(" {name} {}", units::bytes(*bytes as f64));
        let width = (mark.width() + words.width()) as u16 + 2;
        if x > 0 && x + width > area.width + 2 {
            (x, row) = (0, row + 1);
        }
        let line = text::line(area, row);
        if line.is_empty() {
            break;
        }
        x += text::put(buffer, theme, line, x, mark, *style);
        x += text::put(buffer, theme, line, x, &words, Style::new()) + 2;
    }
}
