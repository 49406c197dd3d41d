//! docs/reference/SCHEMA.md says what schema.sql says, and names everything that a database holds.

use std::fmt::Write;
use std::path::Path;

use crate::loader::end_to_end::{load_bytes, write};
use crate::synthetic::random::{Random, Shape, history};

/// What follows is written by hand.
const BY_HAND: &str = "## Names in `meta`";

/// One section a relation, one row a column, from the comments in the SQL.
fn render(sql: &str) -> String {
    let mut text = String::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in sql.lines() {
        let (code, remark) = line.split_once("-- ").unwrap_or((line, ""));
        let code = code.trim();
        if code.is_empty() {
            if remark.is_empty() {
                comment.clear();
            } else {
                comment.push(remark);
            }
        } else if let Some(rest) = code.strip_prefix("CREATE ") {
            let (kind, rest) = rest.split_once(' ').unwrap();
            let name = rest.split([' ', '(']).next().unwrap();
            let kind = if kind == "VIEW" { " (view)" } else { "" };
            write!(text, "\n## `{name}`{kind}\n\n{}\n\n", comment.join(" ")).unwrap();
            text.push_str("| column | type | meaning |\n|---|---|---|\n");
            comment.clear();
        } else if !remark.is_empty() {
            let (name, kind) = code.split_once(' ').unwrap_or((code, ""));
            let name = name.trim_end_matches(',');
            let kind = kind.trim().trim_end_matches(',').trim();
            writeln!(text, "| `{name}` | {kind} | {remark} |").unwrap();
        }
    }
    text
}

#[test]
fn the_document_says_what_the_schema_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sql = std::fs::read_to_string(root.join("src/database/schema.sql")).unwrap();
    let path = root.join("docs/reference/SCHEMA.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = document.split_once("\n## `").unwrap();
    let (_, by_hand) = rest.split_once(BY_HAND).unwrap();
    let expected = format!("{head}{}\n{BY_HAND}{by_hand}", render(&sql));
    if std::env::var_os("RHEAPER_BLESS").is_some() {
        std::fs::write(&path, expected).unwrap();
    } else {
        assert!(
            document == expected,
            "run with RHEAPER_BLESS=1 to write docs/reference/SCHEMA.md anew"
        );
    }
}

#[test]
fn every_name_in_meta_and_losses_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/reference/SCHEMA.md")).unwrap();
    let shape = Shape {
        events: 50,
        streams: 2,
        addresses: 9,
        nodes: 4,
        gap: 9,
        realloc_one_in: 9,
        lost_one_in: 0,
    };
    let loaded = load_bytes(&write(&history(&mut Random(1), &shape), shape.nodes, 9));
    for sql in ["SELECT key FROM meta", "SELECT name FROM losses"] {
        let mut query = loaded.connection.prepare(sql).unwrap();
        let names = query.query_map([], |row| row.get::<_, String>(0)).unwrap();
        for name in names.map(Result::unwrap) {
            assert!(
                document.contains(&format!("`{name}`")),
                "{name} is not in docs/reference/SCHEMA.md"
            );
        }
    }
}
