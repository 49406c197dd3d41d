//! Parses one line of a heaptrack recording.
//!
//! A line is a letter, a space, and hexadecimal numbers or text. Since version 3 of the format, a
//! text that is not the rest of its line has its length in front. Indices count from 1; 0: none.
//!
//! Invariant: any bytes give a line, [`Line::Other`] or [`BadLine`], never a panic.

/// A line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// `v`: heaptrack's own version and that of the file.
    Version { program: u64, file: u64 },
    /// `x`: path of the executable. Raw files only.
    Executable(&'a [u8]),
    /// `X`: the command that was run.
    Command(&'a [u8]),
    /// `I`: bytes of a page, pages of the machine.
    System { page_bytes: u64 },
    /// `m 1 -`: the list of modules begins anew. Raw files only.
    NoModules,
    /// `m`: a module, where it begins, and pairs of address in the file and length. Raw files only.
    Module { path: &'a [u8], base: u64, segments: Numbers<'a> },
    /// `s`: the next text.
    Text(&'a [u8]),
    /// `i`: the next address, its module, and triples of function, file and line, innermost first.
    /// Interpreted files only.
    Ip { address: u64, module: u64, frames: Numbers<'a> },
    /// `t`: the next stack: an address, or in an interpreted file its number, and the stack below.
    Stack { ip: u64, parent: u64 },
    /// `a`: the next kind of block. Interpreted files only.
    Info { size: u64, stack: u64 },
    /// `+` with one number: a block with this allocation info was allocated.
    Alloc { info: u64 },
    /// `+` with three numbers: a block was allocated.
    AllocAt { size: u64, stack: u64, address: u64 },
    /// `-`: a block was freed; its allocation info in an interpreted file, else its address.
    Free(u64),
    /// `c`: milliseconds since the beginning.
    Time { ms: u64 },
    /// `R`: resident pages.
    Resident { pages: u64 },
    /// `A`: heaptrack was attached to a running process.
    Attached,
    /// A comment, or a line that the loader does not need.
    Other,
}

/// A line whose fields do not fit its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadLine;

/// Whether texts have their length in front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Texts {
    /// Up to version 2: no.
    #[default]
    Bare,
    /// Since version 3: yes.
    Sized,
}

/// Hexadecimal numbers with spaces between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    /// The next number; `None` at the end.
    pub(crate) fn take(&mut self) -> Result<Option<u64>, BadLine> {
        let end = self.0.iter().position(|byte| *byte == b' ').unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        if digits.is_empty() {
            return if rest.is_empty() { Ok(None) } else { Err(BadLine) };
        }
        if digits.len() > 16 {
            return Err(BadLine);
        }
        let mut number = 0_u64;
        for digit in digits {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(BadLine),
            };
            number = number << 4 | u64::from(value);
        }
        self.0 = rest.get(1..).unwrap_or_default();
        Ok(Some(number))
    }

    fn one(&mut self) -> Result<u64, BadLine> {
        self.take()?.ok_or(BadLine)
    }
}

impl<'a> Line<'a> {
    /// Parses a line.
    pub(crate) fn parse(line: &'a [u8], texts: Texts) -> Result<Self, BadLine> {
        let rest = line.get(2..).unwrap_or_default();
        let mut numbers = Numbers(rest);
        Ok(match line.first() {
            Some(b'+') => {
                let first = numbers.one()?;
                match numbers.take()? {
                    None => Self::Alloc { info: first },
                    Some(stack) => Self::AllocAt { size: first, stack, address: numbers.one()? },
                }
            }
            Some(b'-') => Self::Free(numbers.one()?),
            Some(b'a') => Self::Info { size: numbers.one()?, stack: numbers.one()? },
            Some(b't') => Self::Stack { ip: numbers.one()?, parent: numbers.one()? },
            Some(b'i') => {
                Self::Ip { address: numbers.one()?, module: numbers.one()?, frames: numbers }
            }
            Some(b's') => match texts {
                Texts::Sized => Self::Text(text(rest, texts)?.0),
                Texts::Bare => Self::Text(rest),
            },
            Some(b'm') => {
                let (path, rest) = text(rest, texts)?;
                if path == b"-" {
                    return Ok(Self::NoModules);
                }
                let mut numbers = Numbers(rest);
                Self::Module { path, base: numbers.one()?, segments: numbers }
            }
            Some(b'x') => Self::Executable(text(rest, texts)?.0),
            Some(b'X') => Self::Command(rest),
            Some(b'c') => Self::Time { ms: numbers.one()? },
            Some(b'R') => Self::Resident { pages: numbers.one()? },
            Some(b'I') => Self::System { page_bytes: numbers.one()? },
            Some(b'v') => {
                let program = numbers.one()?;
                // A version in between counted its files by its own number.
                let file = numbers.take()?.unwrap_or(u64::from(program == 0x1_0200));
                Self::Version { program, file }
            }
            Some(b'A') => Self::Attached,
            _ => Self::Other,
        })
    }
}

/// A text and what follows it.
fn text(rest: &[u8], texts: Texts) -> Result<(&[u8], &[u8]), BadLine> {
    let (text, rest) = match texts {
        Texts::Sized => {
            let mut numbers = Numbers(rest);
            let length = usize::try_from(numbers.one()?).map_err(|_| BadLine)?;
            numbers.0.split_at_checked(length).ok_or(BadLine)?
        }
        Texts::Bare => {
            let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
            rest.split_at(end)
        }
    };
    Ok((text, rest.strip_prefix(b" ").unwrap_or(rest)))
}

#[cfg(test)]
mod tests {
    use crate::loader::import::heaptrack::line::{BadLine, Line, Texts};

    #[test]
    fn lines_are_what_their_letters_say() {
        let sized = |line: &'static str| Line::parse(line.as_bytes(), Texts::Sized);
        let bare = |line: &'static str| Line::parse(line.as_bytes(), Texts::Bare);
        assert_eq!(sized("v 10400 3"), Ok(Line::Version { program: 0x1_0400, file: 3 }));
        assert_eq!(sized("v 10200"), Ok(Line::Version { program: 0x1_0200, file: 1 }));
        assert_eq!(sized("+ c"), Ok(Line::Alloc { info: 12 }));
        assert_eq!(
            sized("+ 11c00 4 55d0"),
            Ok(Line::AllocAt { size: 0x11c00, stack: 4, address: 0x55d0 })
        );
        assert_eq!(sized("- ff"), Ok(Line::Free(255)));
        assert_eq!(sized("s 5 a b c"), Ok(Line::Text(b"a b c")));
        assert_eq!(bare("s a b c"), Ok(Line::Text(b"a b c")));
        assert_eq!(sized("s 6 a b c"), Err(BadLine));
        assert_eq!(sized("m 1 -"), Ok(Line::NoModules));
        for module in [sized("m 6 /a b/c 7f00 0 10 1000 20"), bare("m /abc 7f00 0 10 1000 20")] {
            let Ok(Line::Module { base, mut segments, .. }) = module else {
                panic!("{module:?}");
            };
            let rest: Vec<_> = std::iter::from_fn(|| segments.take().unwrap()).collect();
            assert_eq!((base, rest), (0x7f00, vec![0, 0x10, 0x1000, 0x20]));
        }
        for bad in ["+", "+ ", "+ g", "- 11111111111111111", "t 1", "a 1", "c  1", "i 1"] {
            assert_eq!(sized(bad), Err(BadLine), "{bad}");
        }
        for other in ["", "# strings: 12", "S leak:x", "\u{7f}"] {
            assert_eq!(sized(other), Ok(Line::Other), "{other}");
        }
    }
}
