//! The graph of modules: imports read from `use` trees and paths, re-exports followed, ranked per folder.
//!
//! The reader knows lines, comments and braces, not the language: enough for a tree in which every
//! path is written whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::tidy::layout::{none, sources};

/// Which folder below `src` may import which: data flows from left to right. The two contracts import
/// nothing but `safeguards`, the switches with which tests take a safeguard out. `atomic_file` is shared
/// by the two that write files for the user.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("recording", &["safeguards"]),
    ("collector", &["recording", "safeguards"]),
    ("database", &["safeguards"]),
    ("loader", &["recording", "database", "atomic_file", "safeguards"]),
    ("tui", &["database"]),
    ("present", &["database", "atomic_file"]),
    ("atomic_file", &[]),
    ("safeguards", &[]),
];

/// Test support inside the collector, which may look into everything and be asked from anywhere.
const EXEMPT: &str = "testing";

/// Entries of a folder, `mod.rs` not counted, above which a reader no longer sees them at a glance.
const ENTRIES_MAX: usize = 15;

type Path = Vec<String>;

struct Module {
    /// `mod` declarations in their order.
    declared: Vec<String>,
    imports: BTreeSet<Path>,
    /// What a `pub use` offers under another path: name to path.
    reexports: BTreeMap<String, Path>,
}

fn path_of(file: &str) -> Path {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs");
    let inner = inner.trim_end_matches("/mod");
    if inner == "lib" { Vec::new() } else { inner.split('/').map(str::to_owned).collect() }
}

/// Code without comments and without the tests at its end.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let lines = text.lines().map(|line| match line.trim_start().starts_with("//") {
        true => "",
        false => line.split(" // ").next().unwrap_or_default(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths of a `use` tree that begins behind `crate::`, and where it ends.
fn expand(tree: &str, prefix: &[String], into: &mut Vec<Path>) -> usize {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut path = prefix.to_vec();
    let mut at = 0;
    loop {
        let rest = &tree[at..];
        let length = rest.find(|c: char| !is_name(c)).unwrap_or(rest.len());
        if length > 0 {
            path.push(rest[..length].to_owned());
        }
        at += length;
        if !tree[at..].starts_with("::") {
            break;
        }
        at += 2;
        if tree[at..].starts_with('{') {
            at += 1;
            loop {
                at += tree[at..].len() - tree[at..].trim_start_matches([' ', '\n', ',']).len();
                if tree[at..].starts_with('}') || at >= tree.len() {
                    return at + 1;
                }
                at += expand(&tree[at..], &path, into);
            }
        }
    }
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    into.push(path);
    let rest = &tree[at..];
    let alias = rest
        .strip_prefix(" as ")
        .map_or(0, |alias| 4 + alias.find(|c: char| !is_name(c)).unwrap_or(alias.len()));
    at + alias
}

fn crate_paths(code: &str) -> Vec<Path> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let is_whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:$".contains(c));
        if is_whole {
            expand(&code[at + "crate::".len()..], &[], &mut paths);
        }
    }
    paths
}

fn read() -> BTreeMap<Path, Module> {
    let read = |(file, text): (String, String)| {
        let code = code_of(&text);
        let declaration = |line: &str| {
            let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
        };
        let mut reexports = BTreeMap::new();
        for piece in code.split("pub").skip(1) {
            let piece = piece.strip_prefix("(crate)").unwrap_or(piece);
            if let Some(tree) = piece.strip_prefix(" use crate::") {
                let mut paths = Vec::new();
                expand(tree, &[], &mut paths);
                reexports
                    .extend(paths.into_iter().map(|path| (path.last().unwrap().clone(), path)));
            }
        }
        let imports = crate_paths(&code).into_iter().collect();
        let declared = code.lines().filter_map(declaration).collect();
        (path_of(&file), Module { declared, imports, reexports })
    };
    let files = sources("src");
    // Tests in a file of their own may look at everything.
    let tests: BTreeSet<Path> = files
        .iter()
        .flat_map(|(file, text)| {
            let declared = text.split("#[cfg(test)]\nmod ").skip(1);
            let names = declared.filter_map(|rest| rest.lines().next()?.strip_suffix(';'));
            names.map(|name| [path_of(file), vec![name.to_owned()]].concat()).collect::<Vec<_>>()
        })
        .collect();
    let is_product = |file: &String| file != "src/main.rs" && !tests.contains(&path_of(file));
    files.into_iter().filter(|(file, _)| is_product(file)).map(read).collect()
}

/// The module that a path leads into, re-exports followed.
fn resolve(modules: &BTreeMap<Path, Module>, path: &[String]) -> Path {
    let known = (0..=path.len()).rev().find(|&length| modules.contains_key(&path[..length]));
    let module = &path[..known.unwrap_or_default()];
    let name = path.get(module.len());
    let behind = name.and_then(|name| modules.get(module)?.reexports.get(name));
    match behind {
        Some(behind) if behind != path => resolve(modules, behind),
        _ => module.to_vec(),
    }
}

/// Each import from one module to another, whose ways part at the same folder.
fn edges(modules: &BTreeMap<Path, Module>) -> BTreeSet<(Path, Path)> {
    let mut edges = BTreeSet::new();
    for (from, module) in modules {
        for path in &module.imports {
            let to = resolve(modules, path);
            if !from.starts_with(&to) && !to.starts_with(from) {
                edges.insert((from.clone(), to));
            }
        }
    }
    edges.retain(|(from, to)| !from.iter().chain(to).any(|name| name == EXEMPT));
    edges
}

#[test]
fn stages_import_only_contracts() {
    let modules = read();
    let mut errors = Vec::new();
    for (from, to) in edges(&modules) {
        let allowed = MAY_IMPORT.iter().find(|(folder, _)| *folder == from[0]);
        if let Some((folder, allowed)) = allowed
            && to[0] != *folder
            && !allowed.contains(&to[0].as_str())
        {
            errors.push(format!("{} must not import {}", from.join("::"), to.join("::")));
        }
    }
    none(&errors);
}

#[test]
fn modules_import_only_siblings_declared_below_them() {
    let modules = read();
    let mut errors = Vec::new();
    for (from, to) in edges(&modules) {
        let shared = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        let declared = &modules[&from[..shared]].declared;
        let rank = |path: &Path| declared.iter().position(|name| *name == path[shared]);
        if let (Some(own), Some(other)) = (rank(&from), rank(&to))
            && other < own
        {
            let folder = from[..shared].join("::");
            errors.push(format!(
                "in `{folder}`: {} looks up at {}",
                from.join("::"),
                to.join("::")
            ));
        }
    }
    none(&errors);
}

#[test]
fn no_folder_is_too_large_to_be_seen_at_a_glance() {
    let mut errors = Vec::new();
    for (path, module) in read() {
        let entries = module.declared.iter().collect::<BTreeSet<_>>().len();
        if entries > ENTRIES_MAX {
            errors.push(format!("src/{}: {entries} modules on one level", path.join("/")));
        }
    }
    none(&errors);
}

#[test]
fn use_trees_are_read_whole() {
    let text =
        "use crate::a::{self, b::{C, d as e}, f};\nlet x = crate::g::h(); // crate::i\nmacrate::j;";
    let paths: Vec<String> =
        crate_paths(&code_of(text)).iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["a", "a::b::C", "a::b::d", "a::f", "g::h"]);
}
