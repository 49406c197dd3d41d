//! Puts answers where they belong.
//!
//! Invariant: an answer that nobody waits for any more changes nothing.

use std::sync::Arc;

use crate::database::caveats::Caveats;
use crate::database::error::{QueryError, QueryErrorKind};
use crate::database::table::{Table, Value};
use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Answer, Effect, Reply, RequestQueue};
use crate::tui::app::state::popup::Popup;
use crate::tui::app::state::requests::{Purpose, TableId};
use crate::tui::app::state::table::{Origin, number};
use crate::tui::app::state::time::Mark;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{compare, export, load, sql};
use crate::tui::app::view_sql;
use crate::tui::data::axis::{Axis, Rows, Slice};
use crate::tui::data::histogram::{Histograms, Kind};
use crate::tui::flame::measure::{MEASURES, Measure};

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
        (Purpose::Notes, Reply::Table(table)) => app.facts.notes = Caveats::from_row(&table),
        (Purpose::Slices, Reply::Table(table)) => return slices(app, &table),
        (Purpose::Threads, Reply::Table(table)) => threads(app, &table),
        (Purpose::Suspects, Reply::Table(table)) => {
            app.suspects.take(&table);
            if app.suspects.trends.is_empty() {
                return load::ask_rows(app, Purpose::Trends, view_sql::trends());
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
            let half = geometry::popup_window(app) / 2;
            if let Some(Popup::Source(popup)) = app.popups.last_mut() {
                let before = u64::from(popup.line.saturating_sub(source.first_line));
                popup.cursor.at = before.saturating_sub(half);
                popup.source = Some(source);
            }
        }
        (Purpose::Tree, Reply::Tree(tree)) => {
            app.flame.tree = Some(tree);
            pick_measure(app);
            return load::tree(app);
        }
        (Purpose::Shown, Reply::Shown(shown)) => {
            app.flame.take(shown);
            if let Some(shown) = app.flame.shown.clone() {
                app.tree.take(&shown);
            }
        }
        (Purpose::Compared, Reply::Compared(comparison)) => {
            comparison.warning().into_iter().for_each(|warning| app.say(warning));
            app.compare.comparison = Some(comparison);
            return compare::shape(app);
        }
        (Purpose::Differences, Reply::Differences(shown)) => app.compare.take(shown),
        (Purpose::Export, Reply::Exported(outcome)) => export::written(app, outcome),
        (Purpose::Sites, Reply::Sites(sites)) => app.tree.take_sites(sites),
        (Purpose::Histograms, Reply::Histograms(counted)) => return histograms(app, counted),
        (Purpose::Names, Reply::Table(table)) => {
            app.histograms.names = table.rows.iter().filter_map(|row| named(row)).collect();
        }
        (
            Purpose::Changes | Purpose::Largest | Purpose::Rss | Purpose::Marks,
            Reply::Table(table),
        ) => time(app, purpose, &table),
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
    let later = std::iter::successors(Some(app.flame.measure.next()), |it| Some(it.next()));
    let other = later.take(MEASURES).find(|it| total.width(*it) > 0);
    // A filter set that says when is read measure by measure: all its blocks may have some.
    let of_filters = || app.flame.time.is_some().then_some(Measure::Allocated);
    let other = other.or_else(of_filters).filter(|it| *it != app.flame.measure);
    if let Some(measure) = other {
        app.flame.measure = measure;
        app.say(format!("nothing to show by the last measure, so this is {}", measure.title()));
    }
}

fn failed(app: &mut App, purpose: Purpose, lane: RequestQueue, error: QueryError) {
    match purpose {
        Purpose::Page(id, _) => page_failed(app, id, &error),
        // A count that was stopped or failed leaves "more than …", which stays true.
        Purpose::Count(_) => {}
        Purpose::Suspects => {
            app.suspects_for = None;
            app.suspects.error = Some(error);
        }
        Purpose::Tree | Purpose::Shown => app.flame.error = Some(error),
        Purpose::Compared | Purpose::Differences => app.compare.error = Some(error),
        Purpose::Histograms => {
            app.histograms.counted_for = None;
            app.histograms.error = Some(error);
        }
        Purpose::Changes | Purpose::Largest => {
            app.time.asked_for = None;
            app.time.error = Some(error);
        }
        Purpose::Facts
        | Purpose::Slices
        | Purpose::Sites
        | Purpose::Names
        | Purpose::Export
        | Purpose::Rss
        | Purpose::Marks
        | Purpose::Notes
        | Purpose::Threads
        | Purpose::Trends
        | Purpose::Frames
        | Purpose::Site
        | Purpose::Excerpt
        | Purpose::Source => {
            if error.kind != QueryErrorKind::Cancelled || lane == RequestQueue::Sql {
                app.show_error(error.message);
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
                "too many rows to tally at once: add a filter first (+), Esc goes back".into();
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
    app.facts.duration_ns = Some(whole("duration_ns"));
    app.facts.peak_ns = whole("peak_ns");
    let resident = table.get(0, "rss_bytes").and_then(number);
    app.facts.rss = resident.map(|rss| (rss, whole("rss_live_bytes")));
    app.facts.peak_bytes = whole("peak_bytes");
    app.facts.losses = whole("losses");
    app.facts.before_shutdown = table.get(0, "before_shutdown").and_then(number);
    app.facts.imported_from =
        table.get(0, "imported_from").and_then(Value::as_str).map(str::to_owned);
    app.facts.allocations = whole("allocations");
    app.facts.live_bytes = whole("live_bytes");
    app.facts.live_blocks = whole("live_blocks");
    app.facts.axis.end_ns = whole("duration_ns");
    app.facts.axis.peak_ns = whole("peak_ns");
    Vec::new()
}

fn slices(app: &mut App, table: &Table) -> Vec<Effect> {
    let slices: Vec<Slice> = (0..table.rows.len())
        .map(|row| {
            let whole = |name: &str| table.get(row, name).and_then(number).unwrap_or(0);
            Slice {
                from_ns: whole("from_ns"),
                to_ns: whole("to_ns"),
                live_bytes: whole("live_bytes"),
                live_blocks: whole("live_blocks"),
                allocations: whole("allocations"),
                allocated_bytes: whole("allocated_bytes"),
                frees: whole("frees"),
                freed_bytes: whole("freed_bytes"),
                never_freed_bytes: whole("never_freed_bytes"),
            }
        })
        .collect();
    let level = |slice: &Slice| u64::try_from(slice.live_bytes).unwrap_or(0);
    app.facts.curve = slices.iter().map(level).collect();
    let a_point = table.get(0, "slices_per_point").and_then(number);
    let a_point = a_point.and_then(|it| usize::try_from(it).ok()).unwrap_or(1);
    let (end, peak) = (app.facts.axis.end_ns, app.facts.axis.peak_ns);
    app.facts.axis = Axis::new(slices, a_point, end, peak);
    app.facts.axis.sites = table.get(0, "sites").and_then(number).unwrap_or(i64::MAX);
    let whole = |name: &str| table.get(0, name).and_then(number);
    // Aggregated blocks ended and have no rows.
    app.facts.axis.late =
        whole("late").unwrap_or(0).saturating_add(whole("aggregated").unwrap_or(0));
    if whole("sample_bytes").is_some() {
        // Rows are samples, and how many blocks had ended is an estimate: no row is passed over.
        app.facts.axis.late = i64::MAX;
        app.facts.axis.rows = Rows::Samples;
    }
    app.time.cursors = [0, app.facts.axis.points()];
    app.time.active = 1;
    // Whatever was asked before the course of the run was known is asked again with it.
    app.time.asked_for = None;
    let is_sampled = app.facts.axis.rows == Rows::Samples;
    if is_sampled || app.view == ViewKind::Time || !app.filters.now().is_everything() {
        app.suspects_for = None;
        app.rows_for = None;
        return load::load_view(app);
    }
    Vec::new()
}

fn time(app: &mut App, purpose: Purpose, table: &Table) {
    let rows = &table.rows;
    let cell = |row: &[Value], at: usize| row.get(at).and_then(number).unwrap_or(0);
    let App { time, facts, .. } = app;
    match purpose {
        Purpose::Changes => {
            let changes: Vec<[i64; 5]> =
                rows.iter().map(|row| [0, 1, 2, 3, 4].map(|at| cell(row, at))).collect();
            time.take_changes(&facts.axis, &changes);
        }
        Purpose::Largest => {
            let mut names: Vec<(i64, String)> = Vec::new();
            for row in rows {
                let suspect = cell(row, 0);
                if names.last().is_none_or(|last| last.0 != suspect) {
                    let name = row.get(1).and_then(Value::as_str).unwrap_or("?");
                    names.push((suspect, name.to_owned()));
                }
            }
            let changes: Vec<[i64; 3]> =
                rows.iter().map(|row| [0, 2, 3].map(|at| cell(row, at))).collect();
            time.take_sites(&facts.axis, &names, &changes);
        }
        Purpose::Rss => time.rss = rows.iter().map(|row| (cell(row, 0), cell(row, 1))).collect(),
        _ => {
            let mark = |row: &Vec<Value>| Mark {
                at_ns: cell(row, 0),
                name: row.get(1).and_then(Value::as_str).unwrap_or("").to_owned(),
                value: row.get(2).and_then(Value::as_f64),
            };
            time.marks = rows.iter().map(mark).collect();
        }
    }
}

fn histograms(app: &mut App, counted: Arc<Histograms>) -> Vec<Effect> {
    let kinds = Kind::ALL.into_iter().flat_map(|kind| counted.bins(kind));
    let mut bts: Vec<i64> = kinds.flat_map(|bin| bin.sites.iter().filter_map(|it| it.0)).collect();
    bts.sort_unstable();
    bts.dedup();
    app.histograms.counted = Some(counted);
    app.histograms.error = None;
    load::ask_rows(app, Purpose::Names, view_sql::names(&bts))
}

fn named(row: &[Value]) -> Option<(i64, String)> {
    Some((number(row.first()?)?, row.get(1)?.as_str()?.to_owned()))
}

fn threads(app: &mut App, table: &Table) {
    let thread = |row: &Vec<Value>| {
        let name = row.get(1).and_then(Value::as_str).unwrap_or("");
        Some((number(row.first()?)?, name.to_owned()))
    };
    app.facts.threads = table.rows.iter().filter_map(thread).collect();
}
