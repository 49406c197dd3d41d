//! The commands as people and scripts use them: stdout, stderr, exit codes.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use assert_cmd::cargo::CommandCargoExt;

use crate::database::sandbox::{HOSTILE, snapshot};
use crate::support::random_heap::Heap;

/// A database in a directory of its own, in which the commands run.
pub(crate) struct Place {
    pub(crate) directory: tempfile::TempDir,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    pub(crate) fn new(seed: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        Heap::random(seed).write(&directory.path().join("heap.db"));
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("rheaper").unwrap();
        command.args(args).current_dir(self.directory.path());
        command
            .env("RHEAPER_CONFIG", self.path("config"))
            .env("XDG_STATE_HOME", self.path("state"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with_input(args, "")
    }

    fn run_with_input(&self, args: &[&str], input: &str) -> Ran {
        use std::io::Write;
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn statements_are_answered_in_every_format() {
    let place = Place::new(5);
    let sql = "SELECT 1 AS bt, 1536 AS bytes, 'a|b,c' AS site, NULL AS none";
    for (format, expected) in [
        (
            "table",
            "bt      bytes  site   none\n--  ---------  -----  -------\n 1   1.50 KiB  a|b,c\n",
        ),
        ("csv", "bt,bytes,site,none\n1,1536,\"a|b,c\",\n"),
        ("tsv", "bt\tbytes\tsite\tnone\n1\t1536\ta|b,c\t\n"),
        ("json", "[\n{\"bt\": 1, \"bytes\": 1536, \"site\": \"a|b,c\", \"none\": null}\n]\n"),
        ("jsonl", "{\"bt\": 1, \"bytes\": 1536, \"site\": \"a|b,c\", \"none\": null}\n"),
        ("line", "     bt = 1\n  bytes = 1.50 KiB\n   site = a|b,c\nnone = \n"),
    ] {
        let ran = place.run(&["sql", "heap.db", "-c", sql, "--format", format]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{format}");
        // Widths are the format's business: only what stands where is compared.
        let squeezed = |text: &str| {
            text.lines()
                .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect::<Vec<_>>()
        };
        if matches!(format, "table" | "line") {
            let dashes = |lines: Vec<String>| {
                lines.into_iter().filter(|l| !l.starts_with('-')).collect::<Vec<_>>()
            };
            assert_eq!(dashes(squeezed(&ran.out)), dashes(squeezed(expected)), "{format}");
        } else {
            assert_eq!(ran.out, expected, "{format}");
        }
    }
    let markdown = place.run(&["sql", "heap.db", "-c", sql, "--format", "markdown"]).out;
    assert!(markdown.contains("a\\|b,c"), "{markdown}");
    assert!(markdown.lines().nth(1).unwrap().starts_with("| -"), "{markdown}");
}

#[test]
fn statements_come_from_arguments_files_and_pipes() {
    let place = Place::new(5);
    std::fs::write(place.path("two.sql"), "SELECT 'a;b' AS x; -- ; no end\nSELECT 'é' AS y;")
        .unwrap();
    let expected = "x\na;b\ny\né\n";
    let file = place.run(&["sql", "heap.db", "-f", "two.sql", "--format", "csv"]);
    assert_eq!((file.code, file.out.as_str()), (0, expected));
    let piped = place.run_with_input(
        &["sql", "heap.db", "--format", "csv"],
        "SELECT 'a;b' AS x; SELECT 'é' AS y",
    );
    assert_eq!((piped.code, piped.out.as_str()), (0, expected));
    let args =
        ["sql", "heap.db", "-c", "SELECT 'a;b' AS x", "-c", "SELECT 'é' AS y", "--format", "csv"];
    assert_eq!(place.run(&args).out, expected);
    let headless = ["sql", "heap.db", "-c", "SELECT 5", "--format", "csv", "--no-headers"];
    assert_eq!(place.run(&headless).out, "5\n");
}

#[test]
fn errors_go_to_stderr_with_their_place_and_code() {
    let place = Place::new(5);
    let wrong = place.run(&["sql", "heap.db", "-c", "SELECT size,\n  sizee FROM allocations"]);
    assert_eq!((wrong.code, wrong.out.as_str()), (1, ""));
    assert!(wrong.err.contains("no such column: sizee"), "{}", wrong.err);
    let lines: Vec<&str> = wrong.err.lines().collect();
    let at = lines.iter().position(|line| line.contains("sizee FROM")).unwrap();
    assert_eq!(lines[at].find("sizee"), lines[at + 1].find("^~~~~"), "{}", wrong.err);
}

#[test]
fn what_can_not_be_done_is_said_with_its_code() {
    let place = Place::new(5);
    for (args, code, says) in [
        (vec!["sql", "absent.db", "-c", "SELECT 1"], 3, "no such file"),
        (vec!["report", "."], 3, "not a file"),
        (vec!["sql", "heap.db", "-f", "absent.sql"], 3, "absent.sql"),
        (vec!["query", "heap.db", "never_fred"], 2, "did you mean `never_freed`?"),
        (vec!["query", "heap.db", "never_freed_older_than", "--age", "10"], 2, "with its unit"),
        (
            vec!["query", "heap.db", "never_freed_older_than", "--aeg", "10m"],
            2,
            "did you mean `age`?",
        ),
        (vec!["query", "heap.db", "through"], 2, "`pattern` must be given"),
        (vec!["frobnicate"], 2, ""),
        (vec!["sql"], 2, ""),
        (
            vec!["check", "heap.db", "--query", "never_freed", "--max-bytes", "lots"],
            2,
            "--max-bytes",
        ),
        (vec!["sql", "heap.db", "-c", "DROP TABLE allocations"], 1, "refused"),
    ] {
        let ran = place.run(&args);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
        assert_eq!(ran.out, "", "{args:?}");
    }
}

#[test]
fn a_failing_statement_ends_a_script_unless_told_otherwise() {
    let place = Place::new(5);
    let script = "SELECT 1 AS a; SELECT nonsense; SELECT 2 AS b;";
    let stopped = place.run(&["sql", "heap.db", "-c", script, "--format", "csv"]);
    assert_eq!((stopped.code, stopped.out.as_str()), (1, "a\n1\n"));
    let went_on = place.run(&["sql", "heap.db", "-c", script, "--format", "csv", "--keep-going"]);
    assert_eq!((went_on.code, went_on.out.as_str()), (1, "a\n1\nb\n2\n"));
}

#[test]
fn hostile_statements_are_refused_on_the_command_line_as_well() {
    let place = Place::new(5);
    let before = snapshot(place.directory.path());
    for sql in HOSTILE {
        let ran = place.run_with_input(&["sql", "heap.db"], &format!("{sql};\n"));
        assert_eq!(ran.code, 1, "{sql}: {}", ran.out);
        assert!(ran.err.starts_with("error: "), "{sql}: {}", ran.err);
    }
    assert_eq!(snapshot(place.directory.path()), before);
}

#[test]
fn a_closed_pipe_is_silent() {
    let place = Place::new(5);
    let sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c";
    for format in ["csv", "table", "json"] {
        let mut command = place.command(&["sql", "heap.db", "-c", sql, "--format", format]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
        assert_eq!(output.status.code(), Some(0), "{format}");
    }
}

#[test]
fn ctrl_c_ends_an_endless_query_with_130() {
    let place = Place::new(5);
    let sql = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 'begun' UNION ALL SELECT max(x) FROM c";
    let mut command =
        place.command(&["sql", "heap.db", "--format", "csv", "-c", "SELECT 1", "-c", sql]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Its memory is there, so it runs; the handler is the first thing that a command installs.
    let cpu = format!("/proc/{}/stat", child.id());
    let busy = || {
        let stat = std::fs::read_to_string(&cpu).unwrap();
        stat.rsplit(')').next().unwrap().split_whitespace().nth(11).unwrap().parse::<u64>().unwrap()
            > 5
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !busy() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    let pressed = std::time::Instant::now();
    // SAFETY: a signal to a child that has not been waited for, so the number is its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let status = child.wait().unwrap();
    assert!(pressed.elapsed() < std::time::Duration::from_millis(250), "{:?}", pressed.elapsed());
    assert_eq!(status.code(), Some(130));
}

#[test]
fn ctrl_c_ends_the_wait_for_a_pipe() {
    use std::os::unix::process::ExitStatusExt;
    let place = Place::new(5);
    let mut command = place.command(&["sql", "heap.db"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    // It waits when its main thread sleeps in a read of a pipe.
    let waits = || {
        let wchan =
            std::fs::read_to_string(format!("/proc/{}/syscall", child.id())).unwrap_or_default();
        // Where the system does not tell, nothing is proven, and nothing fails.
        wchan.starts_with("0 0x0 ") || wchan.is_empty()
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !waits() && std::time::Instant::now() < deadline {
        std::thread::yield_now();
    }
    // SAFETY: a signal to a child that has not been waited for, so the number is its own.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let status = child.wait().unwrap();
    assert!(status.signal() == Some(libc::SIGINT) || status.code() == Some(130), "{status}");
}

#[test]
fn builtin_queries_are_listed_described_and_run() {
    let place = Place::new(5);
    let list = place.run(&["query", "heap.db"]);
    assert_eq!(list.code, 0);
    assert!(
        list.out.contains("leaks:\n") && list.out.contains("  never_freed_older_than "),
        "{}",
        list.out
    );
    let described = place.run(&["query", "heap.db", "never-freed-older-than", "--describe"]).out;
    for words in ["--age duration", "default: 10m", "live_bytes (bytes)"] {
        assert!(described.contains(words), "{described}");
    }
    let ran =
        place.run(&["query", "heap.db", "never_freed_older_than", "--age=0", "--format", "csv"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.starts_with("bt,site,live_bytes,live_blocks,oldest_ns\n"), "{}", ran.out);
    assert!(ran.out.lines().count() > 1, "{}", ran.out);
}

#[test]
fn queries_of_the_user_join_the_list_and_a_broken_one_is_named() {
    let place = Place::new(5);
    std::fs::create_dir_all(place.path("config/queries")).unwrap();
    let own = "-- # Mine\n-- How many are larger?\n--\n-- param size : bytes = 4K  at least\n\
               SELECT count(*) AS blocks, typeof(:size) AS kind FROM allocations WHERE size >= :size;";
    std::fs::write(place.path("config/queries/mine.sql"), own).unwrap();
    std::fs::write(
        place.path("config/queries/bad.sql"),
        "-- # Bad\n--\n-- param a : colour\nSELECT :a;",
    )
    .unwrap();
    let list = place.run(&["query", "heap.db"]);
    assert!(list.out.contains("mine") && list.out.contains("Mine"), "{}", list.out);
    assert!(list.err.contains("bad.sql: line 3: no type is called `colour`"), "{}", list.err);
    let ran = place.run(&["query", "heap.db", "mine", "--size", "1M", "--format", "jsonl"]);
    assert!(ran.out.contains("\"kind\": \"integer\""), "{}", ran.out);
}

#[test]
fn reports_and_checks() {
    let place = Place::new(5);
    let text = place.run(&["report", "heap.db"]);
    assert_eq!(text.code, 0, "{}", text.err);
    for words in ["duration", "peak", "at the end", "live bytes", "Held at the peak"] {
        assert!(text.out.contains(words), "{}", text.out);
    }
    let json: serde_json::Value =
        serde_json::from_str(&place.run(&["report", "heap.db", "--json"]).out).unwrap();
    assert!(json["duration_ns"].as_i64().unwrap() > 0);
    assert!(
        place
            .run(&["report", "heap.db", "--markdown"])
            .out
            .starts_with("## rheaper report: `heap.db`")
    );
    // Not a terminal: the explorer prints the report.
    assert_eq!(place.run(&["tui", "heap.db"]).out, text.out);

    let failed = place.run(&["check", "heap.db", "--query", "never_freed", "--format", "csv"]);
    assert_eq!(failed.code, 1);
    assert!(failed.out.starts_with("bt,site,live_bytes"), "{}", failed.out);
    assert!(failed.err.contains("check failed: never_freed"), "{}", failed.err);
    let passed = place.run(&[
        "check",
        "heap.db",
        "--query",
        "never_freed",
        "--max-rows",
        "100",
        "--max-bytes",
        "1G",
    ]);
    assert_eq!((passed.code, passed.out.as_str()), (0, ""), "{}", passed.err);
    let bytes = place.run(&[
        "check",
        "heap.db",
        "-q",
        "never_freed_older_than",
        "-p",
        "age=0",
        "--max-bytes",
        "0",
    ]);
    assert_eq!(bytes.code, 1, "{}", bytes.err);
}

#[test]
fn completions_and_manual_pages_are_made() {
    let place = Place::new(5);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.run(&["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("rheaper"), "{shell}");
    }
    assert!(place.run(&["man"]).out.contains(".TH rheaper 1"));
    std::fs::create_dir(place.path("man")).unwrap();
    assert_eq!(place.run(&["man", "--directory", "man"]).code, 0);
    assert!(place.path("man/rheaper-sql.1").exists());
}

#[test]
fn the_help_of_every_command_has_an_example() {
    let place = Place::new(5);
    let help = place.run(&["--help"]).out;
    for command in [
        "load",
        "symbolize",
        "tui",
        "sql",
        "query",
        "report",
        "check",
        "info",
        "export",
        "diff",
        "demo",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let help = place.run(&[command, "--help"]).out;
        assert!(help.contains("Example"), "{help}");
    }
}

#[test]
fn hostile_names_do_not_reach_the_terminal() {
    let place = Place::new(5);
    let database = rusqlite::Connection::open(place.path("heap.db")).unwrap();
    let evil = "\u{1b}]52;c;aGk=\u{7}\u{9b}31m\u{202e}x\u{200b}\r\n";
    database.execute("UPDATE frames SET function = ?1, sym = ?1, file = ?1", [evil]).unwrap();
    database
        .execute("UPDATE losses SET name = name || ?1, meaning = ?1, count = 1", [evil])
        .unwrap();
    drop(database);
    for args in [
        vec!["report", "heap.db"],
        vec!["report", "heap.db", "--markdown"],
        vec!["report", "heap.db", "--json"],
        vec!["query", "heap.db", "never_freed"],
        vec!["query", "heap.db", "health", "--format", "markdown"],
        vec!["query", "heap.db", "never_freed", "--format", "line"],
        vec!["query", "heap.db", "never_freed", "--format", "json"],
        vec!["query", "heap.db", "never_freed", "--format", "jsonl"],
        vec!["sql", "heap.db", "-c", "SELECT '\u{1b}[2J' AS \"\u{1b}[2J\""],
        vec!["sql", "heap.db", "-c", "SELECT \"\u{1b}[2J\""],
    ] {
        let ran = place.run(&args);
        for text in [&ran.out, &ran.err] {
            let bad = text
                .chars()
                .find(|c| *c != '\n' && rheaper::database::text::sanitize::is_unsafe(*c));
            assert_eq!(bad, None, "{args:?}: {text:?}");
        }
    }
}
