//! Response times of the real binary on a large database, in a pseudo-terminal.
//!
//! `RHEAPER_BENCH_DB=large.db cargo test --release --test it -- --ignored --nocapture explorer`
//! prints a table for docs/internals/PERFORMANCE.md. Times are from sending a key to the requested screen,
//! as parsed by a terminal emulator.
#![expect(clippy::print_stdout, reason = "a bench prints its table")]

use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::terminal::Terminal;

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const SIZE: (u16, u16) = (120, 40);

struct Times(&'static str, Vec<Duration>, Duration);

impl Times {
    fn print(&self) {
        let mut sorted = self.1.clone();
        sorted.sort_unstable();
        let ms = |it: &Duration| it.as_secs_f64() * 1e3;
        let (median, worst) = (&sorted[sorted.len() / 2], sorted.last().unwrap());
        let verdict = if *worst <= self.2 { "" } else { " (missed)" };
        println!(
            "| {} | {:.1} ms | {:.1} ms | {:.0} ms{verdict} | {} |",
            self.0,
            ms(median),
            ms(worst),
            ms(&self.2),
            sorted.len()
        );
    }
}

/// Presses keys and waits for a text on the screen.
fn timed(terminal: &mut Terminal, keys: &str, wanted: &str) -> Duration {
    let start = Instant::now();
    terminal.press(keys);
    terminal.see(wanted);
    start.elapsed()
}

fn first_frames(path: &Path, home: &Path) -> Times {
    let start = |_| {
        let start = Instant::now();
        let mut terminal = Terminal::explore(path, home, SIZE, &[]);
        terminal.wait("the first frame", |screen| {
            let text = screen.contents();
            text.contains("allocations")
                && (text.contains("suspects:") || text.contains("No suspects"))
        });
        let took = start.elapsed();
        terminal.press("q");
        terminal.ended();
        took
    };
    Times(
        "first frame, with facts and suspects",
        (0..10).map(start).collect(),
        Duration::from_millis(150),
    )
}

/// Moves through rows and views while an endless query runs, then stops it.
fn keys_and_cancel(path: &Path, home: &Path) -> [Times; 3] {
    let (mut moves, mut views, mut cancels) = (Vec::new(), Vec::new(), Vec::new());
    let mut terminal = Terminal::explore(path, home, SIZE, &[]);
    terminal.see("allocations");
    terminal.press("4");
    terminal.see("row 1 of");
    terminal.press("7");
    terminal.see("Run any query");
    terminal.press(ENDLESS);
    for _ in 0..5 {
        terminal.press("\x05\x1b[15~");
        terminal.see("running");
        views.push(timed(&mut terminal, "4", "row 1 of"));
        for row in 2..22 {
            moves.push(timed(&mut terminal, "j", &format!("row {row} of")));
        }
        terminal.press("g");
        terminal.see("row 1 of");
        views.push(timed(&mut terminal, "7", "running"));
        let start = Instant::now();
        terminal.press("\x03");
        terminal.wait("nothing running", |screen| !screen.contents().contains("running"));
        // The next statement shows that the thread is free again.
        terminal.press("\x01SELECT 41 + 1;  \x1b[D\x1b[15~");
        terminal.see("42");
        cancels.push(start.elapsed());
        terminal.press("\t"); // back to the editor
        terminal.see("▸SQL");
    }
    drop(terminal);
    [
        Times("a key in the rows, an endless query running", moves, Duration::from_millis(33)),
        Times("another view, an endless query running", views, Duration::from_millis(33)),
        Times("stopping an endless query", cancels, Duration::from_millis(250)),
    ]
}

/// Operations that need memory, one after the other; returns the peak of resident memory.
fn memory(path: &Path, home: &Path) -> (u64, Vec<(&'static str, Duration)>) {
    let mut terminal = Terminal::explore(path, home, SIZE, &[]);
    terminal.see("allocations");
    let mut took = Vec::new();
    terminal.press("2");
    terminal.wait("the flamegraph", |screen| {
        let text = screen.contents();
        text.contains("flame:") && !text.contains("reading")
    });
    took.push(("first rows of all allocations", timed(&mut terminal, "4", "row 1 of")));
    took.push(("counting them", timed(&mut terminal, "", "row 1 of 1")));
    let start = Instant::now();
    terminal.press("G");
    terminal.wait("the last row", |screen| {
        let text = screen.contents();
        text.contains("row 1") && !text.contains("row 1 of") && !text.contains("│  …")
    });
    took.push(("to the last row", start.elapsed()));
    terminal.press("g");
    terminal.see("row 1 of");
    let start = Instant::now();
    terminal.press("s");
    terminal.wait("sorted rows", |screen| {
        let text = screen.contents();
        text.contains("size ↓") && text.contains("row 1 of")
    });
    took.push(("sorting all by size", start.elapsed()));
    terminal.press("+live\r");
    took.push(("never freed", timed(&mut terminal, "4", "selected:")));
    terminal.see("row 1 of 1");
    took.push(("tally of these by size", timed(&mut terminal, "t", "by size:")));
    terminal.press("2");
    terminal.wait("the flamegraph", |screen| {
        let text = screen.contents();
        text.contains("flame:") && !text.contains("reading")
    });
    terminal.press("X+size 16..64\r");
    let start = Instant::now();
    terminal.wait("the flamegraph of a scan", |screen| {
        let text = screen.contents();
        text.contains("size 16 B") && text.contains("flame:") && !text.contains("reading")
    });
    took.push(("flamegraph with filters that need a scan", start.elapsed()));
    terminal.press("7");
    terminal.press("SELECT a.*, b.* FROM allocations a, allocations b");
    took.push(("first rows of a cross join", timed(&mut terminal, "\x1b[15~", "row 1 of >")));
    for page in 1..20 {
        terminal.press("G");
        let count = rheaper::database::text::units::count;
        terminal.see(&format!("row {} of >{}", count(page * 500 + 1), count((page + 1) * 500)));
    }
    (terminal.peak_bytes(), took)
}

#[test]
#[ignore = "needs a large database in RHEAPER_BENCH_DB, and a release build to mean anything"]
fn explorer_on_a_large_database() {
    let path = std::env::var_os("RHEAPER_BENCH_DB").expect("RHEAPER_BENCH_DB names a database");
    let home = tempfile::tempdir().unwrap();
    let (path, home) = (Path::new(&path), home.path());
    println!("| | median | worst | target | n |\n|---|---|---|---|---|");
    first_frames(path, home).print();
    keys_and_cancel(path, home).iter().for_each(Times::print);
    let (bytes, took) = memory(path, home);
    println!("\nmost resident memory: {} MiB (target 200)", bytes >> 20);
    for (what, took) in took {
        println!("- {what}: {:.0} ms", took.as_secs_f64() * 1e3);
    }
}

/// Typed time filters: from Enter to the data of the new filters.
fn ranges(path: &Path, home: &Path) -> Vec<Times> {
    let mut terminal = Terminal::explore(path, home, SIZE, &[]);
    terminal.see("allocations");
    let end = end_s(path);
    let mut all = Vec::new();
    for (view, first, kinds) in [
        (
            "1",
            "suspects:",
            ["alive at, suspects", "alive through, suspects", "made, suspects", "kept, suspects"],
        ),
        ("2", "flame:", ["alive at, flame", "alive through, flame", "made, flame", "kept, flame"]),
    ] {
        terminal.press(view);
        terminal.see(first);
        for (kind, what) in kinds.into_iter().enumerate() {
            let mut took = Vec::new();
            for step in 0..12_u32 {
                let (from, to) = (end * f64::from(step) / 14.0, end * f64::from(step + 2) / 14.0);
                let typed = match kind {
                    0 => format!("+at {to:.4}s"),
                    1 => format!("+at {from:.4}s..{to:.4}s"),
                    2 => format!("+made {from:.4}s..{to:.4}s"),
                    _ => format!("+kept {from:.4}s..{to:.4}s"),
                };
                terminal.press(&typed);
                terminal.see(typed.trim_start_matches('+'));
                let start = Instant::now();
                terminal.press("\r");
                terminal.wait("data for the new filters", |screen| {
                    let text = screen.contents();
                    !text.contains("add a filter")
                        && !text.contains("STALE")
                        && !text.contains("reading")
                });
                took.push(start.elapsed());
            }
            let target = if kind == 0 { 200 } else { 300 };
            all.push(Times(what, took, Duration::from_millis(target)));
        }
        terminal.press("X");
    }
    all
}

/// The length of the run in seconds.
fn end_s(path: &Path) -> f64 {
    let database = rheaper::database::Database::open(path).unwrap();
    let sql = "SELECT value FROM meta WHERE key = 'duration_ns'";
    let table = database.query(sql, &Default::default(), &Default::default()).unwrap();
    table.rows[0][0].as_f64().unwrap() / 1e9
}

#[test]
#[ignore = "needs a large database in RHEAPER_BENCH_DB, and a release build to mean anything"]
fn explorer_time_filters() {
    let path = std::env::var_os("RHEAPER_BENCH_DB").expect("RHEAPER_BENCH_DB names a database");
    let home = tempfile::tempdir().unwrap();
    println!("| | median | worst | target | n |\n|---|---|---|---|---|");
    ranges(Path::new(&path), home.path()).iter().for_each(Times::print);
}
