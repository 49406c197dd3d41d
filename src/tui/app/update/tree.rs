//! Actions of the Tree view.

use crate::tui::app::layout::geometry;
use crate::tui::app::message::Effect;
use crate::tui::app::state::flame::Orientation;
use crate::tui::app::state::popup::Purpose;
use crate::tui::app::state::{App, ViewKind};
use crate::tui::app::update::{detail, flame, load, prompt, switch};
use crate::tui::flame::cell_layout::Top;
use crate::tui::flame::shape::{ShapedId, ShapedTree, TOP};
use crate::tui::flame::tree_lines::{self, Expansion};
use crate::tui::input::key_lookup::Action;

/// Handles an action.
pub fn handle_action(app: &mut App, action: Action) -> Vec<Effect> {
    if let Some(step) = detail::step(action) {
        let (len, window) = (app.tree.lines().len() as u64, geometry::tree_window(app));
        app.tree.cursor.step(step, len, window);
        return Vec::new();
    }
    match action {
        Action::Activate | Action::Right | Action::Left | Action::Back | Action::CollapseAll => {
            toggle_line(app, action);
            Vec::new()
        }
        Action::ExpandToFork | Action::ExpandHeaviest => {
            open_path(app, action);
            Vec::new()
        }
        Action::Search => {
            let text = app.flame.search.as_ref().map_or("", |it| it.pattern.as_str()).to_owned();
            let help =
                "a regular expression; lower case also matches upper case; empty: end the search";
            prompt(app, "search functions", Purpose::Search, help, &text)
        }
        Action::Next | Action::Previous => {
            if !next_match(app, action == Action::Next) {
                app.notify("no function matches; /: search");
            }
            Vec::new()
        }
        Action::NextMeasure
        | Action::ToggleBottomUp
        | Action::ToggleLibraryFrames
        | Action::ToggleRecursion => {
            flame::change_view_options(app, action);
            load::request_tree(app)
        }
        Action::ShowFlame => show_in_flame(app),
        Action::CopyAll => {
            let path = path(app);
            detail::copy(app, path, "call path")
        }
        _ => on_function(app, action),
    }
}

fn toggle_line(app: &mut App, action: Action) {
    let Some(line) = app.tree.selected().cloned() else {
        return;
    };
    match (action, line.expansion) {
        (Action::CollapseAll, _) => {
            app.tree.opened.clear();
            app.tree.cursor.at = 0;
        }
        (Action::Right, Expansion::Open) => app.tree.cursor.at += 1,
        (Action::Activate | Action::Right, Expansion::Closed) => {
            app.tree.opened.insert(line.path);
        }
        (Action::Activate | Action::Left | Action::Back, Expansion::Open) => {
            app.tree.opened.remove(&line.path);
        }
        (Action::Left | Action::Back, _) => match app.tree.parent() {
            Some(parent) => app.tree.cursor.at = parent as u64,
            None => app.notify("this is an outermost function; x: remove the last filter"),
        },
        (Action::Activate | Action::Right, Expansion::Leaf) => {
            app.notify("this line has no callees");
        }
        _ => {}
    }
    app.tree.refresh();
}

fn open_path(app: &mut App, action: Action) {
    let (Some(line), Some(shown)) = (app.tree.selected().cloned(), app.tree.shown().cloned())
    else {
        return;
    };
    let paths = match action {
        Action::ExpandToFork => tree_lines::paths_to_next_fork(&shown, &line),
        _ => tree_lines::heaviest_path(&shown, &line),
    };
    let last = paths.last().copied();
    app.tree.opened.extend(paths);
    app.tree.refresh();
    if let Some(last) = last.filter(|_| action == Action::ExpandHeaviest) {
        app.tree.select(last);
    }
}

/// Selects the next match of the search in preorder; returns whether there is one.
pub fn next_match(app: &mut App, forward: bool) -> bool {
    let (Some(shown), Some(line)) = (app.tree.shown().cloned(), app.tree.selected().cloned())
    else {
        return false;
    };
    let order = preorder(&shown);
    let ends = if forward { line.run.last() } else { line.run.first() };
    let position = order.iter().position(|node| Some(node) == ends).unwrap_or(0);
    let is_match = |node: &&ShapedId| app.flame.is_match(&shown, **node);
    let (before, behind) = order.split_at(position);
    let behind = behind.get(1..).unwrap_or_default();
    let found = match forward {
        true => behind.iter().find(is_match).or_else(|| order.iter().find(is_match)),
        false => before.iter().rfind(is_match).or_else(|| order.iter().rfind(is_match)),
    };
    let Some(node) = found.copied() else {
        return false;
    };
    reveal(app, &shown, node);
    true
}

/// Expands the ancestors of a node and selects its line.
fn reveal(app: &mut App, shown: &ShapedTree, node: ShapedId) {
    let paths = tree_lines::paths_to_node(shown, node);
    if let Some((line, above)) = paths.split_last() {
        app.tree.opened.extend(above);
        app.tree.refresh();
        app.tree.select(*line);
    }
}

/// All nodes with a weight in preorder, the heaviest callee first.
fn preorder(shown: &ShapedTree) -> Vec<ShapedId> {
    let mut order = Vec::with_capacity(shown.len());
    let mut pending = vec![TOP];
    while let Some(node) = pending.pop() {
        if node != TOP {
            order.push(node);
        }
        pending.extend(shown.children(node).iter().rev());
    }
    order
}

/// Shows the line in the flamegraph.
fn show_in_flame(app: &mut App) -> Vec<Effect> {
    if let Some(line) = app.tree.selected() {
        let top = Top { node: line.run.first().copied().unwrap_or(TOP), skip: 0 };
        app.flame.cursor.zoom_to(top);
    }
    switch(app, ViewKind::Flame)
}

/// Actions on the last named function of the line.
fn on_function(app: &mut App, action: Action) -> Vec<Effect> {
    let shown = app.tree.shown();
    let sym = shown.zip(app.tree.selected()).and_then(|(shown, line)| {
        let symbols = line.run.iter().rev().filter_map(|node| shown.symbol(*node));
        symbols.map(|it| it.sym.clone()).next()
    });
    match sym {
        Some(sym) => flame::on_symbol(app, action, sym),
        None => {
            app.notify("library and runtime frames; .: expand them");
            Vec::new()
        }
    }
}

/// The call path of the line, outermost first, separated by `;`.
fn path(app: &App) -> String {
    let (Some(shown), Some(line)) = (app.tree.shown(), app.tree.selected()) else {
        return String::new();
    };
    let mut names = Vec::new();
    let mut node = line.node();
    while node != TOP {
        names.push(shown.symbol(node).map_or("[library]", |it| it.sym.as_str()));
        node = shown.parent(node);
    }
    if app.flame.orientation == Orientation::TopDown {
        names.reverse();
    }
    names.join(";")
}
