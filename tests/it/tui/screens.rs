//! Snapshots of every view: text and styles at four sizes, with and without colour, and in ASCII.
//!
//! `INSTA_UPDATE=always cargo test --test it screens` accepts what is drawn now.

use rheaper::database::builtin::{BuiltinQuery, Origin};
use rheaper::tui::terminal::theme::{Background, Colors, Glyphs, Theme};

use crate::tui::driver::{Driver, styles, text};
use crate::tui::fixture::{database, databases, leaky_server};

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (250, 70)];

const COLOUR: Theme =
    Theme { colors: Colors::Indexed, glyphs: Glyphs::Unicode, background: Background::Dark };
const NO_COLOUR: Theme =
    Theme { colors: Colors::Off, glyphs: Glyphs::Unicode, background: Background::Dark };
const ASCII: Theme =
    Theme { colors: Colors::Off, glyphs: Glyphs::Ascii, background: Background::Dark };

/// Queries that don't change with the built-in ones.
fn fixed_queries() -> Vec<BuiltinQuery> {
    let query = |name: &str, title: &str, text: &str| {
        let sql = format!(
            "-- # {title}\n-- {text}\n--\n-- group  leaks\n-- param  age : duration = 10m   how old\n-- column bt : backtrace  the site\nSELECT bt FROM sites WHERE 0 <= :age"
        );
        BuiltinQuery::parse(name, &sql, Origin::BuiltIn).unwrap()
    };
    vec![
        query("old", "Never freed, older than an age", "Which sites hold old blocks?"),
        query("peak", "Live at the peak", &"Who held the memory when most was in use? ".repeat(6)),
    ]
}

/// One file per view and size: text, styles with and without colour, text in ASCII.
fn check(name: &str, keys: &[&str]) {
    let (_directory, path) = database(&leaky_server());
    drawn(name, keys, |size| Driver::new(&path, size));
}

/// The same with the server after its fix, compared with itself before.
fn check_compared(name: &str, keys: &[&str]) {
    let (_directory, after, before) = databases();
    drawn(name, keys, |size| Driver::comparing(&after, &before, size));
}

fn drawn(name: &str, keys: &[&str], driver: impl Fn((u16, u16)) -> Driver) {
    for size in SIZES {
        let mut driver = driver(size);
        driver.app.catalog = fixed_queries();
        keys.iter().for_each(|keys| driver.press(keys));
        let (colour, plain, ascii) =
            (driver.draw(COLOUR), driver.draw(NO_COLOUR), driver.draw(ASCII));
        assert_eq!(text(&colour), text(&plain), "colour changes no text");
        assert!(text(&ascii).is_ascii(), "{}", text(&ascii));
        let uncoloured = styles(&plain);
        assert!(!uncoloured.contains("Cyan") && !uncoloured.contains("Indexed"), "{uncoloured}");
        let dump = format!(
            "{}\n\n== colour\n{}\n\n== no colour\n{uncoloured}\n\n== ASCII\n{}",
            text(&colour),
            styles(&colour),
            text(&ascii)
        );
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), dump);
    }
}

#[test]
fn suspects() {
    check("suspects", &[]);
}

#[test]
fn backtrace() {
    check("backtrace", &["<Enter>"]);
}

#[test]
fn flame() {
    check("flame", &["2", "<Down>", "<Down>", "/cache<Enter>"]);
}

#[test]
fn sandwich() {
    check("sandwich", &["2", "/handle<Enter>", "="]);
}

#[test]
fn tree() {
    check("tree", &["3", "E"]);
}

#[test]
fn tree_bottom_up() {
    check("tree_bottom_up", &["3", "i", "<Down>", "<Enter>"]);
}

#[test]
fn time() {
    check("time", &["5", "<Left><Left><Left><Left>", "<Tab>", "<Right><Right><Right>"]);
}

#[test]
fn time_by_site() {
    check("time_by_site", &["5", "s", "<Left>", "a"]);
}

#[test]
fn histograms() {
    check("sizes", &["6", "<Down>", "<Down>"]);
    check("lifetimes", &["6", "<Tab>", "m"]);
}

#[test]
fn compare() {
    check_compared("compare", &["<Down>"]);
    check_compared("compare_flame", &["<Tab>", "<Down>", "<Down>"]);
    check_compared("compare_tree", &["<Tab><Tab>", "<Enter>", "<Down>", "<Enter>", "<Down>"]);
    check_compared("compare_figures", &["<Enter>"]);
    check("compare_moments", &["C", "<^U>1m .. end<Enter>"]);
}

#[test]
fn rows() {
    check("rows", &["+live<Enter>", "4", "s", "<Down>", "<Right>"]);
}

#[test]
fn sql() {
    check(
        "sql",
        &[
            "7",
            "SELECT bt, count(*), sum(size) -- by site",
            "<Enter>",
            "FROM allocations WHERE size > 64 AND 'x' = 'x' GROUP BY bt;",
            "<F5>",
        ],
    );
}

#[test]
fn an_error_in_sql() {
    check("sql_error", &["7", "SELECT size FROM alocations", "<F5>"]);
}

#[test]
fn queries() {
    check("queries", &["c", "<Down>"]);
    check("query", &["c", "<Enter>", "soon<Enter>"]);
}

#[test]
fn help() {
    check("help", &["?"]);
}

/// The keys of each `<!-- keys: … -->` are pressed in order; the block below must be the screen that is
/// then drawn. `RHEAPER_BLESS=1` writes it.
#[test]
fn the_documents_show_the_drawn_screens() {
    check_document("docs/guide/EXPLORER.md");
    check_document("README.md");
}

fn check_document(name: &str) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let document = std::fs::read_to_string(&file).unwrap();
    let (_directory, path) = database(&leaky_server());
    let (_fixed, fixed, leaky) = databases();
    let mut driver = Driver::new(&path, (80, 24));
    let mut pieces = document.split("<!-- keys:");
    let mut written = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (keys, rest) = piece.split_once("-->\n```text\n").unwrap();
        let (_, after) = rest.split_once("\n```\n").unwrap();
        match keys.trim() {
            keys if keys.starts_with("afresh") => {
                driver = Driver::new(&path, (80, 24));
                driver.press(keys.trim_start_matches("afresh").trim());
            }
            "compared" => driver = Driver::comparing(&fixed, &leaky, (80, 24)),
            keys => driver.press(keys),
        }
        let drawn = driver.text();
        written.push_str(&format!("<!-- keys:{keys}-->\n```text\n{drawn}\n```\n{after}"));
    }
    if std::env::var_os("RHEAPER_BLESS").is_some() {
        std::fs::write(&file, &written).unwrap();
    }
    let now = std::fs::read_to_string(&file).unwrap();
    assert!(now == written, "{name} shows another screen than is drawn");
}
