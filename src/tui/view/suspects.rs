//! Draws the list of suspects and the description of the selected one.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::database::caveats::relative_error_text;
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::state::App;
use crate::tui::app::state::suspects::{Accepted, Suspect, downsample_max};
use crate::tui::app::view_sql::SUSPECTS_MAX;
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::freshness::{self, Freshness};
use crate::tui::view::text;
use crate::tui::view::text::select_row;

/// Columns of the error of live bytes.
const ERROR: usize = 6;

/// Columns of the curve.
const TREND: usize = 12;

/// Draws the view.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme, focus: Focus) {
    let inside = text::pane(buffer, theme, area, &title(app), focus);
    if inside.is_empty() {
        return;
    }
    if let Some(sentence) = placeholder(app) {
        let error = app.suspects.error.is_some();
        let style = if error { theme.error() } else { theme.dim() };
        for (at, line) in text::wrap(&sentence, usize::from(inside.width)).iter().enumerate() {
            text::put(buffer, theme, text::line(inside, at as u16), 0, line, style);
        }
        return;
    }
    let listed = app.suspects.listed();
    let columns = Columns::fitting(inside.width, &listed);
    columns.head(buffer, theme, text::line(inside, 0), app);
    let window = geometry::suspects_window(app);
    let top = app.suspects.cursor.top;
    for row in 0..window {
        let Some(suspect) = listed.get((top + row) as usize) else {
            break;
        };
        let line = text::line(inside, 1 + row as u16);
        columns.row(buffer, theme, line, app, suspect);
        if top + row == app.suspects.cursor.at {
            select_row(buffer, theme, line, focus);
        }
    }
    let rows = geometry::sentence_rows(app);
    let below = Rect {
        y: inside.y + inside.height.saturating_sub(rows),
        height: rows.min(inside.height),
        ..inside
    };
    sentence(buffer, theme, below, app);
    if freshness::freshness(app) == Freshness::Stale {
        text::tint(buffer, inside, theme.stale());
    }
}

fn title(app: &App) -> String {
    let listed = app.suspects.listed();
    if app.suspects.all.is_none() {
        return "suspects".into();
    }
    let bytes: i64 = listed.iter().map(|it| it.filtered_bytes).sum();
    let (accepted, held_bytes) = app.suspects.accepted_total();
    let all = app.suspects.all.as_ref().map_or(0, Vec::len);
    let which = if all < SUSPECTS_MAX { "suspects:" } else { "suspects: first" };
    let mut title = format!("{which} {} hold {}", listed.len(), units::bytes(bytes as f64));
    if accepted > 0 {
        let what = match app.suspects.accepted {
            Accepted::Hidden => "hidden",
            Accepted::Listed => "marked",
        };
        title.push_str(&format!(
            " · {accepted} accepted {what} ({})",
            units::bytes(held_bytes as f64)
        ));
    }
    title + freshness::stale_suffix(app)
}

fn placeholder(app: &App) -> Option<String> {
    if let Some(error) = &app.suspects.error {
        return Some(format!("! {}", text::clean(&error.message)));
    }
    match &app.suspects.all {
        None => Some("reading…".into()),
        Some(all) if all.is_empty() && app.filters.current().is_unfiltered() => Some(
            "No suspects: no site holds memory at the end. 2: flamegraph, c: built-in queries."
                .into(),
        ),
        Some(all) if all.is_empty() => {
            Some("No suspect matches the filters. x: remove the last filter, u: undo.".into())
        }
        Some(_) if app.suspects.listed().is_empty() => {
            Some("All suspects are accepted. A: list them.".into())
        }
        Some(_) => None,
    }
}

struct Columns {
    error: bool,
    kind: usize,
    site: usize,
    trend: usize,
    growth: bool,
    share: bool,
}

impl Columns {
    fn fitting(width: u16, listed: &[&Suspect]) -> Self {
        let kind = listed.iter().map(|it| it.label.width()).max().unwrap_or(0).clamp(4, 18);
        let width = usize::from(width);
        // Mark, live bytes, blocks and site are always shown, the others if there is room.
        let kind = if width < 60 { 0 } else { kind };
        // Only for estimates.
        let error = width >= 60 && listed.iter().any(|it| it.live_error.is_some());
        let needed = 2 + 10 + 7 + kind + 2 + if error { ERROR + 1 } else { 0 };
        let site = |extra: usize| width.saturating_sub(needed + extra);
        let (share, trend, growth) = match () {
            () if site(8 + TREND + 2 + 13) >= 28 => (true, TREND, true),
            () if site(TREND + 2 + 8) >= 20 => (true, TREND, false),
            () if site(TREND + 2) >= 16 => (false, TREND, false),
            () => (false, 0, false),
        };
        let extra = if share { 8 } else { 0 }
            + if trend > 0 { trend + 2 } else { 0 }
            + if growth { 13 } else { 0 };
        Self { error, kind, site: site(extra), trend, growth, share }
    }

    fn cells(&self, texts: [&str; 8]) -> String {
        let [live, error, share, blocks, trend, growth, kind, site] = texts;
        let mut line = format!("  {live:>9} ");
        if self.error {
            line.push_str(&format!("{error:>ERROR$} "));
        }
        if self.share {
            line.push_str(&format!("{share:>7} "));
        }
        line.push_str(&format!("{blocks:>6} "));
        if self.trend > 0 {
            line.push_str(&format!("{trend:<width$}  ", width = self.trend));
        }
        if self.growth {
            line.push_str(&format!("{growth:>12} "));
        }
        if self.kind > 0 {
            line.push_str(&format!("{kind:<width$}  ", width = self.kind));
        }
        line.push_str(site);
        line
    }

    fn head(&self, buffer: &mut Buffer, theme: Theme, line: Rect, app: &App) {
        // With other filters, the blocks may have been freed.
        let filters = app.filters.current();
        let held_bytes =
            if filters.is_site_only() || filters.is_live_only() { "live" } else { "bytes" };
        let texts = [held_bytes, "±", "share", "blocks", "over time", "growth", "kind", "function"];
        text::put(buffer, theme, line, 0, &self.cells(texts), theme.dim());
    }

    fn row(&self, buffer: &mut Buffer, theme: Theme, line: Rect, app: &App, suspect: &Suspect) {
        let curve = app.suspects.trends.get(&suspect.id);
        let curve = curve.map(|curve| downsample_max(curve, TREND)).unwrap_or_default();
        let max = curve.iter().copied().max().unwrap_or(0);
        let sign = if suspect.slope > 0.0 { "+" } else { "" };
        let site = match app.suspects.is_accepted(suspect) {
            true => format!("(accepted) {}", named(suspect, self.site, theme)),
            false => named(suspect, self.site, theme),
        };
        let texts = [
            units::bytes(suspect.filtered_bytes as f64),
            relative_error_text(suspect.live_error),
            units::share(suspect.live_share),
            units::count_short(suspect.filtered_blocks as f64),
            theme.spark(&curve, max),
            format!("{sign}{}/s", units::bytes(suspect.slope.round())),
            suspect.label.clone(),
            text::cut_front(&text::clean(&site), self.site, theme).into_owned(),
        ];
        let all = self.cells(texts.each_ref().map(String::as_str));
        text::put(buffer, theme, line, 0, &all, Style::new());
        let [live, error, share, blocks, trend, growth, ..] = &texts;
        let x = self.cells([live, error, share, blocks, trend, growth, "", ""]).width();
        let start = x.saturating_sub(self.kind + 2) as u16;
        if start < line.width {
            let kind = Rect {
                x: line.x + start,
                width: (self.kind as u16).min(line.width - start),
                ..line
            };
            text::tint(buffer, kind, theme.suspect(&suspect.label));
        }
    }
}

/// The function with its line, and the library's function that it calls where there is room.
fn named(suspect: &Suspect, width: usize, theme: Theme) -> String {
    let mut name = suspect.function.clone();
    if let (Some(file), Some(line)) = (&suspect.file, suspect.line) {
        let file = file.rsplit('/').next().unwrap_or(file);
        name.push_str(&format!(" {file}:{line}"));
    }
    if let Some(through) = &suspect.through {
        let whole = format!("{name} {} {through}", theme.glyph("→", ">"));
        if whole.width() <= width {
            return whole;
        }
    }
    name
}

fn sentence(buffer: &mut Buffer, theme: Theme, area: Rect, app: &App) {
    let Some(suspect) = app.suspects.selected() else {
        return;
    };
    if area.is_empty() {
        return;
    }
    let has_rule = area.height > 1;
    if has_rule {
        let rule = theme.glyph("─", "-").repeat(usize::from(area.width));
        text::put(buffer, theme, text::line(area, 0), 0, &rule, theme.dim());
    }
    let top = u16::from(has_rule);
    let words = text::clean(&suspect.sentence).into_owned();
    let lines = text::wrap(&words, usize::from(area.width));
    let room = usize::from(area.height - top);
    for (at, line) in lines.iter().take(room).enumerate() {
        let cut = at + 1 == room && lines.len() > room;
        let line = if cut { format!("{line}…") } else { line.clone() };
        text::put(buffer, theme, text::line(area, at as u16 + top), 0, &line, theme.key());
    }
}
