//! Draws a histogram: one bar per bin, and the largest sites of the selected bin.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::state::App;
use crate::tui::app::state::histograms::BarUnit;
use crate::tui::app::update::histograms::bounds;
use crate::tui::data::histogram::{Bin, Kind, Sum};
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::freshness::{self, Freshness};
use crate::tui::view::text;
use crate::tui::view::text::select_row;

/// Columns from which the sites of a bar are next to the bars.
const WIDE: u16 = 90;

/// Below this width, a bar has only its upper bound and one number.
const NARROW: u16 = 60;

/// Columns of the sites.
const SITES: u16 = 44;

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
    let has_sites = inside.width >= WIDE;
    let bars = Rect { width: inside.width - if has_sites { SITES } else { 0 }, ..inside };
    draw_bars(buffer, bars, app, theme);
    if has_sites && let Some(bin) = app.histograms.selected() {
        let sites = Rect { x: bars.x + bars.width, width: SITES, ..inside };
        draw_sites(buffer, sites, app, bin, theme);
    }
    if freshness::freshness(app) == Freshness::Stale {
        text::tint(buffer, inside, theme.stale());
    }
}

fn title(app: &App) -> String {
    let kind = match app.histograms.kind {
        Kind::Sizes => "sizes",
        Kind::Lifetimes => "lifetimes of freed blocks",
        Kind::Ages => "ages of blocks live at the end",
    };
    let mut title = format!("histogram: {kind}");
    if let Some(counted) = &app.histograms.counted {
        let total = counted.total(app.histograms.kind);
        let blocks = units::count(i64::try_from(total.blocks).unwrap_or(i64::MAX));
        title.push_str(&format!(" · {} in {blocks} blocks", units::bytes(total.bytes as f64)));
    }
    title + freshness::stale_suffix(app)
}

fn placeholder(app: &App, theme: Theme) -> Option<(String, Style)> {
    if let Some(error) = &app.histograms.error {
        return Some((format!("! {}", text::clean(&error.message)), theme.error()));
    }
    if app.histograms.counted.is_none() {
        return Some(("counting the selected allocations…".into(), theme.dim()));
    }
    if !app.histograms.bins().is_empty() {
        return None;
    }
    let words = match app.histograms.kind {
        Kind::Sizes => "No allocation matches the filters. x: remove the last filter, u: undo.",
        Kind::Lifetimes => "No selected allocation was freed. Tab: ages of live allocations.",
        Kind::Ages => "No selected allocation is live at the end. Tab: sizes of all.",
    };
    Some((words.into(), theme.dim()))
}

fn draw_bars(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let state = &app.histograms;
    let bins = state.bins();
    // In a narrow pane, a bar has its upper bound and the number that is its length.
    let is_narrow = area.width < NARROW;
    let words = |bin: &Bin| match is_narrow {
        true => bounds(state.kind, 0, bin.high),
        false => bounds(state.kind, bin.low, bin.high),
    };
    let numbers = |bytes: &str, blocks: &str| match (is_narrow, state.bar_unit) {
        (false, _) => format!("{bytes:>9} {blocks:>7}"),
        (true, BarUnit::Bytes) => format!("{bytes:>9}"),
        (true, BarUnit::Blocks) => format!("{blocks:>7}"),
    };
    let label = bins.iter().map(|bin| words(bin).width()).max().unwrap_or(0).max(8);
    let of = |sum: &Sum| match state.bar_unit {
        BarUnit::Bytes => sum.bytes,
        BarUnit::Blocks => sum.blocks,
    };
    let most = bins.iter().map(|bin| of(&bin.sum)).max().unwrap_or(0).max(1);
    let name = match state.kind {
        Kind::Sizes => "size",
        Kind::Lifetimes => "lifetime",
        Kind::Ages => "age",
    };
    let head = format!("  {name:>label$} {} ", numbers("bytes", "blocks"));
    let by = match state.bar_unit {
        BarUnit::Bytes => "by bytes (m: by blocks)",
        BarUnit::Blocks => "by blocks (m: by bytes)",
    };
    let line = text::line(area, 0);
    let x = text::put(buffer, theme, line, 0, &head, theme.title());
    text::put(buffer, theme, line, x, by, theme.dim());
    let room = usize::from(area.width.saturating_sub(head.width() as u16 + 1));
    for row in 0..geometry::bars_window(app) {
        let at = state.cursor.top + row;
        let Some(bin) = bins.get(at as usize) else {
            break;
        };
        let line = text::line(area, 1 + row as u16);
        let bytes = units::bytes(bin.sum.bytes as f64);
        let blocks = units::count_short(bin.sum.blocks as f64);
        let cells = format!("  {:>label$} {} ", words(bin), numbers(&bytes, &blocks));
        let x = text::put(buffer, theme, line, 0, &cells, Style::new());
        let bar = bar(of(&bin.sum), most, room, theme);
        text::put(buffer, theme, line, x, &bar, theme.number());
        if at == state.cursor.at {
            select_row(buffer, theme, line, Focus::Here);
        }
    }
}

/// A bar in eighths of a cell; at least one for values above 0.
fn bar(value: u64, most: u64, room: usize, theme: Theme) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(value) * room as u128 * 8 / u128::from(most.max(1));
    let eighths = if value > 0 { eighths.max(1) } else { 0 } as usize;
    match theme.glyph("u", "a") {
        "u" => format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8]),
        _ => "#".repeat(eighths.div_ceil(8)),
    }
}

fn draw_sites(buffer: &mut Buffer, area: Rect, app: &App, bin: &Bin, theme: Theme) {
    let edge = theme.glyph("│", "|");
    for row in 0..area.height {
        text::put(buffer, theme, text::line(area, row), 0, edge, theme.dim());
    }
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    let head = format!(" {:>9} {:>7} largest sites of this bar", "bytes", "blocks");
    text::put(buffer, theme, text::line(area, 0), 0, &head, theme.title());
    for (at, (bt, sum)) in bin.sites.iter().enumerate().take(usize::from(area.height) - 1) {
        let name = match bt {
            None => "(no backtrace)".into(),
            Some(bt) => match app.histograms.names.get(bt) {
                Some(name) => text::clean(name).into_owned(),
                None => format!("backtrace {bt}"),
            },
        };
        let numbers = format!(
            " {:>9} {:>7} ",
            units::bytes(sum.bytes as f64),
            units::count_short(sum.blocks as f64)
        );
        let line = text::line(area, 1 + at as u16);
        let x = text::put(buffer, theme, line, 0, &numbers, Style::new());
        let room = usize::from(line.width.saturating_sub(x));
        text::put(buffer, theme, line, x, &text::cut_front(&name, room, theme), Style::new());
    }
}
