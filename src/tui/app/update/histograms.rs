//! Actions of the histograms.

use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::message::Effect;
use crate::tui::app::state::cursor::Cursor;
use crate::tui::app::state::histograms::BarUnit;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{detail, load, switch};
use crate::tui::data::filter::Filter;
use crate::tui::data::histogram::Kind;
use crate::tui::input::key_lookup::Action;

/// Handles an action.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(step) = detail::step(action) {
        let (len, window) = (app.histograms.bins().len() as u64, geometry::bars_window(app));
        app.histograms.cursor.step(step, len, window);
        return Vec::new();
    }
    match action {
        Action::NextKind | Action::Right => cycle_kind(app, 1),
        Action::Left => cycle_kind(app, Kind::ALL.len() - 1),
        Action::NextMeasure => {
            app.histograms.bar_unit = match app.histograms.bar_unit {
                BarUnit::Bytes => BarUnit::Blocks,
                BarUnit::Blocks => BarUnit::Bytes,
            }
        }
        Action::Copy => {
            let table = as_text(app);
            return detail::copy(app, table, "histogram");
        }
        Action::Activate | Action::ShowFlame | Action::ShowBlocks => {
            return add_bar_filter(app, action);
        }
        _ => {}
    }
    Vec::new()
}

fn cycle_kind(app: &mut App, by: usize) {
    for _ in 0..by {
        app.histograms.kind = app.histograms.kind.next();
    }
    app.histograms.cursor = Cursor::default();
}

/// Adds a filter for the blocks of the selected bar.
fn add_bar_filter(app: &mut App, action: Action) -> Vec<Effect> {
    let Some((low, high)) = app.histograms.selected().map(|bin| (bin.low, bin.high)) else {
        return Vec::new();
    };
    let filter = match app.histograms.kind {
        Kind::Sizes => Filter::Size(low, high),
        Kind::Lifetimes => Filter::Lifetime(low, high),
        Kind::Ages => Filter::Age(low, high),
    };
    match action {
        Action::Activate => load::add_filter(app, filter),
        Action::ShowFlame => {
            app.filters.add(filter);
            app.flame.over = None;
            switch(app, ViewKind::Flame)
        }
        _ => {
            app.filters.add(filter);
            app.rows.truncate(1);
            switch(app, ViewKind::Rows)
        }
    }
}

/// The bars as tab-separated text, one per line.
fn as_text(app: &App) -> String {
    let mut text = String::from("from\tto\tblocks\tbytes\n");
    for bin in app.histograms.bins() {
        text.push_str(&format!(
            "{}\t{}\t{}\t{}\n",
            bin.low, bin.high, bin.sum.blocks, bin.sum.bytes
        ));
    }
    text
}

/// The label of a bar: its bounds.
pub fn bounds(kind: Kind, low: i64, high: i64) -> String {
    let words = |value: i64| match kind {
        Kind::Sizes => units::bytes(value as f64),
        Kind::Lifetimes | Kind::Ages => units::duration(value as f64),
    };
    match (low, high) {
        (0, i64::MAX) => "more".into(),
        (low, i64::MAX) => format!("> {}", words(low - 1)),
        (0, high) => format!("≤ {}", words(high)),
        (low, high) => format!("{} .. {}", words(low - 1), words(high)),
    }
}
