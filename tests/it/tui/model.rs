//! The model of the explorer: filters in all views; trees and widths against brute force.

use std::collections::BTreeMap;

use rheaper::database::{CancelToken, Database, Value};
use rheaper::tui::app::message::{Query, TreeSource};
use rheaper::tui::app::state::table::Total;
use rheaper::tui::app::{call_tree, view_sql};
use rheaper::tui::data::time_axis::Axis;
use rheaper::tui::flame::cell_layout::{Cell, CellContent, Top, apportion, rows};
use rheaper::tui::flame::measure::Measure;
use rheaper::tui::flame::shape::{Collapse, Direction, Key, Shape, ShapedId, ShapedTree, TOP};
use rheaper::tui::flame::tree::{CallTree, NodeId, ROOT};

use crate::tui::driver::Driver;
use crate::tui::fixture::{self, END_NS, Script, database, leaky_server};

/// Writes the fixture to a file for manual inspection: `RHEAPER_KEEP=path cargo test keep_fixture`.
#[test]
fn keep_fixture() {
    if let Some(path) = std::env::var_os("RHEAPER_KEEP") {
        let _ = std::fs::remove_file(&path);
        fixture::write(&leaky_server(), path.as_ref());
    }
}

/// The weight of each stack in all measures, by brute force.
fn weights(script: &Script, peak_ns: i64) -> BTreeMap<Vec<String>, [i64; 7]> {
    let mut by_stack: BTreeMap<Vec<String>, [i64; 7]> = BTreeMap::new();
    for block in &script.blocks {
        let alive = |at: i64| block.alloc <= at && block.dealloc.is_none_or(|freed| freed > at);
        let live = i64::from(block.dealloc.is_none());
        let names = script.stacks[&block.bt].iter().rev();
        let stack = names.map(|frame| script.frames[*frame].0.to_owned()).collect();
        let sums = by_stack.entry(stack).or_default();
        let temporary = block.dealloc.is_some_and(|freed| freed - block.alloc < 3000);
        for (sum, weight) in sums.iter_mut().zip([
            live * block.size,
            i64::from(alive(peak_ns)) * block.size,
            block.size,
            1,
            i64::from(temporary),
            (live - i64::from(alive(END_NS / 2))) * block.size,
            live,
        ]) {
            *sum += weight;
        }
    }
    by_stack
}

/// The own weight of each call path of a tree.
fn by_stack(tree: &CallTree) -> BTreeMap<Vec<String>, [i64; 7]> {
    let mut all = BTreeMap::new();
    for (at, node) in tree.nodes().iter().enumerate() {
        if !node.self_weights.is_zero() {
            let mut path = Vec::new();
            let mut here = NodeId(at as u32);
            while here != ROOT {
                let node = tree.nodes()[here.0 as usize];
                path.push(tree.symbols().get(node.symbol).unwrap().sym.clone());
                here = node.parent;
            }
            path.reverse();
            all.insert(path, node.self_weights.0);
        }
    }
    all
}

pub(crate) fn read(path: &std::path::Path, source: &TreeSource) -> CallTree {
    call_tree::read(&Database::open(path).unwrap(), source, &CancelToken::new()).unwrap()
}

fn fact(path: &std::path::Path, key: &str) -> i64 {
    let database = Database::open(path).unwrap();
    let sql = format!("SELECT value FROM meta WHERE key = '{key}'");
    let table = database.query(&sql, &Default::default(), &Default::default()).unwrap();
    table.rows[0][0].as_i64().unwrap()
}

#[test]
fn the_prepared_tree_equals_brute_force() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let tree = read(&path, &TreeSource::Prepared);
    let truth = weights(&script, fact(&path, "peak_ns"));
    assert_eq!(by_stack(&tree), truth);
}

#[test]
fn a_flamegraph_over_a_result_equals_brute_force() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let peak_ns = fact(&path, "peak_ns");
    type BackgroundChoice = fn(&fixture::Block) -> bool;
    let cases: [(&str, BackgroundChoice); 3] = [
        ("size > 100", |it| it.size > 100),
        ("dealloc_after IS NULL", |it| it.dealloc.is_none()),
        ("alloc_thread = 2 AND size < 1000", |it| it.thread == 2 && it.size < 1000),
    ];
    for (condition, wanted) in cases {
        let sql = format!("SELECT * FROM allocations WHERE {condition}");
        let columns = ["bt", "size", "alloc_after", "dealloc_after"].map(str::to_owned);
        let axis = Axis::new(Vec::new(), 1, END_NS, peak_ns);
        let weighed = view_sql::weights_of_result(&sql, &columns, &axis);
        let tree = read(&path, &TreeSource::Weights(Query::plain(weighed)));
        let mut part = script.clone();
        part.blocks.retain(wanted);
        let mut truth = weights(&part, peak_ns);
        // Temporary allocations are known for sites only.
        truth.values_mut().for_each(|it| it[4] = 0);
        assert_eq!(by_stack(&tree), truth, "{condition}");
    }
}

fn shape(measure: Measure, direction: Direction, collapse: Collapse) -> Shape {
    Shape { measure, direction, library: collapse, recursion: collapse, ..Shape::default() }
}

#[test]
fn values_are_own_shares_plus_children_in_every_direction() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let tree = read(&path, &TreeSource::Prepared);
    let handle = tree.symbols().by_name("server::handle").unwrap();
    for measure in Measure::ALL {
        let total: u64 = tree.nodes().iter().map(|node| node.self_weights.width(measure)).sum();
        for direction in [
            Direction::TopDown,
            Direction::BottomUp,
            Direction::Callers(handle),
            Direction::Callees(handle),
        ] {
            for collapse in [Collapse::Collapsed, Collapse::Expanded] {
                let shown = ShapedTree::new(&tree, shape(measure, direction, collapse));
                for id in (0..shown.len() as u32).map(ShapedId) {
                    let children: u64 = shown.children(id).iter().map(|it| shown.value(*it)).sum();
                    assert_eq!(shown.value(id), shown.self_value(id) + children);
                }
                if matches!(direction, Direction::TopDown | Direction::BottomUp) {
                    assert_eq!(shown.value(TOP), total, "{measure:?} {direction:?}");
                }
            }
        }
        let callers =
            ShapedTree::new(&tree, shape(measure, Direction::Callers(handle), Collapse::Collapsed));
        let callees =
            ShapedTree::new(&tree, shape(measure, Direction::Callees(handle), Collapse::Collapsed));
        assert_eq!(callers.value(TOP), callees.value(TOP), "{measure:?}");
    }
}

#[test]
fn recursion_and_library_frames_are_collapsed() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let tree = read(&path, &TreeSource::Prepared);
    let count = |collapse| {
        let shown = ShapedTree::new(&tree, shape(Measure::Count, Direction::TopDown, collapse));
        let ids = (0..shown.len() as u32).map(ShapedId);
        let named =
            |id: &ShapedId| shown.symbol(*id).is_some_and(|it| it.sym == "server::json::value");
        let library = |id: &ShapedId| shown.key(*id) == Key::Library;
        (ids.clone().filter(named).count(), ids.filter(library).count() > 0)
    };
    assert_eq!(count(Collapse::Expanded), (3, false));
    assert_eq!(count(Collapse::Collapsed), (1, true));
}

/// A small deterministic random number generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }
}

#[test]
fn apportioned_widths_sum_exactly() {
    let mut random = Random(42);
    for _ in 0..20_000 {
        let shares: Vec<u64> = (0..random.below(12))
            .map(|_| {
                let scale = 1 << random.below(50);
                random.below(scale)
            })
            .collect();
        let width = random.below(400) as u16;
        let widths = apportion(width, &shares);
        let assigned: u32 = widths.iter().map(|it| u32::from(*it)).sum();
        let total: u128 = shares.iter().map(|it| u128::from(*it)).sum();
        assert_eq!(assigned, if total == 0 { 0 } else { u32::from(width) });
        for (width_of, share) in widths.iter().zip(&shares) {
            let exact = u128::from(*share) * u128::from(width) / total.max(1);
            assert!(exact <= u128::from(*width_of) && u128::from(*width_of) <= exact + 1);
        }
    }
}

/// The children of a cell fill it from its left edge; only its own weight is blank.
fn check_row(shown: &ShapedTree, above: &[Cell], row: &[Cell], entered: bool) {
    for parent in above {
        let inside: Vec<&Cell> = row.iter().filter(|cell| parent.covers(cell.x)).collect();
        let mut x = parent.x;
        for cell in &inside {
            assert_eq!(cell.x, x, "a gap or an overlap");
            assert!(cell.width > 0);
            x += cell.width;
        }
        assert!(x <= parent.x + parent.width, "wider than its parent");
        let (node, own) = match parent.content {
            CellContent::Node(node) => (node, shown.self_value(node)),
            CellContent::More { parent, .. } if entered => (parent, 0),
            CellContent::More { .. } => {
                assert!(inside.is_empty());
                continue;
            }
        };
        let listed: usize = inside
            .iter()
            .map(|cell| match cell.content {
                CellContent::Node(_) => 1,
                CellContent::More { parent, skip } => shown.children(parent).len() - skip,
            })
            .sum();
        let skipped = match parent.content {
            CellContent::More { skip, .. } => skip,
            CellContent::Node(_) => 0,
        };
        assert_eq!(listed, shown.children(node).len() - skipped, "every child is listed");
        if own == 0 && !shown.children(node).is_empty() {
            assert_eq!(x, parent.x + parent.width, "a row sums to its parent's width");
        }
    }
}

#[test]
fn rows_sum_to_their_parents_at_every_width_and_zoom() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let tree = read(&path, &TreeSource::Prepared);
    for measure in Measure::ALL {
        for direction in [Direction::TopDown, Direction::BottomUp] {
            let shown = ShapedTree::new(&tree, shape(measure, direction, Collapse::Collapsed));
            for width in (1..130).chain([400, 1000]) {
                for node in (0..shown.len() as u32).map(ShapedId) {
                    for skip in 0..shown.children(node).len().min(3) {
                        let rows = rows(&shown, Top { node, skip }, width, 50);
                        assert_eq!(rows[0][0].width, width);
                        for (at, pair) in rows.windows(2).enumerate() {
                            check_row(&shown, &pair[0], &pair[1], at == 0);
                        }
                    }
                }
            }
        }
    }
}

fn exactly(driver: &Driver) -> u64 {
    match driver.app.table().unwrap().total {
        Total::Exactly(rows) => rows,
        Total::AtLeast(rows) => panic!("at least {rows}"),
    }
}

#[test]
fn filters_typed_sql_and_the_built_in_query_agree() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let old = |it: &&fixture::Block| it.dealloc.is_none() && END_NS - it.alloc >= 600_000_000_000;
    let truth = script.blocks.iter().filter(old).count() as u64;

    let mut chips = Driver::new(&path, (100, 30));
    chips.press("L+age 10m<Enter>4");
    assert_eq!(exactly(&chips), truth);

    let mut typed = Driver::new(&path, (100, 30));
    typed.press("7SELECT * FROM allocations WHERE dealloc_after IS NULL AND NOT alloc_after > 720000000000 - 600000000000<F5>");
    assert_eq!(exactly(&typed), truth);

    let mut built_in = Driver::new(&path, (100, 30));
    built_in.press("cnever freed older than<Enter>10m<Enter>");
    let table = built_in.app.table().unwrap();
    let blocks = table.columns.iter().position(|it| it.name == "live_blocks").unwrap();
    let sum: i64 = (0..table.len()).filter_map(|row| table.row(row)?[blocks].as_i64()).sum();
    assert_eq!(sum as u64, truth);

    for driver in [&mut chips, &mut typed, &mut built_in] {
        driver.press("<Enter>");
        let frames = driver.app.detail.frames.as_ref().unwrap();
        assert!(!frames.is_empty(), "a row opens its backtrace");
        let bt = driver.app.detail.bt.unwrap();
        assert_eq!(frames.len(), script.stacks[&bt].len());
    }
}

#[test]
fn undo_restores_the_previous_filter_set() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (100, 30));
    let mut filter_sets = vec![driver.app.filters.current().clone()];
    for filter in
        ["live", "age 1m", "size 1K..1M", "thread worker-1", "crate server", "~cache", "bt 1"]
    {
        driver.press(&format!("+{filter}<Enter>"));
        filter_sets.push(driver.app.filters.current().clone());
        assert_eq!(driver.app.filters.current().filters().len(), filter_sets.len() - 1, "{filter}");
    }
    for filters in filter_sets.iter().rev().skip(1) {
        driver.press("u");
        assert_eq!(driver.app.filters.current(), filters);
    }
    for filters in filter_sets.iter().skip(1) {
        driver.press("U");
        assert_eq!(driver.app.filters.current(), filters);
    }
}

#[test]
fn the_sql_behind_a_view_gives_its_rows() {
    let (_directory, path) = database(&leaky_server());
    for view in ["1", "4"] {
        let mut driver = Driver::new(&path, (100, 30));
        driver.press("+live<Enter>+size 1K..<Enter>");
        driver.press(view);
        let rows = match view {
            "1" => driver.app.suspects.listed().len() as u64,
            _ => exactly(&driver),
        };
        driver.press("e<F5>");
        assert_eq!(exactly(&driver), rows, "{}", driver.app.sql.text());
    }
}

#[test]
fn a_frame_leads_to_everything_through_it() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let mut driver = Driver::new(&path, (100, 30));
    driver.press("<Enter>t");
    assert!(driver.text().contains("through Cache::insert"), "{}", driver.text());
    let tree = driver.app.flame.tree.clone().unwrap();
    let live: i64 = script
        .blocks
        .iter()
        .filter(|it| it.bt == 1 && it.dealloc.is_none())
        .map(|it| it.size)
        .sum();
    assert_eq!(tree.total()[Measure::LiveAtEnd], live);
}

#[test]
fn groups_lead_to_their_rows() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let mut driver = Driver::new(&path, (140, 40));
    driver.press("4");
    let column = driver
        .app
        .table()
        .unwrap()
        .columns
        .iter()
        .position(|it| it.name == "alloc_thread")
        .unwrap();
    driver.press(&"<Right>".repeat(column));
    driver.press("t");
    let table = driver.app.table().unwrap();
    assert_eq!(table.len(), 4, "one row a thread");
    let thread = table.row(0).unwrap()[0].as_i64().unwrap();
    let blocks = table.row(0).unwrap()[1].clone();
    driver.press("<Enter>");
    let truth = script.blocks.iter().filter(|it| it.thread == thread).count() as u64;
    assert_eq!(Value::Integer(truth as i64), blocks);
    assert_eq!(exactly(&driver), truth);
}

#[test]
fn hostile_names_reach_no_cell() {
    let mut script = leaky_server();
    script.frames[2].0 = "evil\x1b]52;c;AAAA\x07\u{202e}::\u{9b}31mname\r\n";
    script.frames[2].1 = "a\x1b[2J.rs";
    let (_directory, path) = database(&script);
    let mut driver = Driver::new(&path, (120, 40));
    for keys in [
        "",
        "v",
        "<Esc>",
        "<Enter>",
        "<Enter>",
        "<Esc>",
        "2",
        "/evil<Enter>",
        "=",
        "4",
        "<Enter>",
        "7",
    ] {
        driver.press(keys);
        let text = driver.text();
        let bad =
            text.chars().find(|c| *c != '\n' && rheaper::database::text::sanitize::is_unsafe(*c));
        assert_eq!(bad, None, "after {keys:?}:\n{text}");
    }
}

#[test]
fn requests_cancelled_by_another_view_are_sent_again() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (100, 30));
    for view in ["2", "4"] {
        driver.press_unanswered(view);
        assert!(!driver.pending.is_empty());
        driver.press_unanswered("1");
        driver.answer_all();
        driver.press(view);
        let text = driver.text();
        assert!(!text.contains("reading…") && !text.contains("running…"), "{text}");
        assert!(text.contains("server::main") || text.contains("alloc_after"), "{text}");
        driver.press("1");
    }
}

#[test]
fn requests_of_a_closed_table_are_cancelled() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (100, 30));
    driver.press("4");
    for filter in ["+live<Enter>", "+size 1K..<Enter>", "+thread 1<Enter>"] {
        filter.split_inclusive('>').for_each(|keys| driver.press_unanswered(keys));
    }
    driver.answer_all();
    assert_eq!(driver.app.rows.len(), 1);
    assert!(!driver.app.requests.is_pending(|_| true), "nothing is open");
    assert!(exactly(&driver) > 0);
}
