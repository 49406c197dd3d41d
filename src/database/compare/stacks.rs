//! Stacks by name: each distinct one is a path in a tree that both sides share.
//!
//! Reads: names of frames. Writes: [`StackId`]s, equal if and only if the names are.
//!
//! Invariant: parents have smaller ids; the root is the empty stack.

use std::borrow::Cow;
use std::collections::HashMap;

/// A name of [`Stacks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u32);

/// A stack of [`Stacks`], outermost frame first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub u32);

/// The stack without frames.
pub const NOTHING: StackId = StackId(0);

/// What is known of a function beside its name; of the side that was read last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Name {
    /// Whole, without hashes: what is matched.
    pub sym: String,
    /// For the screen.
    pub function: String,
    /// First path segment; empty if unknown.
    pub krate: String,
    /// As `frames.kind`.
    pub kind: String,
    /// Source file of some frame of it.
    pub file: Option<String>,
    /// Line in it.
    pub line: Option<u32>,
}

/// All names, and all stacks made of them.
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
            nodes: vec![(NOTHING, NameId(u32::MAX))],
            by_frame: HashMap::new(),
        }
    }
}

impl Stacks {
    /// The id of a name; what is known of it is replaced.
    pub(crate) fn name(&mut self, name: Name) -> NameId {
        let sym = stable(&name.sym);
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

    /// The stack of these frames, outermost first. A function that calls itself is there once.
    pub(crate) fn stack(&mut self, frames: impl Iterator<Item = NameId>) -> StackId {
        let mut at = NOTHING;
        for name in frames {
            if at != NOTHING && self.nodes[at.0 as usize].1 == name {
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

    /// How many stacks there are, the empty one and those that others begin with included.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no stack but the empty one.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The stack without its innermost frame, and that frame; `None` for the empty one.
    pub fn split(&self, stack: StackId) -> Option<(StackId, NameId)> {
        if stack == NOTHING { None } else { self.nodes.get(stack.0 as usize).copied() }
    }

    /// What is known of a name.
    pub fn get(&self, name: NameId) -> Option<&Name> {
        self.names.get(name.0 as usize)
    }

    /// All names, in the order of their ids.
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

/// The name without what changes from build to build: a hash at its end, the hash of a crate in
/// brackets, the number that link-time optimisation adds.
fn stable(sym: &str) -> Cow<'_, str> {
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
            // `[u8]` is a slice: a disambiguator follows a name, and has more digits.
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
    use crate::database::compare::stacks::stable;

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
            assert_eq!(stable(sym), expected, "{sym}");
        }
    }
}
