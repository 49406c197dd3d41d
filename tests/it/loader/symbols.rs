//! Names: the same as binutils' `addr2line -i` finds, from wherever the symbol file is.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use rheaper::loader::{LoadOptions, Summary, load, symbolize};
use rheaper::recording::{Address, ModuleDef, ModuleId, ModuleStatus, NodeId, Ticks};
use rusqlite::Connection;

use crate::synthetic::writer::{Writer, plain_header};

/// Addresses that are compared in each binary.
const ADDRESSES: u64 = 3_000;

/// Where the module is in the made-up process.
const BIAS: u64 = 0x5600_0000_0000;

const PROGRAM: &str = r#"
use std::collections::HashMap;
struct Cache<T> { rows: HashMap<String, Vec<T>> }
impl<T: Clone + std::fmt::Debug> Cache<T> {
    #[inline(always)] fn insert(&mut self, key: &str, row: T) {
        self.rows.entry(key.to_owned()).or_default().push(row);
    }
    fn show(&self) -> String { self.rows.values().map(|row| format!("{row:?}")).collect() }
}
fn main() {
    let mut cache = Cache { rows: HashMap::new() };
    for (index, word) in std::env::args().enumerate() { cache.insert(&word, index); }
    println!("{}", cache.show());
}
"#;

/// A place in the code: function, file, line.
pub(crate) type Place = (String, Option<String>, Option<u32>);

/// Compiles the program; the directory goes away with the answer.
pub(crate) fn compile(flags: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let (source, binary) = (directory.path().join("main.rs"), directory.path().join("program"));
    fs::write(&source, PROGRAM).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2021", "-Clink-arg=-Wl,--build-id"]).args(flags);
    let done = rustc.arg("-o").arg(&binary).arg(&source).status().unwrap();
    assert!(done.success());
    (directory, binary)
}

pub(crate) fn run(program: &str, arguments: &[&dyn AsRef<std::ffi::OsStr>]) {
    let mut command = Command::new(program);
    command.args(arguments.iter().map(AsRef::as_ref));
    assert!(command.status().unwrap().success(), "{command:?}");
}

pub(crate) fn has(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok()
}

/// Build id of a binary, and addresses all over its functions. Between functions is padding, to
/// which binutils give the name of the function before it.
pub(crate) fn contents(binary: &Path) -> (Vec<u8>, Vec<u64>) {
    let bytes = fs::read(binary).unwrap();
    let object = object::File::parse(&*bytes).unwrap();
    let text = object.section_by_name(".text").unwrap();
    let functions = object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
    let mut ranges: Vec<_> =
        functions.map(|symbol| (symbol.address(), symbol.address() + symbol.size())).collect();
    ranges.sort_unstable();
    let in_function = |address: &u64| {
        let behind = ranges.partition_point(|range| range.0 <= *address);
        behind > 0 && *address < ranges[behind - 1].1
    };
    let step = (text.size() / ADDRESSES).max(1);
    let addresses = (0..text.size() / step).map(|index| text.address() + index * step);
    let build_id = object.build_id().unwrap().unwrap().to_vec();
    (build_id, addresses.filter(in_function).collect())
}

/// A recording with one block for each of these call addresses of a module.
fn recording(path: &Path, build_id: &[u8], addresses: &[u64]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new(), &plain_header());
    writer.module(&ModuleDef {
        status: ModuleStatus::Loaded,
        id: ModuleId(1),
        at: Ticks(0),
        bias: BIAS,
        start: Address(BIAS),
        end: Address(BIAS + (1 << 30)),
        main: true,
        build_id,
        path: path.as_os_str().as_encoded_bytes(),
    });
    for (index, address) in (0..).zip(addresses) {
        let node = writer.node(NodeId::ROOT, BIAS + address + 1);
        writer.alloc((0, 0), 100 + index, 0x7000 + index * 16, 8, node);
    }
    writer.finish()
}

pub(crate) struct Named {
    directory: tempfile::TempDir,
    database: PathBuf,
    pub(crate) summary: Summary,
}

pub(crate) fn load_names(
    path: &Path,
    build_id: &[u8],
    addresses: &[u64],
    symbols: &[PathBuf],
) -> Named {
    let directory = tempfile::tempdir().unwrap();
    let (file, database) = (directory.path().join("rip-1"), directory.path().join("db"));
    fs::write(&file, recording(path, build_id, addresses)).unwrap();
    let options = LoadOptions { symbols: symbols.to_vec(), ..LoadOptions::default() };
    let summary = load(&file, &database, &options, &mut ()).unwrap();
    Named { directory, database, summary }
}

impl Named {
    /// The places of every call, innermost first.
    pub(crate) fn places(&self) -> BTreeMap<u64, Vec<Place>> {
        let connection = Connection::open(&self.database).unwrap();
        let sql = "SELECT return_addresses.offset, backtraces.sym, backtraces.file, backtraces.line
                   FROM backtraces JOIN backtrace_stacks ON bt = backtraces.id
                   JOIN stacks ON stacks.id = stack JOIN return_addresses ON return_addresses.id = stacks.call
                   ORDER BY backtraces.id, frame_no";
        let mut places: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
        let mut query = connection.prepare(sql).unwrap();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let place = (row.get(1).unwrap(), row.get(2).unwrap(), row.get(3).unwrap());
            places.entry(row.get::<_, i64>(0).unwrap() as u64).or_default().push(place);
        }
        places
    }

    pub(crate) fn state(&self) -> String {
        let connection = Connection::open(&self.database).unwrap();
        let sql = "SELECT symbols FROM modules";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// What binutils say.
fn binutils(binary: &Path, addresses: &[u64]) -> BTreeMap<u64, Vec<Place>> {
    let mut command = Command::new("addr2line");
    command.args(["-a", "-f", "-i", "-e"]).arg(binary);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let list: String = addresses.iter().map(|address| format!("{address:#x}\n")).collect();
    let writing = std::thread::spawn(move || input.write_all(list.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (mut places, mut address) = (BTreeMap::new(), 0);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(hex) = line.strip_prefix("0x") {
            address = u64::from_str_radix(hex, 16).unwrap();
            continue;
        }
        let place = lines.next().unwrap().split(" (discriminator").next().unwrap();
        let (file, number) = place.rsplit_once(':').unwrap();
        let file = Some(file.to_owned()).filter(|file| file != "??");
        let function = format!("{:#}", rustc_demangle::demangle(line));
        let found: &mut Vec<Place> = places.entry(address).or_default();
        found.push((function, file, number.parse().ok().filter(|line| *line > 0)));
    }
    places
}

/// Compares places; says how many calls differ, and shows some.
fn differences(ours: &BTreeMap<u64, Vec<Place>>, theirs: &BTreeMap<u64, Vec<Place>>) -> usize {
    let simple = |places: &[Place]| -> Vec<Place> {
        let simple = places.iter().map(|(function, file, line)| {
            // Binutils leave `./` out of the middle of a path; a file without a line is noise.
            let file = file.as_ref().filter(|_| line.is_some());
            (function.clone(), file.map(|file| file.replace("/./", "/")), *line)
        });
        simple.collect()
    };
    let mut differ = 0;
    for (address, theirs) in theirs {
        // Where binutils know nothing at all, we say `module+0xoffset`; the shims between a program
        // and its allocator are trimmed.
        let unknown = |place: &Place| place.0 == "??" && place.1.is_none();
        let shim = |place: &Place| place.0.starts_with("__rustc::__r");
        if theirs.iter().all(unknown) || theirs.iter().any(shim) {
            continue;
        }
        let ours = ours.get(address).map(Vec::as_slice).unwrap_or_default();
        if simple(ours) != simple(theirs) {
            differ += 1;
            if differ <= 5 {
                println!("{address:#x}\n  ours   {ours:?}\n  theirs {theirs:?}");
            }
        }
    }
    differ
}

fn check(binary: &Path, named: &Named, addresses: &[u64]) {
    let theirs = binutils(binary, addresses);
    let differ = differences(&named.places(), &theirs);
    // What is left are functions that the linker has aggregated into one: either name is right.
    assert!(differ * 500 <= theirs.len(), "{differ} of {} differ", theirs.len());
}

#[test]
fn names_agree_with_binutils() {
    if !has("addr2line") {
        return;
    }
    for flags in [
        &["-Cdebuginfo=2"][..],
        &["-Cdebuginfo=1", "-O"],
        &["-Cdebuginfo=2", "-O", "-Csymbol-mangling-version=v0"],
    ] {
        let (_directory, binary) = compile(flags);
        let (build_id, addresses) = contents(&binary);
        let named = load_names(&binary, &build_id, &addresses, &[]);
        assert_eq!(named.state(), "resolved");
        assert_eq!(named.summary.symbols.notes, Vec::<String>::new());
        check(&binary, &named, &addresses);
    }
}

#[test]
fn a_separate_debug_file_is_found() {
    if !has("addr2line") || !has("objcopy") {
        return;
    }
    let (directory, binary) = compile(&["-Cdebuginfo=1", "-O"]);
    let (build_id, addresses) = contents(&binary);
    let (whole, stripped) = (directory.path().join("whole"), directory.path().join("stripped"));
    fs::copy(&binary, &whole).unwrap();
    let debug = directory.path().join("symbols").join("deep").join("x.debug");
    fs::create_dir_all(debug.parent().unwrap()).unwrap();
    run("objcopy", &[&"--only-keep-debug", &binary, &debug]);
    run("objcopy", &[&"--strip-all", &binary, &stripped]);
    fs::remove_file(&binary).unwrap();

    // Nothing is at the recorded path, and nothing is given.
    let lost = load_names(&binary, &build_id, &addresses[..200], &[]);
    assert_eq!(lost.state(), "missing");
    let note = &lost.summary.symbols.notes[0];
    assert!(note.contains("--symbols") && note.contains("build id"), "{note}");
    let offset = addresses[7];
    assert_eq!(lost.places()[&offset][0], (format!("program+{offset:#x}"), None, None));

    // Given as a directory at load.
    let symbols = [directory.path().join("symbols")];
    let named = load_names(&binary, &build_id, &addresses, &symbols);
    assert_eq!(named.state(), "resolved");
    check(&whole, &named, &addresses);

    // Given later gives the same as given at once.
    symbolize(&lost.database, std::slice::from_ref(&debug), &mut ()).unwrap();
    let at_once = load_names(&binary, &build_id, &addresses[..200], &[debug]);
    assert_eq!(dump(&lost.database), dump(&at_once.database));
    // Never the other way.
    let error = symbolize(&at_once.database, &[], &mut ()).unwrap_err();
    assert!(error.to_string().contains("would lose"), "{error}");
    assert_eq!(dump(&lost.database), dump(&at_once.database));

    // Linked by name from the stripped file at the recorded path.
    let linked = directory.path().join("linked.debug");
    run("objcopy", &[&"--only-keep-debug", &whole, &linked]);
    let link = format!("--add-gnu-debuglink={}", linked.display());
    run("objcopy", &[&link, &stripped, &binary]);
    let named = load_names(&binary, &build_id, &addresses, &[]);
    assert_eq!(named.state(), "resolved");
    check(&whole, &named, &addresses);
    drop(named.directory);
}

#[test]
fn the_command_gives_names_to_a_database_and_never_takes_them() {
    let (directory, binary) = compile(&["-Cdebuginfo=1"]);
    let (build_id, addresses) = contents(&binary);
    let elsewhere = directory.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let moved = elsewhere.join("program");
    fs::rename(&binary, &moved).unwrap();
    let lost = load_names(&binary, &build_id, &addresses[..100], &[]);
    let symbolize = |arguments: &[&dyn AsRef<std::ffi::OsStr>]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rheaper"));
        command.arg("symbolize").arg(&lost.database);
        command.args(arguments.iter().map(AsRef::as_ref));
        let output = command.stdin(Stdio::null()).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    // Nothing new is there: nothing changes, and what is wanted is said.
    let (code, said) = symbolize(&[]);
    assert!(code == 0 && said.contains("\n0 of 100 addresses have names"), "{said}");
    assert!(said.contains("symbols: no symbols for") && said.contains("--symbols"), "{said}");
    assert_eq!(lost.state(), "missing");
    let (code, said) = symbolize(&[&"--symbols", &elsewhere.join("absent")]);
    assert!(code == 3 && said.starts_with("error: --symbols ") && said.lines().count() == 1);

    let (code, said) = symbolize(&[&"--symbols", &elsewhere]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("\n100 of 100 addresses have names, "), "{said}");
    assert!(said.contains(&format!("names from {}", moved.display())), "{said}");
    assert_eq!(lost.state(), "resolved");
    let at_once = load_names(&binary, &build_id, &addresses[..100], &[elsewhere]);
    assert_eq!(dump(&lost.database), dump(&at_once.database));

    let (code, said) = symbolize(&[]);
    assert!(code == 3 && said.contains("would lose"), "{said}");
    assert_eq!(dump(&lost.database), dump(&at_once.database));
    let mut other = Command::new(env!("CARGO_BIN_EXE_rheaper"));
    let other = other.arg("symbolize").arg(&moved).output().unwrap();
    assert_eq!(other.status.code(), Some(3));
}

#[test]
fn another_build_gives_no_names() {
    let (directory, binary) = compile(&["-Cdebuginfo=1"]);
    let (_, addresses) = contents(&binary);
    let wrong = load_names(&binary, &[1; 20], &addresses[..50], &[directory.path().to_owned()]);
    assert_eq!(wrong.state(), "mismatch");
    assert!(wrong.summary.symbols.notes[0].contains("not the file that was recorded"));
    let unnamed = |(sym, file, _): &Place| sym.starts_with("program+0x") && file.is_none();
    assert!(wrong.places().values().flatten().all(unnamed));
    // Without a build id its path is all that there is.
    let unchecked = load_names(&binary, &[], &addresses[..50], &[]);
    assert_eq!(unchecked.state(), "unchecked");
    assert!(unchecked.summary.symbols.notes[0].contains("no build id"));
}

#[test]
fn split_and_compressed_debug_sections_are_read() {
    if !has("addr2line") || !has("objcopy") {
        return;
    }
    let own = |places: &BTreeMap<u64, Vec<Place>>| -> Vec<Place> {
        let own = places.values().flatten();
        own.filter(|place| place.1.as_ref().is_some_and(|file| file.ends_with("main.rs")))
            .cloned()
            .collect()
    };
    // `.dwo` files where they were compiled, then one `.dwp` beside the binary.
    let mut found = Vec::new();
    for kind in ["unpacked", "packed"] {
        let split = format!("-Csplit-debuginfo={kind}");
        let (directory, binary) = compile(&["-Cdebuginfo=2", &split]);
        let packed = directory.path().join("program.dwp");
        assert_eq!(packed.exists(), kind == "packed");
        let (build_id, addresses) = contents(&binary);
        let own = own(&load_names(&binary, &build_id, &addresses, &[]).places());
        assert!(own.iter().any(|place| place.0.starts_with("main::")), "{kind}");
        found.push(own.len());
    }
    assert_eq!(found[0], found[1]);

    let (directory, binary) = compile(&["-Cdebuginfo=1", "-O"]);
    let (build_id, addresses) = contents(&binary);
    let plain = load_names(&binary, &build_id, &addresses, &[]).places();
    let whole = directory.path().join("whole");
    fs::rename(&binary, &whole).unwrap();
    for kind in ["zlib", "zstd"] {
        run("objcopy", &[&format!("--compress-debug-sections={kind}"), &whole, &binary]);
        assert_eq!(load_names(&binary, &build_id, &addresses, &[]).places(), plain, "{kind}");
    }
}

/// Everything in a database but the places of symbol files.
fn dump(database: &Path) -> Vec<String> {
    let connection = Connection::open(database).unwrap();
    let tables = [
        "frames",
        "backtrace_frames",
        "tree",
        "tree_inverted",
        "suspects",
        "sites",
        "return_addresses",
    ];
    let mut rows = Vec::new();
    for table in tables {
        let mut query = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let columns = query.column_count();
        let mut found = query.query([]).unwrap();
        while let Some(row) = found.next().unwrap() {
            let values = (0..columns).map(|column| format!("{:?}", row.get_ref(column).unwrap()));
            rows.push(format!("{table} {}", values.collect::<Vec<_>>().join("|")));
        }
    }
    rows
}
