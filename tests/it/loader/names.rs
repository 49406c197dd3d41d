//! What functions are called, from a recording to the database.

use std::fmt::Write;
use std::fs;

use rheaper::loader::{LoadOptions, import};
use rusqlite::Connection;

/// A function that allocates, as a demangler of another tool names it, and its source file.
type Given<'a> = (&'a str, &'a str);

/// A recording of heaptrack with one block of each function, called by `main`; and its database.
fn imported(functions: &[Given<'_>], main: Given<'_>) -> Connection {
    let mut recording = String::from("v 10400 3\nX ./server\nI 1000 5e2991\n");
    let mut texts = 0;
    let mut text = |recording: &mut String, text: &str| {
        writeln!(recording, "s {:x} {text}", text.len()).unwrap();
        texts += 1;
        texts
    };
    let module = text(&mut recording, "/usr/bin/server");
    let (name, file) = (text(&mut recording, main.0), text(&mut recording, main.1));
    writeln!(recording, "i 1000 {module:x} {name:x} {file:x} 3\nt 1 0").unwrap();
    for (index, (name, file)) in functions.iter().enumerate() {
        let (name, file) = (text(&mut recording, name), text(&mut recording, file));
        let (address, ip) = (0x2000 + index * 16, index + 2);
        writeln!(recording, "i {address:x} {module:x} {name:x} {file:x} a\nt {ip:x} 1").unwrap();
        writeln!(recording, "a {:x} {ip:x}\n+ {index:x}\nc {:x}", 1000 + index, index + 1).unwrap();
    }
    let directory = tempfile::tempdir().unwrap();
    let [file, output] = ["recorded.1", "heap.db"].map(|name| directory.path().join(name));
    fs::write(&file, recording).unwrap();
    import(&file, &output, &LoadOptions::default(), &mut ()).unwrap();
    let connection = Connection::open_in_memory().unwrap();
    // In memory, as the folder goes away.
    connection.execute("ATTACH ?1 AS made", [output.to_str().unwrap()]).unwrap();
    for table in ["frames", "sites"] {
        let copy = format!("CREATE TABLE {table} AS SELECT * FROM made.{table}");
        connection.execute(&copy, []).unwrap();
    }
    connection
}

/// The short name and kind of each function's own site, in the order of the functions.
fn named(connection: &Connection) -> Vec<(String, String)> {
    let sql = "SELECT function, kind FROM sites JOIN frames ON frames.id = frame ORDER BY size_min";
    let mut query = connection.prepare(sql).unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn check(functions: &[Given<'_>], main: Given<'_>, expected: &[(&str, &str)]) {
    let named = named(&imported(functions, main));
    let named: Vec<_> = named.iter().map(|(name, kind)| (name.as_str(), kind.as_str())).collect();
    assert_eq!(named, expected);
}

#[test]
fn a_name_is_shortened_before_it_is_cut() {
    let long = "app::Stack<".repeat(900) + "u8" + &">".repeat(900);
    let methods = ["send", "flush"].map(|it| format!("<app::Stream<{long}> as app::Sink>::{it}"));
    let functions = methods.each_ref().map(|name| (name.as_str(), "src/app.rs"));
    let connection = imported(&functions, ("main", "src/main.rs"));
    let named = named(&connection);
    assert_eq!(named[0].0, "Stream::send");
    assert_eq!(named[1].0, "Stream::flush");
    let distinct = "SELECT count(DISTINCT sym) FROM frames WHERE sym LIKE '<app%'";
    let distinct: i64 = connection.query_row(distinct, [], |row| row.get(0)).unwrap();
    assert_eq!(distinct, 2);
    let tail = "SELECT count(*) FROM frames WHERE sym LIKE '%>::send' AND length(sym) <= 4096";
    let tails: i64 = connection.query_row(tail, [], |row| row.get(0)).unwrap();
    assert_eq!(tails, 1, "head and tail are kept");
}

#[test]
fn names_of_cpp_are_read_as_cpp() {
    let functions = [
        "ns::Store::insert(std::vector<ns::Key, std::allocator<ns::Key> > const&, other::Blob)",
        "std::ostream& operator<< <int>(std::ostream&, ns::Matrix<int> const&)",
        "ns::Point::operator<(ns::Point const&) const",
        "ns::Foo::Foo(ns::Foo&&)",
        "ns::run()::{lambda(int)#1}::operator()(int) const",
        "QObject::connect(QObject const*, char const*)@@Qt_5",
        "plain_c_function",
    ]
    .map(|name| (name, "src/x.cc"));
    let expected = [
        "Store::insert",
        "operator<<",
        "Point::operator<",
        "Foo::Foo",
        "ns::run::{lambda}",
        "QObject::connect",
        "plain_c_function",
    ]
    .map(|name| (name, "own"));
    check(&functions, ("main", "src/main.cc"), &expected);
}

#[test]
fn templates_of_the_standard_library_are_not_the_programs_own() {
    let functions = [
        "std::__new_allocator<int>::allocate(unsigned long, void const*)",
        "void std::vector<ns::Key>::emplace_back<ns::Key>(ns::Key&&)",
        "__gnu_cxx::__ops::_Iter_less_iter::operator()(int*, int*) const",
    ]
    .map(|name| (name, ""));
    let bare = ("make_shared<main()::<lambda()> >", "/usr/include/c++/12/bits/shared_ptr.h");
    let functions = [functions[0], functions[1], functions[2], bare];
    // None of them is anybody's own, so that each site is its caller's.
    let expected = [("main", "own"); 4];
    check(&functions, ("main", "src/main.cc"), &expected);
}

#[test]
fn only_a_version_is_cut_at_an_at_sign() {
    let functions = [
        ("pure nothrow @nogc @safe void app.cache.insert(int)", "a.d"),
        ("-[NSString init@:]", "a.m"),
        ("Foo$$Bar@plt", ""),
        ("malloc_hook@@GLIBC_2.2.5", ""),
    ];
    let expected = ["cache.insert", "-[NSString init@:]", "Foo$$Bar@plt", "malloc_hook"];
    check(&functions, ("main", "m.d"), &expected.map(|name| (name, "own")));
}

#[test]
fn names_of_rust_that_another_tool_demangled_are_rusts() {
    let functions = [
        ("server::session::open", "src/session.rs"),
        ("<server::cache::Cache>::insert", "src/cache.rs"),
        ("server::queue::push", ""),
        // The language's own, so that the site is its caller's.
        ("<alloc::vec::Vec<u8>>::with_capacity", "/rustc/5980/library/alloc/src/vec/mod.rs"),
        ("alloc::alloc::alloc", ""),
    ];
    let expected =
        ["session::open", "Cache::insert", "queue::push", "server::main", "server::main"];
    check(&functions, ("server::main", "src/main.rs"), &expected.map(|name| (name, "own")));
}

#[test]
fn a_function_of_c_may_be_called_like_a_type() {
    let names = ["h", "i", "b", "v", "St", "x"];
    check(&names.map(|name| (name, "a.c")), ("main", "a.c"), &names.map(|name| (name, "own")));
}
