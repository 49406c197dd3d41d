//! Whether a view shows data of the current filters or of earlier ones.

use crate::tui::app::state::requests::Purpose;
use crate::tui::app::state::{App, ViewKind};

/// Whether the drawn data belongs to the current filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It does.
    Fresh,
    /// It belongs to earlier filters; a request is pending.
    Stale,
}

/// Whether the data of the current view belongs to the current filters.
pub fn freshness(app: &App) -> Freshness {
    let view = app.view;
    let is_awaited = |purpose: Purpose| match purpose {
        Purpose::Suspects => view == ViewKind::Suspects,
        Purpose::Tree | Purpose::Shape => matches!(view, ViewKind::Flame | ViewKind::Tree),
        Purpose::Changes => view == ViewKind::Time,
        Purpose::Histograms => view == ViewKind::Histograms,
        Purpose::Compared | Purpose::Differences => view == ViewKind::Compare,
        _ => false,
    };
    match app.requests.is_pending(is_awaited) {
        true => Freshness::Stale,
        false => Freshness::Fresh,
    }
}

/// The suffix of a title for stale data.
pub fn stale_suffix(app: &App) -> &'static str {
    match freshness(app) {
        Freshness::Fresh => "",
        Freshness::Stale => " · STALE, updating…",
    }
}
