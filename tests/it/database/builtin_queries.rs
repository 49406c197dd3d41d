//! Every built-in query equals its brute-force twin, and the plain `sqlite3` shell where it can.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use rheaper::database::builtin::Origin;
use rheaper::database::caveats::Caveats;
use rheaper::database::sql::lexer::{self, TokenKind};
use rheaper::database::{BuiltinQuery, Catalog, Database, Limits, Value};

use crate::database::{reference_blocks, reference_rest, reference_sites};
use crate::support::random_heap::{Dice, Heap};
use crate::support::tools;

/// What a twin answers: the parameters that it chose, as typed, and the rows.
pub(crate) struct Twin {
    pub(crate) params: Vec<(&'static str, String)>,
    pub(crate) rows: Vec<Vec<Value>>,
}

pub(crate) type TwinFn = fn(&Heap, &mut Dice) -> Twin;

/// Seeds for each query. `RHEAPER_SEEDS` asks for more.
pub(crate) fn seeds() -> u64 {
    std::env::var("RHEAPER_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(120)
}

pub(crate) fn twins() -> Vec<(&'static str, TwinFn)> {
    [reference_sites::TWINS, reference_blocks::TWINS, reference_rest::TWINS].concat()
}

#[test]
fn every_query_has_a_twin_and_a_whole_header() {
    let catalog = Catalog::built_in();
    let names: BTreeSet<&str> = catalog.iter().map(|query| query.name.as_str()).collect();
    let known: BTreeSet<&str> = twins().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, known, "queries and their twins differ");
    let files = std::fs::read_dir("queries").unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<String> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "sql"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(
        files,
        names.iter().map(|name| (*name).to_owned()).collect(),
        "files that are not embedded, or broken"
    );

    let place = tempfile::tempdir().unwrap();
    Heap::random(1).write(&place.path().join("heap.db"));
    let database = Database::open(&place.path().join("heap.db")).unwrap();
    for query in catalog.iter() {
        let name = &query.name;
        assert!(query.description.len() > 20 && query.origin == Origin::BuiltIn, "{name}");
        let declared: BTreeSet<&str> =
            query.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let used: BTreeSet<&str> =
            lexer::parameters(&query.sql).iter().map(|name| &name[1..]).collect();
        assert_eq!(declared, used, "{name}: parameters");
        assert!(query.parameters.iter().all(|parameter| !parameter.help.is_empty()), "{name}");
        let columns = database.columns(&query.sql).unwrap();
        let columns: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let header: Vec<&str> = query.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(columns, header, "{name}: columns");
    }
}

#[test]
fn every_query_equals_its_twin() {
    let place = tempfile::tempdir().unwrap();
    let catalog = Catalog::built_in();
    let twins = twins();
    for seed in 0..seeds() {
        let heap = Heap::random(seed);
        let path = place.path().join(format!("{seed}.db"));
        heap.write(&path);
        let database = Database::open(&path).unwrap();
        let mut dice = Dice::new(seed);
        for (name, twin) in &twins {
            check(catalog.get(name).unwrap(), &database, &twin(&heap, &mut dice), seed);
        }
        std::fs::remove_file(&path).unwrap();
    }
}

/// Queries that say themselves that they see samples only.
const OF_SAMPLES: &[&str] = &["realloc_chains", "sparse_pages"];

#[test]
fn every_query_estimates_what_samples_stand_for() {
    let place = tempfile::tempdir().unwrap();
    let catalog = Catalog::built_in();
    for seed in 0..seeds() / 2 {
        let heap = Heap::random(seed);
        let times = |size: i64| 1 + (size ^ seed.cast_signed()) % 5;
        let path = place.path().join(format!("{seed}.db"));
        heap.write_sampled(&path, times);
        let database = Database::open(&path).unwrap();
        let (whole, mut dice) = (heap.replicated(times), Dice::new(seed));
        for (name, twin) in twins().iter().filter(|(name, _)| !OF_SAMPLES.contains(name)) {
            check(catalog.get(name).unwrap(), &database, &twin(&whole, &mut dice), seed);
        }
        for name in OF_SAMPLES {
            let description = &catalog.get(name).unwrap().description;
            assert!(description.contains("sampled recording"), "{name}: {description}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}

fn check(query: &BuiltinQuery, database: &Database, twin: &Twin, seed: u64) {
    let given: Vec<(&str, &str)> =
        twin.params.iter().map(|(name, typed)| (*name, typed.as_str())).collect();
    let params = query.bind(&given).unwrap_or_else(|error| panic!("{}: {error}", query.name));
    let table = query.run(database, &params, &Limits::default());
    let table = table.unwrap_or_else(|error| panic!("{} with {given:?}: {error}", query.name));
    let same = table.rows.len() == twin.rows.len()
        && table
            .rows
            .iter()
            .zip(&twin.rows)
            .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b)));
    assert!(
        same,
        "{} with {given:?}, seed {seed}\n query: {:?}\n twin:  {:?}",
        query.name, table.rows, twin.rows
    );
    // What is asked of a database that is known to have no samples, or some.
    let notes = Caveats::read(database, &Limits::default()).unwrap();
    let sql = query.sql_for(&notes);
    assert!(notes.sampled.is_some() || !sql.contains("FROM sample_weights"), "{sql}");
    if sql != query.sql {
        let short = database.query(&sql, &params, &Limits::default()).unwrap();
        let own = |row: &[Value]| row.iter().take(table.columns.len()).cloned().collect();
        let short: Vec<Vec<Value>> = short.rows.iter().map(|row| own(row)).collect();
        assert_eq!(short, table.rows, "{}: {sql}", query.name);
    }
}

/// Equal, real numbers but for the order in which they were added.
fn close(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Real(a), Value::Real(b)) => (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs())),
        _ => a == b,
    }
}

/// Functions that plain SQLite lacks.
const OURS: &[&str] = &[
    "size_class",
    "regexp",
    "hist_bucket",
    "median",
    "percentile",
    "log2",
    "human_bytes",
    "human_time",
];

#[test]
fn the_plain_shell_gives_the_same_where_no_function_of_ours_is_used() {
    if !tools::has(&["sqlite3"]) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("heap.db");
    let heap = Heap::random(11);
    heap.write(&path);
    let database = Database::open(&path).unwrap();
    let mut compared = 0;
    for (name, twin) in twins() {
        let catalog = Catalog::built_in();
        let query = catalog.get(name).unwrap();
        let words = lexer::tokens(&query.sql);
        let ours = words.iter().any(|token| {
            !token.is_blank()
                && token.kind != TokenKind::String
                && OURS.contains(&token.text(&query.sql).to_ascii_lowercase().as_str())
        });
        if ours {
            continue;
        }
        let twin = twin(&heap, &mut Dice::new(3));
        let given: Vec<(&str, &str)> =
            twin.params.iter().map(|(name, typed)| (*name, typed.as_str())).collect();
        let params = query.bind(&given).unwrap();
        let mut script = String::new();
        for (name, value) in params.iter() {
            let value = match value {
                // The shell evaluates what it is given.
                _ if params.mark(name).is_some() => {
                    format!("\"{}\"", params.mark(name).unwrap().sql())
                }
                Value::Integer(number) => number.to_string(),
                Value::Null => "NULL".to_owned(),
                other => format!("'{}'", other.as_str().unwrap()),
            };
            script.push_str(&format!(".parameter set :{name} {value}\n"));
        }
        script.push_str(&query.sql);
        let table = query.run(&database, &params, &Limits::default()).unwrap();
        let shell = plain(&path, &script);
        let ours: Vec<String> = table
            .rows
            .iter()
            .map(|row| row.iter().map(shown).collect::<Vec<_>>().join("|"))
            .collect();
        assert_eq!(
            shell.lines().map(rounded).collect::<Vec<_>>(),
            ours.iter().map(|line| rounded(line)).collect::<Vec<_>>(),
            "{name}"
        );
        compared += 1;
    }
    assert!(compared > 30, "{compared}");
}

fn plain(path: &Path, script: &str) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut shell = Command::new("sqlite3");
    shell
        .arg("-batch")
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{script}");
    String::from_utf8(output.stdout).unwrap()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(_) => "blob".to_owned(),
    }
}

/// Numbers to nine digits: the shell prints fifteen.
fn rounded(line: &str) -> String {
    let cell = |cell: &str| match cell.parse::<f64>() {
        Ok(number) => format!("{number:.8e}"),
        Err(_) => cell.to_owned(),
    };
    line.split('|').map(cell).collect::<Vec<_>>().join("|")
}

#[test]
fn the_document_is_in_step_with_the_headers() {
    let mut text = String::from(
        "# Built-in queries\n\nGenerated from the headers of `queries/*.sql`; run the tests with `RHEAPER_BLESS=1` to generate it again.\n\n\
         Run a query with `rheaper query DB NAME [--PARAM VALUE]...`, at the prompt with `.run NAME`, or choose it in the explorer.\n\
         Durations are 10m or 1h30m, sizes 4K or 1.5MiB, moments durations since the start or marks (`@name`, `@name#2`). In plain `sqlite3`,\n\
         set parameters with `.parameter set :age 600000000000` (nanoseconds, bytes) and `.read` the file.\n",
    );
    let mut group = String::new();
    for query in Catalog::built_in().iter() {
        if query.group != group {
            group.clone_from(&query.group);
            text.push_str(&format!("\n## {group}\n"));
        }
        text.push_str(&format!(
            "\n### `{}`: {}\n\n{}\n",
            query.name, query.title, query.description
        ));
        for parameter in &query.parameters {
            let default = match parameter.default.as_deref() {
                None => "required".to_owned(),
                Some("") => "any".to_owned(),
                Some(default) => format!("`{default}`"),
            };
            text.push_str(&format!(
                "\n* `--{}` ({}, {default}): {}",
                parameter.name,
                parameter.kind.name(),
                parameter.help
            ));
        }
        text.push_str("\n\n| column | unit | |\n|---|---|---|\n");
        for column in &query.columns {
            text.push_str(&format!(
                "| `{}` | {} | {} |\n",
                column.name,
                column.unit.name(),
                column.help
            ));
        }
    }
    let text = text.replace("\n\n\n", "\n\n");
    let path = Path::new("docs/reference/QUERIES.md");
    if std::env::var_os("RHEAPER_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == text,
        "docs/reference/QUERIES.md differs from the headers: run with RHEAPER_BLESS=1"
    );
}
