//! What a newcomer gets: the documents, their links, and the published package.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package's files together, unpacked.
const PACKAGE_BYTES_MAX: u64 = 4 << 20;

/// One of them, the lock file aside.
const FILE_BYTES_MAX: u64 = 200_000;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document, from the root.
fn documents() -> Vec<PathBuf> {
    let shelves = ["docs", "docs/guide", "docs/reference", "docs/internals"];
    let in_docs = shelves.iter().flat_map(|shelf| {
        fs::read_dir(root().join(shelf)).unwrap().map(|entry| entry.unwrap().path())
    });
    let at_root = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    let at_root = at_root.map(|name| root().join(name));
    let mut all: Vec<_> = in_docs
        .chain(at_root)
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    all.sort();
    all
}

/// The targets of a document's links.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if !is_code {
            let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            links.extend(targets.map(|(target, _)| target.to_owned()));
        }
    }
    links
}

#[test]
fn the_index_names_every_document() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let named: BTreeSet<String> = links(&index).into_iter().collect();
    for document in documents() {
        let name = document.file_name().unwrap().to_string_lossy().into_owned();
        let below_docs = document.strip_prefix(root().join("docs"));
        let Ok(path) = below_docs.map(|path| path.to_string_lossy().into_owned()) else { continue };
        assert!(name == "README.md" || named.contains(&path), "{path}");
    }
}

#[test]
fn links_lead_to_files_that_are_there() {
    let mut checked = 0;
    // A changelog speaks of what was there at its time.
    for document in documents().iter().filter(|path| !path.ends_with("CHANGELOG.md")) {
        for link in links(&fs::read_to_string(document).unwrap()) {
            let path = link.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = document.parent().unwrap().join(path);
            assert!(target.exists(), "{}: {link}", document.display());
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

/// Each command of `--help` stands in the README or in a document that its index names.
#[test]
fn every_command_is_in_a_document() {
    let help = Command::new(env!("CARGO_BIN_EXE_rheaper")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() > 10, "{help}");
    let text: String = documents()
        .iter()
        .filter(|path| !path.ends_with("CHANGELOG.md"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    for command in commands {
        assert!(text.contains(&format!("rheaper {command}")), "rheaper {command}");
    }
}

#[test]
fn the_package_has_what_is_needed_and_nothing_else() {
    let listed = Command::new(env!("CARGO"))
        .args(["package", "--list", "--allow-dirty", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    let files: BTreeSet<&str> = listed.lines().collect();
    let allowed = [
        ".cargo_vcs_info.json",
        ".gitignore",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "Cargo.toml.orig",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "build.rs",
        "clippy.toml",
        "docs",
        "examples",
        "queries",
        "rustfmt.toml",
        "src",
    ];
    let mut bytes = 0;
    for file in &files {
        let top = file.split('/').next().unwrap();
        assert!(allowed.contains(&top), "{file} is not for those who use the crate");
        // What cargo makes itself is not here.
        let size = fs::metadata(root().join(file)).map_or(0, |file| file.len());
        assert!(size <= FILE_BYTES_MAX || *file == "Cargo.lock", "{file}: {size} bytes");
        bytes += size;
    }
    assert!(bytes <= PACKAGE_BYTES_MAX, "{bytes}");
    // Whatever the source takes in at compile time, and what the manifest names.
    for needed in ["README.md", "LICENSE", "build.rs", "src/lib.rs", "src/main.rs"] {
        assert!(files.contains(needed), "{needed}");
    }
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let directory = Path::new(file).parent().unwrap();
        for taken in ["include_str!(\"", "include_bytes!(\""] {
            for rest in text.split(taken).skip(1) {
                let Some((path, _)) = rest.split_once('"') else { continue };
                let mut place: Vec<&str> =
                    directory.iter().map(|part| part.to_str().unwrap()).collect();
                for part in path.split('/') {
                    match part {
                        ".." => drop(place.pop()),
                        part => place.push(part),
                    }
                }
                assert!(files.contains(place.join("/").as_str()), "{file} takes {path} in");
            }
        }
    }
    let queries = fs::read_dir(root().join("queries")).unwrap().count();
    assert_eq!(files.iter().filter(|file| file.starts_with("queries/")).count(), queries);
}
