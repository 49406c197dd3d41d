//! SQL as text, numbers as people type them, and pages of results.

use proptest::prelude::*;
use rheaper::database::builtin::{BuiltinQuery, Catalog, Origin, QueryView};
use rheaper::database::completion::{Names, complete};
use rheaper::database::sql::lexer::{self, Ending, TokenKind};
use rheaper::database::text::{sanitize, units};
use rheaper::database::{
    Completeness, Condition, Database, Filter, Limits, Order, Params, RowView, Sort, Unit, Value,
};

use crate::support::random_heap::Heap;

#[test]
fn texts_are_split_into_statements() {
    let split = |sql: &str| -> Vec<String> {
        lexer::statements(sql)
            .into_iter()
            .map(|statement| sql[statement.range].to_owned())
            .collect()
    };
    for (sql, expected) in [
        ("", vec![]),
        (" ;; -- nothing\n ; /* ; */", vec![]),
        ("SELECT 1", vec!["SELECT 1"]),
        ("SELECT 1; SELECT 2;", vec!["SELECT 1", "SELECT 2"]),
        (
            "SELECT ';' , \"a;b\", `c;d`, [e;f] ; SELECT 2",
            vec!["SELECT ';' , \"a;b\", `c;d`, [e;f]", "SELECT 2"],
        ),
        ("SELECT 'it''s; fine'; SELECT 2", vec!["SELECT 'it''s; fine'", "SELECT 2"]),
        ("SELECT 'é€😀'; SELECT 'ü'", vec!["SELECT 'é€😀'", "SELECT 'ü'"]),
        ("SELECT 1 -- ; é\n, 2; SELECT 3", vec!["SELECT 1 -- ; é\n, 2", "SELECT 3"]),
        ("SELECT 1 /* ; */ ; SELECT 2", vec!["SELECT 1", "SELECT 2"]),
        ("SELECT 'open ; never closed", vec!["SELECT 'open ; never closed"]),
        ("\u{feff}SELECT 1;", vec!["SELECT 1"]),
        (
            "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END; SELECT 2",
            vec!["CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END", "SELECT 2"],
        ),
    ] {
        assert_eq!(split(sql), expected, "{sql}");
    }
}

#[test]
fn a_prompt_knows_when_a_statement_is_whole() {
    for (sql, whole) in [
        ("", true),
        ("SELECT 1", false),
        ("SELECT 1;", true),
        ("SELECT 1; -- done", true),
        ("SELECT 1; SELECT", false),
        ("SELECT ';", false),
        ("SELECT 1; /* open", false),
        ("SELECT \"a;", false),
    ] {
        assert_eq!(lexer::is_complete(sql), whole, "{sql}");
    }
}

#[test]
fn the_cursor_is_in_a_statement() {
    let sql = "SELECT 1;  SELECT 2 ; ";
    let at = |cursor| lexer::statement_at(sql, cursor).map(|statement| &sql[statement.range]);
    assert_eq!(at(0), Some("SELECT 1"));
    assert_eq!(at(8), Some("SELECT 1"));
    assert_eq!(at(11), Some("SELECT 2"));
    assert_eq!(at(sql.len()), Some("SELECT 2"));
    assert_eq!(lexer::statement_at(" ; ", 1), None);
}

#[test]
fn tokens_have_their_kinds() {
    use TokenKind::{
        Blob, Illegal, Keyword, Name, Number, Operator, Parameter, QuotedName, String,
    };
    for (text, kind) in [
        ("select", Keyword),
        ("selects", Name),
        ("größe", Name),
        ("a$1", Name),
        ("12", Number),
        ("1_000", Number),
        ("0x1F", Number),
        ("1.5e-3", Number),
        (".5", Number),
        ("12ab", Illegal),
        ("'a'", String),
        ("x'00'", Blob),
        ("\"a\"\"b\"", QuotedName),
        ("[a b]", QuotedName),
        (":age", Parameter),
        ("@age", Parameter),
        ("$age", Parameter),
        ("?12", Parameter),
        ("->>", Operator),
        ("<>", Operator),
        ("!", Illegal),
        ("\\", Illegal),
    ] {
        let tokens = lexer::tokens(text);
        assert_eq!(tokens.iter().map(|token| token.kind).collect::<Vec<_>>(), vec![kind], "{text}");
    }
    assert_eq!(lexer::tokens("'open")[0].ending, Ending::Open);
    assert_eq!(lexer::parameters("SELECT :a, ':b', :a, @c -- :d"), vec![":a", "@c"]);
    assert!(lexer::KEYWORDS.is_sorted());
}

proptest! {
    #[test]
    fn tokens_cover_any_text(text in "\\PC*|[ -~\n;'\"\\[\\]/*x0-9é-]*") {
        let mut end = 0;
        for token in lexer::tokens(&text) {
            prop_assert_eq!(token.range.start, end);
            prop_assert!(token.range.end > end && text.is_char_boundary(token.range.end));
            end = token.range.end;
        }
        prop_assert_eq!(end, text.len());
        let _ = lexer::statements(&text);
        for cursor in 0..=text.len() {
            let _ = complete(&text, cursor, &Names::default());
        }
    }

    #[test]
    fn cleaned_text_has_nothing_unsafe(text in any::<String>()) {
        prop_assert!(!sanitize::line(&text).chars().any(sanitize::is_unsafe));
        prop_assert!(!sanitize::block(&text).chars().any(|c| sanitize::is_unsafe(c) && c != '\n' && c != '\t'));
        prop_assert_eq!(sanitize::line(&text).chars().count(), text.chars().count());
    }

    #[test]
    fn numbers_keep_their_width_and_can_be_typed(n in any::<i64>(), small in 0..100_000_000_i64) {
        for n in [n, small] {
            prop_assert!(units::bytes(n as f64).chars().count() <= units::WIDTH, "{}", units::bytes(n as f64));
            prop_assert!(units::count_short(n as f64).chars().count() <= units::WIDTH);
        }
        prop_assert!(units::duration(small as f64).chars().count() <= units::WIDTH);
        let near = |typed: i64, n: i64| (typed - n).abs() as f64 <= 0.006 * n as f64;
        prop_assert!(near(units::parse_bytes(&units::bytes(small as f64)).unwrap(), small));
        prop_assert!(near(units::parse_duration(&units::duration(small as f64)).unwrap(), small));
    }
}

#[test]
fn numbers_are_shown_for_people() {
    for (bytes, shown) in [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.00 KiB"),
        (1536, "1.50 KiB"),
        (102_400, "100 KiB"),
        (1_048_000, "1023 KiB"),
        (1_048_575, "1.00 MiB"),
        (13_002_342, "12.4 MiB"),
        (-2048, "-2.00 KiB"),
    ] {
        assert_eq!(units::bytes(f64::from(bytes)), shown);
    }
    for (ns, shown) in [
        (0.0, "0 ns"),
        (850.0, "850 ns"),
        (12_300.0, "12.3 µs"),
        (4.56e9, "4.56 s"),
        (59.99e9, "1m 00s"),
        (65e9, "1m 05s"),
        (7_380e9, "2h 03m"),
        (363_600e9, "4d 05h"),
        (3_599.9e9, "1h 00m"),
    ] {
        assert_eq!(units::duration(ns), shown);
    }
    assert_eq!(units::count(1_234_567), "1,234,567");
    assert_eq!(units::count(-999), "-999");
    assert_eq!(units::count_short(45_600_000.0), "45.6M");
    assert_eq!(units::share(0.38), "38.0 %");
}

#[test]
fn numbers_are_read_as_people_type_them() {
    for (typed, bytes) in [
        ("512", Some(512)),
        ("4K", Some(4096)),
        ("4 kib", Some(4096)),
        ("10MB", Some(10_000_000)),
        ("1.5MiB", Some(1_572_864)),
        ("1g", Some(1 << 30)),
        ("", None),
        ("-1", None),
        ("4X", None),
        ("K", None),
        ("1e9", None),
    ] {
        assert_eq!(units::parse_bytes(typed).ok(), bytes, "{typed}");
    }
    for (typed, ns) in [
        ("10m", Some(600_000_000_000)),
        ("1h30m", Some(5_400_000_000_000)),
        ("1m 05s", Some(65_000_000_000)),
        ("500 ms", Some(500_000_000)),
        ("1.5s", Some(1_500_000_000)),
        ("2d", Some(172_800_000_000_000)),
        ("10µs", Some(10_000)),
        ("0", Some(0)),
        ("10", None),
        ("", None),
        ("m", None),
        ("-1s", None),
        ("10m x", None),
        ("99999999999d", None),
    ] {
        assert_eq!(units::parse_duration(typed).ok(), ns, "{typed}");
    }
    for (typed, count) in [("20", Some(20)), ("1,000", Some(1000)), ("2k", Some(2000)), ("x", None)]
    {
        assert_eq!(units::parse_count(typed).ok(), count, "{typed}");
    }
}

#[test]
fn units_follow_from_names() {
    for (name, unit) in [
        ("size", Unit::Bytes),
        ("live_bytes", Unit::Bytes),
        ("sum(size)", Unit::Bytes),
        ("max(a.size)", Unit::Bytes),
        ("count(*)", Unit::Count),
        ("alloc_after", Unit::Moment),
        ("oldest_ns", Unit::Duration),
        ("bt", Unit::Backtrace),
        ("slope_bytes_per_s", Unit::BytesPerSecond),
        ("live_share", Unit::Share),
        ("addr", Unit::Address),
        ("line", Unit::None),
        ("file", Unit::None),
        ("human_bytes(size)", Unit::None),
    ] {
        assert_eq!(Unit::of_column(name), unit, "{name}");
    }
}

fn opened() -> (tempfile::TempDir, Database) {
    let place = tempfile::tempdir().unwrap();
    Heap::random(5).write(&place.path().join("heap.db"));
    let database = Database::open(&place.path().join("heap.db")).unwrap();
    (place, database)
}

#[test]
fn completion_knows_tables_columns_and_aliases() {
    let (_place, database) = opened();
    let names = Names::of(&database, &Catalog::built_in()).unwrap();
    // `|` is the cursor.
    for (sql, first) in [
        ("SELECT * FROM alloc|", "allocations"),
        ("SELECT siz| FROM allocations", "size"),
        ("SELECT s.live_by| FROM sites s", "live_bytes"),
        ("SELECT sites.peak_n| FROM sites", "peak_ns"),
        ("SELECT x.al| FROM threads AS x JOIN sites", "allocations"),
        ("WITH recent AS (SELECT 1) SELECT * FROM rec|", "recent"),
        ("SELECT human_b|", "human_bytes"),
        ("SELE|", "SELECT"),
        ("sele|", "select"),
        ("SELECT 1; SELECT * FROM thr|", "threads"),
        ("SELECT f.fun| FROM backtrace_frames b JOIN frames f ON f.id = b.frame", "function"),
    ] {
        let cursor = sql.find('|').unwrap();
        let found = complete(&sql.replace('|', ""), cursor, &names);
        assert_eq!(found.candidates.first().map(|c| c.text.as_str()), Some(first), "{sql}");
    }
    for sql in ["SELECT 'siz|", "SELECT 1 -- siz|", "SELECT 'siz|'", "|", "/* al|"] {
        let cursor = sql.find('|').unwrap();
        assert!(complete(&sql.replace('|', ""), cursor, &names).candidates.is_empty(), "{sql}");
    }
}

#[test]
fn errors_point_into_the_text_that_was_given() {
    let (_place, database) = opened();
    for (sql, word) in [
        ("SELECT size, sizee FROM allocations", "sizee"),
        ("SELECT 'é€😀', nope FROM allocations", "nope"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT 1 WHER 2", "2"),
    ] {
        let error = database.query(sql, &Params::none(), &Limits::default()).unwrap_err();
        let Some(offset) = error.offset else { panic!("{sql}: {error:?}") };
        assert!(sql[offset..].starts_with(word), "{sql}: {offset}");
        let paged = database.page(sql, &Params::none(), &RowView::default(), 0, &Limits::rows(5));
        assert_eq!(paged.unwrap_err().offset, Some(offset), "{sql}");
    }
}

#[test]
fn capped_answers_say_so() {
    let (_place, database) = opened();
    let sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 100) SELECT x FROM c";
    for (cap, rows, complete) in [
        (500, 100, Completeness::All),
        (100, 100, Completeness::All),
        (99, 99, Completeness::More),
        (0, 0, Completeness::More),
    ] {
        let table = database.query(sql, &Params::none(), &Limits::rows(cap)).unwrap();
        assert_eq!((table.rows.len(), table.complete), (rows, complete), "{cap}");
        let page = database
            .page(sql, &Params::none(), &RowView::default(), 0, &Limits::rows(cap))
            .unwrap();
        assert_eq!((page.rows.len(), page.complete), (rows, complete), "{cap}");
    }
    let count = |most| {
        database.count(sql, &Params::none(), &RowView::default(), most, &Limits::default()).unwrap()
    };
    assert_eq!(count(1000), (100, Completeness::All));
    assert_eq!(count(50), (50, Completeness::More));
    let bytes = Limits { bytes_max: 1 << 20, ..Limits::none() };
    let wide = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT hex(zeroblob(50000)) FROM c";
    let table = database.query(wide, &Params::none(), &bytes).unwrap();
    assert!(table.complete == Completeness::More && table.rows.len() < 20);
}

#[test]
fn views_sort_filter_and_page() {
    let (_place, database) = opened();
    let sql = "SELECT column1 AS n, column2 AS \"odd \"\"name\" FROM (VALUES (3, 'c'), (1, 'A'), (NULL, 'n'), (2, 'b'));";
    let ask = |view: &RowView, offset, rows| {
        let page = database.page(sql, &Params::none(), view, offset, &Limits::rows(rows)).unwrap();
        page.rows.iter().map(|row| row[1].as_str().unwrap().to_owned()).collect::<Vec<_>>().concat()
    };
    let sorted = |order| RowView {
        sort: vec![Sort { column: "n".to_owned(), order }],
        ..RowView::default()
    };
    assert_eq!(ask(&sorted(Order::Ascending), 0, 9), "Abcn");
    assert_eq!(ask(&sorted(Order::Descending), 0, 9), "cbAn");
    assert_eq!(ask(&sorted(Order::Descending), 1, 2), "bA");
    let filtered = |column: &str, condition| {
        let filters = vec![Filter { column: column.to_owned(), condition }];
        ask(&RowView { filters, ..RowView::default() }, 0, 9)
    };
    assert_eq!(filtered("n", Condition::AtLeast(Value::Integer(2))), "cb");
    assert_eq!(filtered("n", Condition::Between(Value::Integer(1), Value::Integer(2))), "Ab");
    assert_eq!(filtered("n", Condition::IsNull), "n");
    assert_eq!(filtered("n", Condition::NotEqual(Value::Integer(1))), "cnb");
    assert_eq!(filtered("odd \"name", Condition::Contains("a".to_owned())), "A");
    assert_eq!(filtered("odd \"name", Condition::Matches("^[bc]$".to_owned())), "cb");
    assert_eq!(filtered("odd \"name", Condition::Equal("' OR 1 --".into())), "");
}

#[test]
fn headers_are_parsed() {
    let text = "-- # A title\n-- A question,\n-- in two lines.\n--\n-- group  own group\n\
        -- param  age : duration = 10m   how old\n-- param  to : time =    until\n-- param  who : thread\n\
        -- column live_bytes : bytes  held\n-- column site  where\n-- view   flame\nSELECT :age, :to, :who, :more;";
    let query = BuiltinQuery::parse("name", text, Origin::BuiltIn).unwrap();
    assert_eq!(
        (query.title.as_str(), query.description.as_str()),
        ("A title", "A question, in two lines.")
    );
    assert_eq!((query.group.as_str(), query.view), ("own group", QueryView::Flame));
    let defaults: Vec<_> =
        query.parameters.iter().map(|p| (p.name.as_str(), p.default.as_deref())).collect();
    assert_eq!(defaults, [("age", Some("10m")), ("to", Some("")), ("who", None), ("more", None)]);
    assert_eq!(query.columns[0].unit, Unit::Bytes);
    let params = query.bind(&[("who", "3"), ("more", "5")]).unwrap();
    assert_eq!(params.get("age"), Some(&Value::Integer(600_000_000_000)));
    assert_eq!(params.get("to"), Some(&Value::Null));
    assert_eq!(params.get("who"), Some(&Value::Integer(3)));
    assert_eq!(params.get("more"), Some(&"5".into()), "undeclared parameters are text");
    assert!(query.bind(&[("more", "5")]).is_err());
    for (bad, message) in [
        ("-- # T\n--\n-- param a : colour\n", "line 3: no type is called `colour`"),
        ("-- # T\n--\n-- param a\n", "line 3: expected `param NAME : TYPE`"),
        ("-- # T\n--\n-- param a : bytes = lots\n", "line 3: the default of `a`"),
        ("-- # T\n--\n-- column a : furlongs  x\n", "line 3: no unit is called `furlongs`"),
        ("-- # T\n--\n-- view sideways\n", "line 3: no view is called `sideways`"),
    ] {
        let error = BuiltinQuery::parse("name", bad, Origin::BuiltIn).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}
