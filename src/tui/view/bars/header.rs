//! Draws the first row: file, duration, live bytes, resident memory, peak, losses.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::database::caveats::relative_error_text;
use crate::database::text::units;
use crate::tui::app::state::App;
use crate::tui::terminal::theme::Theme;
use crate::tui::view::text;

/// Columns of live bytes with their error.
const LIVE_ROOM: usize = 24;

/// Columns before the losses: margin, title, and gaps.
const LOSSES_INDENT: usize = 12;

/// Draws the row.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let overview = &app.overview;
    let mut x = 1 + text::put(buffer, theme, area, 1, "rheaper", theme.title());
    let losses = match overview.losses {
        0 => String::new(),
        losses => format!("! {} lost", units::count(losses)),
    };
    // Losses are shown at any width: the name is cut instead.
    let left = usize::from(area.width).saturating_sub(LOSSES_INDENT + losses.len());
    let room = usize::from(area.width / 3).max(8);
    let room = if losses.is_empty() { room } else { room.min(left.max(1)) };
    let name = text::cut_front(&overview.name, room, theme).into_owned();
    x += 1 + text::put(buffer, theme, area, x + 1, &name, Style::new());
    let Some(duration) = overview.duration_ns else {
        text::put(buffer, theme, area, x + 1, "reading…", theme.dim());
        return;
    };
    let bytes = |bytes: i64| units::bytes(bytes as f64);
    let time = |ns: i64| units::duration(ns as f64);
    let rss = overview.rss.map(|(rss, live)| {
        let share = units::share(live as f64 / rss.max(1) as f64);
        format!("{} ({share} live)", bytes(rss))
    });
    let sampled = overview.caveats.sampled;
    // The longest text that fits; "sampled" is always shown.
    let sampling = sampled.map(|it| {
        let rate = units::bytes(it.sample_bytes as f64);
        let room =
            usize::from(area.width.saturating_sub(x + 4)).saturating_sub(time(duration).len());
        let words = [it.tag(), format!("sampled 1/{rate}"), "sampled".to_owned()];
        let fits = words.iter().find(|words| words.len() + LIVE_ROOM <= room || words.len() < 8);
        fits.cloned().unwrap_or_default()
    });
    let aggregated = overview.caveats.aggregated.map(|it| it.tag()).unwrap_or_default();
    let live = match sampled {
        None => bytes(overview.live_bytes),
        Some(it) => {
            let error = it.live_interval.relative_error(it.live_bytes);
            format!("{} {}", bytes(overview.live_bytes), relative_error_text(error))
        }
    };
    let parts = [
        ("", losses),
        ("", time(duration)),
        ("", sampling.unwrap_or_default()),
        ("live ", live),
        ("before shutdown ", overview.before_shutdown.map(bytes).unwrap_or_default()),
        ("rss ", rss.unwrap_or_default()),
        ("peak ", format!("{} at {}", bytes(overview.peak_bytes), time(overview.peak_ns))),
        ("", format!("{} allocations", units::count_short(overview.allocations as f64))),
        ("", aggregated),
        ("by ", overview.imported_from.clone().unwrap_or_default()),
    ];
    for (label, value) in parts {
        let width = (label.chars().count() + value.chars().count()) as u16;
        if value.is_empty() || x + 2 + width > area.width {
            continue;
        }
        x += 2;
        x += text::put(buffer, theme, area, x, label, theme.dim());
        let style = if value.starts_with('!') { theme.error() } else { theme.number() };
        x += text::put(buffer, theme, area, x, &value, style);
    }
}
