//! The first row: which file, how long, what lives, what of the process that is, and what lived at the
//! peak.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::database::caveats::relative_error_text;
use crate::database::text::units;
use crate::tui::app::state::App;
use crate::tui::terminal::theme::Theme;
use crate::tui::view::text;

/// Columns that live bytes and their error need.
const LIVE_ROOM: usize = 24;

/// Columns before the losses: margin, title, and gaps.
const LOSSES_INDENT: usize = 12;

/// Draws it.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let facts = &app.facts;
    let mut x = 1 + text::put(buffer, theme, area, 1, "rheaper", theme.title());
    let losses = match facts.losses {
        0 => String::new(),
        losses => format!("! {} lost", units::count(losses)),
    };
    // Losses are shown at any width: the name is cut instead.
    let left = usize::from(area.width).saturating_sub(LOSSES_INDENT + losses.len());
    let room = usize::from(area.width / 3).max(8);
    let room = if losses.is_empty() { room } else { room.min(left.max(1)) };
    let name = text::cut_front(&facts.name, room, theme).into_owned();
    x += 1 + text::put(buffer, theme, area, x + 1, &name, Style::new());
    let Some(duration) = facts.duration_ns else {
        text::put(buffer, theme, area, x + 1, "reading…", theme.dim());
        return;
    };
    let bytes = |bytes: i64| units::bytes(bytes as f64);
    let time = |ns: i64| units::duration(ns as f64);
    let rss = facts.rss.map(|(rss, live)| {
        let share = units::share(live as f64 / rss.max(1) as f64);
        format!("{} ({share} live)", bytes(rss))
    });
    let sampled = facts.notes.sampled;
    // As much of it as there is room for, but never nothing.
    let how = sampled.map(|it| {
        let rate = units::bytes(it.sample_bytes as f64);
        let room =
            usize::from(area.width.saturating_sub(x + 4)).saturating_sub(time(duration).len());
        let words = [it.tag(), format!("sampled 1/{rate}"), "sampled".to_owned()];
        let fits = words.iter().find(|words| words.len() + LIVE_ROOM <= room || words.len() < 8);
        fits.cloned().unwrap_or_default()
    });
    let aggregated = facts.notes.aggregated.map(|it| it.tag()).unwrap_or_default();
    let live = match sampled {
        None => bytes(facts.live_bytes),
        Some(it) => {
            let error = it.live_interval.relative_error(it.live_bytes);
            format!("{} {}", bytes(facts.live_bytes), relative_error_text(error))
        }
    };
    let parts = [
        ("", losses),
        ("", time(duration)),
        ("", how.unwrap_or_default()),
        ("live ", live),
        ("before shutdown ", facts.before_shutdown.map(bytes).unwrap_or_default()),
        ("rss ", rss.unwrap_or_default()),
        ("peak ", format!("{} at {}", bytes(facts.peak_bytes), time(facts.peak_ns))),
        ("", format!("{} allocations", units::count_short(facts.allocations as f64))),
        ("", aggregated),
        ("by ", facts.imported_from.clone().unwrap_or_default()),
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
