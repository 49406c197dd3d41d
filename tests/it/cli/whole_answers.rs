//! A gate compares whole answers: what is summed, counted or drawn is never a page of it.

use rheaper::database::{Catalog, Database, Limits, Unit};
use rheaper::recording::NodeId;

use crate::cli::commands::Place;
use crate::database::builtin_queries::twins;
use crate::support::random_heap::{Dice, Heap};
use crate::synthetic::writer::{Writer, plain_header};

/// Sites of a recording that holds a little everywhere, as lazy tables do.
const SITES: u64 = 737;

/// A recording of many sites that each keep `bytes`, loaded as `many.db`.
fn many(bytes: u64) -> Place {
    let place = Place::new(3);
    let mut writer = Writer::new(Vec::new(), &plain_header());
    for site in 0..SITES {
        let node = writer.node(NodeId::ROOT, 0x10_0000 + site * 16);
        writer.alloc((0, 0), 1000 + site * 1000, 0x7f00_0000_0000 + site * 64, bytes, node);
    }
    std::fs::write(place.path("rip-1"), writer.finish()).unwrap();
    let ran = place.run(&["load", "rip-1", "-o", "many.db"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    place
}

#[test]
fn a_check_compares_all_rows_and_says_what_with_what() {
    let place = many(506);
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--max-bytes", "200KiB"], 1, "737 rows, 364 KiB of at most 200 KiB"),
        (&["--max-bytes", "1MiB"], 0, "ok: never_freed: 737 rows, 364 KiB of at most 1.00 MiB"),
        (&["--max-rows", "100"], 1, "737 rows of at most 100"),
        (&["--max-rows", "737"], 0, "ok: never_freed: 737 rows of at most 737"),
        (&["--param", "limit=50", "--max-rows", "50"], 0, "of 737 rows only the first"),
        (&[], 1, "737 rows of at most 0"),
    ];
    for (arguments, code, said) in cases {
        let check = [&["check", "many.db", "-q", "never_freed"][..], arguments].concat();
        let ran = place.run(&check);
        assert_eq!(ran.code, *code, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(said), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn a_page_says_of_how_many_rows_it_is_the_first() {
    let place = many(506);
    let rows = |out: &str| out.lines().count() - 1;
    let ran = place.run(&["query", "many.db", "never_freed", "--format", "csv"]);
    assert_eq!((ran.code, rows(&ran.out)), (0, 50));
    assert!(ran.err.contains("first 50 of 737 rows"), "{}", ran.err);
    let ran = place.run(&["query", "many.db", "never_freed", "--limit", "800", "--format", "csv"]);
    assert_eq!((ran.code, rows(&ran.out), ran.err.contains("first")), (0, 737, false));
    // What is drawn is all of it.
    let ran = place.run(&["export", "many.db", "--format", "folded", "--query", "never_freed"]);
    let sum: u64 =
        ran.out.lines().map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!((ran.code, sum), (0, SITES * 506), "{}", ran.err);
}

#[test]
fn a_moment_has_one_answer() {
    let place = Place::new(4);
    let duration = Heap::random(4).duration;
    for part in 1..8 {
        let at = format!("{}ns", duration * part / 8);
        let query =
            ["query", "heap.db", "alive_at", "--at", &at, "--limit", "9999", "--format", "csv"];
        let asked = place.run(&query);
        let sum = |text: &str, cut: char, nth: usize| -> i64 {
            let values =
                text.lines().filter_map(|line| line.rsplit(cut).nth(nth)?.parse::<i64>().ok());
            values.sum()
        };
        let drawn = ["export", "heap.db", "--format", "folded", "--measure", "live", "--to", &at];
        let drawn = place.run(&drawn);
        assert_eq!((asked.code, drawn.code), (0, 0), "{}{}", asked.err, drawn.err);
        assert_eq!(
            sum(&asked.out, ',', 2),
            sum(&drawn.out, ' ', 0),
            "{at}: {}{}",
            asked.out,
            drawn.out
        );
    }
}

#[test]
fn what_check_sums_is_what_sql_sums_over_the_whole_relation() {
    let place = tempfile::tempdir().unwrap();
    let catalog = Catalog::built_in();
    let limits = Limits { rows_max: usize::MAX, ..Limits::none() };
    let mut compared = 0;
    for seed in 0..6 {
        let heap = Heap::random(seed);
        let path = place.path().join(format!("{seed}.db"));
        heap.write(&path);
        let database = Database::open(&path).unwrap();
        for (name, twin) in twins() {
            let query = catalog.get(name).unwrap();
            let Some(column) = query.columns.iter().find(|it| it.unit == Unit::Bytes) else {
                continue;
            };
            let twin = twin(&heap, &mut Dice::new(seed));
            let given: Vec<(&str, &str)> = twin
                .params
                .iter()
                .filter(|(name, _)| *name != "limit")
                .map(|(name, typed)| (*name, typed.as_str()))
                .collect();
            let params = query.bind_whole(&given).unwrap();
            let table = query.run(&database, &params, &limits).unwrap();
            let at = table.column(&column.name).unwrap();
            let sum: f64 = table.rows.iter().filter_map(|row| row[at].as_f64()).sum();
            // The last limit is that of the answer.
            let sql = query.sql.trim_end().trim_end_matches(';').trim_end_matches("LIMIT :limit");
            let sql = format!("SELECT count(*), total({}) FROM (\n{sql}\n)", column.name);
            let sql = sql.replace("iif(:limit < 0, -1, max(250, :limit))", "-1");
            let whole = query.bind(&given).unwrap();
            let whole = database.query(&sql, &whole, &limits).unwrap();
            let (count, total) = (&whole.rows[0][0], whole.rows[0][1].as_f64().unwrap());
            assert_eq!(count.as_i64(), Some(table.rows.len() as i64), "{name}, seed {seed}");
            assert!(
                (sum - total).abs() <= 1e-6 * total.abs(),
                "{name}, seed {seed}: {sum} {total}"
            );
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
}
