//! Annotations of a recording: memory readings, marks and scopes.
//!
//! Invariant: the parent of a scope has a smaller id, so that every chain of parents ends.

use crate::recording::bytes::{ByteReader, ByteWriter};
use crate::recording::error::FormatError;
use crate::recording::ids::{Bytes, ScopeId, ThreadId, Ticks};

/// Memory of the process at one time. One entry of a `MemoryReadings` payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReadingDef {
    /// Time of the reading.
    pub at: Ticks,
    /// Resident set size of the process.
    pub rss: Option<Bytes>,
    /// Memory charged to its control group.
    pub cgroup: Option<Bytes>,
    /// Smallest memory limit of that control group and its ancestors.
    pub cgroup_limit: Option<Bytes>,
}

/// On disk: unknown value.
const UNKNOWN: u64 = u64::MAX;

impl MemoryReadingDef {
    /// Bytes of an entry.
    pub const BYTES: usize = 32;

    /// Appends this entry.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u64(self.at.0);
        for value in [self.rss, self.cgroup, self.cgroup_limit] {
            out.u64(value.map_or(UNKNOWN, |bytes| bytes.0));
        }
    }

    /// Takes one entry; `Ok(None)` at the end of the payload.
    pub fn read(input: &mut ByteReader<'_>) -> Result<Option<Self>, FormatError> {
        if input.is_empty() {
            return Ok(None);
        }
        let at = Ticks(input.u64()?);
        let mut value = || Ok(Some(input.u64()?).filter(|value| *value != UNKNOWN).map(Bytes));
        Ok(Some(Self { at, rss: value()?, cgroup: value()?, cgroup_limit: value()? }))
    }
}

/// A named moment that the program reported. One entry of a `Marks` payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkDef<'a> {
    /// Time of the call.
    pub at: Ticks,
    /// The calling thread.
    pub thread: ThreadId,
    /// The value that the program passed with it.
    pub value: i64,
    /// Name of the mark; bytes, not necessarily UTF-8.
    pub name: &'a [u8],
}

impl<'a> MarkDef<'a> {
    /// Bytes of an entry without its name.
    pub const HEAD_BYTES: usize = 22;

    /// Appends this entry.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u64(self.at.0);
        out.u32(self.thread.0);
        out.u64(self.value.cast_unsigned());
        out.text(self.name);
    }

    /// Takes one entry; `Ok(None)` at the end of the payload.
    pub fn read(input: &mut ByteReader<'a>) -> Result<Option<Self>, FormatError> {
        if input.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self {
            at: Ticks(input.u64()?),
            thread: ThreadId(input.u32()?),
            value: input.u64()?.cast_signed(),
            name: input.text()?,
        }))
    }
}

/// Definition of a scope: a name within a parent scope. One entry of a `Scopes` payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeDef<'a> {
    /// Its id.
    pub id: ScopeId,
    /// The enclosing scope, or [`ScopeId::NONE`].
    pub parent: ScopeId,
    /// Its name; bytes, not necessarily UTF-8.
    pub name: &'a [u8],
}

impl<'a> ScopeDef<'a> {
    /// Bytes of an entry without its name.
    pub const HEAD_BYTES: usize = 10;

    /// Appends this entry.
    pub fn write(&self, out: &mut ByteWriter<'_>) {
        out.u32(self.id.0);
        out.u32(self.parent.0);
        out.text(self.name);
    }

    /// Takes one entry; `Ok(None)` at the end of the payload.
    pub fn read(input: &mut ByteReader<'a>) -> Result<Option<Self>, FormatError> {
        if input.is_empty() {
            return Ok(None);
        }
        let (id, parent) = (ScopeId(input.u32()?), ScopeId(input.u32()?));
        if parent >= id {
            return Err(FormatError::Invalid("a scope's parent"));
        }
        Ok(Some(Self { id, parent, name: input.text()? }))
    }
}
