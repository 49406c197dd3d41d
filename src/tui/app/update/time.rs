//! Keys of the run's course: two cursors, and what they make of the filter set.

use crate::tui::app::message::Effect;
use crate::tui::app::state::time::Stack;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{load, switch};
use crate::tui::data::filter::Filter;
use crate::tui::input::keymap::Action;

/// Edges that a page is.
const PAGE: i64 = 20;

/// Does it.
pub fn perform(app: &mut App, action: Action) -> Vec<Effect> {
    let points = app.facts.axis.points();
    let time = &mut app.time;
    match action {
        Action::Left => time.step(-1, points),
        Action::Right => time.step(1, points),
        Action::PageUp | Action::HalfUp | Action::Down => time.step(-PAGE, points),
        Action::PageDown | Action::HalfDown | Action::Up => time.step(PAGE, points),
        Action::First => time.go(0, points),
        Action::Last => time.go(points, points),
        Action::OtherCursor => time.active = 1 - time.active.min(1),
        Action::SearchNext | Action::SearchBack => {
            match time.next_mark(&app.facts.axis, action == Action::SearchNext) {
                Some(edge) => app.time.go(edge, points),
                None if app.time.marks.is_empty() => {
                    app.say("the recording has no marks; the program makes them");
                }
                None => app.say("no mark in this direction"),
            }
        }
        Action::Stack => {
            time.stack = match time.stack {
                Stack::Sum => Stack::Sites,
                Stack::Sites => Stack::Sum,
            }
        }
        Action::Flame => {
            app.flame.over = None;
            return switch(app, ViewKind::Flame);
        }
        Action::ClearRange => {
            return load::set_filters(app, |filters| filters.drop_matching(Filter::is_of_time));
        }
        _ => return narrowed(app, action),
    }
    Vec::new()
}

/// What is alive at the cursor, made in the range, and so on, becomes the filter set.
fn narrowed(app: &mut App, action: Action) -> Vec<Effect> {
    let axis = &app.facts.axis;
    if axis.points() == 0 {
        app.say("the course of the run is not here yet");
        return Vec::new();
    }
    let (first, last) = app.time.range();
    let (from, to) = (axis.edge(first), axis.edge(last));
    // What is alive at an edge is what is alive just before the first event behind it.
    let at = |edge: usize| (axis.edge(edge) - 1).max(0);
    let needs_range = matches!(action, Action::Enter | Action::AliveBoth | Action::Survivors);
    if needs_range && first == last {
        app.say("the cursors are at one moment: Space takes the other one, arrows move it");
        return Vec::new();
    }
    let filter = match action {
        Action::Enter => Filter::Made(from, to),
        Action::Survivors => Filter::Kept(from, to),
        Action::AliveHere => Filter::AliveAt(at(app.time.cursor())),
        Action::AliveBoth => Filter::AliveThrough(at(first), at(last)),
        Action::AtPeak => Filter::AtPeak,
        _ => return Vec::new(),
    };
    app.say("views 1 to 4 and 6 show these blocks; z takes it back");
    load::set_filters(app, |filters| filters.add(filter))
}

/// Moves a typed moment to where sums are known: the nearest edge of the axis.
pub fn on_axis(app: &App, filter: Filter) -> Filter {
    let axis = &app.facts.axis;
    if axis.points() == 0 {
        return filter;
    }
    let alive = |at: i64| axis.edge(axis.nearest(at.saturating_add(1)).max(1)) - 1;
    match filter {
        Filter::AliveAt(at) => Filter::AliveAt(alive(at)),
        Filter::AliveThrough(from, to) => Filter::AliveThrough(alive(from), alive(to)),
        Filter::Made(from, to) => {
            let (from, to) = span_on_axis(app, from, to);
            Filter::Made(from, to)
        }
        Filter::Kept(from, to) => {
            let (from, to) = span_on_axis(app, from, to);
            Filter::Kept(from, to)
        }
        other => other,
    }
}

/// The nearest edges, not both the same.
fn span_on_axis(app: &App, from: i64, to: i64) -> (i64, i64) {
    let axis = &app.facts.axis;
    let from = axis.nearest(from);
    let to = axis.nearest(to).max((from + 1).min(axis.points()));
    (axis.edge(from), axis.edge(to))
}
