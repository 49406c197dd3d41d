//! Draws the third row: the filters; in the flamegraph, the definition of its measure.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::app::state::{App, ViewKind};
use crate::tui::terminal::theme::Theme;
use crate::tui::view::text;

/// Draws the row.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    if area.is_empty() {
        return;
    }
    let mut x = 1 + text::put(buffer, theme, area, 1, "filter", theme.dim());
    let filters = app.filters.current().filters();
    if app.view == ViewKind::Flame
        && let Some((title, _)) = &app.flame.over
    {
        let over = format!("[rows of: {title}]");
        x += 1 + text::put(buffer, theme, area, x + 1, &over, theme.chip());
    } else if filters.is_empty() {
        x += 1 + text::put(buffer, theme, area, x + 1, "none", theme.chip());
        let hint = "+ add a filter  c built-in queries";
        if app.view != ViewKind::Flame {
            text::put(buffer, theme, area, x + 2, hint, theme.dim());
        }
    } else {
        for filter in filters {
            let chip = format!("[{}]", filter.label());
            x += 1 + text::put(buffer, theme, area, x + 1, &chip, theme.chip());
        }
    }
    let left = Rect { x: area.x + x.min(area.width), width: area.width.saturating_sub(x), ..area };
    if app.view == ViewKind::Flame {
        let words = format!("{}: {}", app.flame.measure.title(), app.flame.measure.definition());
        if text::put_right(buffer, theme, left, &format!("  {words}"), theme.dim()) == 0 {
            let title = app.flame.measure.title();
            text::put_right(buffer, theme, left, &format!("  {title}"), theme.title());
        }
    } else if !filters.is_empty() {
        text::put_right(buffer, theme, left, "  x: remove the last, u: undo", theme.dim());
    }
}
