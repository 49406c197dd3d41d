//! A source file's path → whose code it is, as far as a path tells.
//!
//! Reads: paths as compilers wrote them, also remapped ones. Writes: a [`Origin`].
//!
//! Package managers leave marks in a path: Cargo's registry and checkouts, a folder of vendored
//! packages, a folder that is named by a package and its version. A mark that the program's own
//! `main` has in its path as well (a release that was unpacked, `cargo install`) tells nothing.

/// Whose file it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No mark of anybody else.
    Own,
    /// A package manager put it there; the package, where the path names it.
    Dependency(Option<String>),
    /// The language's own libraries; the crate, where the path names it.
    Std(Option<String>),
    /// Made while building, for whoever was built.
    Generated,
}

/// Folders that hold packages of others, one folder a package.
const VENDORED: [&str; 8] = [
    "vendor",
    "vendored",
    "third_party",
    "third-party",
    "thirdparty",
    "3rdparty",
    "node_modules",
    "cargo-vendor-dir",
];

/// Where system packages put headers.
const HEADERS: [&[&str]; 3] =
    [&["usr", "include"], &["usr", "local", "include"], &["opt", "homebrew", "include"]];

/// Crates of the language itself, as they are called in its source tree and in names.
const LANGUAGE: [&str; 13] = [
    "core",
    "alloc",
    "std",
    "proc_macro",
    "test",
    "panic_unwind",
    "panic_abort",
    "unwind",
    "std_detect",
    "compiler_builtins",
    "profiler_builtins",
    "__rustc",
    "__rustc_alloc_error_handler",
];

/// Whether a crate is a part of the language.
pub(crate) fn is_language(krate: &str) -> bool {
    LANGUAGE.contains(&krate)
}

/// Whose file it is, seen from the file that `main` is in, if that is known.
pub(crate) fn of(file: &str, main: Option<&str>) -> Origin {
    let path: Vec<&str> = components(file);
    if let Some(origin) = std_origin(&path) {
        return origin;
    }
    if path.windows(3).any(|part| {
        part[0] == "build" && part[2] == "out" && has_suffix(part[1], |hash| is_hex(hash, 16))
    }) {
        return Origin::Generated;
    }
    let rest = main.map_or(path.as_slice(), |main| seen_from(&path, &components(main)));
    dependency(rest).map_or(Origin::Own, Origin::Dependency)
}

fn components(path: &str) -> Vec<&str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect()
}

/// What of a path is not also the path of `main`: nothing for what lies in the folder of its
/// sources.
fn seen_from<'a, 'b>(path: &'b [&'a str], main: &[&str]) -> &'b [&'a str] {
    let folder = &main[..main.len().saturating_sub(1)];
    let sources = match folder {
        [.., "src"] => Some(folder),
        [package @ .., "bin"] | [package @ .., "bin", _] if package.ends_with(&["src"]) => {
            Some(package)
        }
        _ => None,
    };
    if sources.is_some_and(|sources| path.starts_with(sources)) {
        return &path[path.len()..];
    }
    let shared = path.iter().zip(folder).take_while(|(one, other)| one == other).count();
    &path[shared..]
}

fn std_origin(path: &[&str]) -> Option<Origin> {
    let named = |krate: Option<&&str>| Some(Origin::Std(krate.map(|it| (*it).replace('-', "_"))));
    for (index, part) in path.iter().enumerate() {
        let behind = &path[index + 1..];
        match (*part, behind) {
            // `/rustc/<commit>/library/alloc/src/…`
            ("rustc", [hash, "library", rest @ ..]) if is_hex(hash, 1) => {
                return named(rest.first());
            }
            ("rustc", [hash, ..]) if is_hex(hash, 7) => return named(None),
            // What the language's own libraries depend on.
            ("rust", ["deps", package, _, ..]) => return named(Some(&package_name(package))),
            ("rustlib", ["src", "rust", "library", rest @ ..]) => return named(rest.first()),
            ("library", [krate, "src", _, ..]) if is_language(&krate.replace('-', "_")) => {
                return named(Some(krate));
            }
            ("include", rest) if rest.iter().take(3).any(|it| *it == "c++") => return named(None),
            _ if part.starts_with("libstdc++") && !behind.is_empty() => return named(None),
            _ => {}
        }
    }
    None
}

/// The package that a path is in, if it is one of somebody else's.
#[allow(clippy::option_option, reason = "a package, and its name where that is known")]
fn dependency(path: &[&str]) -> Option<Option<String>> {
    let named = |package: &str| Some(Some(package_name(package).replace('-', "_")));
    for headers in HEADERS {
        if path.starts_with(headers) {
            return Some(None);
        }
    }
    for (index, part) in path.iter().enumerate() {
        let behind = &path[index + 1..];
        match (*part, behind) {
            ("registry", ["src", _, package, _, ..]) => return named(package),
            ("cargo", ["registry", package, _, ..]) if *package != "src" => {
                return named(package);
            }
            ("git", ["checkouts", _, _, _, ..]) => return Some(None),
            (checkout, [commit, _, ..])
                if has_suffix(checkout, |hash| is_hex(hash, 16)) && is_hex(commit, 7) =>
            {
                return Some(None);
            }
            (folder, [package, _, ..]) if is_vendor(folder) && *package != "src" => {
                // A module of a program that deals with vendors is not meant.
                let is_module = path[..index].contains(&"src") && !behind.contains(&"src");
                if !is_module {
                    let versioned = behind.iter().take(2).find(|it| is_versioned(it));
                    return named(versioned.unwrap_or(package));
                }
            }
            (package, [_, ..]) if is_versioned(package) => return named(package),
            _ => {}
        }
    }
    None
}

fn is_vendor(folder: &str) -> bool {
    VENDORED.contains(&folder) || folder.ends_with("-vendor-cargo-deps")
}

/// `serde-1.0.219`
fn is_versioned(folder: &str) -> bool {
    package_name(folder).len() < folder.len()
}

/// The name without the version.
fn package_name(folder: &str) -> &str {
    folder
        .match_indices('-')
        .find(|(index, _)| *index > 0 && is_version(&folder[index + 1..]))
        .map_or(folder, |(index, _)| &folder[..index])
}

/// `1.0`, `v1.2.3-rc.1+4`
fn is_version(text: &str) -> bool {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut numbers = text.splitn(3, '.');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| !part.is_empty() && part.bytes().all(|it| it.is_ascii_digit()))
    };
    let starts = |part: Option<&str>| part.is_some_and(|it| it.starts_with(char::is_numeric));
    is_number(numbers.next()) && starts(numbers.next())
}

/// Whether what follows the last `-` is as it must be.
fn has_suffix(name: &str, is_so: impl Fn(&str) -> bool) -> bool {
    name.rsplit_once('-').is_some_and(|(_, suffix)| is_so(suffix))
}

/// Whether it is a hexadecimal number of so many digits or more.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() >= digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use crate::loader::symbols::origin::{Origin, of};

    const REGISTRY: &str = "/home/u/.cargo/registry/src/index.crates.io-1949";

    fn own() -> Origin {
        Origin::Own
    }

    fn dependency(package: &str) -> Origin {
        Origin::Dependency(Some(package.to_owned()))
    }

    fn std(krate: &str) -> Origin {
        Origin::Std(Some(krate.to_owned()))
    }

    fn check(cases: &[(&str, Origin)], main: Option<&str>) {
        for (file, expected) in cases {
            assert_eq!(of(file, main), *expected, "{file} seen from {main:?}");
        }
    }

    #[test]
    fn package_managers_leave_marks_in_a_path() {
        let registry = format!("{REGISTRY}/serde_json-1.0.1/src/de.rs");
        let cases = [
            ("src/main.rs", own()),
            ("/home/u/app/src/main.rs", own()),
            ("/usr/src/app/crates/core/src/lib.rs", own()),
            (registry.as_str(), dependency("serde_json")),
            (
                "/usr/local/cargo/registry/src/github.com-1ecc/aho-corasick-1.1.3/src/a.rs",
                dependency("aho_corasick"),
            ),
            ("/usr/share/cargo/registry/regex-1.10.2/src/lib.rs", dependency("regex")),
            (
                "/home/u/.cargo/git/checkouts/oxc-0a5f8d1cfb2a9d0b/1a2b3c4/crates/a/src/l.rs",
                Origin::Dependency(None),
            ),
            // `trim-paths`, and prefixes that were mapped away.
            ("tokio-1.38.0/src/runtime/mod.rs", dependency("tokio")),
            ("/deps/windows-sys-0.52.0+1/src/lib.rs", dependency("windows_sys")),
            ("/build/vendor/regex-automata/src/dfa.rs", dependency("regex_automata")),
            ("/usr/src/app/vendor/foo/src/lib.rs", dependency("foo")),
            (
                "/nix/store/0c7h-app-vendor-cargo-deps/c19b/bytes-1.6.0/src/b.rs",
                dependency("bytes"),
            ),
            ("/build/cargo-vendor-dir/bytes-1.6.0/src/b.rs", dependency("bytes")),
            ("third_party/abseil/base/a.cc", dependency("abseil")),
            ("/usr/include/boost/asio.hpp", Origin::Dependency(None)),
            // Own code that only looks like it.
            ("/srv/shop/src/vendor/list/rows.rs", own()),
            ("/srv/shop/crates/vendor/src/lib.rs", own()),
            ("/srv/shop/vendor.rs", own()),
            ("/srv/release-2024/src/main.rs", own()),
            ("/home/u/app/target/debug/build/app-0123456789abcdef/out/gen.rs", Origin::Generated),
        ];
        check(&cases, None);
    }

    #[test]
    fn marks_that_main_has_as_well_tell_nothing() {
        let unpacked = "/build/ripgrep-14.1.0/crates/core/main.rs";
        let cases = [
            ("/build/ripgrep-14.1.0/crates/searcher/src/lib.rs", own()),
            ("/build/ripgrep-14.1.0/vendor/bstr/lib.rs", dependency("bstr")),
        ];
        check(&cases, Some(unpacked));
        let installed = "/c/registry/src/i-1/fd-find-10.2.0/src/main.rs";
        let cases = [
            ("/c/registry/src/i-1/fd-find-10.2.0/src/walk.rs", own()),
            ("/c/registry/src/i-1/ignore-0.4.23/src/walk.rs", dependency("ignore")),
        ];
        check(&cases, Some(installed));
        let checkout = "/c/git/checkouts/app-1a5f8d1cfb2a9d0b/9a2b3c4/src/main.rs";
        let other = "/c/git/checkouts/dep-0a5f8d1cfb2a9d0b/1a2b3c4/src/l.rs";
        check(&[(other, Origin::Dependency(None))], Some(checkout));
        for main in ["/srv/shop/src/main.rs", "/srv/shop/src/bin/shop.rs"] {
            check(&[("/srv/shop/src/vendor/list.rs", own())], Some(main));
        }
    }

    #[test]
    fn the_languages_own_libraries_are_known_by_their_paths() {
        let cases = [
            (
                "/rustc/f6e511eec7342f59a25f7c0534f1dbea00d01b14/library/alloc/src/vec/mod.rs",
                std("alloc"),
            ),
            (
                "/home/u/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/a.rs",
                std("core"),
            ),
            ("/usr/src/rustc-1.63.0/library/std/src/io/mod.rs", std("std")),
            ("/rust/deps/hashbrown-0.15.2/src/raw/mod.rs", std("hashbrown")),
            ("/usr/include/c++/12/bits/stl_vector.h", Origin::Std(None)),
            ("/home/u/app/library/core/rows.rs", own()),
        ];
        check(&cases, None);
    }
}
