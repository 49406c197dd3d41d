//! D's mangled names: `_D3app5cache6insertFNaNbNiNfiZv` → `app.cache.insert`.
//!
//! No crate reads them. The scopes are read and everything else is skipped, so the whole name keeps
//! the symbol behind the scopes: two overloads differ in nothing else.
//!
//! Invariant: nothing recurses deeper than [`DEPTH_MAX`], and work is bounded by the symbol's length.

use crate::loader::symbols::language::{Language, Words, d};

/// Types, templates and back references within each other.
const DEPTH_MAX: u32 = 100;

/// The words of a name that begins with `_D`; `None` if it is none.
pub(crate) fn mangled(symbol: &str) -> Option<Words> {
    if symbol == "_Dmain" {
        let short = String::from("D main");
        return Some(Words { language: Language::D, whole: short.clone(), identity: None, short });
    }
    let mut walk = Walk { text: symbol.as_bytes(), at: 2, left: symbol.len() * 8, depth: 0 };
    let scopes = walk.scopes()?;
    // The rest must be the type, or this is a name of C.
    if walk.peek().is_some() && !walk.eat(b'Z') {
        walk.type_()?;
    }
    if walk.peek().is_some_and(|byte| byte != b'.') {
        return None;
    }
    let short = d::shorten(&scopes);
    let whole = format!("{} [{symbol}]", scopes.join("."));
    Some(Words { language: Language::D, whole, identity: None, short })
}

struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    /// Steps until a name is given up.
    left: usize,
    depth: u32,
}

impl Walk<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        self.left = self.left.checked_sub(1)?;
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn number(&mut self) -> Option<usize> {
        let mut value = None;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            self.at += 1;
            let before: usize = value.unwrap_or(0);
            value = Some(before.checked_mul(10)?.checked_add(usize::from(digit - b'0'))?);
        }
        value
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.depth += 1;
        let read = if self.depth > DEPTH_MAX { None } else { read(self) };
        self.depth -= 1;
        read
    }

    /// A distance back from the `Q` that was just read; in base 26, its last letter being small.
    fn jump<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let from = self.at - 1;
        let mut distance = 0_usize;
        loop {
            let letter = self.next()?;
            let digit = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'a'..=b'z' => letter - b'a',
                _ => return None,
            };
            distance = distance.checked_mul(26)?.checked_add(usize::from(digit))?;
            if letter.is_ascii_lowercase() {
                break;
            }
        }
        let to = from.checked_sub(distance).filter(|to| *to < from)?;
        let after = std::mem::replace(&mut self.at, to);
        let read = self.deeper(read);
        self.at = after;
        read
    }

    /// The scopes of a symbol, the outermost first. The type of the last is not read.
    fn scopes(&mut self) -> Option<Vec<String>> {
        let mut scopes = Vec::new();
        loop {
            while self.eat(b'0') {}
            scopes.push(self.scope()?);
            if self.is_scope() {
                continue;
            }
            // The parameters of a function that encloses another.
            let at = self.at;
            if self.eat(b'M') {
                self.modifiers();
            }
            let is_function = matches!(self.peek(), Some(b'F' | b'U' | b'W' | b'V' | b'R' | b'Y'));
            if !is_function || self.function().is_none() || !self.is_scope() {
                self.at = at;
                return Some(scopes);
            }
        }
    }

    /// Whether a scope follows; a back reference may be to a type as well.
    fn is_scope(&mut self) -> bool {
        match self.peek() {
            Some(b'0'..=b'9' | b'_') => true,
            Some(b'Q') => {
                let at = self.at;
                self.at += 1;
                let to = self.jump(|walk| walk.peek());
                self.at = at;
                matches!(to, Some(b'0'..=b'9' | b'_'))
            }
            _ => false,
        }
    }

    fn scope(&mut self) -> Option<String> {
        match self.peek()? {
            b'Q' => {
                self.at += 1;
                self.jump(Self::scope)
            }
            b'_' => self.template(),
            _ => {
                let length = self.number()?;
                let end = self.at.checked_add(length)?;
                let word = self.text.get(self.at..end)?;
                if word.starts_with(b"__T") || word.starts_with(b"__U") {
                    let name = self.deeper(Self::template)?;
                    self.at = end;
                    return Some(name);
                }
                self.at = end;
                let word = std::str::from_utf8(word).ok().filter(|word| !word.is_empty())?;
                Some(match word {
                    "__ctor" => String::from("this"),
                    "__dtor" | "__xdtor" => String::from("~this"),
                    "__postblit" => String::from("this(this)"),
                    word => word.to_owned(),
                })
            }
        }
    }

    /// `__T3fooTiZ`: the name of a template, its arguments left out.
    fn template(&mut self) -> Option<String> {
        let start = self.text.get(self.at..self.at + 3)?;
        if start != b"__T" && start != b"__U" {
            return None;
        }
        self.at += 3;
        let name = self.deeper(Self::scope)?;
        loop {
            self.eat(b'H');
            match self.next()? {
                b'Z' => return Some(name),
                b'T' => self.deeper(Self::type_)?,
                b'V' => {
                    self.deeper(Self::type_)?;
                    self.deeper(Self::value)?;
                }
                b'S' => self.deeper(Self::symbol)?,
                b'X' => {
                    let length = self.number()?;
                    self.at = self.at.checked_add(length)?;
                }
                _ => return None,
            }
        }
    }

    /// A symbol as an argument, with or without its type.
    fn symbol(&mut self) -> Option<()> {
        let start = self.text.get(self.at..self.at + 2)?;
        if start == b"_D" {
            self.at += 2;
            self.scopes()?;
            if matches!(self.peek(), Some(b'M' | b'F' | b'U' | b'W' | b'V' | b'R' | b'Y')) {
                self.type_()?;
            }
            return Some(());
        }
        self.scopes().map(drop)
    }

    fn modifiers(&mut self) {
        loop {
            match self.peek() {
                Some(b'x' | b'y' | b'O') => self.at += 1,
                Some(b'N') if self.text.get(self.at + 1) == Some(&b'g') => self.at += 2,
                _ => return,
            }
        }
    }

    fn type_(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        match self.next()? {
            b'x' | b'y' | b'O' | b'A' | b'P' => self.deeper(Self::type_),
            b'N' => match self.next()? {
                b'g' | b'h' => self.deeper(Self::type_),
                b'n' => Some(()),
                _ => None,
            },
            b'G' => {
                self.number()?;
                self.deeper(Self::type_)
            }
            b'H' => {
                self.deeper(Self::type_)?;
                self.deeper(Self::type_)
            }
            b'F' | b'U' | b'W' | b'V' | b'R' | b'Y' => {
                self.at -= 1;
                self.function()?;
                self.deeper(Self::type_)
            }
            b'M' | b'D' => {
                self.modifiers();
                self.deeper(Self::type_)
            }
            b'I' | b'C' | b'S' | b'E' | b'T' => self.deeper(Self::scopes).map(drop),
            b'B' => {
                if self.number().is_some() {
                    return None;
                }
                while !self.eat(b'Z') {
                    self.deeper(Self::type_)?;
                }
                Some(())
            }
            b'Q' => self.jump(Self::type_),
            b'z' => self.next().map(drop),
            b'a'..=b'w' => Some(()),
            _ => None,
        }
    }

    /// A function's convention, attributes and parameters; not what it returns.
    fn function(&mut self) -> Option<()> {
        self.next()?;
        while self.peek() == Some(b'N')
            && matches!(self.text.get(self.at + 1), Some(b'a'..=b'f' | b'i' | b'j' | b'l' | b'm'))
        {
            self.at += 2;
        }
        loop {
            match self.peek()? {
                b'X' | b'Y' | b'Z' => {
                    self.at += 1;
                    return Some(());
                }
                b'I' | b'J' | b'K' | b'L' | b'M' => self.at += 1,
                b'N' if self.text.get(self.at + 1) == Some(&b'k') => self.at += 2,
                _ => self.deeper(Self::type_)?,
            }
            self.left = self.left.checked_sub(1)?;
        }
    }

    fn value(&mut self) -> Option<()> {
        match self.next()? {
            b'n' => Some(()),
            b'i' | b'N' => self.number().map(drop),
            b'0'..=b'9' => {
                self.number();
                Some(())
            }
            b'e' => self.real(),
            b'c' => {
                self.real()?;
                self.eat(b'c');
                self.real()
            }
            b'a' | b'w' | b'd' => {
                let length = self.number()?;
                self.eat(b'_');
                self.at = self.at.checked_add(length.checked_mul(2)?)?;
                Some(())
            }
            b'A' | b'S' => {
                let count = self.number()?;
                for _ in 0..count {
                    self.deeper(Self::value)?;
                }
                Some(())
            }
            b'f' => self.symbol(),
            _ => None,
        }
    }

    fn real(&mut self) -> Option<()> {
        while matches!(self.peek(), Some(b'0'..=b'9' | b'A'..=b'F' | b'N' | b'I' | b'P')) {
            self.next()?;
        }
        Some(())
    }
}
