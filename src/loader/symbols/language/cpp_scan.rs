//! C++'s mangled names that no demangler takes, because they nest too deeply or use what it does
//! not know.
//!
//! Only the scopes are read; the arguments of templates are skipped by counting what opens and what
//! ends. The whole name keeps the symbol, which is what tells two such functions apart.

use crate::loader::symbols::language::{Language, Words, cpp};

/// Operators by their letters.
const OPERATORS: [(&[u8; 2], &str); 24] = [
    (b"nw", "operator new"),
    (b"na", "operator new[]"),
    (b"dl", "operator delete"),
    (b"da", "operator delete[]"),
    (b"aS", "operator="),
    (b"pl", "operator+"),
    (b"mi", "operator-"),
    (b"ml", "operator*"),
    (b"dv", "operator/"),
    (b"pL", "operator+="),
    (b"mI", "operator-="),
    (b"ls", "operator<<"),
    (b"rs", "operator>>"),
    (b"eq", "operator=="),
    (b"ne", "operator!="),
    (b"lt", "operator<"),
    (b"gt", "operator>"),
    (b"le", "operator<="),
    (b"ge", "operator>="),
    (b"ss", "operator<=>"),
    (b"cl", "operator()"),
    (b"ix", "operator[]"),
    (b"pt", "operator->"),
    (b"pp", "operator++"),
];

/// The words of a name that begins with `_Z`; `None` if its scopes can't be read either.
pub(crate) fn mangled(symbol: &str) -> Option<Words> {
    let rest = symbol.trim_start_matches('_').strip_prefix('Z')?;
    let scopes = Scan { text: rest.as_bytes(), at: 0 }.scopes()?;
    let path = scopes.join("::");
    let short = cpp::short(&path);
    let whole = format!("{path} [{symbol}]");
    Some(Words { language: Language::Cpp, whole, identity: None, short })
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
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

    fn word(&mut self) -> Option<&'a str> {
        let mut length = 0_usize;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            length = length.checked_mul(10)?.checked_add(usize::from(digit - b'0'))?;
            self.at += 1;
        }
        let end = self.at.checked_add(length).filter(|_| length > 0)?;
        let word = std::str::from_utf8(self.text.get(self.at..end)?).ok()?;
        self.at = end;
        Some(word)
    }

    fn scopes(mut self) -> Option<Vec<String>> {
        let is_nested = self.eat(b'N');
        while is_nested && matches!(self.peek(), Some(b'K' | b'V' | b'r' | b'R' | b'O')) {
            self.at += 1;
        }
        let mut scopes: Vec<String> = Vec::new();
        loop {
            if is_nested && self.eat(b'E') {
                break;
            }
            match self.peek()? {
                b'L' => self.at += 1,
                b'B' => {
                    self.at += 1;
                    self.word()?;
                }
                b'I' => self.skip_arguments()?,
                b'S' => {
                    self.at += 1;
                    scopes.extend(self.substitution()?);
                    continue;
                }
                b'C' => {
                    self.at += 2;
                    let name = scopes.last()?.clone();
                    scopes.push(name);
                }
                b'D' => {
                    self.at += 2;
                    let name = format!("~{}", scopes.last()?);
                    scopes.push(name);
                }
                b'0'..=b'9' => {
                    let word = self.word()?;
                    let is_anonymous = word.starts_with("_GLOBAL__N");
                    scopes.push(if is_anonymous { cpp::ANONYMOUS } else { word }.to_owned());
                }
                _ => {
                    let letters = self.text.get(self.at..self.at + 2)?;
                    let known = OPERATORS.iter().find(|(known, _)| letters == *known)?;
                    scopes.push(known.1.to_owned());
                    self.at += 2;
                }
            }
            if !is_nested {
                break;
            }
        }
        Some(scopes).filter(|scopes| !scopes.is_empty())
    }

    /// The meaning of a substitution that has a fixed one.
    fn substitution(&mut self) -> Option<Vec<String>> {
        let words: &[&str] = match self.next()? {
            b't' => &["std"],
            b'a' => &["std", "allocator"],
            b'b' => &["std", "basic_string"],
            b's' => &["std", "string"],
            b'i' => &["std", "istream"],
            b'o' => &["std", "ostream"],
            b'd' => &["std", "iostream"],
            // An earlier part of the name: only its arguments could say which.
            _ => return None,
        };
        Some(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// Skips `I…E`.
    fn skip_arguments(&mut self) -> Option<()> {
        /// An open group, and whether the type of its constant has been read.
        #[derive(PartialEq, Eq)]
        enum Open {
            Plain,
            Constant(bool),
        }
        let mut open: Vec<Open> = Vec::new();
        loop {
            if let Some(Open::Constant(true)) = open.last() {
                while matches!(self.peek(), Some(b'0'..=b'9' | b'n')) {
                    self.at += 1;
                }
            }
            let byte = self.peek()?;
            if byte.is_ascii_digit() {
                self.word()?;
            } else {
                self.at += 1;
                match byte {
                    b'I' | b'N' | b'X' | b'J' | b'F' => open.push(Open::Plain),
                    b'L' if self.eat(b'_') => {
                        self.eat(b'Z');
                        open.push(Open::Plain);
                    }
                    b'L' => {
                        let is_basic = self.peek()?.is_ascii_lowercase();
                        self.at += usize::from(is_basic);
                        open.push(Open::Constant(is_basic));
                        continue;
                    }
                    b'D' => match self.next()? {
                        b't' | b'T' => open.push(Open::Plain),
                        b'v' => self.skip_past(b'_')?,
                        _ => {}
                    },
                    b'A' if self.peek()?.is_ascii_digit() => self.skip_past(b'_')?,
                    b'T' => self.skip_past(b'_')?,
                    b'S' => match self.next()? {
                        b'0'..=b'9' | b'A'..=b'Z' => self.skip_past(b'_')?,
                        _ => {}
                    },
                    b'E' => {
                        open.pop();
                        if open.is_empty() {
                            return Some(());
                        }
                    }
                    _ => {}
                }
            }
            if let Some(Open::Constant(is_typed)) = open.last_mut() {
                *is_typed = true;
            }
        }
    }

    fn skip_past(&mut self, byte: u8) -> Option<()> {
        while self.next()? != byte {}
        Some(())
    }
}
