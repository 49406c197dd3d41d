//! The JSON formats, by the checks of the tools that read them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use rusqlite::Connection;
use serde_json::Value;

use crate::cli::commands::Place;
use crate::export::names::{NAMES, hostile, is_wild};
use crate::export::stacks::{export, tool};
use crate::support::tools;

/// Numbers asked of a database.
fn numbers<const N: usize>(place: &Place, sql: &str) -> [i64; N] {
    let database = Connection::open(place.path("heap.db")).unwrap();
    database.query_row(sql, [], |row| Ok(std::array::from_fn(|i| row.get(i).unwrap()))).unwrap()
}

/// What each measure sums to.
fn sums(place: &Place) -> BTreeMap<String, i64> {
    let names = [
        "allocations",
        "allocated bytes",
        "live blocks",
        "live bytes",
        "peak blocks",
        "peak bytes",
    ];
    let peak = "(SELECT value FROM meta WHERE key = 'peak_ns')";
    let alive =
        format!("alloc_after <= {peak} AND (dealloc_after IS NULL OR dealloc_after > {peak})");
    let sums: [i64; 6] = numbers(
        place,
        &format!(
            "SELECT count(*), sum(size), count(*) FILTER (WHERE dealloc_after IS NULL), \
             coalesce(sum(size) FILTER (WHERE dealloc_after IS NULL), 0), \
             count(*) FILTER (WHERE {alive}), sum(size) FILTER (WHERE {alive}) FROM allocations"
        ),
    );
    names.map(str::to_owned).into_iter().zip(sums).collect()
}

fn read(file: &Path) -> Value {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains(is_wild), "{} has wild characters", file.display());
    serde_json::from_str(&text).unwrap()
}

fn ints(value: &Value) -> Vec<i64> {
    value.as_array().unwrap().iter().map(|it| it.as_i64().unwrap()).collect()
}

fn length(value: &Value) -> usize {
    value.as_array().unwrap().len()
}

/// Random heaps, and one with hostile names.
fn places() -> Vec<Place> {
    (0..4).map(Place::new).chain([hostile()]).collect()
}

#[test]
fn speedscope_files_fit_its_schema_and_have_the_sums() {
    for place in places() {
        let file = export(&place, "heap.speedscope.json", &["-f", "speedscope"]);
        tools::validate(&file, "speedscope.schema.json");
        let json = read(&file);
        let mut found = BTreeMap::new();
        let frames = length(&json["shared"]["frames"]);
        for profile in json["profiles"].as_array().unwrap() {
            let weights = ints(&profile["weights"]);
            let samples = profile["samples"].as_array().unwrap();
            assert_eq!(samples.len(), weights.len());
            let end: i64 = weights.iter().sum();
            assert_eq!(profile["endValue"], end);
            for frame in samples.iter().flat_map(ints) {
                assert!((0..frames as i64).contains(&frame));
            }
            found.insert(profile["name"].as_str().unwrap().to_owned(), end);
        }
        assert_eq!(found, sums(&place));
        let shown = json["activeProfileIndex"].as_u64().unwrap() as usize;
        assert_eq!(json["profiles"][shown]["name"], "live bytes");
    }
}

#[test]
fn the_json_formats_keep_every_character_of_a_name() {
    let place = hostile();
    let names = |frames: &Value| -> Vec<String> {
        let name = |frame: &Value| frame["name"].as_str().unwrap_or_default().to_owned();
        frames.as_array().unwrap().iter().map(name).collect()
    };
    let speedscope = read(&export(&place, "x", &["-f", "speedscope"]));
    let speedscope = names(&speedscope["shared"]["frames"]);
    let firefox = read(&export(&place, "x", &["-f", "firefox"]));
    let strings = firefox["shared"]["stringArray"].as_array().unwrap();
    let dhat = read(&export(&place, "x", &["-f", "dhat"]));
    let table = dhat["ftbl"].as_array().unwrap();
    for (name, line) in NAMES.iter().zip(1..) {
        assert!(speedscope.iter().any(|found| found == name), "{name:?}");
        assert!(strings.iter().any(|found| found == name), "{name:?}");
        let place = format!("{line:#x}: {name} ({name}:{line})");
        assert!(table.iter().any(|found| *found == place), "{place:?}: {table:#?}");
    }
}

/// Every column of a table is as long as the table says.
fn columns(table: &Value) -> usize {
    let rows = table["length"].as_u64().unwrap() as usize;
    for (name, column) in table.as_object().unwrap() {
        if let Some(column) = column.as_array() {
            assert_eq!(column.len(), rows, "{name}");
        }
    }
    rows
}

/// Every index of a column is one of a table, or what stands for none.
fn indices(column: &Value, rows: usize, none: &Value) {
    for index in column.as_array().unwrap() {
        let is_row = index.as_u64().is_some_and(|index| (index as usize) < rows);
        assert!(is_row || index == none, "{index} is no row of {rows}");
    }
}

/// What the Firefox Profiler's types say of version 61, and its code relies on.
fn check_firefox(json: &Value) {
    let meta = &json["meta"];
    assert_eq!(meta["preprocessedProfileVersion"], 61);
    assert!(meta["interval"].as_f64().unwrap() > 0.0 && meta["startTime"].is_number());
    assert!(meta["product"].is_string() && meta["symbolicated"] == true);
    assert_eq!(meta["markerSchema"], serde_json::json!([]));
    let categories = meta["categories"].as_array().unwrap();
    assert!(categories.iter().any(|category| category["color"] == "grey"));
    assert!(categories.iter().all(|category| category["subcategories"][0] == "Other"));
    let shared = &json["shared"];
    let strings = length(&shared["stringArray"]);
    assert!(shared["stringArray"].as_array().unwrap().iter().all(Value::is_string));
    let table = |name: &str, wanted: &[&str]| {
        let table = &shared[name];
        for column in wanted {
            assert!(table[column].is_array(), "{name} has no {column}");
        }
        columns(table)
    };
    let sources = table("sources", &["id", "filename", "startLine", "startColumn", "sourceMapURL"]);
    let resources = table("resourceTable", &["lib", "name", "host", "type"]);
    let wanted =
        ["name", "isJS", "relevantForJS", "resource", "source", "lineNumber", "columnNumber"];
    let functions = table("funcTable", &wanted);
    let wanted = [
        "address",
        "inlineDepth",
        "category",
        "subcategory",
        "func",
        "nativeSymbol",
        "innerWindowID",
        "line",
        "column",
    ];
    let frames = table("frameTable", &wanted);
    let stacks = table("stackTable", &["frame", "prefix"]);
    table("nativeSymbols", &["libIndex", "address", "name", "functionSize"]);
    let none = Value::Null;
    indices(&shared["sources"]["filename"], strings, &none);
    indices(&shared["resourceTable"]["name"], strings, &none);
    indices(&shared["resourceTable"]["lib"], length(&json["libs"]), &none);
    indices(&shared["funcTable"]["name"], strings, &none);
    indices(&shared["funcTable"]["source"], sources, &none);
    indices(&shared["funcTable"]["resource"], resources, &Value::from(-1));
    indices(&shared["frameTable"]["func"], functions, &none);
    indices(&shared["frameTable"]["category"], categories.len(), &none);
    indices(&shared["stackTable"]["frame"], frames, &none);
    for (stack, prefix) in shared["stackTable"]["prefix"].as_array().unwrap().iter().enumerate() {
        assert!(prefix.is_null() || prefix.as_u64().unwrap() < stack as u64, "{prefix}");
    }
    for lib in json["libs"].as_array().unwrap() {
        for name in ["arch", "name", "path", "debugName", "debugPath", "breakpadId"] {
            assert!(lib[name].is_string(), "{name}");
        }
    }
    for thread in json["threads"].as_array().unwrap() {
        assert!(thread["pid"].is_string() && thread["name"].is_string());
        assert_eq!(columns(&thread["markers"]), 0);
        let samples = &thread["samples"];
        columns(samples);
        indices(&samples["stack"], stacks, &none);
        rises(&samples["time"]);
        assert!(samples["weightType"] == "bytes" || samples["weightType"] == "samples");
    }
    for counter in json["counters"].as_array().unwrap() {
        columns(&counter["samples"]);
        rises(&counter["samples"]["time"]);
    }
}

fn rises(times: &Value) {
    let times: Vec<f64> = times.as_array().unwrap().iter().map(|it| it.as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn firefox_profiles_fit_its_types_and_have_the_sums() {
    for place in places() {
        for args in [
            &["-f", "firefox"][..],
            &["-f", "firefox", "--sql", "SELECT bt FROM sites WHERE bt < 3"],
            &["-f", "firefox", "--from", "1us"],
        ] {
            let json = read(&export(&place, "heap.firefox.json", args));
            check_firefox(&json);
            let threads = json["threads"].as_array().unwrap();
            let weights = |thread: &Value| ints(&thread["samples"]["weight"]).iter().sum::<i64>();
            let found: BTreeMap<String, i64> = threads
                .iter()
                .map(|it| (it["name"].as_str().unwrap().to_owned(), weights(it)))
                .collect();
            if args.len() == 2 {
                assert_eq!(found, sums(&place));
            }
            let bytes = numbers::<1>(
                &place,
                match args.get(2) {
                    None => "SELECT sum(size) FROM allocations",
                    Some(&"--sql") => "SELECT coalesce(sum(size), 0) FROM allocations WHERE bt < 3",
                    _ => "SELECT sum(size) FROM allocations WHERE alloc_after >= 1000",
                },
            );
            assert_eq!(found["allocated bytes"], bytes[0], "{args:?}");
        }
        // The memory track ends where the timeline ends.
        let json = read(&export(&place, "heap.firefox.json", &["-f", "firefox"]));
        let curve: i64 = ints(&json["counters"][0]["samples"]["count"]).iter().sum();
        let last = "SELECT live_bytes FROM timeline ORDER BY slice DESC LIMIT 1";
        assert_eq!([curve], numbers(&place, last));
    }
}

#[test]
fn a_range_of_a_firefox_profile_shows_what_grew_in_it() {
    let slices = "SELECT count(*), count(*) / 2 FROM timeline";
    let place = (0..).map(Place::new).find(|place| numbers::<2>(place, slices)[0] > 8).unwrap();
    let json = read(&export(&place, "heap.firefox.json", &["-f", "firefox"]));
    let threads = json["threads"].as_array().unwrap();
    let thread = threads.iter().find(|it| it["name"] == "live bytes").unwrap();
    let times = thread["samples"]["time"].as_array().unwrap();
    let weights = ints(&thread["samples"]["weight"]);
    let [_, half] = numbers(&place, slices);
    let sql = format!("SELECT from_ns FROM timeline WHERE slice = {half}");
    let [from] = numbers::<1>(&place, &sql);
    let before: i64 = times
        .iter()
        .zip(&weights)
        .filter(|(time, _)| time.as_f64().unwrap() * 1e6 < from as f64 - 0.5)
        .map(|(_, weight)| weight)
        .sum();
    let alive = format!(
        "SELECT coalesce(sum(size), 0) FROM allocations WHERE alloc_after < {from} \
         AND (dealloc_after IS NULL OR dealloc_after >= {from}) AND bt IS NOT NULL"
    );
    assert_eq!([before], numbers(&place, &alive));
}

/// Where Debian's valgrind has the viewer.
const DH_VIEW: &str = "/usr/libexec/valgrind/dh_view.js";

#[test]
fn dh_view_loads_what_was_written() {
    if !tools::has(&["node", "/usr/libexec/valgrind/dh_view.js"]) {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/dh_view_check.js");
    for place in places() {
        let file = export(&place, "heap.dhat.json", &["-f", "dhat"]);
        read(&file);
        let seen = tool(Command::new("node").arg(&script).arg(DH_VIEW).arg(&file));
        let seen: Value = serde_json::from_str(&seen).unwrap();
        let wanted = sums(&place);
        let wanted = [
            "allocated bytes",
            "allocations",
            "peak bytes",
            "peak blocks",
            "live bytes",
            "live blocks",
        ]
        .map(|name| wanted[name]);
        assert_eq!(ints(&seen["sums"])[..6], wanted);
        for point in seen["points"].as_array().unwrap() {
            let number = |name: &str| point[name].as_i64().unwrap();
            assert!(number("mb") <= number("tb") && number("mbk") <= number("tbk"), "{point}");
            assert!(number("gb") <= number("mb") && number("eb") <= number("mb"), "{point}");
            assert!(number("ebk") <= number("tbk") && number("gbk") <= number("tbk"), "{point}");
        }
    }
}

#[test]
fn dhat_counts_blocks_and_lives_of_a_site() {
    for seed in 0..6 {
        let place = Place::new(seed);
        let json = read(&export(&place, "x", &["-f", "dhat", "--sql", "SELECT 1 AS bt"]));
        let [blocks, lives] = numbers(
            &place,
            "SELECT (SELECT count(*) FROM allocations WHERE bt = 1 AND alloc_after <= s.peak_ns \
             AND (dealloc_after IS NULL OR dealloc_after > s.peak_ns)), \
             (SELECT sum(coalesce(dealloc_after, (SELECT value FROM meta WHERE key = 'duration_ns')) \
             - alloc_after) FROM allocations WHERE bt = 1) FROM sites s WHERE bt = 1",
        );
        let point = &json["pps"][0];
        assert_eq!(point["mbk"].as_i64().unwrap(), blocks.max(1), "seed {seed}: {point}");
        // The mean that `sites` has is whole nanoseconds.
        assert!((point["tl"].as_i64().unwrap() - lives / 1000).abs() <= 1, "seed {seed}: {point}");
    }
    let place = Place::new(3);
    for args in [
        &["--from", "1us"][..],
        &["--sql", "SELECT * FROM allocations"],
        &["--sql", "SELECT bt, bytes FROM sites", "--weight", "bytes"],
    ] {
        let mut all = vec!["export", "heap.db", "-f", "dhat"];
        all.extend(args);
        let ran = place.run(&all);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.err);
        assert!(ran.err.contains("known for whole sites only"), "{}", ran.err);
    }
}
