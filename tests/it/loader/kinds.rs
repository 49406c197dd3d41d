//! Whose code a frame is: own, a dependency's, the language's, the runtime's.

use rusqlite::Connection;

use crate::synthetic::scripted::Scripted;

const REGISTRY: &str = "/home/u/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";

/// A program, and for some of its functions whose they are and of which crate.
struct Case {
    what: &'static str,
    /// One stack, innermost first.
    stack: Vec<String>,
    kinds: Option<&'static str>,
    expected: &'static [(&'static str, &'static str, Option<&'static str>)],
}

fn case(
    what: &'static str,
    stack: &[&str],
    expected: &'static [(&'static str, &'static str, Option<&'static str>)],
) -> Case {
    let stack = stack.iter().map(|frame| frame.replace("$REGISTRY", REGISTRY)).collect();
    Case { what, stack, kinds: None, expected }
}

fn check(case: &Case) {
    let frames: Vec<&str> = case.stack.iter().map(String::as_str).collect();
    let mut scripted = Scripted::new();
    scripted.make(&frames, 8);
    let (_directory, database) = scripted.load(case.kinds);
    for (sym, kind, krate) in case.expected {
        let found = found(&database, sym);
        let expected = ((*kind).to_owned(), krate.map(str::to_owned));
        assert_eq!(found, expected, "{}: {sym}", case.what);
    }
}

fn found(database: &Connection, sym: &str) -> (String, Option<String>) {
    let sql = "SELECT kind, crate FROM frames WHERE sym = ?1";
    database.query_row(sql, [sym], |row| Ok((row.get(0)?, row.get(1)?))).unwrap_or_else(|error| {
        panic!("{sym}: {error}");
    })
}

#[test]
fn a_frame_is_whose_its_file_says() {
    let cases = [
        case(
            "a workspace of two crates and a path dependency outside",
            &[
                "alloc::alloc::alloc @ /rustc/abcdef0/library/alloc/src/alloc.rs:1",
                "shared::buffer @ /home/u/shared/src/lib.rs:1",
                "model::load @ crates/model/src/lib.rs:2",
                "app::main @ crates/app/src/main.rs:3",
            ],
            &[
                ("alloc::alloc::alloc", "std", Some("alloc")),
                ("shared::buffer", "own", Some("shared")),
                ("model::load", "own", Some("model")),
                ("app::main", "own", Some("app")),
            ],
        ),
        case(
            "registry, checkout, vendored and trimmed paths",
            &[
                "serde::de::read @ $REGISTRY/serde-1.0.219/src/de.rs:1",
                "oxc_parser::parse @ /c/git/checkouts/oxc-0a5f8d1cfb2a9d0b/1a2b3c4/crates/p/src/l.rs:1",
                "bstr::find @ /build/vendor/bstr/src/lib.rs:1",
                "tokio::spawn @ tokio-1.38.0/src/task.rs:1",
                "app::main @ src/main.rs:3",
            ],
            &[
                ("serde::de::read", "dependency", Some("serde")),
                ("oxc_parser::parse", "dependency", Some("oxc_parser")),
                ("bstr::find", "dependency", Some("bstr")),
                ("tokio::spawn", "dependency", Some("tokio")),
                ("app::main", "own", Some("app")),
            ],
        ),
    ];
    cases.iter().for_each(check);
}

#[test]
fn frames_without_a_file_are_whose_their_crate_is() {
    let cases = [
        case(
            "a crate's frames without a file are whose its others are",
            &[
                "<model::Row as core::clone::Clone>::clone::h0123456789abcdef",
                "serde::de::visit::h0123456789abcdef",
                "serde::de::read @ $REGISTRY/serde-1.0.219/src/de.rs:1",
                "model::load::h0123456789abcdef",
                "model::open @ crates/model/src/lib.rs:2",
                "nobody::knows::h0123456789abcdef",
                "app::main @ crates/app/src/main.rs:3",
            ],
            &[
                ("serde::de::visit", "dependency", Some("serde")),
                ("model::load", "own", Some("model")),
                ("nobody::knows", "dependency", Some("nobody")),
            ],
        ),
        case(
            "no file at all: the crates of main are own",
            &[
                "alloc::alloc::alloc::h0123456789abcdef",
                "hashbrown::raw::reserve::h0123456789abcdef",
                "fd::walk::scan::h0123456789abcdef",
                "fd::main::h0123456789abcdef",
                "main",
                "_start",
                "__libc_start_main in /lib/x86_64-linux-gnu/libc.so.6",
                "start_thread in /lib/x86_64-linux-gnu/libc.so.6",
            ],
            &[
                ("alloc::alloc::alloc", "std", Some("alloc")),
                ("hashbrown::raw::reserve", "dependency", Some("hashbrown")),
                ("fd::walk::scan", "own", Some("fd")),
                ("fd::main", "own", Some("fd")),
                ("main", "runtime", None),
                ("_start", "runtime", None),
                ("start_thread", "runtime", None),
            ],
        ),
    ];
    cases.iter().for_each(check);
}

#[test]
fn file_and_name_may_be_of_different_crates() {
    let cases = [
        case(
            "a macro of a library in own code, a method that a library provides",
            &[
                "<app::Rows as itertools::Itertools>::join @ $REGISTRY/itertools-0.13.0/src/lib.rs:1",
                "app::handle @ $REGISTRY/tracing-0.1.40/src/macros.rs:9",
                "app::run @ src/run.rs:4",
                "app::main @ src/main.rs:3",
            ],
            &[
                ("<app::Rows as itertools::Itertools>::join", "dependency", Some("itertools")),
                ("app::handle", "own", Some("app")),
            ],
        ),
        case(
            "installed from the registry",
            &[
                "ignore::walk @ $REGISTRY/ignore-0.4.23/src/walk.rs:1",
                "fd::scan @ $REGISTRY/fd-find-10.2.0/src/walk.rs:1",
                "fd::main @ $REGISTRY/fd-find-10.2.0/src/main.rs:3",
            ],
            &[("ignore::walk", "dependency", Some("ignore")), ("fd::scan", "own", Some("fd"))],
        ),
        case(
            "inlined functions whose names are bare",
            &[
                "push @ /rustc/abcdef0/library/alloc/src/vec/mod.rs:1",
                "insert @ $REGISTRY/lru-0.12.3/src/lib.rs:1",
                "keep @ src/cache.rs:5",
                "app::cache::put @ src/cache.rs:9",
                "app::main @ src/main.rs:3",
            ],
            &[
                ("push", "std", Some("alloc")),
                ("insert", "dependency", Some("lru")),
                ("keep", "own", Some("app")),
            ],
        ),
        case(
            "Rust names that another tool demangled",
            &[
                "<alloc::vec::Vec<u8>>::with_capacity @ /rustc/5980/library/alloc/src/vec/mod.rs:524",
                "<server::cache::Cache>::insert @ src/cache.rs:41",
                "server::main @ src/main.rs:12",
            ],
            &[
                ("<alloc::vec::Vec<u8>>::with_capacity", "std", Some("alloc")),
                ("<server::cache::Cache>::insert", "own", Some("server")),
            ],
        ),
    ];
    cases.iter().for_each(check);
}

#[test]
fn c_and_cpp_go_by_object_namespace_and_file() {
    let cases = [
        case(
            "C++: the executable is own, libraries are dependencies",
            &[
                "operator new(unsigned long) in /usr/lib/x86_64-linux-gnu/libstdc++.so.6",
                "std::vector<ns::Key>::push_back(ns::Key const&) @ /usr/include/c++/12/bits/stl_vector.h:1",
                "boost::asio::run() @ /usr/include/boost/asio.hpp:1",
                "g_malloc in /usr/lib/x86_64-linux-gnu/libglib-2.0.so.0",
                "std::vector<ns::Key> ns::Store::keys<int>(int) @ src/x.cc:2",
                "main @ src/main.cc:10",
            ],
            &[
                ("std::vector<ns::Key>::push_back(ns::Key const&)", "std", None),
                ("boost::asio::run()", "dependency", None),
                ("g_malloc", "dependency", None),
                ("std::vector<ns::Key> ns::Store::keys<int>(int)", "own", None),
                ("main", "own", None),
            ],
        ),
        case(
            "C in a Rust program: by its file",
            &[
                "malloc",
                "sqlite3_step @ $REGISTRY/libsqlite3-sys-0.30.1/sqlite3/sqlite3.c:1",
                "app_decode @ /home/u/app/native/decode.c:1",
                "app::main @ /home/u/app/src/main.rs:3",
            ],
            &[
                ("malloc", "runtime", None),
                ("sqlite3_step", "dependency", None),
                ("app_decode", "own", None),
            ],
        ),
    ];
    cases.iter().for_each(check);
}

#[test]
fn the_users_rules_come_first() {
    let stack = [
        "serde::de::read @ $REGISTRY/serde-1.0.219/src/de.rs:1",
        "fork::Pool::get @ $REGISTRY/fork-0.1.0/src/pool.rs:1",
        "app::generated::rows @ src/generated/rows.rs:1",
        "plugin_run in /srv/plugins/libplug.so",
        "app::main @ src/main.rs:3",
    ];
    let mut case = case(
        "rules",
        &stack,
        &[
            ("serde::de::read", "dependency", Some("serde")),
            ("fork::Pool::get", "own", Some("fork")),
            ("app::generated::rows", "dependency", Some("app")),
            ("plugin_run", "own", None),
            ("app::main", "own", Some("app")),
        ],
    );
    case.kinds = Some(
        "# whose code it is\nown fork   # ours\n\ndependency src/generated/\nown libplug.so\nruntime fork\n",
    );
    check(&case);
}
