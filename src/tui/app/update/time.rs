//! Actions of the Time view: two cursors and the filters made from them.

use crate::tui::app::message::Effect;
use crate::tui::app::state::time::Stacking;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{load, switch};
use crate::tui::data::filter::Filter;
use crate::tui::input::key_lookup::Action;

/// Edges per page.
const PAGE_EDGES: i64 = 20;

/// Handles an action.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    let points = app.overview.axis.points();
    let time = &mut app.time;
    match action {
        Action::Left => time.step(-1, points),
        Action::Right => time.step(1, points),
        Action::PageUp | Action::HalfPageUp | Action::Down => time.step(-PAGE_EDGES, points),
        Action::PageDown | Action::HalfPageDown | Action::Up => time.step(PAGE_EDGES, points),
        Action::First => time.move_to(0, points),
        Action::Last => time.move_to(points, points),
        Action::OtherCursor => time.active = 1 - time.active.min(1),
        Action::Next | Action::Previous => {
            match time.next_mark(&app.overview.axis, action == Action::Next) {
                Some(edge) => app.time.move_to(edge, points),
                None if app.time.marks.is_empty() => {
                    app.notify(
                        "the recording has no marks; the program sets them with rheaper::mark",
                    );
                }
                None => app.notify("no mark in this direction"),
            }
        }
        Action::ToggleStacking => {
            time.stacking = match time.stacking {
                Stacking::Sum => Stacking::Sites,
                Stacking::Sites => Stacking::Sum,
            }
        }
        Action::ShowFlame => {
            app.flame.over = None;
            return switch(app, ViewKind::Flame);
        }
        Action::ClearTimeFilter => {
            return load::set_filters(app, |filters| filters.drop_matching(Filter::is_time_filter));
        }
        _ => return add_time_filter(app, action),
    }
    Vec::new()
}

/// Adds a filter for the blocks at the cursor or in the range.
fn add_time_filter(app: &mut App, action: Action) -> Vec<Effect> {
    let axis = &app.overview.axis;
    if axis.points() == 0 {
        app.notify("the timeline is still being read");
        return Vec::new();
    }
    let (first, last) = app.time.range();
    let (from, to) = (axis.edge(first), axis.edge(last));
    // Live at an edge means before the first event at the edge, hence 1 ns earlier.
    let at = |edge: usize| (axis.edge(edge) - 1).max(0);
    let needs_range =
        matches!(action, Action::Activate | Action::FilterLiveThroughout | Action::FilterSurvivors);
    if needs_range && first == last {
        app.notify("both cursors are at the same moment; Space: other cursor, arrow keys: move");
        return Vec::new();
    }
    let filter = match action {
        Action::Activate => Filter::AllocatedIn(from, to),
        Action::FilterSurvivors => Filter::SurvivingFrom(from, to),
        Action::FilterLiveAtCursor => Filter::AliveAt(at(app.time.cursor())),
        Action::FilterLiveThroughout => Filter::AliveThrough(at(first), at(last)),
        Action::FilterLiveAtPeak => Filter::AtPeak,
        _ => return Vec::new(),
    };
    app.notify("filter added to views 1 to 4 and 6; z: remove it");
    load::set_filters(app, |filters| filters.add(filter))
}

/// Moves the times of a filter to the nearest edges of the axis, where sums are precomputed.
pub fn snap_to_axis(app: &App, filter: Filter) -> Filter {
    let axis = &app.overview.axis;
    if axis.points() == 0 {
        return filter;
    }
    let alive = |at: i64| axis.edge(axis.nearest(at.saturating_add(1)).max(1)) - 1;
    match filter {
        Filter::AliveAt(at) => Filter::AliveAt(alive(at)),
        Filter::AliveThrough(from, to) => Filter::AliveThrough(alive(from), alive(to)),
        Filter::AllocatedIn(from, to) => {
            let (from, to) = snap_range(app, from, to);
            Filter::AllocatedIn(from, to)
        }
        Filter::SurvivingFrom(from, to) => {
            let (from, to) = snap_range(app, from, to);
            Filter::SurvivingFrom(from, to)
        }
        other => other,
    }
}

/// The nearest edges of a range that is not empty.
fn snap_range(app: &App, from: i64, to: i64) -> (i64, i64) {
    let axis = &app.overview.axis;
    let from = axis.nearest(from);
    let to = axis.nearest(to).max((from + 1).min(axis.points()));
    (axis.edge(from), axis.edge(to))
}
