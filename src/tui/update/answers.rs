//! Puts answers where they belong.
//!
//! Invariant: an answer that nobody waits for any more changes nothing.

use crate::database::error::{QueryError, QueryErrorKind};
use crate::database::table::{Table, Value};
use crate::tui::flame::measure::Measure;
use crate::tui::message::{Answer, Effect, Lane, Reply};
use crate::tui::state::App;
use crate::tui::state::asked::{Purpose, TableId};
use crate::tui::state::popup::Popup;
use crate::tui::state::table::{Origin, number};
use crate::tui::statements;
use crate::tui::update::{fit, load, sql};

/// Takes an answer.
pub fn answered(app: &mut App, answer: Answer) -> Vec<Effect> {
    let Some(open) = app.asked.answered(answer.id) else {
        return Vec::new();
    };
    match answer.outcome {
        Ok(reply) => taken(app, open.purpose, reply),
        Err(error) => {
            failed(app, open.purpose, open.lane, error);
            Vec::new()
        }
    }
}

fn taken(app: &mut App, purpose: Purpose, reply: Reply) -> Vec<Effect> {
    match (purpose, reply) {
        (Purpose::Facts, Reply::Table(table)) => return facts(app, &table),
        (Purpose::Curve, Reply::Table(table)) => curve(app, &table),
        (Purpose::Threads, Reply::Table(table)) => threads(app, &table),
        (Purpose::Suspects, Reply::Table(table)) => {
            app.suspects.take(&table);
            if app.suspects.trends.is_empty() {
                return load::ask_rows(app, Purpose::Trends, statements::trends());
            }
        }
        (Purpose::Trends, Reply::Table(table)) => {
            let slices = app.facts.curve.len();
            app.suspects.take_trends(&table, slices);
        }
        (Purpose::Frames, Reply::Table(table)) => app.detail.take(&table),
        (Purpose::Site, Reply::Table(table)) => app.detail.site = Some(table),
        (Purpose::Excerpt, Reply::Source(source)) => app.detail.excerpt = Some(source),
        (Purpose::Source, Reply::Source(source)) => {
            let half = fit::popup_window(app) / 2;
            if let Some(Popup::Source(popup)) = app.popups.last_mut() {
                let before = u64::from(popup.line.saturating_sub(source.first_line));
                popup.cursor.at = before.saturating_sub(half);
                popup.source = Some(source);
            }
        }
        (Purpose::Tree, Reply::Tree(tree)) => {
            app.flame.tree = Some(tree);
            pick_measure(app);
            return load::shapes(app);
        }
        (Purpose::Shown, Reply::Shown(shown)) => app.flame.take(shown),
        (Purpose::Page(id, page), Reply::Table(table)) => {
            let now = app.now;
            if let Some(state) = app.table_named(id) {
                state.take_page(page, table, now);
            }
            if !app.asked.is_open(|it| it == Purpose::Count(id)) {
                return load::ask_count(app, id);
            }
        }
        (Purpose::Count(id), Reply::Count(rows, complete)) => {
            if let Some(state) = app.table_named(id) {
                state.take_count(rows, complete);
            }
        }
        _ => {}
    }
    Vec::new()
}

/// If the measure has nothing to show in this tree, another one may.
fn pick_measure(app: &mut App) {
    let Some(tree) = &app.flame.tree else { return };
    let total = tree.total();
    if total.width(app.flame.measure) > 0 {
        return;
    }
    let other = Measure::ALL.into_iter().find(|it| total.width(*it) > 0);
    if let Some(measure) = other {
        app.flame.measure = measure;
        app.say(format!("nothing to show by the last measure, so this is {}", measure.title()));
    }
}

fn failed(app: &mut App, purpose: Purpose, lane: Lane, error: QueryError) {
    match purpose {
        Purpose::Page(id, _) => page_failed(app, id, &error),
        // A count that was stopped or failed leaves "more than …", which stays true.
        Purpose::Count(_) => {}
        Purpose::Suspects => {
            app.suspects_for = None;
            app.suspects.error = Some(error);
        }
        Purpose::Tree | Purpose::Shown => app.flame.error = Some(error),
        Purpose::Facts
        | Purpose::Curve
        | Purpose::Threads
        | Purpose::Trends
        | Purpose::Frames
        | Purpose::Site
        | Purpose::Excerpt
        | Purpose::Source => {
            if error.kind != QueryErrorKind::Cancelled || lane == Lane::Sql {
                app.complain(error.message);
            }
        }
    }
}

fn page_failed(app: &mut App, id: TableId, error: &QueryError) {
    let mut is_statement = false;
    if let Some(table) = app.table_named(id) {
        let mut error = error.clone();
        if matches!(table.origin, Origin::Groups { .. }) && error.kind == QueryErrorKind::TooBig {
            error.message =
                "too many rows to tally at once: narrow the scope first (+), Esc goes back".into();
        }
        table.error = Some(error);
        is_statement = table.origin == Origin::Statement;
    }
    if is_statement && error.kind != QueryErrorKind::Cancelled {
        sql::point_at_error(app, id, error);
    }
}

fn facts(app: &mut App, table: &Table) -> Vec<Effect> {
    let whole = |name: &str| table.get(0, name).and_then(number).unwrap_or(0);
    let known = app.facts.duration_ns;
    app.facts.duration_ns = Some(whole("duration_ns"));
    app.facts.peak_after = whole("peak_after");
    let resident = table.get(0, "rss_bytes").and_then(number);
    app.facts.rss = resident.map(|rss| (rss, whole("rss_live_bytes")));
    app.facts.peak_bytes = whole("peak_bytes");
    app.facts.losses = whole("losses");
    app.facts.allocations = whole("allocations");
    app.facts.live_bytes = whole("live_bytes");
    app.facts.live_blocks = whole("live_blocks");
    // Whatever was asked before the end of the recording was known is asked again with it.
    if known.is_none() && !app.scope.now().is_everything() {
        app.suspects_for = None;
        app.rows_for = None;
        return load::lens(app);
    }
    Vec::new()
}

fn curve(app: &mut App, table: &Table) {
    let level =
        |row: &Vec<Value>| u64::try_from(row.first().and_then(number).unwrap_or(0)).unwrap_or(0);
    app.facts.curve = table.rows.iter().map(level).collect();
}

fn threads(app: &mut App, table: &Table) {
    let thread = |row: &Vec<Value>| {
        let name = row.get(1).and_then(Value::as_str).unwrap_or("");
        Some((number(row.first()?)?, name.to_owned()))
    };
    app.facts.threads = table.rows.iter().filter_map(thread).collect();
}
