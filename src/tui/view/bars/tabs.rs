//! Draws the second row: the tabs of the views, and live bytes over time.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::app::state::App;
use crate::tui::app::state::suspects::downsample_max;
use crate::tui::app::update::mouse;
use crate::tui::terminal::theme::Theme;
use crate::tui::view::text;

/// Draws the row.
pub fn render(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    let mut end = 0;
    for (x, width, view) in mouse::tabs(app) {
        let (digit, name) = view.title();
        let style = match view == app.view {
            true => theme.title().patch(theme.selected()),
            false => theme.key(),
        };
        let words = if width > 1 { format!("{digit} {name}") } else { digit.to_string() };
        text::put(buffer, theme, area, x, &words, style);
        end = x + width;
    }
    let room = area.width.saturating_sub(end + 2);
    let label = "live ";
    if room < 8 || app.overview.curve.is_empty() {
        return;
    }
    let with_label = room >= 24;
    let width = (room - if with_label { label.len() as u16 } else { 0 }).min(60);
    let curve = downsample_max(&app.overview.curve, usize::from(width));
    let max = app.overview.curve.iter().copied().max().unwrap_or(0);
    let spark = theme.spark(&curve, max);
    text::put_right(buffer, theme, area, &spark, theme.number());
    if with_label {
        let left = Rect { width: area.width - width, ..area };
        text::put_right(buffer, theme, left, label, theme.dim());
    }
}
