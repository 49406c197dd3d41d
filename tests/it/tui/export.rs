//! Exports: each view in each format, read back.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rheaper::cli::write_view;
use rheaper::database::{Database, Limits, Params};

use crate::support::programs::rheaper;
use crate::support::terminal::Terminal;
use crate::tui::driver::Driver;
use crate::tui::fixture::{database, databases, leaky_server};

fn explorer(path: &Path) -> Driver {
    let mut driver = Driver::new(path, (120, 40));
    driver.app.exporter = Some(write_view);
    driver
}

/// Exports to a new file; returns its content.
fn export(driver: &mut Driver, file: &Path) -> String {
    driver.press(&format!("<^S><^U>{}<Enter>", file.display()));
    let notice = driver.app.notice.clone().map(|notice| notice.text).unwrap_or_default();
    assert!(notice.starts_with(&format!("wrote {}: ", file.display())), "{notice}");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "only the user may read it");
    let text = std::fs::read_to_string(file).unwrap();
    let names = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let left = names.filter(|entry| {
        entry.as_ref().unwrap().file_name().to_string_lossy().contains(".exporting")
    });
    assert_eq!(left.count(), 0, "nothing is left beside it");
    std::fs::remove_file(file).unwrap();
    text
}

/// A number of the database.
fn number(path: &Path, sql: &str) -> i64 {
    let database = Database::open(path).unwrap();
    let table = database.query(sql, &Params::none(), &Limits::rows(1)).unwrap();
    table.rows[0][0].as_i64().unwrap()
}

fn weights(folded: &str) -> i64 {
    folded.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap()).sum()
}

#[test]
fn rows_are_written_whole_in_each_format() {
    let (directory, path) = database(&leaky_server());
    let live = number(&path, "SELECT count(*) FROM allocations WHERE dealloc_after IS NULL");
    // More than one page, to check that all rows are written.
    assert!(live > 500, "{live}");
    let mut driver = explorer(&path);
    driver.press("+live<Enter>4s");
    let csv = export(&mut driver, &directory.path().join("rows.csv"));
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap().get(0), Some("size"));
    let sizes: Vec<i64> = reader.records().map(|row| row.unwrap()[0].parse().unwrap()).collect();
    assert_eq!(sizes.len() as i64, live);
    assert!(sizes.is_sorted_by(|one, next| one >= next), "as the screen sorts them");

    // Hidden columns are left out, and filters apply.
    driver.press("/>4K<Enter>-");
    let json = export(&mut driver, &directory.path().join("rows.json"));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = json.as_array().unwrap();
    let more = "SELECT count(*) FROM allocations WHERE dealloc_after IS NULL AND size > 4096";
    assert_eq!(rows.len() as i64, number(&path, more));
    assert!(rows[0].get("size").is_none() && rows[0].get("bt").is_some(), "{}", rows[0]);
    let markdown = export(&mut driver, &directory.path().join("rows.MD"));
    assert!(markdown.starts_with("| alloc_after "), "{markdown}");
    assert_eq!(markdown.lines().count(), rows.len() + 2);

    // The stacks of exactly these rows.
    let folded = export(&mut driver, &directory.path().join("rows.folded"));
    let bytes = "SELECT sum(size) FROM allocations WHERE dealloc_after IS NULL AND size > 4096";
    assert_eq!(weights(&folded), number(&path, bytes));
    let svg = export(&mut driver, &directory.path().join("rows.svg"));
    assert!(svg.starts_with("<?xml") && svg.contains("Index::push"), "{svg}");
}

#[test]
fn every_view_has_rows_and_those_with_stacks_have_stacks() {
    let (directory, path) = database(&leaky_server());
    for (keys, stacks) in [
        ("1", false),
        ("2", true),
        ("3", true),
        ("4", true),
        ("5", false),
        ("5s", false),
        ("6", false),
        ("7SELECT bt, size FROM allocations<F5>", true),
        ("7SELECT 1<F5>", false),
        ("cnever freed older<Enter><Enter>", true),
    ] {
        let mut driver = explorer(&path);
        driver.press(keys);
        for end in ["csv", "json", "md"] {
            let text = export(&mut driver, &directory.path().join(format!("view.{end}")));
            assert!(text.lines().count() > 1, "{keys} {end}: {text}");
        }
        for end in ["folded", "svg"] {
            let file = directory.path().join(format!("view.{end}"));
            if stacks {
                assert!(!export(&mut driver, &file).is_empty(), "{keys} {end}");
            } else {
                driver.press(&format!("<^S><^U>{}<Enter>", file.display()));
                assert!(driver.text().contains("this view has no stacks"), "{}", driver.text());
                assert!(!file.exists());
                driver.press("<Esc>");
            }
        }
    }
}

#[test]
fn a_flamegraph_is_written_collapsed_and_zoomed() {
    let (directory, path) = database(&leaky_server());
    let file = directory.path().join("flame.folded");
    let live = number(&path, "SELECT sum(live_bytes) FROM sites");
    let mut driver = explorer(&path);
    driver.press("2");
    let folded = export(&mut driver, &file);
    assert_eq!(weights(&folded), live);
    assert!(folded.contains(";[library and runtime];"), "{folded}");
    driver.press(".");
    let unfolded = export(&mut driver, &file);
    assert_eq!(weights(&unfolded), live);
    assert!(!unfolded.contains("[library and runtime]"), "{unfolded}");

    driver.press("/Cache::insert<Enter><Enter>");
    let node = driver.app.flame.top().node;
    let shown = driver.app.flame.shown.clone().unwrap();
    assert_ne!(shown.value(node), u64::try_from(live).unwrap(), "zoomed");
    let zoomed = export(&mut driver, &file);
    assert_eq!(weights(&zoomed), i64::try_from(shown.value(node)).unwrap());
    let top = &shown.symbol(node).unwrap().sym;
    assert!(zoomed.lines().all(|line| line.starts_with(top.as_str())), "{zoomed}");
    let svg = export(&mut driver, &directory.path().join("flame.svg"));
    assert!(svg.contains("live at end") && !svg.contains("Pool::grow"), "{svg}");
}

#[test]
fn a_comparison_is_written_as_it_is_narrowed() {
    let (directory, after, before) = databases();
    let mut driver = Driver::comparing(&after, &before, (120, 40));
    driver.app.exporter = Some(write_view);
    let file = |end: &str| directory.path().join(format!("diff.{end}"));
    let csv = export(&mut driver, &file("csv"));
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let sum: i64 = rows.iter().map(|row| row[4].parse::<i64>().unwrap()).sum();
    let live = "SELECT sum(live_bytes) FROM sites";
    assert_eq!(sum, number(&after, live) - number(&before, live));
    assert!(rows[0][0].contains("Cache::insert"), "{csv}");

    let names = [before.to_str().unwrap(), after.to_str().unwrap()];
    for (end, format) in [("folded", "folded"), ("json", "json"), ("md", "markdown")] {
        let arguments = ["diff", names[0], names[1], "--limit", "0", "--format", format];
        let printed = rheaper(&arguments, directory.path());
        let printed = String::from_utf8(printed.stdout).unwrap();
        assert_eq!(export(&mut driver, &file(end)), printed, "as rheaper diff prints it");
    }
    let svg = export(&mut driver, &file("svg"));
    assert!(
        svg.contains("Cache::insert") && svg.contains("growth and shrinkage of live bytes"),
        "{svg}"
    );

    driver.press("/index<Enter>");
    let narrowed = export(&mut driver, &file("csv"));
    assert!(narrowed.lines().count() < csv.lines().count(), "{narrowed}");
}

#[test]
fn nothing_is_overwritten_and_no_name_is_guessed() {
    let (directory, path) = database(&leaky_server());
    let file = directory.path().join("mine.csv");
    std::fs::write(&file, "mine").unwrap();
    let link = directory.path().join("link.csv");
    std::os::unix::fs::symlink(directory.path().join("nowhere"), &link).unwrap();
    let mut driver = explorer(&path);
    for (name, why) in [(&file, "it exists; choose another name"), (&link, "symbolic link")] {
        driver.press(&format!("<^S><^U>{}<Enter>", name.display()));
        let notice = driver.app.notice.clone().unwrap().text;
        assert!(notice.contains("not overwritten") && notice.contains(why), "{notice}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    assert!(!directory.path().join("nowhere").exists());
    let gone = directory.path().join("no/such/directory.csv");
    driver.press(&format!("<^S><^U>{}<Enter>", gone.display()));
    let notice = driver.app.notice.clone().unwrap().text;
    assert!(notice.contains("can't be written"), "{notice}");
    for name in ["", "view", "view.xls"] {
        driver.press(&format!("<^S><^U>{name}<Enter>"));
        assert!(driver.text().contains("the name must end in .csv, .json"), "{}", driver.text());
        driver.press("<Esc>");
    }
    // The suggested name fits the view.
    driver.press("2<^S>");
    assert!(driver.text().contains("server-flame.svg"), "{}", driver.text());
}

/// The real binary writes to its working directory.
#[test]
fn the_explorer_exports_to_its_working_directory() {
    let (directory, path) = database(&leaky_server());
    let mut terminal = Terminal::explore(&path, directory.path(), (120, 30), &[]);
    terminal.see("#1 steady leak");
    terminal.press("\x13");
    terminal.see("export this view to a file");
    terminal.press("\x15top.md\r");
    terminal.see("wrote ");
    let written = std::fs::read_to_string(directory.path().join("top.md")).unwrap();
    assert!(written.contains("steady leak"), "{written}");
    terminal.press("q");
    assert!(terminal.ended().success());
    terminal.is_given_back();
}
