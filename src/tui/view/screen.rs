//! The whole screen; where its parts stand is drawn in [`crate::tui::app::layout::areas`].

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::widgets::{Clear, Widget};

use crate::tui::app::layout::areas::{self, COLUMNS_MIN, ROWS_MIN};
use crate::tui::app::state::requests::Purpose;
use crate::tui::app::state::{App, Lens, Pane};
use crate::tui::terminal::theme::{Focus, Theme};
use crate::tui::view::{
    compare, detail, flame, header, histograms, popup, scope, sql, status, suspects, table, tabs,
    text, time, tree,
};

/// Whether what a lens draws is of the present scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is.
    Fresh,
    /// It is of the last one; the answer for this one is on its way.
    Stale,
}

/// Whether what the shown lens draws is of the present scope.
pub fn freshness(app: &App) -> Freshness {
    let lens = app.lens;
    let is_waited_for = |purpose: Purpose| match purpose {
        Purpose::Suspects => lens == Lens::Suspects,
        Purpose::Tree | Purpose::Shown => matches!(lens, Lens::Flame | Lens::Tree),
        Purpose::Changes => lens == Lens::Time,
        Purpose::Histograms => lens == Lens::Histograms,
        Purpose::Compared | Purpose::Differences => lens == Lens::Compare,
        _ => false,
    };
    match app.asked.is_open(is_waited_for) {
        true => Freshness::Stale,
        false => Freshness::Fresh,
    }
}

/// What a title says of that.
pub fn stale_words(app: &App) -> &'static str {
    match freshness(app) {
        Freshness::Fresh => "",
        Freshness::Stale => " · STALE, updating…",
    }
}

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
    scope::render(buffer, regions.scope, app, theme);
    let focus = |pane: Pane| match app.pane == pane {
        true => Focus::Here,
        false => Focus::Elsewhere,
    };
    match app.lens {
        Lens::Suspects => {
            suspects::render(buffer, regions.main, app, theme, focus(Pane::Main));
            detail::render(buffer, regions.detail, app, theme, focus(Pane::Detail));
        }
        Lens::Flame => flame::render(buffer, regions.main, app, theme),
        Lens::Tree => tree::render(buffer, regions.main, app, theme),
        Lens::Time => time::render(buffer, regions.main, app, theme),
        Lens::Histograms => histograms::render(buffer, regions.main, app, theme),
        Lens::Compare => compare::render(buffer, regions.main, app, theme),
        Lens::Rows => {
            table::render(buffer, regions.main, app, theme, focus(Pane::Main));
            detail::render(buffer, regions.detail, app, theme, focus(Pane::Detail));
        }
        Lens::Sql => {
            sql::render(buffer, regions.main, app, theme, focus(Pane::Main));
            table::render(buffer, regions.detail, app, theme, focus(Pane::Detail));
        }
    }
    status::render(buffer, regions.status, app, theme);
    status::render_footer(buffer, regions.footer, app, theme);
    popup::render(buffer, areas::popup(app), app, theme);
}
