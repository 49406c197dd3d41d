//! Stores responses in the state.
//!
//! Invariant: the response to a cancelled request changes nothing.

use std::sync::Arc;

use crate::database::caveats::Caveats;
use crate::database::error::{QueryError, QueryErrorKind};
use crate::database::table::{Table, Value};
use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Effect, Queue, Response, ResponseBody, Source};
use crate::tui::app::state::popup::Popup;
use crate::tui::app::state::requests::{Purpose, TableId};
use crate::tui::app::state::table::{Origin, number};
use crate::tui::app::state::time::Mark;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{compare, export, load, sql};
use crate::tui::app::view_sql;
use crate::tui::data::histogram::{Histograms, Kind};
use crate::tui::data::time_axis::{Axis, RowKind, Slice};
use crate::tui::flame::measure::{MEASURES, Measure};

/// Handles a response.
pub fn on_response(app: &mut App, response: Response) -> Vec<Effect> {
    let Some(request) = app.requests.complete(response.id) else {
        return Vec::new();
    };
    match response.result {
        Ok(reply) => on_success(app, request.purpose, reply),
        Err(error) => {
            on_failure(app, request.purpose, request.queue, error);
            Vec::new()
        }
    }
}

fn on_success(app: &mut App, purpose: Purpose, body: ResponseBody) -> Vec<Effect> {
    match (purpose, body) {
        (Purpose::Overview, ResponseBody::Table(table)) => return set_overview(app, &table),
        (Purpose::Caveats, ResponseBody::Table(table)) => {
            app.overview.caveats = Caveats::from_row(&table);
        }
        (Purpose::Slices, ResponseBody::Table(table)) => return set_slices(app, &table),
        (Purpose::Threads, ResponseBody::Table(table)) => set_threads(app, &table),
        (Purpose::Suspects, ResponseBody::Table(table)) => {
            app.suspects.set(&table);
            if app.suspects.trends.is_empty() {
                return load::request_table(app, Purpose::Trends, view_sql::trends());
            }
        }
        (Purpose::Trends, ResponseBody::Table(table)) => {
            let slices = app.overview.curve.len();
            app.suspects.set_trends(&table, slices);
        }
        (Purpose::Frames, ResponseBody::Table(table)) => app.detail.set(&table),
        (Purpose::Site, ResponseBody::Table(table)) => app.detail.site = Some(table),
        (Purpose::Excerpt, ResponseBody::Source(source)) => app.detail.excerpt = Some(source),
        (Purpose::Source, ResponseBody::Source(source)) => set_source(app, source),
        (Purpose::Tree, ResponseBody::Tree(tree)) => {
            app.flame.tree = Some(tree);
            pick_measure(app);
            return load::request_tree(app);
        }
        (Purpose::Shape, ResponseBody::Shaped(shown)) => {
            app.flame.set(shown);
            if let Some(shown) = app.flame.shown.clone() {
                app.tree.set(&shown);
            }
        }
        (Purpose::Compared, ResponseBody::Compared(comparison)) => {
            comparison.warning().into_iter().for_each(|warning| app.notify(warning));
            app.compare.comparison = Some(comparison);
            return compare::shape(app);
        }
        (Purpose::Differences, ResponseBody::Differences(shown)) => app.compare.set(shown),
        (Purpose::Export, ResponseBody::Exported(outcome)) => export::on_written(app, outcome),
        (Purpose::Sites, ResponseBody::Sites(sites)) => app.tree.set_sites(sites),
        (Purpose::Histograms, ResponseBody::Histograms(counted)) => {
            return set_histograms(app, counted);
        }
        (Purpose::Names, ResponseBody::Table(table)) => {
            app.histograms.names = table.rows.iter().filter_map(|row| named(row)).collect();
        }
        (
            Purpose::Changes | Purpose::Largest | Purpose::Rss | Purpose::Marks,
            ResponseBody::Table(table),
        ) => set_time_curve(app, purpose, &table),
        (Purpose::Page(id, page), ResponseBody::Table(table)) => {
            let now = app.now;
            if let Some(state) = app.table_by_id(id) {
                state.set_page(page, table, now);
            }
            if !app.requests.is_pending(|it| it == Purpose::Count(id)) {
                return load::request_count(app, id);
            }
        }
        (Purpose::Count(id), ResponseBody::Count(rows, complete)) => {
            if let Some(state) = app.table_by_id(id) {
                state.set_count(rows, complete);
            }
        }
        _ => {}
    }
    Vec::new()
}

/// Shows a source file with the requested line in the middle.
fn set_source(app: &mut App, source: Source) {
    let half = geometry::popup_window(app) / 2;
    if let Some(Popup::Source(popup)) = app.popups.last_mut() {
        let before = u64::from(popup.line.saturating_sub(source.first_line));
        popup.cursor.at = before.saturating_sub(half);
        popup.source = Some(source);
    }
}

/// Switches to another measure if the current one is zero in this tree.
fn pick_measure(app: &mut App) {
    let Some(tree) = &app.flame.tree else { return };
    let total = tree.total();
    if total.width(app.flame.measure) > 0 {
        return;
    }
    let later = std::iter::successors(Some(app.flame.measure.next()), |it| Some(it.next()));
    let other = later.take(MEASURES).find(|it| total.width(*it) > 0);
    // With a time filter, each measure is read separately: allocated bytes may be there.
    let of_filters = || app.flame.time.is_some().then_some(Measure::Allocated);
    let other = other.or_else(of_filters).filter(|it| *it != app.flame.measure);
    if let Some(measure) = other {
        app.flame.measure = measure;
        app.notify(format!("the last measure is zero here; showing {}", measure.title()));
    }
}

fn on_failure(app: &mut App, purpose: Purpose, queue: Queue, error: QueryError) {
    match purpose {
        Purpose::Page(id, _) => on_page_failure(app, id, &error),
        // Without its count, the table shows "more than …", which is still true.
        Purpose::Count(_) => {}
        Purpose::Suspects => {
            app.suspects_for = None;
            app.suspects.error = Some(error);
        }
        Purpose::Tree | Purpose::Shape => app.flame.error = Some(error),
        Purpose::Compared | Purpose::Differences => app.compare.error = Some(error),
        Purpose::Histograms => {
            app.histograms.requested_for = None;
            app.histograms.error = Some(error);
        }
        Purpose::Changes | Purpose::Largest => {
            app.time.requested_for = None;
            app.time.error = Some(error);
        }
        Purpose::Overview
        | Purpose::Slices
        | Purpose::Sites
        | Purpose::Names
        | Purpose::Export
        | Purpose::Rss
        | Purpose::Marks
        | Purpose::Caveats
        | Purpose::Threads
        | Purpose::Trends
        | Purpose::Frames
        | Purpose::Site
        | Purpose::Excerpt
        | Purpose::Source => {
            if error.kind != QueryErrorKind::Cancelled || queue == Queue::Sql {
                app.show_error(error.message);
            }
        }
    }
}

fn on_page_failure(app: &mut App, id: TableId, error: &QueryError) {
    let mut is_statement = false;
    if let Some(table) = app.table_by_id(id) {
        let mut error = error.clone();
        if matches!(table.origin, Origin::Groups { .. }) && error.kind == QueryErrorKind::TooBig {
            error.message = "too many rows to group: add a filter first (+); Esc: back".into();
        }
        table.error = Some(error);
        is_statement = table.origin == Origin::Statement;
    }
    if is_statement && error.kind != QueryErrorKind::Cancelled {
        sql::point_at_error(app, id, error);
    }
}

fn set_overview(app: &mut App, table: &Table) -> Vec<Effect> {
    let integer = |name: &str| table.get(0, name).and_then(number).unwrap_or(0);
    app.overview.duration_ns = Some(integer("duration_ns"));
    app.overview.peak_ns = integer("peak_ns");
    let resident = table.get(0, "rss_bytes").and_then(number);
    app.overview.rss = resident.map(|rss| (rss, integer("rss_live_bytes")));
    app.overview.peak_bytes = integer("peak_bytes");
    app.overview.losses = integer("losses");
    app.overview.before_shutdown = table.get(0, "before_shutdown").and_then(number);
    app.overview.imported_from =
        table.get(0, "imported_from").and_then(Value::as_str).map(str::to_owned);
    app.overview.allocations = integer("allocations");
    app.overview.live_bytes = integer("live_bytes");
    app.overview.live_blocks = integer("live_blocks");
    app.overview.axis.end_ns = integer("duration_ns");
    app.overview.axis.peak_ns = integer("peak_ns");
    Vec::new()
}

fn set_slices(app: &mut App, table: &Table) -> Vec<Effect> {
    let slices: Vec<Slice> = (0..table.rows.len())
        .map(|row| {
            let integer = |name: &str| table.get(row, name).and_then(number).unwrap_or(0);
            Slice {
                from_ns: integer("from_ns"),
                to_ns: integer("to_ns"),
                live_bytes: integer("live_bytes"),
                live_blocks: integer("live_blocks"),
                allocations: integer("allocations"),
                allocated_bytes: integer("allocated_bytes"),
                frees: integer("frees"),
                freed_bytes: integer("freed_bytes"),
                never_freed_bytes: integer("never_freed_bytes"),
            }
        })
        .collect();
    let level = |slice: &Slice| u64::try_from(slice.live_bytes).unwrap_or(0);
    app.overview.curve = slices.iter().map(level).collect();
    let slices_per_point = table.get(0, "slices_per_point").and_then(number);
    let slices_per_point = slices_per_point.and_then(|it| usize::try_from(it).ok()).unwrap_or(1);
    let (end, peak) = (app.overview.axis.end_ns, app.overview.axis.peak_ns);
    app.overview.axis = Axis::new(slices, slices_per_point, end, peak);
    app.overview.axis.sites = table.get(0, "sites").and_then(number).unwrap_or(i64::MAX);
    let integer = |name: &str| table.get(0, name).and_then(number);
    // Aggregated blocks were freed and have no rows.
    app.overview.axis.late =
        integer("late").unwrap_or(0).saturating_add(integer("aggregated").unwrap_or(0));
    if integer("sample_bytes").is_some() {
        // The number of freed blocks is an estimate here, so that no rows may be skipped by their number.
        app.overview.axis.late = i64::MAX;
        app.overview.axis.rows = RowKind::Samples;
    }
    app.time.cursors = [0, app.overview.axis.points()];
    app.time.active = 1;
    // Requests that were sent before the axis was known are sent again.
    app.time.requested_for = None;
    let is_sampled = app.overview.axis.rows == RowKind::Samples;
    if is_sampled || app.view == ViewKind::Time || !app.filters.current().is_unfiltered() {
        app.suspects_for = None;
        app.rows_for = None;
        return load::load_view(app);
    }
    Vec::new()
}

fn set_time_curve(app: &mut App, purpose: Purpose, table: &Table) {
    let rows = &table.rows;
    let cell = |row: &[Value], at: usize| row.get(at).and_then(number).unwrap_or(0);
    let App { time, overview, .. } = app;
    match purpose {
        Purpose::Changes => {
            let changes: Vec<[i64; 5]> =
                rows.iter().map(|row| [0, 1, 2, 3, 4].map(|at| cell(row, at))).collect();
            time.set_changes(&overview.axis, &changes);
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
            time.set_sites(&overview.axis, &names, &changes);
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

fn set_histograms(app: &mut App, counted: Arc<Histograms>) -> Vec<Effect> {
    let kinds = Kind::ALL.into_iter().flat_map(|kind| counted.bins(kind));
    let mut bts: Vec<i64> = kinds.flat_map(|bin| bin.sites.iter().filter_map(|it| it.0)).collect();
    bts.sort_unstable();
    bts.dedup();
    app.histograms.counted = Some(counted);
    app.histograms.error = None;
    load::request_table(app, Purpose::Names, view_sql::names(&bts))
}

fn named(row: &[Value]) -> Option<(i64, String)> {
    Some((number(row.first()?)?, row.get(1)?.as_str()?.to_owned()))
}

fn set_threads(app: &mut App, table: &Table) {
    let thread = |row: &Vec<Value>| {
        let name = row.get(1).and_then(Value::as_str).unwrap_or("");
        Some((number(row.first()?)?, name.to_owned()))
    };
    app.overview.threads = table.rows.iter().filter_map(thread).collect();
}
