//! Draws the last two rows: message and position, and the keys of the current context.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::database::text::units;
use crate::tui::app::state::compare::CompareMode;
use crate::tui::app::state::{App, Severity, ViewKind};
use crate::tui::data::filter::Filter;
use crate::tui::input::key_lookup::{self, Rank};
use crate::tui::terminal::terminal_guard::Mouse;
use crate::tui::terminal::theme::Theme;
use crate::tui::view::text;
use crate::tui::view::text::total_text;

/// Draws the status row.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let right = selection_position(app);
    let taken = text::put_right(buffer, theme, area, &format!("{right} "), theme.dim());
    let left = Rect { width: area.width.saturating_sub(taken + 1), ..area };
    let (words, style) = match (running_text(app), &app.notice) {
        (_, Some(notice)) if notice.severity == Severity::Error => {
            (format!("! {}", notice.text), theme.error())
        }
        (_, Some(notice)) => (notice.text.clone(), Style::new()),
        (Some(running), None) => (running, theme.number()),
        (None, None) => (String::new(), Style::new()),
    };
    text::put(buffer, theme, left, 1, &words, style);
}

/// Draws the footer: as many keys as fit, the most important first.
pub fn render_footer(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let mut shown: Vec<_> = key_lookup::bindings(app.contexts())
        .filter(|it| it.rank != Rank::Help && is_useful(app, it.action))
        .collect();
    shown.sort_by_key(|it| it.rank);
    let mut chosen = Vec::new();
    let mut width = 1;
    for binding in shown {
        let key = binding.keys.first().map(|it| it.spelling()).unwrap_or_default();
        let needed = key.width() + 1 + binding.label.width() + 2;
        if width + needed <= usize::from(area.width) + 2 {
            width += needed;
            chosen.push((key, binding.label));
        }
    }
    let mut x = 1;
    for (key, label) in chosen {
        x += text::put(buffer, theme, area, x, &key, theme.key());
        x += 1 + text::put(buffer, theme, area, x + 1, label, theme.dim());
        x += 2;
    }
}

/// Whether a key has an effect now.
fn is_useful(app: &App, action: key_lookup::Action) -> bool {
    use key_lookup::Action;
    match action {
        Action::RemoveFilter => !app.filters.current().filters().is_empty(),
        Action::Undo => app.filters.can_undo(),
        Action::NextPane => matches!(app.view, ViewKind::Suspects | ViewKind::Rows | ViewKind::Sql),
        Action::ClearTimeFilter => {
            app.filters.current().filters().iter().any(Filter::is_time_filter)
        }
        Action::Next if app.view == ViewKind::Time => !app.time.marks.is_empty(),
        Action::Back if app.view == ViewKind::Flame && app.popups.is_empty() => {
            !app.flame.cursor.zoom.is_empty()
                || app.flame.over.is_some()
                || app.flame.callers.is_some()
        }
        Action::Back if app.view == ViewKind::Rows && app.popups.is_empty() => {
            app.rows.len() > 1 || app.pane == crate::tui::app::state::Pane::Detail
        }
        _ => true,
    }
}

fn running_text(app: &App) -> Option<String> {
    let request = app.requests.oldest()?;
    let since = app.now.saturating_sub(request.since);
    // Short requests are not shown.
    if since.as_millis() < 150 {
        return None;
    }
    let spinner = ["|", "/", "-", "\\"][(app.now.as_millis() / 125 % 4) as usize];
    let took = units::duration(since.as_millis() as f64 * 1e6);
    Some(format!("{spinner} running for {took}; Ctrl-C: stop"))
}

/// The position of the selection.
fn selection_position(app: &App) -> String {
    let mouse = match app.mouse {
        Mouse::Captured => "",
        Mouse::Free => " · mouse off (F2)",
    };
    let place = match app.view {
        ViewKind::Suspects => match app.suspects.listed().len() {
            0 => String::new(),
            listed => format!("{} of {listed}", app.suspects.cursor.at + 1),
        },
        ViewKind::Flame => match &app.flame.shown {
            Some(shown) => format!("{} cells", units::count(shown.len() as i64)),
            None => String::new(),
        },
        ViewKind::Tree => match app.tree.lines().len() {
            0 => String::new(),
            lines => format!("line {} of {}", app.tree.cursor.at + 1, units::count(lines as i64)),
        },
        ViewKind::Time => {
            format!("{} moments", units::count(app.overview.axis.points() as i64 + 1))
        }
        ViewKind::Histograms => match app.histograms.bins().len() {
            0 => String::new(),
            bins => format!("bar {} of {bins}", app.histograms.cursor.at + 1),
        },
        ViewKind::Compare => match (&app.compare.shown, app.compare.mode) {
            (None, _) => String::new(),
            (Some(shown), CompareMode::List) => match shown.rows.len() {
                0 => String::new(),
                rows => format!("{} of {}", app.compare.list.at + 1, units::count(rows as i64)),
            },
            (Some(shown), _) => format!("{} cells", units::count(shown.len() as i64)),
        },
        ViewKind::Rows | ViewKind::Sql => match app.table() {
            Some(table) if !table.is_empty() => {
                let took = table.elapsed.map(|it| units::duration(it.as_nanos() as f64));
                let took = took.map(|it| format!(" · {it}")).unwrap_or_default();
                let row = units::count(table.cursor.at as i64 + 1);
                format!("row {row} of {}{took}", total_text(table.total))
            }
            _ => String::new(),
        },
    };
    format!("{place}{mouse}")
}
