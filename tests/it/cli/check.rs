//! `rheaper check` guards the leaky example: it fails with the leak and passes after the fix.

use std::path::PathBuf;

use crate::cli::commands::Place;
use crate::support::programs::run;

/// Cargo builds the examples together with the tests.
pub(crate) fn example(name: &str) -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_rheaper"));
    binary.parent().unwrap().join("examples").join(name)
}

/// The one recording in the directory.
pub(crate) fn recording(place: &Place) -> String {
    let files = std::fs::read_dir(place.directory.path()).unwrap();
    let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("rip-")).collect::<Vec<_>>().pop().unwrap()
}

#[test]
fn check_guards_the_leaky_server() {
    for (arguments, code) in [(&["2"][..], 1), (&["2", "fixed"][..], 0)] {
        let place = Place::new(5);
        let ran = run(&example("leaky_server"), arguments, place.directory.path());
        assert!(ran.status.success(), "{ran:?}");
        let loaded = place.run(&[recording(&place).as_str(), "server.db"]);
        assert_eq!(loaded.code, 0, "{}", loaded.err);
        let pattern = r"pattern=\bnote$";
        let check = [
            "check",
            "server.db",
            "--query",
            "through",
            "-p",
            pattern,
            "--max-bytes",
            "12K",
            "--format",
            "csv",
        ];
        let checked = place.run(&check);
        assert_eq!(checked.code, code, "{arguments:?}: {}{}", checked.out, checked.err);
        assert_eq!(checked.out.is_empty(), code == 0, "{}", checked.out);
    }
}
