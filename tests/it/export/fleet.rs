//! docs/guide/FLEET.md over a fleet whose answer is known: its questions are asked as they stand there.

use std::path::Path;

use crate::cli::commands::Place;
use crate::support::tools;
use crate::tui::fixture::{Script, leaky_server, write};

/// Hosts, each with both versions.
const HOSTS: usize = 50;

/// A run of the server. In version 1.4 the cache's blocks are freed a minute after they were made.
fn run(host: usize, is_fixed: bool) -> Script {
    let mut script = leaky_server();
    // Hosts differ in how much they do.
    let mut kept = 0;
    script.blocks.retain(|block| {
        kept += 1;
        block.bt != 1 || kept % (2 + host % 3) != 0
    });
    for block in script.blocks.iter_mut().filter(|block| block.bt == 1) {
        block.size *= 10;
        if !is_fixed {
            continue;
        }
        let freed = block.alloc + 60_000_000_000;
        block.dealloc = (freed < crate::tui::fixture::END_NS).then_some(freed);
    }
    script.blocks.sort_by_key(|block| (block.dealloc.unwrap_or(i64::MAX), block.alloc));
    script
}

#[test]
fn a_hundred_recordings_name_the_site_that_grows_in_one_version() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place { directory };
    // Three kinds of hosts: a database of each, exported under the names of all.
    for is_fixed in [true, false] {
        for kind in 0..3 {
            let path = place.path("server.db");
            let _ = std::fs::remove_file(&path);
            write(&run(kind, is_fixed), &path);
            for host in (kind..HOSTS).step_by(3) {
                export(&place, host, if is_fixed { "1.4" } else { "1.5" });
            }
        }
    }
    let Some(said) = tools::python_of("examples/fleet/ask.py", &[place.directory.path()]) else {
        return;
    };
    // What is there.
    let line = |version: &str| {
        let line = said.lines().find(|line| line.trim_start().starts_with(version));
        line.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).unwrap()
    };
    for version in ["1.4", "1.5"] {
        assert_eq!(line(version)[..3], [version, "50", "50"], "{said}");
    }
    // The one site that grows in 1.5 and not in 1.4, on all hosts.
    let mut answer = said.lines().skip_while(|line| !line.ends_with("  hosts_growing_15"));
    answer.next();
    answer.next();
    let grown: Vec<&str> = answer.take_while(|line| !line.is_empty()).collect();
    assert_eq!(grown.len(), 1, "{said}");
    assert!(grown[0].starts_with("server::cache::Cache::insert "), "{said}");
    assert!(grown[0].ends_with(" 50"), "{said}");
}

/// Exports the database at `server.db` as a recording of its own.
fn export(place: &Place, host: usize, version: &str) {
    let (host, id) = (format!("host=web-{host}"), format!("recording={version}-{host}"));
    let version = format!("version={version}");
    let out = format!("fleet/{}", id.replace('=', "-"));
    std::fs::create_dir_all(place.path("fleet")).unwrap();
    let mut args = vec!["export", "server.db", "-f", "parquet", "-o", &out];
    args.extend(["--label", &host, "--label", &version, "--label", &id]);
    for table in ["sites", "site_timeline", "timeline", "backtraces"] {
        args.extend(["--table", table]);
    }
    let ran = place.run(&args);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(Path::new(&place.path(&out)).join("sites.parquet").exists());
}
