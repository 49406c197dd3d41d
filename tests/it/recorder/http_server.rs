//! The server of docs/guide/PRODUCTION.md: asked over loopback, recorded on demand, and its leak found.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::programs::{RELEASE, build, load, number, rheaper, sqlite3};

/// Ends the server with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks the server; answers the head and the body.
fn ask(port: &str, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let head = "Host: localhost\r\nConnection: close\r\nContent-Type: text/plain";
    let length = body.len();
    write!(stream, "{request} HTTP/1.1\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let _ = stream.shutdown(Shutdown::Both);
    answer
}

fn until(port: &str, words: &str) -> String {
    let began = Instant::now();
    loop {
        let status = ask(port, "GET /heap", "");
        if status.contains(words) {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no {words} in {status}");
    }
}

#[test]
fn a_server_is_recorded_through_its_admin_door_and_the_span_that_leaks_is_found() {
    let program = build("served", "served", RELEASE);
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(program)
        .env("RECORD_INTO", directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut ports = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ports).unwrap();
    let _server = Server(child);
    let (service, door) = ports.trim().split_once(' ').unwrap();

    assert!(ask(service, "GET /checkout", "").ends_with("ok\n"));
    assert!(ask(door, "POST /heap/start", "").starts_with("HTTP/1.1 202"));
    until(door, "started: 1");
    for _ in 0..50 {
        assert!(ask(service, "GET /checkout", "").ends_with("ok\n"));
        assert!(ask(service, "GET /health", "").ends_with("ok\n"));
    }
    assert!(ask(door, "POST /heap/mark", "settled").starts_with("HTTP/1.1 204"));
    assert!(ask(service, "GET /checkout", "").ends_with("ok\n"));
    assert!(ask(door, "POST /heap/stop", "").starts_with("HTTP/1.1 202"));
    let status = until(door, "ended: 1");
    assert!(status.contains("Request") && status.contains("failed_commands: 0"), "{status}");
    let recording =
        status.split('"').find(|part| part.contains("/rip-")).map(PathBuf::from).unwrap();

    let database = load(&recording);
    let by_size = "SELECT size, path, count(*), count(*) - count(dealloc_after)
        FROM allocations AS a JOIN allocation_scopes ON allocation = a.rowid
        JOIN scopes ON id = scope WHERE size IN (3000, 10000, 20000) GROUP BY 1, 2 ORDER BY 1, 2";
    let expected = [
        "3000|checkout > audit|51|51",
        "3000|checkout > parse|51|0",
        "10000|checkout > remember session|51|51",
        "20000|checkout > remember session|51|51",
    ];
    assert_eq!(sqlite3(&database, by_size), expected);
    let arguments = ["query", database.to_str().unwrap(), "leaks_by_scope", "--format", "csv"];
    let leaks = String::from_utf8(rheaper(&arguments, directory.path()).stdout).unwrap();
    let paths: Vec<_> = leaks.lines().skip(1).map(|row| row.split(',').nth(1).unwrap()).collect();
    let expected = ["checkout", "checkout > remember session", "checkout > audit"];
    assert_eq!(paths[..3], expected, "{leaks}");
    let pages =
        "SELECT count(*) FROM allocations AS a LEFT JOIN allocation_scopes ON allocation = a.rowid
        WHERE size = 50000 AND scope IS NULL";
    assert_eq!(number(&database, pages), 50.0);
    let after = "SELECT count(*) FROM allocations, marks WHERE size = 20000 AND alloc_after > at_ns
        AND name = 'settled'";
    assert_eq!(number(&database, after), 1.0);

    // And by the file, as in a container.
    std::fs::write(directory.path().join("record"), "10m").unwrap();
    until(door, "started: 2");
    std::fs::remove_file(directory.path().join("record")).unwrap();
    assert!(until(door, "ended: 2").contains("File"));
}

#[test]
fn the_document_shows_the_admin_door_that_is_tested() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = std::fs::read_to_string(root.join("tests/served/src/admin.rs")).unwrap();
    let (_, shown) = source.split_once("\n\n").unwrap();
    let document = std::fs::read_to_string(root.join("docs/guide/PRODUCTION.md")).unwrap();
    assert!(document.contains(shown.trim()), "docs/guide/PRODUCTION.md shows another admin.rs");
}
