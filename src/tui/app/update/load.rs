//! Asks for what the shown view lacks.
//!
//! Invariant: whatever changes the filter set goes through [`set_filters`] or [`narrow`], so that what is
//! shown is asked anew.

use crate::database::caveats;
use crate::database::error::{QueryError, QueryErrorKind};
use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Ask, Effect, Query, RequestQueue, TreeSource};
use crate::tui::app::state::requests::{Open, Purpose, TableId};
use crate::tui::app::state::table::{Origin, PAGE_ROWS, TableState, Total};
use crate::tui::app::state::time::{STACKED, Stack};
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::compare;
use crate::tui::app::view_sql;
use crate::tui::data::filter::{Filter, FilterHistory};
use crate::tui::data::{histogram, time_sql};

/// Rows that a list or a curve may have.
const SMALL: usize = 50_000;

/// Asks for the facts of the header.
pub fn header(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    for (purpose, sql) in [
        (Purpose::Facts, view_sql::FACTS),
        (Purpose::Slices, time_sql::SLICES),
        (Purpose::Threads, view_sql::THREADS),
    ] {
        effects.extend(ask_rows(app, purpose, sql.into()));
    }
    // Older databases have none of them.
    for (table, purpose, sql) in [
        ("memory_readings", Purpose::Rss, time_sql::RSS),
        ("marks", Purpose::Marks, time_sql::MARKS),
        ("estimates", Purpose::Notes, caveats::CAVEATS_SQL),
    ] {
        if app.sql.names.table(table).is_some() {
            effects.extend(ask_rows(app, purpose, sql.into()));
        }
    }
    effects
}

/// Asks for rows that are kept whole.
pub fn ask_rows(app: &mut App, purpose: Purpose, sql: String) -> Vec<Effect> {
    let ask = Ask::Rows { query: Query::plain(sql), limit: SMALL };
    // The curves scan the largest precomputed table, and nobody waits for them.
    let lane = match purpose {
        Purpose::Trends => RequestQueue::Count,
        _ => RequestQueue::View,
    };
    app.asked.ask(lane, purpose, ask, app.now)
}

/// Changes the filter set and asks for what is then shown.
pub fn set_filters(app: &mut App, change: impl FnOnce(&mut FilterHistory)) -> Vec<Effect> {
    change(&mut app.filters);
    load_view(app)
}

/// Adds a filter and asks for what is then shown.
pub fn narrow(app: &mut App, filter: Filter) -> Vec<Effect> {
    if app.view == ViewKind::Rows {
        app.rows.truncate(1);
    }
    if app.view == ViewKind::Sql && !filter.is_of_flame() {
        app.say("the filters have changed: views 1 to 6 show the result");
    }
    set_filters(app, |filters| filters.add(filter))
}

/// Asks for what the shown view lacks.
pub fn load_view(app: &mut App) -> Vec<Effect> {
    match app.view {
        ViewKind::Suspects => suspects(app),
        ViewKind::Flame => {
            let mut effects = tree(app);
            // How far an estimate may be off is known of backtraces.
            if app.facts.notes.sampled.is_some() {
                effects.extend(tree_facts(app));
            }
            effects
        }
        ViewKind::Tree => {
            let mut effects = tree(app);
            effects.extend(tree_facts(app));
            effects
        }
        ViewKind::Rows => rows(app),
        ViewKind::Time => course(app),
        ViewKind::Histograms => histograms(app),
        ViewKind::Compare => compare::load(app),
        ViewKind::Sql => Vec::new(),
    }
}

/// Another view is shown: what the last one still waits for gives way, to be asked again there.
pub fn cancel_background_requests(app: &mut App) -> Vec<Effect> {
    let slow = |open: &Open| {
        open.lane == RequestQueue::View
            && matches!(
                open.purpose,
                Purpose::Page(..)
                    | Purpose::Tree
                    | Purpose::Shown
                    | Purpose::Histograms
                    | Purpose::Compared
                    | Purpose::Differences
            )
    };
    if app.asked.open(slow).contains(&Purpose::Histograms) {
        app.histograms.counted_for = None;
    }
    if app.asked.open(slow).contains(&Purpose::Tree) {
        app.flame.source = None;
    }
    app.asked.forget(slow)
}

/// Stops asking for tables that are gone.
fn forget_tables(app: &mut App) -> Vec<Effect> {
    let tables = app.rows.iter().chain(&app.sql.tabs);
    let alive: Vec<TableId> = tables.map(|table| table.id).collect();
    app.asked.forget(|open| {
        matches!(open.purpose, Purpose::Page(id, _) | Purpose::Count(id) if !alive.contains(&id))
    })
}

/// Asks for pages and backtraces that came into view.
pub fn missing(app: &mut App) -> Vec<Effect> {
    let mut effects = forget_tables(app);
    let window = geometry::table_window(app);
    let Some(table) = app.table() else {
        effects.extend(backtrace(app));
        return effects;
    };
    let (id, pages) = (table.id, table.missing(window));
    if table.error.is_none() {
        for page in pages {
            if !app.asked.is_open(|purpose| purpose == Purpose::Page(id, page)) {
                effects.extend(ask_page(app, id, page));
            }
        }
    }
    effects.extend(backtrace(app));
    effects
}

/// Asks for one page of a table.
pub fn ask_page(app: &mut App, id: TableId, page: u64) -> Vec<Effect> {
    let Some(table) = app.table_named(id) else {
        return Vec::new();
    };
    let lane = match table.origin {
        Origin::Statement => RequestQueue::Sql,
        _ => RequestQueue::View,
    };
    let ask = Ask::Page {
        query: table.query.clone(),
        view: table.view.clone(),
        offset: page * PAGE_ROWS,
        limit: PAGE_ROWS as usize,
    };
    app.asked.ask(lane, Purpose::Page(id, page), ask, app.now)
}

/// Asks for the number of rows, if the first page was not all.
pub fn ask_count(app: &mut App, id: TableId) -> Vec<Effect> {
    let Some(table) = app.table_named(id) else {
        return Vec::new();
    };
    if matches!(table.total, Total::Exactly(_)) {
        return Vec::new();
    }
    let mut view = table.view.clone();
    view.sort.clear();
    let ask = Ask::Count { query: table.query.clone(), view };
    app.asked.ask(RequestQueue::Count, Purpose::Count(id), ask, app.now)
}

/// The view or statement of a table changed: all of it is asked anew.
pub fn reload(app: &mut App, id: TableId) -> Vec<Effect> {
    let mut effects = app.asked.forget(
        |open| matches!(open.purpose, Purpose::Page(of, _) | Purpose::Count(of) if of == id),
    );
    effects.extend(ask_page(app, id, 0));
    effects
}

/// Stops questions; what waited for them says so instead of asking again.
pub fn stop(app: &mut App, which: impl Fn(&Open) -> bool) -> Vec<Effect> {
    let stopped = app.asked.open(&which);
    for purpose in stopped {
        let error = QueryError::new(QueryErrorKind::Cancelled, "stopped; R runs it again");
        match purpose {
            Purpose::Page(id, _) => {
                if let Some(table) = app.table_named(id) {
                    table.error = Some(error);
                }
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
            Purpose::Suspects => {
                app.suspects_for = None;
                app.suspects.error = Some(error);
            }
            _ => {}
        }
    }
    app.asked.forget(which)
}

/// The statement behind what is shown.
pub fn sql_behind(app: &App) -> Query {
    match app.view {
        ViewKind::Suspects => Query::plain(view_sql::suspects(app.filters.now(), &app.facts.axis)),
        ViewKind::Time => Query::plain(match app.time.stack {
            Stack::Sum if app.filters.now().of_sites().is_none() => time_sql::SLICES.into(),
            Stack::Sum => time_sql::changes(app.filters.now()),
            Stack::Sites => time_sql::largest(app.filters.now(), STACKED),
        }),
        ViewKind::Histograms => {
            Query::plain(histogram::behind(app.filters.now(), &app.facts.axis, app.histograms.kind))
        }
        ViewKind::Flame | ViewKind::Tree => {
            let source = app.flame.source.clone().unwrap_or(TreeSource::Prepared);
            Query::plain(view_sql::flame(&source, app.flame.measure))
        }
        ViewKind::Compare => {
            let bt = app.compare.row().and_then(|row| row.bt_after);
            let rows = app.facts.axis.rows;
            Query::plain(bt.map_or("SELECT * FROM sites".to_owned(), |bt| view_sql::site(bt, rows)))
        }
        ViewKind::Rows | ViewKind::Sql => app.table().map(behind).unwrap_or_default(),
    }
}

fn behind(table: &TableState) -> Query {
    if table.view.filters.is_empty() && table.view.sort.is_empty() {
        return table.query.clone();
    }
    let (sql, params) = table.view.wrap(&table.query.sql, &table.query.params);
    Query { sql, params }
}

fn suspects(app: &mut App) -> Vec<Effect> {
    let filters = app.filters.now().clone();
    if app.suspects_for.as_ref() == Some(&filters) {
        return Vec::new();
    }
    let sql = view_sql::suspects(&filters, &app.facts.axis);
    app.suspects_for = Some(filters);
    ask_rows(app, Purpose::Suspects, sql)
}

/// Asks for the call tree, or for another shape of it.
pub fn tree(app: &mut App) -> Vec<Effect> {
    app.flame.heed(app.filters.now());
    let source = match &app.flame.over {
        Some((_, source)) => source.clone(),
        None => view_sql::tree(app.filters.now(), &app.facts.axis, app.flame.measure),
    };
    if app.flame.source.as_ref() == Some(&source) && app.flame.error.is_none() {
        return shapes(app);
    }
    app.flame.source = Some(source.clone());
    app.flame.error = None;
    app.flame.tree = None;
    app.asked.ask(RequestQueue::View, Purpose::Tree, Ask::Tree(source), app.now)
}

/// Asks for what the tree's last columns need, once.
fn tree_facts(app: &mut App) -> Vec<Effect> {
    if app.tree.has_sites() || app.asked.is_open(|it| it == Purpose::Sites) {
        return Vec::new();
    }
    // It looks at all curves and all live blocks, and nobody waits for it.
    app.asked.ask(RequestQueue::Count, Purpose::Sites, Ask::Sites(app.facts.axis.end_ns), app.now)
}

/// Asks for the course of the filter set's sites, if it is another one than that of the whole.
fn course(app: &mut App) -> Vec<Effect> {
    let filters = app.filters.now().clone();
    if app.time.asked_for.as_ref() == Some(&filters) {
        return Vec::new();
    }
    let mut effects = Vec::new();
    match filters.of_sites() {
        None => app.time.take_all(&app.facts.axis),
        Some(_) => effects.extend(ask_rows(app, Purpose::Changes, time_sql::changes(&filters))),
    }
    effects.extend(ask_rows(app, Purpose::Largest, time_sql::largest(&filters, STACKED)));
    app.time.error = None;
    app.time.asked_for = Some(filters);
    effects
}

/// Asks for sizes, lives and ages.
fn histograms(app: &mut App) -> Vec<Effect> {
    let filters = app.filters.now().clone();
    if app.histograms.counted_for.as_ref() == Some(&filters) {
        return Vec::new();
    }
    let axis = &app.facts.axis;
    let ask = Ask::Histograms { sql: histogram::blocks(&filters, axis), end_ns: axis.end_ns };
    app.histograms.counted_for = Some(filters);
    app.histograms.error = None;
    app.asked.ask(RequestQueue::View, Purpose::Histograms, ask, app.now)
}

/// Asks for the shape that is to be drawn, if it is another one.
pub fn shapes(app: &mut App) -> Vec<Effect> {
    let mut hidden = Vec::new();
    let mut from = None;
    for filter in app.filters.now().filters() {
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
    let same = shapes.len() == 1 && app.flame.callers.is_none() && shapes.first() == shown;
    if shapes.is_empty() || same && app.flame.is_of(&tree) {
        return Vec::new();
    }
    let ask = Ask::Shape(tree, shapes);
    app.asked.ask(RequestQueue::View, Purpose::Shown, ask, app.now)
}

fn rows(app: &mut App) -> Vec<Effect> {
    let filters = app.filters.now().clone();
    let site_wise = app.rows.len() > 1;
    if site_wise || app.rows_for.as_ref() == Some(&filters) {
        return Vec::new();
    }
    let sql = view_sql::rows(&filters, &app.facts.axis);
    let title = match filters.is_everything() {
        true => "all allocations",
        false => "allocations selected",
    };
    app.rows_for = Some(filters);
    let table = app.new_table(title.into(), Origin::Allocations, Query::plain(sql));
    let id = table.id;
    app.rows = vec![table];
    app.detail.begin(None);
    ask_page(app, id, 0)
}

/// Asks for the backtrace of what is selected, if it is another one.
fn backtrace(app: &mut App) -> Vec<Effect> {
    let bt = match app.view {
        ViewKind::Suspects => app.suspects.selected().map(|it| it.bt),
        // Rows have no pane until one is opened; from then on it follows.
        ViewKind::Rows if app.detail.bt.is_some() => {
            app.table().and_then(TableState::backtrace).or(app.detail.bt)
        }
        _ => app.detail.bt,
    };
    match bt {
        Some(bt) if app.detail.bt != Some(bt) => open_backtrace(app, bt),
        _ => excerpt(app),
    }
}

/// Asks for a backtrace.
pub fn open_backtrace(app: &mut App, bt: i64) -> Vec<Effect> {
    app.detail.begin(Some(bt));
    let mut effects = ask_rows(app, Purpose::Frames, view_sql::frames(bt));
    let totals = view_sql::site(bt, app.facts.axis.rows);
    effects.extend(ask_rows(app, Purpose::Site, totals));
    effects
}

/// Asks for the source of the selected frame, if it is another one.
fn excerpt(app: &mut App) -> Vec<Effect> {
    let place = app.detail.place();
    if place == app.detail.excerpt_of {
        return Vec::new();
    }
    app.detail.excerpt_of = place.clone();
    app.detail.excerpt = None;
    let Some((file, line)) = place else {
        return Vec::new();
    };
    app.asked.ask(RequestQueue::View, Purpose::Excerpt, Ask::Source { file, line }, app.now)
}
