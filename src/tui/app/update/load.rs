//! Requests the data that the current view lacks.
//!
//! Invariant: every change of the filters goes through [`set_filters`] or [`add_filter`], which request
//! the view's data again.

use crate::database::caveats;
use crate::database::error::{QueryError, QueryErrorKind};
use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Effect, Query, Queue, RequestBody, TreeSource};
use crate::tui::app::state::requests::{PendingRequest, Purpose, TableId};
use crate::tui::app::state::table::{Origin, PAGE_ROWS, TableState, Total};
use crate::tui::app::state::time::{STACKED, Stacking};
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::compare;
use crate::tui::app::view_sql;
use crate::tui::data::filter::{Filter, FilterHistory};
use crate::tui::data::{histogram, time_sql};

/// Maximum rows of a result that is kept whole.
const WHOLE_TABLE_MAX: usize = 50_000;

/// Requests the data of the header.
pub fn request_overview(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (purpose, sql) in [
        (Purpose::Overview, view_sql::OVERVIEW),
        (Purpose::Slices, time_sql::SLICES),
        (Purpose::Threads, view_sql::THREADS),
    ] {
        effects.extend(request_table(app, purpose, sql.into()));
    }
    // Older databases don't have these tables.
    for (table, purpose, sql) in [
        ("memory_readings", Purpose::Rss, time_sql::RSS),
        ("marks", Purpose::Marks, time_sql::MARKS),
        ("estimates", Purpose::Caveats, caveats::CAVEATS_SQL),
    ] {
        if app.sql.names.table(table).is_some() {
            effects.extend(request_table(app, purpose, sql.into()));
        }
    }
    effects
}

/// Requests a result that is kept whole.
pub fn request_table(app: &mut App, purpose: Purpose, sql: String) -> Vec<Effect> {
    let body = RequestBody::Rows { query: Query::plain(sql), limit: WHOLE_TABLE_MAX };
    // The curves scan the largest precomputed table, and the view is usable without them.
    let queue = match purpose {
        Purpose::Trends => Queue::Count,
        _ => Queue::View,
    };
    app.requests.send(queue, purpose, body, app.now)
}

/// Changes the filters and loads the current view.
pub fn set_filters(app: &mut App, change: impl FnOnce(&mut FilterHistory)) -> Vec<Effect> {
    change(&mut app.filters);
    load_view(app)
}

/// Adds a filter and loads the current view.
pub fn add_filter(app: &mut App, filter: Filter) -> Vec<Effect> {
    if app.view == ViewKind::Rows {
        app.rows.truncate(1);
    }
    if app.view == ViewKind::Sql && !filter.is_flame_filter() {
        app.notify("filter added; views 1 to 6 use it");
    }
    set_filters(app, |filters| filters.add(filter))
}

/// Requests the data that the current view lacks.
pub fn load_view(app: &mut App) -> Vec<Effect> {
    match app.view {
        ViewKind::Suspects => request_suspects(app),
        ViewKind::Flame => {
            let mut effects = request_tree(app);
            // Error bounds are computed from statistics of backtraces.
            if app.overview.caveats.sampled.is_some() {
                effects.extend(request_site_stats(app));
            }
            effects
        }
        ViewKind::Tree => {
            let mut effects = request_tree(app);
            effects.extend(request_site_stats(app));
            effects
        }
        ViewKind::Rows => request_rows(app),
        ViewKind::Time => request_time_curves(app),
        ViewKind::Histograms => request_histograms(app),
        ViewKind::Compare => compare::load(app),
        ViewKind::Sql => Vec::new(),
    }
}

/// Cancels slow requests of the last view; they are sent again when it is shown again.
pub fn cancel_background_requests(app: &mut App) -> Vec<Effect> {
    let is_slow = |request: &PendingRequest| {
        request.queue == Queue::View
            && matches!(
                request.purpose,
                Purpose::Page(..)
                    | Purpose::Tree
                    | Purpose::Shape
                    | Purpose::Histograms
                    | Purpose::Compared
                    | Purpose::Differences
            )
    };
    if app.requests.purposes(is_slow).contains(&Purpose::Histograms) {
        app.histograms.requested_for = None;
    }
    if app.requests.purposes(is_slow).contains(&Purpose::Tree) {
        app.flame.source = None;
    }
    app.requests.cancel(is_slow)
}

/// Cancels requests of closed tables.
fn cancel_closed_tables(app: &mut App) -> Vec<Effect> {
    let tables = app.rows.iter().chain(&app.sql.tabs);
    let open: Vec<TableId> = tables.map(|table| table.id).collect();
    app.requests.cancel(|request| {
        matches!(request.purpose, Purpose::Page(id, _) | Purpose::Count(id) if !open.contains(&id))
    })
}

/// Requests pages and backtraces that came into view.
pub fn request_missing(app: &mut App) -> Vec<Effect> {
    let mut effects = cancel_closed_tables(app);
    let window = geometry::table_window(app);
    let Some(table) = app.table() else {
        effects.extend(request_backtrace(app));
        return effects;
    };
    let (id, pages) = (table.id, table.missing(window));
    if table.error.is_none() {
        for page in pages {
            if !app.requests.is_pending(|purpose| purpose == Purpose::Page(id, page)) {
                effects.extend(request_page(app, id, page));
            }
        }
    }
    effects.extend(request_backtrace(app));
    effects
}

/// Requests one page of a table.
pub fn request_page(app: &mut App, id: TableId, page: u64) -> Vec<Effect> {
    let Some(table) = app.table_by_id(id) else {
        return Vec::new();
    };
    let queue = match table.origin {
        Origin::Statement => Queue::Sql,
        _ => Queue::View,
    };
    let body = RequestBody::Page {
        query: table.query.clone(),
        view: table.view.clone(),
        offset: page * PAGE_ROWS,
        limit: PAGE_ROWS as usize,
    };
    app.requests.send(queue, Purpose::Page(id, page), body, app.now)
}

/// Requests the number of rows, if the first page is not complete.
pub fn request_count(app: &mut App, id: TableId) -> Vec<Effect> {
    let Some(table) = app.table_by_id(id) else {
        return Vec::new();
    };
    if matches!(table.total, Total::Exactly(_)) {
        return Vec::new();
    }
    let mut view = table.view.clone();
    view.sort.clear();
    let body = RequestBody::Count { query: table.query.clone(), view };
    app.requests.send(Queue::Count, Purpose::Count(id), body, app.now)
}

/// Reloads a table after a change of its filters, sorting or statement.
pub fn reload(app: &mut App, id: TableId) -> Vec<Effect> {
    let mut effects = app.requests.cancel(
        |request| matches!(request.purpose, Purpose::Page(of, _) | Purpose::Count(of) if of == id),
    );
    effects.extend(request_page(app, id, 0));
    effects
}

/// Cancels requests; their views show an error instead of sending them again.
pub fn stop(app: &mut App, which: impl Fn(&PendingRequest) -> bool) -> Vec<Effect> {
    let stopped = app.requests.purposes(&which);
    for purpose in stopped {
        let error = QueryError::new(QueryErrorKind::Cancelled, "stopped; R: run again");
        match purpose {
            Purpose::Page(id, _) => {
                if let Some(table) = app.table_by_id(id) {
                    table.error = Some(error);
                }
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
            Purpose::Suspects => {
                app.suspects_for = None;
                app.suspects.error = Some(error);
            }
            _ => {}
        }
    }
    app.requests.cancel(which)
}

/// The statement of the current view.
pub fn current_query(app: &App) -> Query {
    match app.view {
        ViewKind::Suspects => {
            Query::plain(view_sql::suspects(app.filters.current(), &app.overview.axis))
        }
        ViewKind::Time => Query::plain(match app.time.stacking {
            Stacking::Sum if app.filters.current().site_condition().is_none() => {
                time_sql::SLICES.into()
            }
            Stacking::Sum => time_sql::changes(app.filters.current()),
            Stacking::Sites => time_sql::largest(app.filters.current(), STACKED),
        }),
        ViewKind::Histograms => Query::plain(histogram::query(
            app.filters.current(),
            &app.overview.axis,
            app.histograms.kind,
        )),
        ViewKind::Flame | ViewKind::Tree => {
            let source = app.flame.source.clone().unwrap_or(TreeSource::Prepared);
            Query::plain(view_sql::flame(&source, app.flame.measure))
        }
        ViewKind::Compare => {
            let bt = app.compare.row().and_then(|row| row.bt_after);
            let rows = app.overview.axis.rows;
            Query::plain(bt.map_or("SELECT * FROM sites".to_owned(), |bt| view_sql::site(bt, rows)))
        }
        ViewKind::Rows | ViewKind::Sql => app.table().map(table_query).unwrap_or_default(),
    }
}

fn table_query(table: &TableState) -> Query {
    if table.view.filters.is_empty() && table.view.sort.is_empty() {
        return table.query.clone();
    }
    let (sql, params) = table.view.wrap(&table.query.sql, &table.query.params);
    Query { sql, params }
}

fn request_suspects(app: &mut App) -> Vec<Effect> {
    let filters = app.filters.current().clone();
    if app.suspects_for.as_ref() == Some(&filters) {
        return Vec::new();
    }
    let sql = view_sql::suspects(&filters, &app.overview.axis);
    app.suspects_for = Some(filters);
    request_table(app, Purpose::Suspects, sql)
}

/// Requests the call tree, or another shape of it.
pub fn request_tree(app: &mut App) -> Vec<Effect> {
    app.flame.on_filters_changed(app.filters.current());
    let source = match &app.flame.over {
        Some((_, source)) => source.clone(),
        None => view_sql::tree(app.filters.current(), &app.overview.axis, app.flame.measure),
    };
    if app.flame.source.as_ref() == Some(&source) && app.flame.error.is_none() {
        return request_shapes(app);
    }
    app.flame.source = Some(source.clone());
    app.flame.error = None;
    app.flame.tree = None;
    app.requests.send(Queue::View, Purpose::Tree, RequestBody::Tree(source), app.now)
}

/// Requests statistics of backtraces, once.
fn request_site_stats(app: &mut App) -> Vec<Effect> {
    if app.tree.has_sites() || app.requests.is_pending(|it| it == Purpose::Sites) {
        return Vec::new();
    }
    // It scans all curves and all live blocks, and the views are usable without it.
    app.requests.send(
        Queue::Count,
        Purpose::Sites,
        RequestBody::Sites(app.overview.axis.end_ns),
        app.now,
    )
}

/// Requests the curves of the selected sites.
fn request_time_curves(app: &mut App) -> Vec<Effect> {
    let filters = app.filters.current().clone();
    if app.time.requested_for.as_ref() == Some(&filters) {
        return Vec::new();
    }
    let mut effects = Vec::new();
    match filters.site_condition() {
        None => app.time.set_whole_run(&app.overview.axis),
        Some(_) => {
            effects.extend(request_table(app, Purpose::Changes, time_sql::changes(&filters)));
        }
    }
    effects.extend(request_table(app, Purpose::Largest, time_sql::largest(&filters, STACKED)));
    app.time.error = None;
    app.time.requested_for = Some(filters);
    effects
}

/// Requests the histograms.
fn request_histograms(app: &mut App) -> Vec<Effect> {
    let filters = app.filters.current().clone();
    if app.histograms.requested_for.as_ref() == Some(&filters) {
        return Vec::new();
    }
    let axis = &app.overview.axis;
    let body =
        RequestBody::Histograms { sql: histogram::blocks(&filters, axis), end_ns: axis.end_ns };
    app.histograms.requested_for = Some(filters);
    app.histograms.error = None;
    app.requests.send(Queue::View, Purpose::Histograms, body, app.now)
}

/// Requests the shape to draw, unless it is drawn.
pub fn request_shapes(app: &mut App) -> Vec<Effect> {
    let mut hidden = Vec::new();
    let mut from = None;
    for filter in app.filters.current().filters() {
        match filter {
            Filter::Hide(sym) => hidden.push(sym.clone()),
            Filter::From(sym) => from = Some(sym),
            _ => {}
        }
    }
    let shapes = app.flame.shapes(&hidden, from);
    let shown = app.flame.shown.as_ref().map(|shown| shown.shape());
    let Some(tree) = app.flame.tree.clone() else {
        return Vec::new();
    };
    let is_current = shapes.len() == 1 && app.flame.callers.is_none() && shapes.first() == shown;
    if shapes.is_empty() || is_current && app.flame.is_drawn(&tree) {
        return Vec::new();
    }
    let body = RequestBody::Shape(tree, shapes);
    app.requests.send(Queue::View, Purpose::Shape, body, app.now)
}

fn request_rows(app: &mut App) -> Vec<Effect> {
    let filters = app.filters.current().clone();
    let has_table_on_top = app.rows.len() > 1;
    if has_table_on_top || app.rows_for.as_ref() == Some(&filters) {
        return Vec::new();
    }
    let sql = view_sql::rows(&filters, &app.overview.axis);
    let title = match filters.is_unfiltered() {
        true => "all allocations",
        false => "selected allocations",
    };
    app.rows_for = Some(filters);
    let table = app.new_table(title.into(), Origin::Allocations, Query::plain(sql));
    let id = table.id;
    app.rows = vec![table];
    app.detail.start(None);
    request_page(app, id, 0)
}

/// Requests the backtrace of the selected row, unless it is shown.
fn request_backtrace(app: &mut App) -> Vec<Effect> {
    let bt = match app.view {
        ViewKind::Suspects => app.suspects.selected().map(|it| it.bt),
        // The detail pane of Rows follows the selection once it is open.
        ViewKind::Rows if app.detail.bt.is_some() => {
            app.table().and_then(TableState::backtrace).or(app.detail.bt)
        }
        _ => app.detail.bt,
    };
    match bt {
        Some(bt) if app.detail.bt != Some(bt) => open_backtrace(app, bt),
        _ => request_excerpt(app),
    }
}

/// Requests a backtrace.
pub fn open_backtrace(app: &mut App, bt: i64) -> Vec<Effect> {
    app.detail.start(Some(bt));
    let mut effects = request_table(app, Purpose::Frames, view_sql::frames(bt));
    let totals = view_sql::site(bt, app.overview.axis.rows);
    effects.extend(request_table(app, Purpose::Site, totals));
    effects
}

/// Requests the source of the selected frame, unless it is shown.
fn request_excerpt(app: &mut App) -> Vec<Effect> {
    let place = app.detail.place();
    if place == app.detail.excerpt_of {
        return Vec::new();
    }
    app.detail.excerpt_of = place.clone();
    app.detail.excerpt = None;
    let Some((file, line)) = place else {
        return Vec::new();
    };
    app.requests.send(Queue::View, Purpose::Excerpt, RequestBody::Source { file, line }, app.now)
}
