//! Tables, as the tools that read them see them.

use std::collections::BTreeMap;

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::cli::commands::Place;
use crate::export::names::{NAMES, hostile, is_wild};
use crate::export::stacks::export;

/// All rows of a statement.
fn rows(place: &Place, sql: &str) -> Vec<Vec<Value>> {
    let database = Connection::open(place.path("heap.db")).unwrap();
    let mut statement = database.prepare(sql).unwrap();
    let columns = statement.column_count();
    statement
        .query_map([], |row| (0..columns).map(|column| row.get(column)).collect())
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

/// What stands in a cell for a value.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => text.clone(),
        Value::Blob(_) => unreachable!("the schema has none"),
    }
}

fn parsed(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn csv_has_every_row_of_the_usual_tables() {
    for seed in 0..4 {
        let place = Place::new(seed);
        let ran = place.run(&["export", "heap.db", "-f", "csv", "-o", "tables"]);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
        for (table, sql, more) in [
            ("allocations", "SELECT * FROM allocations", 0),
            ("backtraces", "SELECT * FROM backtraces ORDER BY id, frame_no", 0),
            ("sites", "SELECT * FROM sites ORDER BY bt", 4),
            ("timeline", "SELECT * FROM timeline ORDER BY slice", 0),
        ] {
            let text = std::fs::read_to_string(place.path(&format!("tables/{table}.csv"))).unwrap();
            let found = parsed(&text);
            let width = found[0].len() - more;
            let found: Vec<&[String]> = found[1..].iter().map(|row| &row[..width]).collect();
            let rows = rows(&place, sql);
            let wanted: Vec<Vec<String>> =
                rows.iter().map(|row| row.iter().map(cell).collect()).collect();
            assert_eq!(found, wanted, "{table}, seed {seed}");
        }
        let again = place.run(&["export", "heap.db", "-f", "csv", "-o", "tables"]);
        assert_eq!(again.code, 3, "{}", again.err);
        assert!(again.err.contains("allocations.csv: not overwritten"), "{}", again.err);
    }
}

/// The key of a site's own frames, as docs/guide/EXPORT.md defines it.
fn key(names: &[String]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in names.iter().flat_map(|name| name.bytes().chain([b'\n'])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

#[test]
fn sites_have_names_and_a_key_of_their_own_functions() {
    for seed in 0..6 {
        let place = Place::new(seed);
        let ran = place.run(&["export", "heap.db", "-f", "csv", "--table", "sites"]);
        let found = parsed(&ran.out);
        let width = found[0].len();
        assert_eq!(found[0][width - 4..], ["sym", "file", "line", "site_key"]);
        for row in &found[1..] {
            let names = |condition: &str| -> Vec<String> {
                let sql = format!(
                    "SELECT sym FROM backtrace_frames JOIN frames ON frames.id = frame \
                     WHERE bt = {} AND {condition} ORDER BY frame_no",
                    row[0]
                );
                rows(&place, &sql).iter().map(|row| cell(&row[0])).collect()
            };
            let own = names("kind = 'own'");
            let named = if own.is_empty() { names("1") } else { own };
            assert_eq!(row[width - 1], key(&named), "{named:?}");
            assert_eq!(row[width - 4], named[0]);
        }
    }
}

#[test]
fn results_of_any_query_can_be_tables() {
    let place = Place::new(3);
    let sql = "SELECT 1 AS a, 'x,\"y\"' AS a, NULL AS n, 1.5 AS r UNION ALL SELECT 2, '', 3, 2";
    let ran = place.run(&["export", "heap.db", "-f", "csv", "--sql", sql]);
    assert_eq!(ran.out, "a,a_2,n,r\n1,\"x,\"\"y\"\"\",,1.5\n2,,3,2\n", "{}", ran.err);
    let ran = place.run(&["export", "heap.db", "-f", "csv", "--query", "overview"]);
    assert_eq!((ran.code, parsed(&ran.out).len()), (0, 2), "{}", ran.err);
    for (args, code, says) in [
        (vec![], 2, "4 tables: give -o DIR for all of them, or choose one with --table"),
        (vec!["--table", "nope"], 2, "no table is called `nope`, only: aggregation_steps"),
        (vec!["--table", "sqlite_schema"], 2, "no table is called `sqlite_schema`"),
        (vec!["--table", "sites", "--label", "host"], 2, "expected NAME=VALUE"),
        (vec!["--table", "sites", "--label", "a b=c"], 2, "of letters, digits and _"),
        (
            vec!["--table", "sites", "--label", "a=1", "--label", "A=2"],
            2,
            "--label A is given twice",
        ),
        (vec!["--table", "sites", "--label", "bytes=1"], 2, "sites has a column of that name"),
        (vec!["--table", "sites", "--from", "1s"], 2, "--from is for backtraces with weights"),
        (vec!["--table", "sites", "-m", "peak"], 2, "--measure is for backtraces"),
    ] {
        let mut all = vec!["export", "heap.db", "-f", "csv"];
        all.extend(&args);
        let ran = place.run(&all);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
    }
    let ran = place.run(&["export", "heap.db", "-f", "folded", "--label", "a=b"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--label is for csv and parquet, not folded"), "{}", ran.err);
}

#[test]
fn csv_cells_hold_hostile_names_and_begin_no_formula() {
    let place = hostile();
    let args = ["-f", "csv", "--table", "backtraces", "--label", "host==cmd"];
    let text = std::fs::read_to_string(export(&place, "x.csv", &args)).unwrap();
    // Tabs are white space, and every other control character is shown as a picture.
    assert!(!text.contains(|c| is_wild(c) && c != '\t'), "{text}");
    let found = parsed(&text);
    assert_eq!(found.len(), 1 + rows(&place, "SELECT * FROM backtraces").len());
    let shown: BTreeMap<&str, &str> =
        found[1..].iter().filter(|row| row[1] == "1").map(|row| (&*row[0], &*row[4])).collect();
    for (name, bt) in NAMES.iter().zip(1..) {
        let found = shown[&*bt.to_string()];
        let kept = |c: &char| c.is_alphanumeric() || ",;\"'\n".contains(*c);
        let meant: String = name.chars().filter(kept).collect();
        let found_kept: String = found.chars().filter(kept).collect();
        assert_eq!(found_kept.trim_start_matches('\''), meant.trim_start_matches('\''), "{name:?}");
    }
    for cell in found.iter().flatten() {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell:?}");
    }
    assert!(found[1..].iter().all(|row| row[5] == "'=cmd"), "{text}");
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_so() {
    let place = Place::new(3);
    let ran = place.run(&["export", "heap.db", "-f", "parquet", "-o", "x"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("cargo install rheaper --features parquet"), "{}", ran.err);
    assert!(!place.path("x").exists());
}

#[cfg(feature = "parquet")]
mod parquet {
    use std::path::Path;

    use serde_json::Value as Json;

    use crate::cli::commands::Place;
    use crate::export::names::{NAMES, hostile};
    use crate::export::tables::{cell, rows};
    use crate::support::tools;

    /// What both readers found in the exported directory.
    fn read(place: &Place, args: &[&str]) -> Option<Json> {
        let mut all = vec!["export", "heap.db", "-f", "parquet", "--force", "-o", "tables/"];
        all.extend(args);
        let ran = place.run(&all);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""), "{}", ran.err);
        let found = tools::python("read_parquet.py", &[Path::new(&place.path("tables"))])?;
        Some(serde_json::from_str(&found).unwrap())
    }

    #[test]
    fn duckdb_and_pyarrow_find_the_sums_of_sqlite() {
        let labels = ["--label", "host=web-1", "--label", "version=1.4"];
        for (place, labels) in
            [(Place::new(1), &labels[..]), (Place::new(4), &[][..]), (hostile(), &labels[..])]
        {
            let Some(found) = read(&place, labels) else { return };
            for table in ["allocations", "backtraces", "sites", "timeline"] {
                let found = &found[table];
                let names: Vec<&str> =
                    found["names"].as_array().unwrap().iter().filter_map(Json::as_str).collect();
                let label = ["host", "version", "recording"];
                assert_eq!(names.ends_with(&label), !labels.is_empty(), "{names:?}");
                let own = |name: &&&str| !label.contains(name);
                // What is joined to sites has no column there.
                let joined = ["sym", "file", "line", "site_key"];
                let own = |name: &&&str| own(name) && (table != "sites" || !joined.contains(name));
                for name in names.iter().filter(own) {
                    let sql = format!(
                        "SELECT count(*), count(\"{name}\"), sum(\"{name}\"), typeof(max(\"{name}\")) FROM {table}"
                    );
                    let asked = &rows(&place, &sql)[0];
                    assert_eq!(found["rows"].to_string(), cell(&asked[0]), "{table}");
                    assert_eq!(
                        found["counts"][name].to_string(),
                        cell(&asked[1]),
                        "{table}.{name}"
                    );
                    if cell(&asked[3]) == "integer" {
                        assert_eq!(
                            found["sums"][name].to_string(),
                            cell(&asked[2]),
                            "{table}.{name}"
                        );
                    }
                }
            }
            if !labels.is_empty() {
                assert_eq!(found["sites"]["texts"]["host"], serde_json::json!(["web-1"]));
            }
        }
    }

    #[test]
    fn names_are_exactly_those_of_the_database() {
        let place = hostile();
        let Some(found) = read(&place, &[]) else { return };
        let mut wanted: Vec<&str> = NAMES.iter().copied().chain(["inner", "outer"]).collect();
        wanted.sort_unstable();
        let names = found["backtraces"]["texts"]["sym"].as_array().unwrap();
        let mut names: Vec<&str> = names.iter().filter_map(Json::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, wanted);
    }

    #[test]
    fn times_and_addresses_are_written_as_differences() {
        use parquet::basic::Encoding;
        let place = Place::new(1);
        let sql = "SELECT alloc_after, addr, alloc_after AS first_ns, size FROM allocations";
        let ran =
            place.run(&["export", "heap.db", "-f", "parquet", "--sql", sql, "-o", "x.parquet"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let reader = std::fs::File::open(place.path("x.parquet")).unwrap();
        let reader = parquet::file::reader::SerializedFileReader::new(reader).unwrap();
        let group = parquet::file::reader::FileReader::metadata(&reader).row_group(0);
        let is_delta = |column: &parquet::file::metadata::ColumnChunkMetaData| {
            column.encodings().any(|encoding| encoding == Encoding::DELTA_BINARY_PACKED)
        };
        let found: Vec<bool> = group.columns().iter().map(is_delta).collect();
        assert_eq!(found, [true, true, true, false]);
    }

    #[test]
    fn what_does_not_fit_a_column_is_text() {
        let place = Place::new(1);
        let sql = "SELECT 1 AS a, 2 AS b UNION ALL SELECT 'x', 2.5";
        let args = ["export", "heap.db", "-f", "parquet", "--sql", sql, "-o", "x.parquet"];
        let ran = place.run(&args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let reader = std::fs::File::open(place.path("x.parquet")).unwrap();
        let reader = parquet::file::reader::SerializedFileReader::new(reader).unwrap();
        let found: Vec<String> = reader.into_iter().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(found, ["{a: \"1\", b: 2.0}", "{a: \"x\", b: 2.5}"]);
    }
}
