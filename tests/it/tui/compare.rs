//! The Compare view: sums, states, filters, moments.

use std::collections::BTreeMap;
use std::sync::Arc;

use rheaper::database::compare::{Comparison, Measure, Side, State, compare};
use rheaper::database::{CancelToken, Database};
use rheaper::tui::app::state::compare::CompareMode;
use rheaper::tui::flame::cell_layout::{CellContent, Top, WeightedTree, rows};
use rheaper::tui::flame::difference_tree::{DifferenceOptions, Differences, StackEnd};
use rheaper::tui::flame::shape::{ShapedId, TOP};

use crate::support::random_heap::Heap;
use crate::tui::driver::Driver;
use crate::tui::fixture::{database, databases, leaky_server};

fn differences(comparison: &Arc<Comparison>, options: DifferenceOptions) -> Differences {
    Differences::new(Arc::clone(comparison), options)
}

/// Sums of growth and shrinkage by path of names, by a loop over the rows.
fn naive(shown: &Differences) -> BTreeMap<Vec<String>, (u64, u64)> {
    let mut sums: BTreeMap<Vec<String>, (u64, u64)> = BTreeMap::new();
    for row in &shown.rows {
        let mut path: Vec<String> =
            shown.comparison.frames(row).map(|name| name.sym.clone()).collect();
        if shown.options.root == StackEnd::Outermost {
            path.reverse();
        }
        let change = row.difference(shown.options.measure);
        for len in 0..=path.len() {
            let sum = sums.entry(path[..len].to_vec()).or_default();
            if change > 0 {
                sum.0 += change.unsigned_abs();
            } else {
                sum.1 += change.unsigned_abs();
            }
        }
    }
    sums
}

fn path(shown: &Differences, mut node: ShapedId) -> Vec<String> {
    let mut names = Vec::new();
    while let Some(name) = shown.node(node).unwrap().name {
        names.push(shown.comparison.stacks.get(name).unwrap().sym.clone());
        node = ShapedId(shown.node(node).unwrap().parent);
    }
    names.reverse();
    names
}

#[test]
fn every_node_of_the_difference_is_its_growth_and_shrinkage() {
    let directory = tempfile::tempdir().unwrap();
    for seed in 0..30 {
        let names = [format!("{seed}.db"), format!("{seed}-2.db")];
        let [before, after] = names.map(|name| directory.path().join(name));
        Heap::random(seed).write(&before);
        Heap::random(seed + 500).write(&after);
        let (before, after) = (Database::open(&before).unwrap(), Database::open(&after).unwrap());
        let sides = (Side::whole(&before), Side::whole(&after));
        let comparison =
            compare(&sides.0, &sides.1, &Default::default(), &CancelToken::new()).unwrap();
        let comparison = Arc::new(comparison);
        for measure in Measure::COMPARED {
            for from in [StackEnd::Outermost, StackEnd::Innermost] {
                let shown = differences(
                    &comparison,
                    DifferenceOptions { measure, root: from, ..DifferenceOptions::default() },
                );
                let expected = naive(&shown);
                let found: BTreeMap<_, _> = (0..shown.len() as u32)
                    .map(|id| (path(&shown, ShapedId(id)), shown.node(ShapedId(id)).unwrap()))
                    .map(|(path, node)| (path, (node.up, node.down)))
                    .collect();
                if shown.is_empty() {
                    continue;
                }
                assert_eq!(found, expected);
                let (up, down) = comparison.movement(measure);
                let top = shown.top();
                assert_eq!((top.up, top.down), (up.unsigned_abs(), down.unsigned_abs()));
                assert_eq!(top.net(), top.after - top.before, "what is the same cancels out");
                check_cells(&shown);
            }
        }
    }
}

/// Cells are within their parent and have the value of their node.
fn check_cells(shown: &Differences) {
    for width in [40, 80, 250] {
        let drawn = rows(shown, Top { node: TOP, skip: 0 }, width, 50);
        assert_eq!(drawn[0][0].width, width);
        for pair in drawn.windows(2) {
            for cell in &pair[1] {
                let above = pair[0].iter().find(|above| above.covers(cell.x)).unwrap();
                assert!(cell.x + cell.width <= above.x + above.width);
                if let CellContent::Node(node) = cell.content {
                    assert_eq!(cell.value, WeightedTree::value(shown, node));
                }
            }
        }
    }
}

#[test]
fn the_states_are_filtered_and_their_rows_are_all() {
    let (_directory, after, before) = databases();
    let mut driver = Driver::comparing(&after, &before, (120, 40));
    let all = driver.app.compare.shown.clone().unwrap().rows.len();
    let mut sum = 0;
    for state in State::CHANGES {
        driver.press("w");
        let shown = driver.app.compare.shown.clone().unwrap();
        assert_eq!(driver.app.compare.options.only, Some(state));
        assert!(shown.rows.iter().all(|row| row.state(Measure::LiveBytes) == state));
        assert!(!shown.rows.is_empty(), "{state:?}");
        assert!(driver.text().contains(&format!("only {}", state.name())), "{}", driver.text());
        sum += shown.rows.len();
    }
    assert_eq!(sum, all);
    driver.press("w");
    assert_eq!(driver.app.compare.shown.as_ref().unwrap().rows.len(), all);
    driver.press("/audit<Enter>");
    assert_eq!(driver.app.compare.shown.as_ref().unwrap().rows.len(), 1);
    assert!(driver.text().contains("audit::note"), "{}", driver.text());
    driver.press("<Back>");
    assert_eq!(driver.app.compare.shown.as_ref().unwrap().rows.len(), all);
    driver.press("/(<Enter>");
    assert!(driver.text().contains("invalid regular expression"), "{}", driver.text());
}

#[test]
fn the_fixed_site_is_first_in_the_list_the_flamegraph_and_the_tree() {
    let (_directory, after, before) = databases();
    let mut driver = Driver::comparing(&after, &before, (120, 40));
    let first = |driver: &Driver| driver.text().lines().nth(5).unwrap().to_owned();
    assert!(first(&driver).contains("Cache::insert"), "{}", driver.text());
    assert!(first(&driver).contains("shrunk"), "{}", driver.text());

    driver.press("<Tab>i");
    let shown = driver.app.compare.shown.clone().unwrap();
    let widest = WeightedTree::children(shown.as_ref(), TOP)[0];
    assert_eq!(shown.function(widest), "Cache::insert");
    assert!(shown.node(widest).unwrap().down > 0 && shown.node(widest).unwrap().up == 0);
    driver.press("<Down>");
    let cell = driver.app.compare.cell(118).unwrap();
    assert_eq!(cell.content, CellContent::Node(widest), "the first cell below the whole");
    assert!(driver.text().contains("+0 B -"), "{}", driver.text());

    driver.press("<Tab>");
    assert_eq!(driver.app.compare.mode, CompareMode::Tree);
    assert!(first(&driver).contains("Cache::insert"), "{}", driver.text());
    driver.press("<Enter><Down>");
    assert!(driver.text().contains("session::open"), "{}", driver.text());

    // In the opposite direction, it has grown by as much.
    let mut back = Driver::comparing(&before, &after, (120, 40));
    let (there, back_shown) = (shown.top(), back.app.compare.shown.clone().unwrap().top());
    assert_eq!((there.up, there.down), (back_shown.down, back_shown.up));
    assert!(first(&back).contains("Cache::insert") && first(&back).contains("grown"));
    back.press("s");
    assert!(back.text().contains("self.map.insert"), "{}", back.text());
}

#[test]
fn figures_are_divided_by_time() {
    let (_directory, after, before) = databases();
    let mut driver = Driver::comparing(&after, &before, (120, 40));
    let change = |driver: &Driver| {
        driver.app.compare.shown.as_ref().unwrap().rows[0].difference(Measure::LiveBytes)
    };
    let whole = change(&driver);
    driver.press("nnn");
    assert!(driver.text().contains("per hour"), "{}", driver.text());
    // The recordings are of twelve minutes.
    assert!((change(&driver) - 5 * whole).abs() <= 2, "{} {whole}", change(&driver));
    driver.press("n");
    assert_eq!(change(&driver), whole);
}

#[test]
fn two_moments_of_one_recording_are_compared() {
    let (_directory, path) = database(&leaky_server());
    let mut driver = Driver::new(&path, (120, 40));
    assert!(!driver.text().contains("8 Compare"));
    driver.press("8<^U>1m .. 9m<Enter>");
    assert!(driver.text().contains("8 Compare"), "{}", driver.text());
    assert!(driver.text().contains("1m 00s → 9m 00s"), "{}", driver.text());
    let first = driver.text().lines().nth(5).unwrap().to_owned();
    assert!(first.contains("Cache::insert") && first.contains("grown"), "{first}");
    // 480 blocks were made in between, and none freed.
    assert!(driver.text().contains("(+480)"), "{}", driver.text());
    driver.press("C<^U>1m to 9m<Enter>");
    assert!(driver.text().contains("expected two moments"), "{}", driver.text());
    driver.press("<Esc>");

    // The default is the range of the Time view.
    let mut driver = Driver::new(&path, (120, 40));
    driver.press("5<Left><Left><Left><Left><Tab><Left>C");
    assert!(driver.text().contains(" .. "), "{}", driver.text());
    driver.press("<Enter>");
    assert!(driver.app.compare.shown.is_some() || driver.app.compare.error.is_some());
}

#[test]
fn a_recording_does_not_differ_from_itself() {
    let (_directory, path) = database(&leaky_server());
    let driver = Driver::comparing(&path, &path, (80, 24));
    assert!(driver.text().contains("No differences."), "{}", driver.text());
}

#[test]
fn a_missing_file_or_mark_is_reported() {
    let (directory, path) = database(&leaky_server());
    let driver = Driver::comparing(&path, &directory.path().join("none.db"), (80, 24));
    assert!(driver.text().contains("no such file"), "{}", driver.text());
    let mut driver = Driver::new(&path, (120, 24));
    driver.press("C<^U>@rollback .. end<Enter>");
    assert!(driver.text().contains("no mark @rollback in the recording"), "{}", driver.text());
}
