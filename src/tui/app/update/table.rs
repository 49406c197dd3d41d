//! Actions of tables, in the Rows view and below the SQL editor.

use crate::database::page::{Condition, Order};
use crate::database::table::{Unit, Value};
use crate::database::text::units;
use crate::tui::app::layout::geometry;
use crate::tui::app::message::{Effect, Query, TreeSource};
use crate::tui::app::state::popup::{Popup, Purpose, Text};
use crate::tui::app::state::table::{Origin, Placement, TableState};
use crate::tui::app::state::{App, Pane, ViewKind};
use crate::tui::app::update::{detail, load, prompt, switch};
use crate::tui::app::{inline_params, view_sql};
use crate::tui::data::filter::Filter;
use crate::tui::input::key_lookup::Action;

/// Handles an action.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    let window = geometry::table_window(app);
    let Some(table) = app.table_mut() else {
        return Vec::new();
    };
    if let Some(step) = detail::step(action) {
        let len = table.len();
        table.cursor.step(step, len, window);
        return Vec::new();
    }
    match action {
        Action::Left => table.step_column(-1),
        Action::Right => table.step_column(1),
        Action::HideColumn | Action::PinColumn | Action::WidenColumn | Action::NarrowColumn => {
            change_column_layout(table, action);
        }
        Action::Back => return back(app),
        Action::Activate => return open_row(app),
        _ => return on_view(app, action),
    }
    Vec::new()
}

fn on_view(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(table) = app.table_mut() else {
        return Vec::new();
    };
    let id = table.id;
    match action {
        Action::SortDescending => table.sort(Order::Descending),
        Action::SortAscending => table.sort(Order::Ascending),
        Action::ResetColumns => {
            for layout in &mut table.column_layouts {
                layout.placement = Placement::Plain;
                layout.extra_width = 0;
            }
            table.view.sort.clear();
            table.view.filters.clear();
            table.reset();
        }
        // The cursor stays, so that changes are easy to see.
        Action::RunAgain => {
            let cursor = table.cursor;
            table.reset();
            table.cursor = cursor;
        }
        Action::FilterByCell => {
            let like = table.cell().cloned().map(|value| match value {
                Value::Null => Condition::IsNull,
                value => Condition::Equal(value),
            });
            let column = table.column;
            table.filter(column, like);
        }
        _ => return on_cell(app, action),
    }
    load::reload(app, id)
}

fn on_cell(app: &mut App, action: Action) -> Vec<Effect> {
    let Some(table) = app.table() else {
        return Vec::new();
    };
    match action {
        Action::FilterColumn => {
            let Some(column) = table.columns.get(table.column) else {
                return Vec::new();
            };
            let title = format!("filter {}", column.name);
            let help = filter_help(column.unit);
            prompt(
                app,
                &title,
                Purpose::FilterColumn(app.table().map_or(0, |it| it.column)),
                help,
                "",
            )
        }
        Action::ShowFlame => flame(app),
        Action::GroupByColumn => group(app),
        Action::FilterByResult => use_result(app),
        Action::ShowCell => {
            let title = table.columns.get(table.column).map_or("", |it| &it.name).to_owned();
            let body = table.cell().map(|value| full_text(value, unit(table))).unwrap_or_default();
            app.popups.push(Popup::Text(Text { title, body, ..Text::default() }));
            Vec::new()
        }
        Action::Copy => {
            let cell = table.cell().map(units::raw).unwrap_or_default();
            detail::copy(app, cell, "cell")
        }
        Action::CopyAll => {
            let row = table.selected().unwrap_or_default();
            let cells: Vec<String> = row.iter().map(units::raw).collect();
            detail::copy(app, cells.join("\t"), "row")
        }
        _ => Vec::new(),
    }
}

fn unit(table: &TableState) -> Unit {
    table.columns.get(table.column).map_or(Unit::None, |it| it.unit)
}

/// The full text of a cell: formatted, and with every digit.
fn full_text(value: &Value, unit: Unit) -> String {
    let (shown, raw) = (units::value(value, unit), units::raw(value));
    match value {
        Value::Null => "NULL".into(),
        Value::Integer(_) | Value::Real(_) if shown != raw => format!("{shown}\n{raw}"),
        _ => raw,
    }
}

fn change_column_layout(table: &mut TableState, action: Action) {
    let visible = table.order().len();
    let Some(layout) = table.column_layouts.get_mut(table.column) else {
        return;
    };
    match action {
        Action::HideColumn if visible > 1 => {
            layout.placement = Placement::Hidden;
            if let Some(next) = table.order().into_iter().find(|at| *at > table.column) {
                table.column = next;
            } else {
                table.column = table.order().last().copied().unwrap_or(0);
            }
        }
        Action::PinColumn => {
            layout.placement = match layout.placement {
                Placement::Pinned => Placement::Plain,
                _ => Placement::Pinned,
            }
        }
        Action::WidenColumn => layout.extra_width = (layout.extra_width + 4).min(200),
        Action::NarrowColumn => layout.extra_width = (layout.extra_width - 4).max(-200),
        _ => {}
    }
}

fn back(app: &mut App) -> Vec<Effect> {
    if app.view == ViewKind::Sql {
        app.pane = Pane::Main;
        return Vec::new();
    }
    if app.rows.len() > 1 {
        let closed = app.rows.pop();
        app.detail.start(None);
        if closed.is_some_and(|table| table.origin == Origin::Statement) {
            app.view = ViewKind::Sql;
            app.pane = Pane::Detail;
        }
        return load::load_view(app);
    }
    app.notify("nothing to go back to; x: remove the last filter, q: quit");
    Vec::new()
}

fn open_row(app: &mut App) -> Vec<Effect> {
    let Some(table) = app.table() else {
        return Vec::new();
    };
    if let Origin::Groups { .. } = &table.origin {
        return open_group(app);
    }
    if let Some(bt) = table.backtrace() {
        if app.view == ViewKind::Sql {
            let mut copied = table.clone();
            copied.id = app.new_table_id();
            app.rows.push(copied);
            app.view = ViewKind::Rows;
        }
        app.pane = Pane::Detail;
        return load::open_backtrace(app, bt);
    }
    if let Some((file, line)) = table.place() {
        return detail::source(app, String::new(), Some(file), Some(line));
    }
    on_cell(app, Action::ShowCell)
}

/// Opens the rows of the selected group.
fn open_group(app: &mut App) -> Vec<Effect> {
    let Some(table) = app.table() else {
        return Vec::new();
    };
    let Origin::Groups { of, view, title, column } = table.origin.clone() else {
        return Vec::new();
    };
    let Some(value) = table.selected().and_then(|row| row.first()).cloned() else {
        return Vec::new();
    };
    let condition = match value {
        Value::Null => Condition::IsNull,
        value => Condition::Equal(value),
    };
    let mut view = view;
    view.filters.push(crate::database::page::Filter { column, condition });
    let mut rows = app.new_table(title, Origin::BuiltinQuery(String::new()), of);
    rows.view = view;
    push(app, rows)
}

/// Opens a table on top of the current one.
pub fn push(app: &mut App, table: TableState) -> Vec<Effect> {
    let id = table.id;
    app.rows.push(table);
    app.detail.start(None);
    app.view = ViewKind::Rows;
    app.pane = Pane::Main;
    load::request_page(app, id, 0)
}

/// Groups by the selected column: rows and, if there is a column of bytes, bytes per value.
fn group(app: &mut App) -> Vec<Effect> {
    let Some(table) = app.table() else {
        return Vec::new();
    };
    let Some(column) = table.columns.get(table.column).map(|it| it.name.clone()) else {
        return Vec::new();
    };
    let quoted = crate::database::page::quote(&column);
    let sizes = table.columns.iter().find(|it| it.unit == Unit::Bytes && it.name != column);
    let bytes = sizes.map(|it| {
        let name = crate::database::page::quote(&it.name);
        format!(", sum({name}) AS bytes, max({name}) AS size_max")
    });
    let (inner, params) = table.view.wrap(&table.query.sql, &table.query.params);
    let order = if bytes.is_some() { "bytes" } else { "blocks" };
    let sql = format!(
        "SELECT {quoted}, count(*) AS blocks{}\nFROM (\n{inner}\n)\nGROUP BY 1\nORDER BY {order} DESC",
        bytes.unwrap_or_default()
    );
    let origin = Origin::Groups {
        of: table.query.clone(),
        view: table.view.clone(),
        title: table.title.clone(),
        column: column.clone(),
    };
    let title = format!("{} by {column}", table.title);
    let mut units = table.units.clone();
    units.push((column, unit(table)));
    let mut groups = app.new_table(title, origin, Query { sql, params });
    groups.units = units;
    push(app, groups)
}

fn flame(app: &mut App) -> Vec<Effect> {
    let Some((title, sql)) = result_sql(app) else {
        return Vec::new();
    };
    let Some(table) = app.table() else {
        return Vec::new();
    };
    let columns: Vec<String> = table.columns.iter().map(|it| it.name.clone()).collect();
    let weights = view_sql::weights_of_result(&sql, &columns, &app.overview.axis);
    app.flame.over = Some((title, TreeSource::Weights(Query::plain(weights))));
    switch(app, ViewKind::Flame)
}

fn use_result(app: &mut App) -> Vec<Effect> {
    let Some((title, sql)) = result_sql(app) else {
        return Vec::new();
    };
    app.rows.truncate(1);
    app.filters.add(Filter::Result { title, sql });
    app.notify("all views now show only these backtraces; u: undo");
    switch(app, ViewKind::Suspects)
}

/// Title and statement of the current table, if it has backtraces.
fn result_sql(app: &mut App) -> Option<(String, String)> {
    let table = app.table()?;
    if table.columns.iter().any(|it| it.name.eq_ignore_ascii_case("bt")) {
        let (sql, params) = table.view.wrap(&table.query.sql, &table.query.params);
        return Some((table.title.clone(), inline_params::with_values(&sql, &params)));
    }
    app.show_error("this needs a column bt with the backtrace of each row");
    None
}

fn filter_help(unit: Unit) -> &'static str {
    match unit {
        Unit::Bytes => ">4K  <=1MiB  1K..4K  =512   (empty: no filter)",
        Unit::Duration | Unit::Moment => ">10m  <1s  1m..10m  null   (empty: no filter)",
        unit if unit.is_numeric() => ">100  <=5  1..10  =7  null   (empty: no filter)",
        _ => "text  ~regex  =exactly  >100  null  !null   (empty: no filter)",
    }
}
