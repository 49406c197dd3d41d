//! Names that mean something in a format come through every format as names.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::cli::commands::Place;
use crate::export::stacks::export;
use crate::support::tools;

/// Names that end a frame, a line, a string, an element or a cell, or act on a terminal.
pub(crate) const NAMES: &[&str] = &[
    "a;b",
    "<[u8; 16] as Foo<'a, \"x\">>::bar",
    "line\nbreak\r\nand\ttab",
    "back\\slash \\n \\u0041",
    "quote\"s and 'apostrophes'",
    "</title><script>alert(1)</script>",
    "&amp; & &#x41; ]]> <!-- -->",
    "\u{1b}]52;c;aGk=\u{7}\u{1b}[31mred",
    "\u{202e}reversed\u{200b}hidden",
    "# a comment",
    "name 12 34",
    "name 5.5",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "comma, semicolon; quote\"",
    "  spaces at both ends  ",
    "",
    "\u{0}nul",
    "é ß 漢字 🦀 \u{fffe}",
    "{\"json\": [1, 2]}",
    "$(touch pwned) `id` %s %n",
];

/// A database in which each of the names is a function, a file and a module, in a backtrace of
/// its own that made one block of 100 bytes; the name stands between two plain frames.
pub(crate) fn hostile() -> Place {
    let place = Place::new(1);
    let path = place.path("heap.db");
    let database = Connection::open(&path).unwrap();
    for table in ["frames", "backtrace_frames", "sites", "allocations", "reallocs", "site_timeline"]
    {
        database.execute(&format!("DELETE FROM {table}"), []).unwrap();
    }
    for (id, name) in [(1000, "outer"), (1001, "inner")] {
        frame(&database, id, name);
    }
    for (name, id) in NAMES.iter().zip(1..) {
        frame(&database, id, name);
        for (frame_no, frame) in [1001, id, 1000].iter().enumerate() {
            let row = params![id, frame_no as i64, frame];
            database.execute("INSERT INTO backtrace_frames VALUES (?1, ?2, ?3)", row).unwrap();
        }
        block(&database, id);
    }
    for (bt, stack) in [(2001, [3, 1000]), (2002, [11, 1000]), (2003, [12, 10])] {
        // The name innermost, where a weight follows it, and outermost, where a line begins.
        for (frame_no, frame) in stack.iter().enumerate() {
            let row = params![bt, frame_no as i64, frame];
            database.execute("INSERT INTO backtrace_frames VALUES (?1, ?2, ?3)", row).unwrap();
        }
        block(&database, bt);
    }
    let total = (NAMES.len() as i64 + 3) * 100;
    for (key, value) in [
        ("bytes", total),
        ("live_bytes", total),
        ("peak_bytes", total),
        ("allocations", total / 100),
        ("live_blocks", total / 100),
        ("peak_blocks", total / 100),
    ] {
        let row = params![key, value];
        database.execute("UPDATE meta SET value = ?2 WHERE key = ?1", row).unwrap();
    }
    place
}

fn frame(database: &Connection, id: i64, name: &str) {
    let sql = "INSERT INTO frames VALUES (?1, ?2, ?3, ?2, ?2, ?2, 'own', 0, ?1, ?1)";
    database.execute(sql, params![id, name, id]).unwrap();
    let sql = "INSERT OR REPLACE INTO modules VALUES (?1, ?2, ?2, 0, ?1 * 4096, ?1 * 4096 + 4095, 0, 0, NULL, ?2, ?2)";
    database.execute(sql, params![id, name]).unwrap();
}

fn block(database: &Connection, bt: i64) {
    let sql = "INSERT INTO allocations VALUES (?1, NULL, ?1, 100, ?1 * 16, 0, NULL)";
    database.execute(sql, params![bt]).unwrap();
    let sql = "INSERT INTO sites (bt, frame, stack, depth, allocations, bytes, frees, live_blocks, live_bytes, \
        peak_bytes, peak_ns, at_peak_blocks, at_peak_bytes, temporary, temporary_bytes, size_min, size_max, \
        first_ns, last_ns, threads, cross_thread_frees, freed_at_end_blocks, freed_at_end_bytes, reallocs, \
        reallocs_moved, judged_blocks, judged_bytes) VALUES (?1, ?1, 'whole', 3, 1, 100, 0, 1, 100, 100, ?1, 1, 100, 0, 0, 100, 100, ?1, ?1, 1, \
        0, 0, 0, 0, 0, 1, 100)";
    database.execute(sql, params![bt]).unwrap();
    let sql = "INSERT INTO site_timeline VALUES (?1, 0, 100, 1, 1, 100, 0, 0)";
    database.execute(sql, params![bt]).unwrap();
}

/// What no text format may hold unescaped.
pub(crate) fn is_wild(c: char) -> bool {
    (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{200b}')
}

fn text_of(place: &Place, name: &str, args: &[&str]) -> String {
    let file = export(place, name, args);
    let text = std::fs::read_to_string(Path::new(&file)).unwrap();
    assert!(!text.contains(is_wild), "{args:?} has wild characters");
    text
}

#[test]
fn folded_keeps_three_frames_and_one_weight_a_line() {
    let place = hostile();
    let text = text_of(&place, "x", &["-f", "folded"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), NAMES.len() + 3, "{text}");
    for (line, name) in lines.iter().zip(NAMES) {
        let (stack, weight) = line.rsplit_once(' ').unwrap();
        let frames: Vec<&str> = stack.split(';').collect();
        assert_eq!((frames.len(), weight), (3, "100"), "{line}");
        assert_eq!((frames[0], frames[2]), ("outer", "inner"), "{line}");
        // Whatever could be kept was kept.
        let kept = |c: &char| c.is_alphanumeric();
        let shown: String = frames[1].chars().filter(kept).collect();
        let meant: String = name.chars().filter(kept).collect();
        assert!(shown == meant || name.is_empty(), "{line}: {name}");
    }
    for line in &lines[NAMES.len()..] {
        assert!(!line.starts_with('#'), "{line}");
        let stack = line.strip_suffix(" 100").unwrap();
        let number = stack.rsplit_once(' ').map(|(_, word)| word.parse::<f64>());
        assert!(!matches!(number, Some(Ok(_))), "two weights: {line}");
    }
}

#[test]
fn a_flamegraph_is_well_formed_and_has_one_script() {
    let place = hostile();
    let text = text_of(&place, "x", &["-f", "svg"]);
    let (mut scripts, mut titles) = (0, Vec::new());
    let mut reader = quick_xml::Reader::from_str(&text);
    let mut in_title = None;
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(tag) => match tag.name().as_ref() {
                b"script" => scripts += 1,
                b"title" => in_title = Some(String::new()),
                _ => {}
            },
            quick_xml::events::Event::End(tag) if tag.name().as_ref() == b"title" => {
                titles.extend(in_title.take());
            }
            quick_xml::events::Event::Text(part) => {
                let part = part.decode().unwrap();
                in_title.iter_mut().for_each(|title| title.push_str(&part));
            }
            quick_xml::events::Event::GeneralRef(entity) => {
                let part = match &entity[..] {
                    b"lt" => "<",
                    b"gt" => ">",
                    b"amp" => "&",
                    b"quot" => "\"",
                    b"apos" => "'",
                    other => panic!("{}", String::from_utf8_lossy(other)),
                };
                in_title.iter_mut().for_each(|title| title.push_str(part));
            }
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(scripts, 1, "only inferno's own");
    for wanted in ["</title><script>alert(1)</script>", "&amp: & &#x41: ]]> <!-- -->", "outer"] {
        assert!(titles.iter().any(|title| title.starts_with(wanted)), "{wanted}: {titles:#?}");
    }
    let all = format!("all ({} bytes, 100%)", group((NAMES.len() + 3) * 100));
    assert!(titles.contains(&all), "{all}: {titles:#?}");
}

fn group(number: usize) -> String {
    format!("{},{:03}", number / 1000, number % 1000)
}

#[test]
fn pprof_has_the_names_cleaned() {
    if !tools::has(&["go"]) {
        return;
    }
    let place = hostile();
    let file = export(&place, "heap.pb.gz", &["-f", "pprof"]);
    let mut pprof = std::process::Command::new("go");
    let raw = crate::export::stacks::tool(pprof.args(["tool", "pprof", "-raw"]).arg(file));
    assert!(!raw.contains(is_wild), "{raw}");
    for name in NAMES.iter().filter(|name| !name.contains(is_wild) && !name.contains('\n')) {
        let wanted = if name.is_empty() { "[empty name]" } else { name };
        assert!(raw.contains(wanted), "{wanted}: {raw}");
    }
}
