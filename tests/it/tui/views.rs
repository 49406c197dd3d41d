//! Time, tree and histograms against brute force over random small recordings, and the filters that
//! their keys add.

use std::collections::BTreeMap;
use std::path::Path;

use rheaper::database::{CancelToken, Database, Value};
use rheaper::tui::app::message::TreeSource;
use rheaper::tui::app::state::App;
use rheaper::tui::app::{call_tree, view_sql};
use rheaper::tui::data::filter::{Filter, FilterHistory, FilterSet};
use rheaper::tui::data::histogram::{self, Kind};
use rheaper::tui::data::time_axis::Axis;
use rheaper::tui::data::time_sql::{self, Part};
use rheaper::tui::flame::measure::Measure;
use rheaper::tui::flame::shape::{Collapse, Direction, Shape, ShapedTree, TOP};
use rheaper::tui::flame::tree_lines::{self, Expansion};

use crate::tui::driver::Driver;
use crate::tui::fixture::{Block, END_NS, Script, database, leaky_server};
use crate::tui::model::Random;

/// A random recording of a few hundred blocks.
fn random_script(seed: u64) -> Script {
    let mut random = Random(seed * 0x9e37_79b9 + 1);
    let mut script = Script { frames: leaky_server().frames, ..Script::default() };
    script.slices_per_point = 1 << random.below(4);
    let stacks = 2 + random.below(9) as i64;
    for bt in 1..=stacks {
        let depth = 1 + random.below(7);
        let frame = |_| random.below(script.frames.len() as u64) as usize;
        script.stacks.insert(bt, (0..depth).map(frame).collect());
    }
    for _ in 0..50 + random.below(300) {
        let alloc = random.below(END_NS as u64) as i64;
        let (life, size) = (random.below(40), random.below(20));
        let life = 1 + random.below(1 << life) as i64;
        let dealloc = (random.below(3) > 0).then_some(alloc + life).filter(|at| *at < END_NS);
        let size = random.below(1 << size) as i64;
        let (bt, thread) = (1 + random.below(stacks as u64) as i64, random.below(3) as i64);
        script.blocks.push(Block { alloc, dealloc, bt, size, thread });
    }
    // Every site has a block, as in a loaded database.
    for bt in 1..=stacks {
        script.blocks.push(Block { alloc: bt, dealloc: Some(bt + 1), bt, size: 1, thread: 0 });
    }
    script.blocks.sort_by_key(|block| (block.dealloc.unwrap_or(i64::MAX), block.alloc));
    // Every third recording has some rows out of order.
    let freed = script.blocks.iter().filter(|it| it.dealloc.is_some()).count() as u64;
    script.late = if seed.is_multiple_of(3) { 4 } else { 0 };
    for _ in 0..script.late {
        let from = random.below(freed) as usize;
        let to = from + random.below(freed - from as u64) as usize;
        let block = script.blocks.remove(from);
        script.blocks.insert(to, block);
    }
    script
}

fn alive(block: &Block, at: i64) -> bool {
    block.alloc <= at && block.dealloc.is_none_or(|freed| freed > at)
}

/// Whether a filter matches a block, by brute force.
fn matches_filter(filter: &Filter, block: &Block, axis: &Axis, script: &Script) -> bool {
    match filter {
        Filter::NeverFreed => block.dealloc.is_none(),
        Filter::AllocatedIn(from, to) => *from <= block.alloc && block.alloc < *to,
        Filter::SurvivingFrom(from, to) => {
            block.dealloc.is_none() && *from <= block.alloc && block.alloc < *to
        }
        Filter::AliveAt(at) => alive(block, *at),
        Filter::AliveThrough(from, to) => alive(block, *from) && alive(block, *to),
        Filter::AtPeak => alive(block, axis.peak_ns),
        Filter::Lifetime(low, high) => {
            block.dealloc.is_some_and(|freed| (*low..=*high).contains(&(freed - block.alloc)))
        }
        Filter::Age(low, high) => {
            block.dealloc.is_none() && (*low..=*high).contains(&(END_NS - block.alloc))
        }
        Filter::Size(low, high) => (*low..=*high).contains(&block.size),
        Filter::Through(sym) => {
            script.stacks[&block.bt].iter().any(|frame| script.frames[*frame].0 == sym)
        }
        other => panic!("{other:?} is not asked here"),
    }
}

type Sums = BTreeMap<i64, (i64, i64)>;

/// Bytes and blocks by backtrace.
fn plain(filters: &FilterSet, axis: &Axis, script: &Script) -> Sums {
    let mut sums = Sums::new();
    let blocks = script.blocks.iter();
    for block in
        blocks.filter(|it| filters.filters().iter().all(|by| matches_filter(by, it, axis, script)))
    {
        let sum = sums.entry(block.bt).or_default();
        sum.0 += block.size;
        sum.1 += 1;
    }
    sums
}

fn rows(path: &Path, sql: &str) -> Vec<Vec<Value>> {
    let database = Database::open(path).unwrap();
    let table = database.query(sql, &Default::default(), &Default::default());
    table.unwrap_or_else(|error| panic!("{error:?}\n{sql}")).rows
}

fn by_bt(path: &Path, sql: &str) -> Sums {
    let sums = rows(path, sql).into_iter().map(|row| {
        let number = |at: usize| row[at].as_i64().unwrap();
        (number(0), (number(1), number(2)))
    });
    sums.collect()
}

fn filter_set(filters: &[Filter]) -> FilterSet {
    let mut history = FilterHistory::default();
    filters.iter().cloned().for_each(|filter| history.add(filter));
    history.current().clone()
}

/// A random filter set with a time filter at edges of the axis.
fn random_filter_set(random: &mut Random, axis: &Axis, script: &Script) -> FilterSet {
    let points = axis.points() as u64;
    let first = random.below(points + 1) as usize;
    let last = random.below(points + 1) as usize;
    let (first, last) = (first.min(last), first.max(last));
    let at = |edge: usize| (axis.edge(edge) - 1).max(0);
    let mut filters = vec![match random.below(5) {
        4 => Filter::SurvivingFrom(axis.edge(first), axis.edge(last)),
        0 => Filter::AllocatedIn(axis.edge(first), axis.edge(last)),
        1 => Filter::AliveAt(at(first.max(1))),
        2 => Filter::AliveThrough(at(first.max(1)), at(last.max(1))),
        _ => Filter::AtPeak,
    }];
    if random.below(2) == 0 {
        filters.push(Filter::NeverFreed);
    }
    if random.below(2) == 0 {
        let frame = random.below(script.frames.len() as u64) as usize;
        filters.push(Filter::Through(script.frames[frame].0.into()));
    }
    filter_set(&filters)
}

#[test]
fn time_filters_equal_brute_force_from_slices_and_from_rows() {
    for seed in 1..=24 {
        let script = random_script(seed);
        let (_directory, path) = database(&script);
        let mut axis = Driver::new(&path, (80, 24)).app.overview.axis;
        // Both plans: few sites and many.
        axis.sites = if seed.is_multiple_of(2) { 10 } else { i64::MAX };
        assert_eq!(
            axis.frees() as usize,
            script.blocks.iter().filter(|it| it.dealloc.is_some()).count()
        );
        let mut random = Random(seed);
        for _ in 0..24 {
            let filters = random_filter_set(&mut random, &axis, &script);
            let truth = plain(&filters, &axis, &script);
            let from_rows = filters.row_condition(&axis).unwrap();
            let sql = format!(
                "SELECT bt, sum(size), count(*) FROM allocations WHERE {from_rows} GROUP BY bt"
            );
            assert_eq!(by_bt(&path, &sql), truth, "seed {seed} {filters:?}\n{sql}");
            let sql = time_sql::by_site(&filters, &axis, Part::All).unwrap();
            assert_eq!(by_bt(&path, &sql), truth, "seed {seed} {filters:?}\n{sql}");
            let never_freed = Filter::NeverFreed;
            let mut survivors = filters.filters().to_vec();
            survivors.push(never_freed);
            let truth_of_survivors = plain(&self::filter_set(&survivors), &axis, &script);
            let sql = time_sql::by_site(&filters, &axis, Part::Survivors).unwrap();
            assert_eq!(by_bt(&path, &sql), truth_of_survivors, "seed {seed} {filters:?}\n{sql}");
            check_views(&path, &filters, &axis, &truth);
        }
    }
}

/// Suspects and flamegraph of a filter set have the sums of its sites.
fn check_views(path: &Path, filters: &FilterSet, axis: &Axis, truth: &Sums) {
    let sums = rows(path, &view_sql::suspects(filters, axis));
    let listed: i64 = sums.iter().map(|row| row[row.len() - 2].as_i64().unwrap()).sum();
    let suspects = by_bt(
        path,
        "SELECT sites.bt, suspect, 1 FROM sites JOIN suspects ON suspects.id = suspect",
    );
    let of_suspects = truth.iter().filter(|(bt, _)| suspects.contains_key(bt));
    assert_eq!(listed, of_suspects.map(|(_, sum)| sum.0).sum::<i64>(), "{filters:?}");
    for measure in [Measure::Allocated, Measure::Count] {
        let tree = crate::tui::model::read(path, &view_sql::tree(filters, axis, measure));
        let wanted: i64 =
            truth.values().map(|sum| if measure == Measure::Count { sum.1 } else { sum.0 }).sum();
        assert_eq!(tree.total()[measure], wanted, "{filters:?} by {measure:?}");
    }
}

/// Between edges, only rows are exact; typed moments are moved to edges.
#[test]
fn moments_between_edges_are_computed_from_rows() {
    let script = random_script(7);
    let (_directory, path) = database(&script);
    let axis = Driver::new(&path, (80, 24)).app.overview.axis;
    let mut random = Random(7);
    for _ in 0..40 {
        let (one, other) = (random.below(END_NS as u64) as i64, random.below(END_NS as u64) as i64);
        let (from, to) = (one.min(other), one.max(other));
        for filter in
            [Filter::AllocatedIn(from, to), Filter::AliveAt(from), Filter::AliveThrough(from, to)]
        {
            let filters = filter_set(&[filter]);
            assert_eq!(time_sql::by_site(&filters, &axis, Part::All), None);
            let condition = filters.row_condition(&axis).unwrap();
            let sql = format!(
                "SELECT bt, sum(size), count(*) FROM allocations WHERE {condition} GROUP BY bt"
            );
            assert_eq!(by_bt(&path, &sql), plain(&filters, &axis, &script), "{filters:?}");
        }
    }
    let mut driver = Driver::new(&path, (80, 24));
    driver.press("+at 5m<Enter>+live<Enter>");
    let filters = driver.app.filters.current().clone();
    assert!(time_sql::by_site(&filters, &axis, Part::All).is_some(), "{filters:?}");
    assert!(driver.text().contains("[live at 5m 00s]"), "{}", driver.text());
}

/// Bytes and blocks allocated through the call path of a line, by brute force.
fn through(script: &Script, shown: &ShapedTree, line: &tree_lines::Line) -> (u64, u64) {
    let mut names = Vec::new();
    let mut node = line.node();
    while node != TOP {
        names.push(shown.symbol(node).unwrap().sym.as_str());
        node = shown.parent(node);
    }
    names.reverse();
    let is_below = |block: &&Block| {
        let stack = script.stacks[&block.bt].iter().rev().map(|frame| script.frames[*frame].0);
        stack.take(names.len()).eq(names.iter().copied())
    };
    let blocks = script.blocks.iter().filter(is_below);
    blocks.fold((0, 0), |(bytes, count), it| (bytes + it.size as u64, count + 1))
}

#[test]
fn lines_of_the_tree_equal_brute_force() {
    for seed in 1..=12 {
        let script = random_script(seed);
        let (_directory, path) = database(&script);
        let tree = crate::tui::model::read(&path, &TreeSource::Prepared);
        let shape = Shape {
            measure: Measure::Allocated,
            library: Collapse::Expanded,
            recursion: Collapse::Expanded,
            ..Shape::default()
        };
        let shown = ShapedTree::new(&tree, shape);
        for line in all_lines(&shown) {
            let (bytes, blocks) = through(&script, &shown, &line);
            assert_eq!(shown.value(line.node()), bytes, "seed {seed} {line:?}");
            assert_eq!(shown.pair(line.node()).bytes, bytes, "seed {seed} {line:?}");
            assert_eq!(shown.pair(line.node()).blocks, blocks, "seed {seed} {line:?}");
        }
    }
}

fn all_lines(shown: &ShapedTree) -> Vec<tree_lines::Line> {
    let mut opened = std::collections::HashSet::new();
    loop {
        let lines = tree_lines::lines(shown, &opened);
        let closed: Vec<_> = lines.iter().filter(|it| it.expansion == Expansion::Closed).collect();
        if closed.is_empty() {
            return lines;
        }
        opened.extend(closed.iter().map(|line| line.path));
    }
}

#[test]
fn lines_sum_to_the_line_above_and_the_whole_to_the_database() {
    const COLUMNS: [(Measure, &str); 4] = [
        (Measure::LiveAtEnd, "sum(CASE WHEN dealloc_after IS NULL THEN size ELSE 0 END)"),
        (Measure::Allocated, "sum(size)"),
        (Measure::Count, "count(*)"),
        (Measure::LiveBlocks, "sum(dealloc_after IS NULL)"),
    ];
    for seed in 1..=12 {
        let (_directory, path) = database(&random_script(seed));
        let tree = crate::tui::model::read(&path, &TreeSource::Prepared);
        for (measure, sum) in COLUMNS {
            let sum = rows(&path, &format!("SELECT {sum} FROM allocations"))[0][0].as_i64();
            for direction in [Direction::TopDown, Direction::BottomUp] {
                for collapse in [Collapse::Collapsed, Collapse::Expanded] {
                    let shape = Shape {
                        measure,
                        direction,
                        library: collapse,
                        recursion: collapse,
                        ..Shape::default()
                    };
                    let shown = ShapedTree::new(&tree, shape);
                    assert_eq!(Some(shown.value(TOP) as i64), sum);
                    check_sums(&shown);
                }
            }
        }
    }
}

/// The value of each line is its own weight plus the lines one level deeper.
fn check_sums(shown: &ShapedTree) {
    let lines = all_lines(shown);
    let below = |at: usize, depth: usize| -> u64 {
        let inside = lines[at..].iter().take_while(|it| it.depth >= depth);
        inside.filter(|it| it.depth == depth).map(|it| shown.value(it.run[0])).sum()
    };
    assert_eq!(below(0, 0) + shown.self_value(TOP), shown.value(TOP));
    for (at, line) in lines.iter().enumerate() {
        let whole = shown.value(line.run[0]);
        assert_eq!(
            shown.self_value(line.node()) + below(at + 1, line.depth + 1),
            whole,
            "{line:?}"
        );
        assert!(line.run.iter().all(|node| shown.value(*node) == whole), "{line:?}");
        let fork = tree_lines::paths_to_next_fork(shown, line);
        assert!(!fork.is_empty());
    }
}

#[test]
fn site_stats_of_lines_equal_brute_force() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let stats =
        call_tree::sites(&Database::open(&path).unwrap(), END_NS, &CancelToken::new()).unwrap();
    for bt in script.stacks.keys() {
        let blocks: Vec<_> = script.blocks.iter().filter(|it| it.bt == *bt).collect();
        let live: Vec<_> = blocks.iter().filter(|it| it.dealloc.is_none()).collect();
        let known = stats[bt];
        assert_eq!(known.live_blocks as usize, live.len());
        let ages: i64 = live.iter().map(|it| END_NS - it.alloc).sum();
        assert_eq!(known.age_sum_ns as i64, ages);
        for (share, value) in known.trend.iter().enumerate() {
            let end = (share as i64 + 1) * END_NS / known.trend.len() as i64 - 1;
            let live: i64 = blocks.iter().filter(|it| alive(it, end)).map(|it| it.size).sum();
            assert_eq!(*value as i64, live, "backtrace {bt}, share {share}");
        }
    }
    let mut driver = Driver::new(&path, (120, 40));
    driver.press("3O");
    let line = driver.app.tree.selected().unwrap().clone();
    assert_eq!(driver.app.tree.stats(&line).unwrap().trend, stats[&1].trend);
}

#[test]
fn histograms_sum_to_the_filter_set_and_every_bin_equals_brute_force() {
    for seed in 1..=16 {
        let script = random_script(seed);
        let (_directory, path) = database(&script);
        let axis = Driver::new(&path, (80, 24)).app.overview.axis;
        let mut random = Random(seed);
        let mut filter_sets = vec![FilterSet::default(), filter_set(&[Filter::NeverFreed])];
        filter_sets.push(filter_set(&[Filter::Size(16, 4096)]));
        filter_sets.extend((0..6).map(|_| random_filter_set(&mut random, &axis, &script)));
        for filters in filter_sets {
            let sql = histogram::blocks(&filters, &axis);
            let open = Database::open(&path).unwrap();
            let counted = histogram::read(&open, &sql, END_NS, &CancelToken::new()).unwrap();
            let truth = plain(&filters, &axis, &script);
            let all = counted.total(Kind::Sizes);
            let blocks: i64 = truth.values().map(|sum| sum.1).sum();
            let bytes: i64 = truth.values().map(|sum| sum.0).sum();
            assert_eq!((all.blocks, all.bytes), (blocks as u64, bytes as u64), "{filters:?}");
            let (lives, ages) = (counted.total(Kind::Lifetimes), counted.total(Kind::Ages));
            assert_eq!(lives.blocks + ages.blocks, all.blocks);
            assert_eq!(lives.bytes + ages.bytes, all.bytes);
            check_bins(&counted, &filters, &axis, &script);
        }
    }
}

fn check_bins(counted: &histogram::Histograms, filters: &FilterSet, axis: &Axis, script: &Script) {
    for kind in Kind::ALL {
        let mut before = -1;
        for bin in counted.bins(kind) {
            assert!(before < bin.low && bin.low <= bin.high);
            before = bin.high;
            let narrowed = match kind {
                Kind::Sizes => Filter::Size(bin.low, bin.high),
                Kind::Lifetimes => Filter::Lifetime(bin.low, bin.high),
                Kind::Ages => Filter::Age(bin.low, bin.high),
            };
            let mut filters = filters.filters().to_vec();
            filters.push(narrowed);
            let mut sums = Sums::new();
            let inside =
                |it: &&Block| filters.iter().all(|by| matches_filter(by, it, axis, script));
            for block in script.blocks.iter().filter(inside) {
                let sum = sums.entry(block.bt).or_default();
                *sum = (sum.0 + block.size, sum.1 + 1);
            }
            let listed = bin
                .sites
                .iter()
                .map(|(bt, sum)| (bt.unwrap(), (sum.bytes as i64, sum.blocks as i64)));
            assert_eq!(listed.collect::<Sums>(), sums, "{kind:?} {}..{}", bin.low, bin.high);
            assert_eq!(bin.sum.blocks as i64, sums.values().map(|sum| sum.1).sum::<i64>());
            assert_eq!(bin.sum.bytes as i64, sums.values().map(|sum| sum.0).sum::<i64>());
        }
    }
}

/// Points, sums between cursors and stacked sites, with and without a filter.
#[test]
fn time_curves_equal_brute_force() {
    for seed in 1..=12 {
        let script = random_script(seed);
        let (_directory, path) = database(&script);
        let sym = script.frames[script.stacks[&1][0]].0;
        for through in [None, Some(sym)] {
            let mut driver = Driver::new(&path, (120, 40));
            if let Some(sym) = through {
                driver.app.filters.add(Filter::Through(sym.into()));
            }
            driver.press("5s");
            check_time_curves(&driver.app, &script);
        }
    }
}

fn check_time_curves(app: &App, script: &Script) {
    let (axis, filters) = (&app.overview.axis, app.filters.current());
    let inside =
        |it: &&Block| filters.filters().iter().all(|by| matches_filter(by, it, axis, script));
    let blocks: Vec<&Block> = script.blocks.iter().filter(inside).collect();
    let sum = |which: &dyn Fn(&Block) -> bool| -> (i64, i64) {
        let chosen: Vec<_> = blocks.iter().filter(|it| which(it)).collect();
        (chosen.iter().map(|it| it.size).sum(), chosen.len() as i64)
    };
    for edge in 0..=axis.points() {
        let at = axis.edge(edge) - 1;
        let point = app.time.live_at(edge);
        let live = sum(&|it| alive(it, at));
        assert_eq!((point.live_bytes, point.live_blocks), live, "edge {edge}");
        if let Some(last) = edge.checked_sub(1) {
            let stacked: i64 = app.time.sites.iter().map(|it| it.live_bytes[last]).sum();
            assert!(app.time.sites.len() == 7 || stacked <= live.0, "edge {edge}");
        }
        let between = app.time.between(edge / 2, edge);
        let (from, to) = (axis.edge(edge / 2), axis.edge(edge));
        let made = sum(&|it| from <= it.alloc && it.alloc < to);
        assert_eq!((between.allocated_bytes, between.allocations), made, "edge {edge}");
        let freed = sum(&|it| it.dealloc.is_some_and(|at| from <= at && at < to));
        assert_eq!((between.freed_bytes, between.frees), freed, "edge {edge}");
        if filters.is_unfiltered() {
            let kept = sum(&|it| it.dealloc.is_none() && from <= it.alloc && it.alloc < to);
            assert_eq!(between.never_freed_bytes, kept.0, "edge {edge}");
        }
    }
}

/// Each key of the Time view, and the sums of the suspects with its filter.
#[test]
fn keys_of_the_time_view_add_filters() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    let keys = "5<Left><Left><Left><Tab><Right><Right>";
    type Made = fn(i64, i64) -> Vec<Filter>;
    let cases: [(&str, Made); 5] = [
        ("<Enter>", |from, to| vec![Filter::AllocatedIn(from, to)]),
        ("w", |from, to| vec![Filter::SurvivingFrom(from, to)]),
        ("a", |from, _| vec![Filter::AliveAt(from - 1)]),
        ("b", |from, to| vec![Filter::AliveThrough(from - 1, to - 1)]),
        ("p", |_, _| vec![Filter::AtPeak]),
    ];
    for (key, made) in cases {
        let mut driver = Driver::new(&path, (100, 30));
        driver.press(keys);
        let (first, last) = driver.app.time.range();
        let axis = driver.app.overview.axis.clone();
        driver.press(key);
        let wanted = made(axis.edge(first), axis.edge(last));
        assert_eq!(driver.app.filters.current().filters(), wanted, "{key}");
        let truth = plain(driver.app.filters.current(), &axis, &script);
        driver.press("1");
        let held: i64 = driver.app.suspects.listed().iter().map(|it| it.filtered_bytes).sum();
        let suspects = driver.app.suspects.all.as_ref().unwrap().iter().map(|it| it.bt);
        let wanted: i64 = suspects.filter_map(|bt| truth.get(&bt)).map(|sum| sum.0).sum();
        assert_eq!(held, wanted, "{key}");
        driver.press("2");
        let total: i64 = truth.values().map(|sum| sum.0).sum();
        assert_eq!(driver.app.flame.shown.as_ref().unwrap().value(TOP) as i64, total, "{key}");
        driver.press("5z");
        assert!(
            !driver.app.filters.current().filters().iter().any(Filter::is_time_filter),
            "{key}"
        );
        driver.press("u");
        assert!(driver.app.filters.current().filters().iter().any(Filter::is_time_filter), "{key}");
        driver.press("u");
        assert!(driver.app.filters.current().is_unfiltered(), "{key}: one step back is enough");
    }
}

#[test]
fn the_measure_is_restored_when_the_range_is_removed() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (100, 30));
    driver.press("2+at 5m<Enter>");
    assert_eq!(driver.app.flame.measure, Measure::Allocated);
    // Other measures are requested when they are selected.
    let mut steps = 0;
    while driver.app.flame.measure != Measure::LiveAtEnd && steps < 7 {
        driver.press("m");
        steps += 1;
    }
    assert_eq!(driver.app.flame.measure, Measure::LiveAtEnd);
    assert!(driver.app.flame.shown.as_ref().unwrap().value(TOP) > 0);
    driver.press("X");
    assert_eq!(driver.app.flame.measure, Measure::LiveAtEnd);
    driver.press("+at 5m<Enter>X");
    assert_eq!(driver.app.flame.measure, Measure::LiveAtEnd);
}

/// While a request for new filters is pending, the old data is shown and marked as stale.
#[test]
fn stale_views_say_so_until_the_response_arrives() {
    let (_directory, path) = database(&leaky_server());
    for (view, content) in [
        ("1", "Cache::insert"),
        ("2", "server::handle"),
        ("3", "server::main"),
        ("6", "≤ 4.00 KiB"),
    ] {
        let mut driver = Driver::new(&path, (100, 30));
        driver.press(view);
        assert!(!driver.text().contains("STALE"), "{view}");
        driver.press_unanswered("+at 5m<Enter>");
        let text = driver.text();
        assert!(text.contains("STALE") && text.contains(content), "{view}: {text}");
        driver.answer_all();
        assert!(!driver.text().contains("STALE"), "{view}: {}", driver.text());
    }
}

/// Enter on a bar adds a filter for its blocks.
#[test]
fn a_bar_leads_to_its_blocks() {
    let script = leaky_server();
    let (_directory, path) = database(&script);
    for (keys, kind) in
        [("6", Kind::Sizes), ("6<Tab>", Kind::Lifetimes), ("6<Tab><Tab>", Kind::Ages)]
    {
        let mut driver = Driver::new(&path, (100, 30));
        driver.press(keys);
        assert_eq!(driver.app.histograms.kind, kind);
        driver.press("G");
        let wanted = driver.app.histograms.selected().unwrap().sum;
        driver.press("<Enter>");
        let total = driver.app.histograms.counted.as_ref().unwrap().total(Kind::Sizes);
        assert_eq!(total, wanted, "{kind:?}");
        driver.press("4");
        let table = driver.app.table().unwrap();
        assert_eq!(table.total, rheaper::tui::app::state::table::Total::Exactly(wanted.blocks));
    }
}

#[test]
fn lines_stay_open_and_searches_open_them() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (120, 40));
    driver.press("3/insert<Enter>");
    let text = driver.text();
    assert!(text.contains("server::cache::Cache::insert  (examples"), "{text}");
    let lines = driver.app.tree.lines().len();
    driver.press("+live<Enter>");
    assert_eq!(driver.app.tree.lines().len(), lines, "{}", driver.text());
    driver.press("z");
    assert!(driver.app.tree.lines().len() < lines);
    driver.press("i");
    assert!(driver.text().contains("callers below"), "{}", driver.text());
    driver.press("f");
    assert!(driver.text().contains("flame: bottom-up"), "{}", driver.text());
}

/// Marks and resident memory are shown.
#[test]
fn marks_and_resident_memory_are_shown() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (120, 40));
    driver.press("5N");
    let text = driver.text();
    assert!(text.contains("mark config reload") && text.contains("resident"), "{text}");
    driver.press("N");
    assert!(driver.text().contains("mark deploy 42"), "{}", driver.text());
    driver.press("N");
    assert!(driver.text().contains("no mark"), "{}", driver.text());
}
