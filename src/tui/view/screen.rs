//! Draws the whole screen, as divided by [`crate::tui::app::layout::areas`].

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use crate::tui::app::layout::areas::{self, COLUMNS_MIN, ROWS_MIN};
use crate::tui::app::state::{App, Pane, ViewKind};
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::bars::{filters, header, status, tabs};
use crate::tui::view::{
    compare, detail, flame, histograms, popup, sql, suspects, table, text, time, tree,
};

/// Draws everything.
pub fn render(frame: &mut Frame<'_>, app: &App, theme: Theme) {
    let area = frame.area();
    render_into(frame.buffer_mut(), area, app, theme);
}

/// Draws everything into a buffer.
pub fn render_into(buffer: &mut Buffer, area: Rect, app: &App, theme: Theme) {
    Clear.render(area, buffer);
    let is_of_this_size = (area.width, area.height) == app.size;
    if !areas::is_large_enough((area.width, area.height)) || !is_of_this_size {
        let notice = format!(
            "rheaper needs {COLUMNS_MIN}x{ROWS_MIN}; this is {}x{}",
            area.width, area.height
        );
        text::put(buffer, theme, text::line(area, 0), 0, &notice, theme.error());
        return;
    }
    let regions = areas::regions(app);
    header::render(buffer, regions.header, app, theme);
    tabs::render(buffer, regions.tabs, app, theme);
    filters::render(buffer, regions.filters, app, theme);
    let focus = |pane: Pane| match app.pane == pane {
        true => Focus::Here,
        false => Focus::Elsewhere,
    };
    match app.view {
        ViewKind::Suspects => {
            suspects::render(buffer, regions.main, app, theme, focus(Pane::Main));
            detail::render(buffer, regions.detail, app, theme, focus(Pane::Detail));
        }
        ViewKind::Flame => flame::render(buffer, regions.main, app, theme),
        ViewKind::Tree => tree::render(buffer, regions.main, app, theme),
        ViewKind::Time => time::render(buffer, regions.main, app, theme),
        ViewKind::Histograms => histograms::render(buffer, regions.main, app, theme),
        ViewKind::Compare => compare::render(buffer, regions.main, app, theme),
        ViewKind::Rows => {
            table::render(buffer, regions.main, app, theme, focus(Pane::Main));
            detail::render(buffer, regions.detail, app, theme, focus(Pane::Detail));
        }
        ViewKind::Sql => {
            sql::render(buffer, regions.main, app, theme, focus(Pane::Main));
            table::render(buffer, regions.detail, app, theme, focus(Pane::Detail));
        }
    }
    status::render(buffer, regions.status, app, theme);
    status::render_footer(buffer, regions.footer, app, theme);
    popup::render(buffer, areas::popup(app), app, theme);
}
