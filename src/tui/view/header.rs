//! The first row: which file, how long, what lives, what of the process that is, and what lived at the
//! peak.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::database::human;
use crate::tui::state::App;
use crate::tui::theme::Theme;
use crate::tui::view::text;

/// Draws it.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let facts = &app.facts;
    let mut x = 1 + text::put(buffer, theme, area, 1, "rheaper", theme.title());
    let room = usize::from(area.width / 3).max(8);
    let name = text::cut_front(&facts.name, room, theme).into_owned();
    x += 1 + text::put(buffer, theme, area, x + 1, &name, Style::new());
    let Some(duration) = facts.duration_ns else {
        text::put(buffer, theme, area, x + 1, "reading…", theme.dim());
        return;
    };
    let bytes = |bytes: i64| human::bytes(bytes as f64);
    let time = |ns: i64| human::duration(ns as f64);
    let losses = match facts.losses {
        0 => String::new(),
        losses => format!("! {} lost", human::count(losses)),
    };
    let rss = facts.rss.map(|(rss, live)| {
        let share = human::share(live as f64 / rss.max(1) as f64);
        format!("{} ({share} live)", bytes(rss))
    });
    let parts = [
        ("", time(duration)),
        ("live ", bytes(facts.live_bytes)),
        ("rss ", rss.unwrap_or_default()),
        ("peak ", format!("{} at {}", bytes(facts.peak_bytes), time(facts.peak_after))),
        ("", format!("{} allocations", human::count_short(facts.allocations as f64))),
        ("", losses),
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
