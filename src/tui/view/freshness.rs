//! Whether a view shows the answer to the current filters, or still that to the last ones.

use crate::tui::app::state::requests::Purpose;
use crate::tui::app::state::{App, ViewKind};

/// Whether what a view draws is of the present filter set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is.
    Fresh,
    /// It is of the last one; the answer for this one is on its way.
    Stale,
}

/// Whether what the shown view draws is of the present filter set.
pub fn freshness(app: &App) -> Freshness {
    let view = app.view;
    let is_awaited = |purpose: Purpose| match purpose {
        Purpose::Suspects => view == ViewKind::Suspects,
        Purpose::Tree | Purpose::Shown => matches!(view, ViewKind::Flame | ViewKind::Tree),
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

/// What a title says of that.
pub fn stale_suffix(app: &App) -> &'static str {
    match freshness(app) {
        Freshness::Fresh => "",
        Freshness::Stale => " · STALE, updating…",
    }
}
