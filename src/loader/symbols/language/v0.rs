//! Rust's v0 mangling, also of names that no demangler writes out.
//!
//! `rustc-demangle` stops after a million characters or 500 nested types, both of which programs
//! with layers of middleware reach; the method, which stands last, is then missing. Such a name is
//! read here without its type arguments: those are skipped, not written, so that no name is too
//! long or too deep.
//!
//! Invariant: work is bounded by the symbol's length, except for back references in the path
//! itself, of which at most [`JUMPS_MAX`] are followed.

use crate::loader::symbols::language::{Language, Words, rust};

/// Back references and nested paths that are followed.
const JUMPS_MAX: u32 = 200;

/// How much is kept of what `rustc-demangle` writes before it gives up.
const HEAD_CHARS: usize = 1_000;

/// The words of a name that begins with `_R`; `None` if it is none.
pub(crate) fn mangled(symbol: &str) -> Option<Words> {
    let written = rustc_demangle::try_demangle(symbol).ok().map(|name| format!("{name:#}"));
    let is_whole = |text: &String| {
        !["{size limit reached}", "{recursion limit reached}"]
            .iter()
            .any(|mark| text.contains(mark))
    };
    if let Some(whole) = written.as_ref().filter(|text| is_whole(text)) {
        return Some(rust::words(whole.clone()));
    }
    let start = if symbol.starts_with("__R") { 3 } else { 2 };
    let mut walk = Walk { text: symbol.as_bytes(), start, at: start, jumps: 0 };
    let path = walk.path()?;
    let is_end = |walk: &Walk<'_>| matches!(walk.peek(), None | Some(b'.'));
    // Behind the path may stand that of the crate which made the copy.
    if !is_end(&walk) && (walk.skip(&[Part::Path]).is_none() || !is_end(&walk)) {
        return None;
    }
    let short = rust::short(&path);
    let whole = match written {
        Some(text) => format!("{}…{path}", text.chars().take(HEAD_CHARS).collect::<String>()),
        None => path,
    };
    Some(Words { language: Language::Rust, whole, identity: Some(symbol.to_owned()), short })
}

/// Something that is still to be skipped.
#[derive(Clone, Copy)]
enum Part {
    Path,
    Type,
    Const,
    Argument,
    /// An identifier.
    Word,
    /// The number in front of an implementation's path.
    Number,
    /// A trait with the types that are bound to its names.
    Trait,
    /// Those types.
    Bounds,
    /// Any number of these, up to an `E`.
    Many(&'static Part),
    /// The named constants of a structure, up to an `E`.
    Fields,
    /// A lifetime.
    Lifetime,
    Pattern,
}

struct Walk<'a> {
    text: &'a [u8],
    /// Origin of back references.
    start: usize,
    at: usize,
    jumps: u32,
}

impl<'a> Walk<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    /// A number in base 62, `_` being 0.
    fn number(&mut self) -> Option<usize> {
        let mut value = 0_usize;
        if self.eat(b'_') {
            return Some(0);
        }
        loop {
            let digit = match self.next()? {
                b'_' => return value.checked_add(1),
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'z' => digit - b'a' + 10,
                digit @ b'A'..=b'Z' => digit - b'A' + 36,
                _ => return None,
            };
            value = value.checked_mul(62)?.checked_add(usize::from(digit))?;
        }
    }

    /// An identifier with its number, if it has one.
    fn word(&mut self) -> Option<&'a str> {
        if self.eat(b's') {
            self.number()?;
        }
        self.eat(b'u');
        let mut length = 0_usize;
        let from = self.at;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            length = length.checked_mul(10)?.checked_add(usize::from(digit - b'0'))?;
            self.at += 1;
            if length == 0 {
                break;
            }
        }
        if self.at == from {
            return None;
        }
        self.eat(b'_');
        let end = self.at.checked_add(length)?;
        let word = std::str::from_utf8(self.text.get(self.at..end)?).ok()?;
        self.at = end;
        Some(word)
    }

    /// Follows a back reference for as long as `read` reads.
    fn jump<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let from = self.at;
        let to = self.start.checked_add(self.number()?)?;
        self.deeper()?;
        // Only backwards, so that it ends.
        if to >= from {
            return None;
        }
        let after = std::mem::replace(&mut self.at, to);
        let read = read(self);
        self.at = after;
        read
    }

    fn deeper(&mut self) -> Option<()> {
        self.jumps += 1;
        (self.jumps < JUMPS_MAX).then_some(())
    }

    /// A path as a demangler would write it without arguments.
    fn path(&mut self) -> Option<String> {
        self.deeper()?;
        match self.next()? {
            b'C' => self.word().map(str::to_owned),
            b'M' => {
                self.skip(&[Part::Path, Part::Number])?;
                Some(format!("<{}>", self.owner()?))
            }
            kind @ (b'X' | b'Y') => {
                if kind == b'X' {
                    self.skip(&[Part::Path, Part::Number])?;
                }
                let owner = self.owner()?;
                Some(format!("<{owner} as {}>", self.path()?))
            }
            b'N' => {
                let space = self.next()?;
                let outer = self.path()?;
                let word = self.word()?;
                Some(match space {
                    b'C' => format!("{outer}::{{closure}}"),
                    b'S' => format!("{outer}::{{shim:{word}}}"),
                    _ => format!("{outer}::{word}"),
                })
            }
            b'I' => {
                let path = self.path()?;
                self.skip(&[Part::Many(&Part::Argument)])?;
                Some(path)
            }
            b'B' => self.jump(Self::path),
            _ => None,
        }
    }

    /// A type, as far as it names the owner of a method.
    fn owner(&mut self) -> Option<String> {
        self.deeper()?;
        match self.peek()? {
            b'R' | b'Q' | b'P' | b'O' => {
                self.at += 1;
                if self.eat(b'L') {
                    self.number()?;
                }
                self.owner()
            }
            kind @ (b'A' | b'S') => {
                self.at += 1;
                let element = self.owner()?;
                if kind == b'A' {
                    self.skip(&[Part::Const])?;
                }
                Some(format!("[{element}]"))
            }
            b'B' => {
                self.at += 1;
                self.jump(Self::owner)
            }
            b'C' | b'M' | b'X' | b'Y' | b'N' | b'I' => self.path(),
            b'D' => {
                let at = self.at + 1;
                self.skip(&[Part::Type])?;
                let after = std::mem::replace(&mut self.at, at);
                if self.eat(b'G') {
                    self.number()?;
                }
                let first = if self.peek() == Some(b'E') { None } else { self.path() };
                self.at = after;
                Some(first.map_or_else(|| String::from("dyn"), |path| format!("dyn {path}")))
            }
            kind => {
                self.skip(&[Part::Type])?;
                Some(String::from(match kind {
                    b'T' => "(…)",
                    b'F' => "fn()",
                    b'e' => "str",
                    kind => basic(kind),
                }))
            }
        }
    }

    /// Skips parts, the last of `parts` first.
    fn skip(&mut self, parts: &[Part]) -> Option<()> {
        let mut left = parts.to_vec();
        while let Some(part) = left.pop() {
            match part {
                Part::Word => {
                    self.word()?;
                }
                Part::Trait => left.extend([Part::Bounds, Part::Path]),
                Part::Number => {
                    if self.eat(b's') {
                        self.number()?;
                    }
                }
                Part::Lifetime => {
                    if self.eat(b'L') {
                        self.number()?;
                    }
                }
                Part::Many(what) => {
                    if !self.eat(b'E') {
                        left.extend([part, *what]);
                    }
                }
                Part::Fields => {
                    if !self.eat(b'E') {
                        self.word()?;
                        left.extend([part, Part::Const]);
                    }
                }
                Part::Argument => match self.peek()? {
                    b'L' => left.push(Part::Lifetime),
                    b'K' => {
                        self.at += 1;
                        left.push(Part::Const);
                    }
                    _ => left.push(Part::Type),
                },
                Part::Bounds => {
                    if self.eat(b'p') {
                        self.word()?;
                        left.extend([Part::Bounds, Part::Type]);
                    }
                }
                Part::Pattern => match self.next()? {
                    b'R' => left.extend([Part::Const, Part::Const]),
                    b'O' => left.push(Part::Many(&Part::Pattern)),
                    b'N' => {}
                    _ => return None,
                },
                Part::Path => self.skip_path(&mut left)?,
                Part::Type => self.skip_type(&mut left)?,
                Part::Const => self.skip_const(&mut left)?,
            }
        }
        Some(())
    }

    fn skip_path(&mut self, left: &mut Vec<Part>) -> Option<()> {
        match self.next()? {
            b'C' => {
                self.word()?;
            }
            b'M' => left.extend([Part::Type, Part::Path, Part::Number]),
            b'X' => left.extend([Part::Path, Part::Type, Part::Path, Part::Number]),
            b'Y' => left.extend([Part::Path, Part::Type]),
            b'N' => {
                self.next()?;
                left.extend([Part::Word, Part::Path]);
            }
            b'I' => left.extend([Part::Many(&Part::Argument), Part::Path]),
            b'B' => {
                self.number()?;
            }
            _ => return None,
        }
        Some(())
    }

    fn skip_type(&mut self, left: &mut Vec<Part>) -> Option<()> {
        let at = self.at;
        match self.next()? {
            b'a'..=b'z' => {}
            b'A' => left.extend([Part::Const, Part::Type]),
            b'S' | b'P' | b'O' => left.push(Part::Type),
            b'R' | b'Q' => left.extend([Part::Type, Part::Lifetime]),
            b'T' => left.push(Part::Many(&Part::Type)),
            b'F' => {
                if self.eat(b'G') {
                    self.number()?;
                }
                self.eat(b'U');
                if self.eat(b'K') && !self.eat(b'C') {
                    self.word()?;
                }
                left.extend([Part::Type, Part::Many(&Part::Type)]);
            }
            b'D' => {
                if self.eat(b'G') {
                    self.number()?;
                }
                left.extend([Part::Lifetime, Part::Many(&Part::Trait)]);
            }
            b'W' => left.extend([Part::Pattern, Part::Type]),
            b'B' => {
                self.number()?;
            }
            _ => {
                self.at = at;
                left.push(Part::Path);
            }
        }
        Some(())
    }

    fn skip_const(&mut self, left: &mut Vec<Part>) -> Option<()> {
        match self.next()? {
            b'p' => {}
            b'B' => {
                self.number()?;
            }
            b'R' | b'Q' => left.push(Part::Const),
            b'A' | b'T' => left.push(Part::Many(&Part::Const)),
            b'V' => {
                self.skip(&[Part::Path])?;
                match self.next()? {
                    b'U' => {}
                    b'T' => left.push(Part::Many(&Part::Const)),
                    b'S' => left.push(Part::Fields),
                    _ => return None,
                }
            }
            b'a'..=b'z' => {
                self.eat(b'n');
                while self.next()? != b'_' {}
            }
            _ => return None,
        }
        Some(())
    }
}

/// A primitive type by its letter.
const fn basic(letter: u8) -> &'static str {
    match letter {
        b'a' => "i8",
        b'b' => "bool",
        b'c' => "char",
        b'd' => "f64",
        b'f' => "f32",
        b'h' => "u8",
        b'i' => "isize",
        b'j' => "usize",
        b'l' => "i32",
        b'm' => "u32",
        b'n' => "i128",
        b'o' => "u128",
        b's' => "i16",
        b't' => "u16",
        b'u' => "()",
        b'x' => "i64",
        b'y' => "u64",
        b'z' => "!",
        _ => "_",
    }
}
