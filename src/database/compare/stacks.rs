//! Interns stacks of function names in a tree that both sides share.
//!
//! Invariants:
//! - Two [`StackId`]s are equal if and only if the names are.
//! - Parents have smaller ids; the root is the empty stack.

use std::borrow::Cow;
use std::collections::HashMap;

/// Index of a name in [`Stacks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u32);

/// Index of a stack in [`Stacks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub u32);

/// The stack without frames.
pub const EMPTY_STACK: StackId = StackId(0);

/// A function. All but `sym` is from the side that was read last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// The full name without hashes, by which stacks are matched.
    pub sym: String,
    /// The short name for display.
    pub function: String,
    /// The first path segment; empty if unknown.
    pub krate: String,
    /// `frames.kind`.
    pub kind: String,
    /// The source file of one of its frames.
    pub file: Option<String>,
    /// The line in that file.
    pub line: Option<u32>,
}

/// All names, and all stacks of names.
#[derive(Clone, Debug)]
pub struct Stacks {
    names: Vec<Name>,
    by_sym: HashMap<String, NameId>,
    nodes: Vec<(StackId, NameId)>,
    by_frame: HashMap<(StackId, NameId), StackId>,
}

impl Default for Stacks {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            by_sym: HashMap::new(),
            nodes: vec![(EMPTY_STACK, NameId(u32::MAX))],
            by_frame: HashMap::new(),
        }
    }
}

impl Stacks {
    /// Interns a name and replaces its other fields.
    pub(crate) fn name(&mut self, name: Name) -> NameId {
        let sym = without_build_hashes(&name.sym);
        if let Some(id) = self.by_sym.get(sym.as_ref()).copied() {
            self.names[id.0 as usize] = Name { sym: sym.into_owned(), ..name };
            return id;
        }
        let id = NameId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        let sym = sym.into_owned();
        self.by_sym.insert(sym.clone(), id);
        self.names.push(Name { sym, ..name });
        id
    }

    /// Interns a stack, outermost frame first. Direct recursion is collapsed to one frame.
    pub(crate) fn stack(&mut self, frames: impl Iterator<Item = NameId>) -> StackId {
        let mut at = EMPTY_STACK;
        for name in frames {
            if at != EMPTY_STACK && self.nodes[at.0 as usize].1 == name {
                continue;
            }
            let next = StackId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
            let found = *self.by_frame.entry((at, name)).or_insert(next);
            if found == next {
                self.nodes.push((at, name));
            }
            at = found;
        }
        at
    }

    /// The number of nodes, including the empty stack and all prefixes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether only the empty stack exists.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The parent and the innermost frame of a stack; `None` for the empty stack.
    pub fn split(&self, stack: StackId) -> Option<(StackId, NameId)> {
        if stack == EMPTY_STACK { None } else { self.nodes.get(stack.0 as usize).copied() }
    }

    /// The name of an id.
    pub fn get(&self, name: NameId) -> Option<&Name> {
        self.names.get(name.0 as usize)
    }

    /// All names in the order of their ids.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// The frames, innermost first.
    pub fn frames(&self, stack: StackId) -> impl Iterator<Item = &Name> {
        let mut at = stack;
        std::iter::from_fn(move || {
            let (above, name) = self.split(at)?;
            at = above;
            self.names.get(name.0 as usize)
        })
    }
}

/// The name without the parts that change from build to build: the hash at its end, crate hashes
/// in brackets, the suffix that link-time optimization adds.
fn without_build_hashes(sym: &str) -> Cow<'_, str> {
    let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut sym = sym.split(".llvm.").next().unwrap_or(sym);
    if let Some((rest, hash)) = sym.rsplit_once("::h")
        && hash.len() == 16
        && is_hex(hash)
    {
        sym = rest;
    }
    if !sym.contains('[') {
        return Cow::Borrowed(sym);
    }
    let mut plain = String::with_capacity(sym.len());
    let mut rest = sym;
    while let Some((before, after)) = rest.split_once('[') {
        plain.push_str(before);
        match after.split_once(']') {
            // Unlike the slice `[u8]`, a crate hash follows a name and has at least 8 digits.
            Some((inside, behind))
                if inside.len() >= 8
                    && is_hex(inside)
                    && before.ends_with(|c: char| c.is_alphanumeric() || c == '_') =>
            {
                rest = behind;
            }
            _ => {
                plain.push('[');
                rest = after;
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use crate::database::compare::stacks::without_build_hashes;

    #[test]
    fn hashes_are_no_part_of_a_name() {
        for (sym, expected) in [
            ("a::b", "a::b"),
            ("a::b::h0123456789abcdef", "a::b"),
            ("a::b::hello", "a::b::hello"),
            ("my[0123456789abcdef]::run::<[u8; 4]>", "my::run::<[u8; 4]>"),
            ("<[my[89abcdef01234567]::T]>::len", "<[my::T]>::len"),
            ("a::run.llvm.1234567890", "a::run"),
            ("libfoo.so+0x1234", "libfoo.so+0x1234"),
        ] {
            assert_eq!(without_build_hashes(sym), expected, "{sym}");
        }
    }
}
