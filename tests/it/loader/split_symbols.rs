//! Split DWARF: its parts are found wherever they are kept, and without them no line is shown that
//! is another function's. Files of another build are told apart from none.

use std::fs;
use std::path::{Path, PathBuf};

use crate::loader::symbols::{Named, compile, contents, load_names, run};

/// The split program with its parts where the compiler puts them, and what it says then.
struct Program {
    directory: tempfile::TempDir,
    binary: PathBuf,
    build_id: Vec<u8>,
    addresses: Vec<u64>,
    whole: Named,
}

fn program(how: &str) -> Program {
    let split = format!("-Csplit-debuginfo={how}");
    let (directory, binary) = compile(&["-Cdebuginfo=2", &split]);
    let (build_id, addresses) = contents(&binary);
    let whole = load_names(&binary, &build_id, &addresses, &[]);
    assert_eq!(whole.state(), "resolved");
    assert!(whole.summary.symbols.notes.is_empty(), "{how}: {:?}", whole.summary.symbols.notes);
    Program { directory, binary, build_id, addresses, whole }
}

fn parts(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|it| it == "dwo" || it == "dwp")).collect()
}

/// Splits `program.debug` off, and leaves a stripped binary.
fn strip(binary: &Path) -> PathBuf {
    let debug = binary.with_extension("debug");
    run("objcopy", &[&"--only-keep-debug", &binary, &debug]);
    run("objcopy", &[&"--strip-all", &binary]);
    debug
}

#[test]
fn the_parts_of_split_debug_information_are_found_by_every_custom() {
    for how in ["packed", "unpacked"] {
        let program = program(how);
        let debug = strip(&program.binary);
        let kept = tempfile::tempdir().unwrap();
        for part in parts(program.directory.path()) {
            fs::rename(&part, kept.path().join(part.file_name().unwrap())).unwrap();
        }
        let check = |place: &Path, names: &[&str], symbols: &[PathBuf], what: &str| {
            let mut put = Vec::new();
            for (index, part) in parts(kept.path()).into_iter().enumerate() {
                let own = part.file_name().unwrap().to_str().unwrap().to_owned();
                let to = place.join(names.get(index).copied().unwrap_or(&own));
                fs::copy(&part, &to).unwrap();
                put.push(to);
            }
            let Program { binary, build_id, addresses, whole, .. } = &program;
            let named = load_names(binary, build_id, addresses, symbols);
            assert_eq!(named.places(), whole.places(), "{how}, {what}");
            assert!(
                named.summary.symbols.notes.is_empty(),
                "{what}: {:?}",
                named.summary.symbols.notes
            );
            put.into_iter().for_each(|part| fs::remove_file(part).unwrap());
        };
        let beside = program.directory.path();
        let elsewhere = tempfile::tempdir().unwrap();
        let given = elsewhere.path().to_owned();
        let copy = given.join("program.debug");
        fs::copy(&debug, &copy).unwrap();
        check(beside, &[], std::slice::from_ref(&debug), "beside the debug file");
        check(&given, &[], std::slice::from_ref(&given), "in the directory given");
        check(&given, &[], std::slice::from_ref(&copy), "beside the file given");
        check(beside, &[], std::slice::from_ref(&copy), "beside the stripped binary");
        if how == "packed" {
            check(&given, &["program.debug.dwp"], &[copy], "named after the debug file");
        }
    }
}

#[test]
fn without_its_parts_no_line_is_another_function_s() {
    for how in ["packed", "unpacked"] {
        let program = program(how);
        parts(program.directory.path()).into_iter().for_each(|part| fs::remove_file(part).unwrap());
        let Program { binary, build_id, addresses, whole, .. } = &program;
        let named = load_names(binary, build_id, addresses, &[]);
        let notes = &named.summary.symbols.notes;
        assert!(notes.iter().any(|note| note.contains("split")), "{how}: {notes:?}");
        let (places, whole) = (named.places(), whole.places());
        let mut without_lines = 0;
        for (address, places) in &places {
            without_lines += usize::from(places.iter().all(|place| place.2.is_none()));
            for place in places.iter().filter(|place| place.2.is_some()) {
                assert!(whole[address].contains(place), "{how}, {address:#x}: {place:?}");
            }
        }
        assert!(without_lines > 0, "{how}");
    }
}

#[test]
fn a_file_of_another_build_is_named_with_both_build_ids() {
    let (_first, binary) = compile(&["-g"]);
    let (other, _) = compile(&["-g", "-Copt-level=2"]);
    let (build_id, addresses) = contents(&binary);
    let (other_id, _) = contents(&other.path().join("program"));
    fs::remove_file(&binary).unwrap();
    let named = load_names(&binary, &build_id, &addresses, &[other.path().to_owned()]);
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let [note] = &named.summary.symbols.notes[..] else {
        panic!("{:?}", named.summary.symbols.notes)
    };
    assert!(note.contains(&hex(&build_id)) && note.contains(&hex(&other_id)), "{note}");
}
