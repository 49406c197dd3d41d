//! Sets the kind and the crate of all frames together.
//!
//! Known source files decide. Frames without a file have the kind of most frames of their crate that
//! have one. Without any file, the crates with a function `main` are own.

use std::collections::{BTreeSet, HashMap};

use crate::loader::read::modules::Module;
use crate::loader::symbols::kind::{Kind, is_recorder};
use crate::loader::symbols::namespace::{self, Owner};
use crate::loader::symbols::origin::{self, Origin};
use crate::loader::symbols::rules::Rules;
use crate::loader::symbols::{Frame, Symbols};

/// Modules of the C library, the dynamic linker and allocators, by prefixes of their names.
const RUNTIME_OBJECTS: [&str; 14] = [
    "libc.",
    "libc-",
    "ld-",
    "ld.",
    "libpthread",
    "libdl.",
    "libdl-",
    "libm.",
    "librt.",
    "libgcc_s.",
    "linux-vdso",
    "[vdso]",
    "libjemalloc",
    "libmimalloc",
];

/// Modules of the C++ standard library.
const STD_OBJECTS: [&str; 3] = ["libstdc++.", "libc++.", "libc++abi."];

/// Allocation functions of C.
const ALLOCATING: [&str; 10] = [
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "free",
    "memalign",
    "aligned_alloc",
    "posix_memalign",
    "valloc",
    "pvalloc",
];

/// Sets the kind and the crate of all frames that have a name.
pub(crate) fn classify_all(symbols: &mut Symbols, modules: &[Module], rules: &Rules) {
    let known = Known::of(symbols, modules);
    let decided: Vec<_> =
        symbols.frames.iter().zip(&symbols.is_rust).map(|it| known.decide(it.0, *it.1)).collect();
    for (frame, (kind, krate)) in symbols.frames.iter_mut().zip(decided) {
        (frame.kind, frame.krate) = (kind, krate);
        let module = frame.module.map_or("", |at| modules[at as usize].shown.as_str());
        if let Some(kind) = rules.of(frame, module) {
            frame.kind = kind;
        }
    }
}

/// Facts about all frames.
struct Known<'a> {
    modules: &'a [Module],
    /// Whether the executable has Rust code; without an executable, whether any module has.
    program_is_rust: bool,
    origins: HashMap<&'a str, Origin>,
    /// By crate: the number of frames in own files, in those of dependencies, and in those of the language.
    votes: HashMap<&'a str, [u32; 3]>,
    /// Crates with a function `main`.
    mains: BTreeSet<&'a str>,
    /// Crates by own file, for inlined functions without a crate in their names.
    crates_of_files: HashMap<&'a str, &'a str>,
}

impl<'a> Known<'a> {
    fn of(symbols: &'a Symbols, modules: &'a [Module]) -> Self {
        let frames = || symbols.frames.iter().zip(&symbols.is_rust);
        let in_main = |frame: &Frame| frame.module.is_some_and(|at| modules[at as usize].main);
        let has_main = frames().any(|(frame, _)| in_main(frame));
        let program_is_rust =
            frames().any(|(frame, is_rust)| *is_rust && (in_main(frame) || !has_main));
        let mains: Vec<_> =
            frames().filter_map(|(frame, is_rust)| main_of(frame, *is_rust)).collect();
        // Prefer the `main` of a program to one in a library.
        let is_marked = |file: &str| matches!(origin::of(file, None), Origin::Dependency(_));
        let files = || mains.iter().filter_map(|(_, file)| *file);
        let main = files().find(|file| !is_marked(file)).or_else(|| files().next());
        let mut origins = HashMap::new();
        for file in symbols.frames.iter().filter_map(|frame| frame.file.as_deref()) {
            origins.entry(file).or_insert_with(|| origin::of(file, main));
        }
        let mains = mains.iter().filter(|(_, file)| file.is_none() || *file == main);
        let mut known = Self {
            modules,
            program_is_rust,
            origins,
            votes: HashMap::new(),
            mains: mains.filter_map(|(krate, _)| *krate).collect(),
            crates_of_files: HashMap::new(),
        };
        for (frame, is_rust) in frames() {
            if *is_rust && frame.kind != Kind::Unknown {
                known.count(frame);
            }
        }
        known
    }

    fn count(&mut self, frame: &'a Frame) {
        let (Some(krate), Some(file)) = (plain_crate(&frame.sym), frame.file.as_deref()) else {
            return;
        };
        let column = match self.origins.get(file) {
            Some(Origin::Own) => 0,
            Some(Origin::Dependency(_)) => 1,
            Some(Origin::Std(_)) => 2,
            Some(Origin::Generated) | None => return,
        };
        self.votes.entry(krate).or_default()[column] += 1;
        if column == 0 {
            self.crates_of_files.entry(file).or_insert(krate);
        }
    }

    /// The kind of a crate.
    fn crate_kind(&self, krate: &str) -> Kind {
        if origin::is_language(krate) {
            return Kind::Std;
        }
        match self.votes.get(krate) {
            Some([own, dependency, std]) if own >= dependency && own >= std => Kind::Own,
            Some([_, dependency, std]) if dependency >= std => Kind::Dependency,
            Some(_) => Kind::Std,
            None if self.mains.contains(krate) => Kind::Own,
            None if self.knows_own() => Kind::Dependency,
            None => Kind::Own,
        }
    }

    /// Whether any crate is known to be own.
    fn knows_own(&self) -> bool {
        !self.mains.is_empty() || self.votes.values().any(|votes| votes[0] > 0)
    }

    fn decide(&self, frame: &Frame, is_rust: bool) -> (Kind, Option<String>) {
        if frame.kind == Kind::Unknown {
            return (Kind::Unknown, None);
        }
        let origin = frame.file.as_deref().and_then(|file| self.origins.get(file));
        if !is_rust {
            return (self.of_other(frame, origin), None);
        }
        let kind = self.of_rust(frame, origin);
        (kind, self.krate(frame, kind, origin))
    }

    fn of_rust(&self, frame: &Frame, origin: Option<&Origin>) -> Kind {
        if is_recorder(frame) {
            return Kind::Runtime;
        }
        let plain = plain_crate(&frame.sym);
        // The file of a macro may belong to another crate than the function that uses it.
        let known = plain
            .filter(|krate| !origin::is_language(krate) && self.votes.contains_key(krate))
            .map(|krate| self.crate_kind(krate));
        match origin {
            Some(Origin::Own) => return Kind::Own,
            Some(Origin::Dependency(_)) if known == Some(Kind::Own) => return Kind::Own,
            Some(Origin::Dependency(_)) => return Kind::Dependency,
            Some(Origin::Std(_)) => return known.unwrap_or(Kind::Std),
            Some(Origin::Generated) | None => {}
        }
        let kinds: Vec<_> = crates(&frame.sym).map(|krate| self.crate_kind(krate)).collect();
        [Kind::Own, Kind::Dependency, Kind::Std]
            .into_iter()
            .find(|kind| kinds.contains(kind))
            .unwrap_or(Kind::Own)
    }

    /// The kind of a function that is not Rust.
    fn of_other(&self, frame: &Frame, origin: Option<&Origin>) -> Kind {
        let module = frame.module.map(|at| &self.modules[at as usize]);
        let object = module.map_or("", |it| it.shown.rsplit('/').next().unwrap_or(&it.shown));
        let begins = |names: &[&str]| names.iter().any(|name| object.starts_with(name));
        let is_main = module.is_some_and(|module| module.main);
        let name = frame.sym.as_str();
        if begins(&RUNTIME_OBJECTS) || ALLOCATING.contains(&name) {
            return Kind::Runtime;
        }
        let by_file = || frame.file.as_deref().map_or(Owner::Other, namespace::owner_of_file);
        let owner = Some(namespace::owner(name)).filter(|owner| *owner != Owner::Other);
        match owner.unwrap_or_else(by_file) {
            Owner::Standard => return Kind::Std,
            Owner::Foundation => return Kind::Dependency,
            Owner::Other => {}
        }
        if begins(&STD_OBJECTS) || matches!(origin, Some(Origin::Std(_))) {
            return Kind::Std;
        }
        let is_entry = name == "main" && frame.file.is_none() && self.program_is_rust;
        if is_entry || is_reserved(name) {
            return Kind::Runtime;
        }
        match origin {
            Some(Origin::Dependency(_)) => Kind::Dependency,
            Some(_) if is_main || module.is_none() => Kind::Own,
            _ if is_main && !self.program_is_rust => Kind::Own,
            _ => Kind::Dependency,
        }
    }

    /// The crate of a frame: of those in its name, the one of the frame's kind.
    fn krate(&self, frame: &Frame, kind: Kind, origin: Option<&Origin>) -> Option<String> {
        let of_origin = match origin {
            Some(Origin::Dependency(Some(krate)) | Origin::Std(Some(krate))) => {
                Some(krate.as_str())
            }
            _ => None,
        };
        let file = frame.file.as_deref().unwrap_or_default();
        crates(&frame.sym)
            .find(|krate| of_origin == Some(krate))
            .or_else(|| crates(&frame.sym).find(|krate| self.crate_kind(krate) == kind))
            .or_else(|| crates(&frame.sym).next())
            .or(of_origin)
            .or_else(|| self.crates_of_files.get(file).copied())
            .map(str::to_owned)
    }
}

/// The crate and the file of a program's `main`. That of C has no crate, and counts only if its file
/// is known.
fn main_of(frame: &Frame, is_rust: bool) -> Option<(Option<&str>, Option<&str>)> {
    let file = frame.file.as_deref();
    match frame.sym.split_once("::") {
        Some((krate, rest))
            if is_rust
                && (rest == "main" || rest.starts_with("main::{"))
                && plain_crate(&frame.sym) == Some(krate)
                && !origin::is_language(krate) =>
        {
            Some((Some(krate), file))
        }
        None if frame.sym == "main" && file.is_some() => Some((None, file)),
        _ => None,
    }
}

/// The crate that a path begins with; `None` if a type comes first.
fn plain_crate(sym: &str) -> Option<&str> {
    if sym.starts_with('<') { None } else { first_segment(sym) }
}

/// The crates that a name begins with: that of the type, and that of the trait if there is one.
fn crates(sym: &str) -> impl Iterator<Item = &str> {
    let (one, other) = match sym.strip_prefix('<').and_then(inside) {
        Some(inside) => match split_as(inside) {
            Some((of_type, of_trait)) => (of_type, Some(of_trait)),
            None => (inside, None),
        },
        None => (sym, None),
    };
    [Some(one), other].into_iter().flatten().filter_map(first_segment)
}

/// The text before the closing bracket.
fn inside(text: &str) -> Option<&str> {
    at_depth(text, -1, ">").map(|index| &text[..index])
}

/// `type as trait`
fn split_as(text: &str) -> Option<(&str, &str)> {
    at_depth(text, 0, " as ").map(|index| (&text[..index], &text[index + " as ".len()..]))
}

/// The index of a text at a depth of brackets; a closing bracket has the depth after it.
fn at_depth(text: &str, depth: i32, wanted: &str) -> Option<usize> {
    let mut at = 0;
    let mut previous = b' ';
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'<' | b'(' | b'[' => at += 1,
            b'>' if previous == b'-' => {}
            b'>' | b')' | b']' => at -= 1,
            _ => {}
        }
        if at == depth && text.as_bytes()[index..].starts_with(wanted.as_bytes()) {
            return Some(index);
        }
        previous = byte;
    }
    None
}

/// `&mut [my::T]` → `my`; `None` for a path of one segment.
fn first_segment(path: &str) -> Option<&str> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let skip = |text: &'static [&str], rest| {
        text.iter().fold(rest, |rest: &str, word| rest.strip_prefix(word).unwrap_or(rest))
    };
    let start = path.trim_start_matches(|c| !is_word(c));
    let start = skip(&["mut ", "const ", "dyn "], start).trim_start_matches(|c| !is_word(c));
    let (segment, rest) = start.split_at(start.find(|c| !is_word(c))?);
    // Compilers distinguish crates of one name as `alloc[0123456789abcdef]`.
    let rest = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((hash, rest)) if hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => rest,
    };
    (rest.starts_with("::") && !segment.is_empty()).then_some(segment)
}

/// Whether a name is reserved in C.
fn is_reserved(name: &str) -> bool {
    let mut letters = name.chars();
    let is_one =
        letters.next() == Some('_') && letters.next().is_some_and(|c| c == '_' || c.is_uppercase());
    is_one && !name.contains("::") || name == "_start" || name == "_init" || name == "_fini"
}

#[cfg(test)]
mod tests {
    use crate::loader::symbols::classify::{crates, plain_crate};

    #[test]
    fn the_crates_of_a_name_are_those_of_type_and_trait() {
        let cases: &[(&str, Option<&str>, &[&str])] = &[
            ("app::cache::insert", Some("app"), &["app"]),
            ("<alloc::vec::Vec<app::T> as core::clone::Clone>::clone", None, &["alloc", "core"]),
            ("<app::Server as app::Run>::run::{closure#0}", None, &["app", "app"]),
            ("<&mut [app::T]>::go", None, &["app"]),
            ("<fn(u8) -> app::T as core::ops::FnOnce<(u8,)>>::call_once", None, &["core"]),
            ("<(dyn app::Trait + core::marker::Send)>::go", None, &["app"]),
            ("<T as app::Trait>::go", None, &["app"]),
            ("main", None, &[]),
        ];
        for (sym, plain, expected) in cases {
            assert_eq!(plain_crate(sym), *plain, "{sym}");
            let found: Vec<_> = crates(sym).collect();
            assert_eq!(found, *expected, "{sym}");
        }
    }
}
