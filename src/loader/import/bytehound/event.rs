//! Decodes one event of a bytehound recording.
//!
//! An event is the number of its kind, in four bytes, and its fields, all little-endian. Its length
//! is not recorded, so reading ends at an event of an unknown kind. Texts and lists have their
//! length in front; some numbers have a variable length.
//!
//! Invariant: no length field reserves memory; contents of files are kept up to a bound.

use std::io::{self, Read};

/// Bytes that are kept of an embedded file; only the headers at its start are needed.
const CONTENTS_BYTES_MAX: u64 = 4 << 20;

/// Maximum frames of a backtrace; more are damage.
const FRAMES_MAX: u32 = 1 << 20;

/// An allocated block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    pub(crate) at_us: u64,
    pub(crate) address: u64,
    pub(crate) size: u64,
    pub(crate) backtrace: u64,
    pub(crate) thread: u32,
    pub(crate) is_zeroed: bool,
}

/// An event of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first event, repeated from time to time.
    Header(Header),
    /// A block was allocated.
    Alloc(Block),
    /// A block replaced the one at address `old`; 0: there was none.
    Realloc { old: u64, block: Block },
    /// A block was freed.
    Free { at_us: u64, address: u64, thread: u32 },
    /// An embedded file: `/proc/self/maps`, or an executable.
    File { path: Vec<u8>, contents: Vec<u8> },
    /// A backtrace, innermost first. With `skipped`, the thread's last backtrace follows, without
    /// this number of innermost frames.
    Backtrace { id: u64, thread: Option<u32>, skipped: Option<u32>, addresses: Vec<u64> },
    /// Memory was mapped.
    Mapped(Mapping),
    /// Memory was unmapped.
    Unmapped { address: u64 },
    /// Blocks that `bytehound strip` has removed from the file.
    Stripped { blocks: u64 },
    /// A part of a file whose names bytehound has resolved already.
    Postprocessed,
    /// An event that the loader does not need.
    Ignored,
}

/// The recorded process, and the start of the recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) initial_us: u64,
    pub(crate) at_us: u64,
    pub(crate) wall_ns: u64,
    pub(crate) pid: u32,
    pub(crate) command: Vec<u8>,
    pub(crate) executable: Vec<u8>,
}

/// A mapped range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) file_offset: u64,
    pub(crate) is_executable: bool,
    pub(crate) path: Vec<u8>,
}

/// Reads the fields of an event.
struct Fields<R>(R);

impl<R: Read> Fields<R> {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u8(&mut self) -> io::Result<u8> {
        Ok(u8::from_le_bytes(self.bytes()?))
    }

    fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// A number of variable length: the first byte has as many leading ones as bytes follow; its
    /// other bits are the highest ones of the number.
    fn varint(&mut self) -> io::Result<u64> {
        let first = self.u8()?;
        let count = first.leading_ones();
        let mut low = [0; 8];
        let following = low.get_mut(..count as usize).unwrap_or_default();
        self.0.read_exact(following)?;
        let high = u64::from(first) & (0xff >> count.min(8));
        Ok(high.checked_shl(count * 8).unwrap_or(0) | u64::from_le_bytes(low))
    }

    fn skip(&mut self, bytes: u64) -> io::Result<()> {
        let skipped = io::copy(&mut (&mut self.0).take(bytes), &mut io::sink())?;
        if skipped < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn contents(&mut self, bytes: u64) -> io::Result<Vec<u8>> {
        let mut contents = Vec::new();
        let kept = bytes.min(CONTENTS_BYTES_MAX);
        (&mut self.0).take(kept).read_to_end(&mut contents)?;
        if (contents.len() as u64) < kept {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.skip(bytes - kept)?;
        Ok(contents)
    }

    fn text(&mut self) -> io::Result<Vec<u8>> {
        let bytes = self.u32()?;
        self.contents(u64::from(bytes))
    }

    fn addresses(&mut self, width: usize) -> io::Result<Vec<u64>> {
        let count = self.u32()?;
        if count > FRAMES_MAX {
            return Err(io::Error::other(format!("a backtrace of {count} frames")));
        }
        (0..count)
            .map(|_| if width == 4 { self.u32().map(u64::from) } else { self.u64() })
            .collect()
    }

    fn block(&mut self, at_us: u64) -> io::Result<Block> {
        const IS_ZEROED: u32 = 1 << 31;
        let (address, size, backtrace) = (self.u64()?, self.u64()?, self.u64()?);
        let (thread, flags) = (self.u32()?, self.u32()?);
        // Usable bytes behind the block and in front of it.
        self.skip(4 + 8)?;
        let is_zeroed = flags & IS_ZEROED != 0;
        Ok(Block { at_us, address, size, backtrace, thread, is_zeroed })
    }

    fn realloc(&mut self) -> io::Result<Event> {
        let (at_us, old) = (self.u64()?, self.u64()?);
        Ok(Event::Realloc { old, block: self.block(at_us)? })
    }

    fn free(&mut self) -> io::Result<Event> {
        let (at_us, address) = (self.u64()?, self.u64()?);
        self.skip(8)?;
        Ok(Event::Free { at_us, address, thread: self.u32()? })
    }

    fn header(&mut self) -> io::Result<Event> {
        self.skip(16)?;
        let (initial_us, at_us) = (self.u64()?, self.u64()?);
        let (seconds, nanos) = (self.u64()?, self.u64()?);
        let pid = self.u32()?;
        let (command, executable) = (self.text()?, self.text()?);
        self.text()?;
        self.skip(8 + 1)?;
        let wall_ns = seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
        Ok(Event::Header(Header { initial_us, at_us, wall_ns, pid, command, executable }))
    }

    fn partial(&mut self, width: usize) -> io::Result<Event> {
        let (id, thread, skipped) = (self.u64()?, self.u32()?, self.u32()?);
        // All ones: no frame of the last backtrace is left.
        let skipped = (skipped != u32::MAX).then_some(skipped);
        let addresses = self.addresses(width)?;
        Ok(Event::Backtrace { id, thread: Some(thread), skipped, addresses })
    }

    fn whole(&mut self, width: usize) -> io::Result<Event> {
        let id = self.u64()?;
        let addresses = self.addresses(width)?;
        Ok(Event::Backtrace { id, thread: None, skipped: None, addresses })
    }

    fn mapped(&mut self) -> io::Result<Event> {
        const IS_EXECUTABLE: u32 = 1 << 2;
        self.skip(8)?;
        self.varint()?;
        let start = self.u64()?;
        let length = self.varint()?;
        let file_offset = self.varint()?;
        self.varint()?;
        self.skip(4 + 4)?;
        let flags = self.u32()?;
        let path_bytes = self.varint()?;
        let path = self.contents(path_bytes)?;
        Ok(Event::Mapped(Mapping {
            start,
            end: start.saturating_add(length),
            file_offset,
            is_executable: flags & IS_EXECUTABLE != 0,
            path,
        }))
    }

    fn unmapped(&mut self) -> io::Result<Event> {
        self.skip(8)?;
        self.varint()?;
        let address = self.u64()?;
        self.varint()?;
        for _ in 0..self.varint()? {
            self.skip(8)?;
            self.varint()?;
            self.skip(8)?;
            self.varint()?;
            self.skip(4)?;
        }
        Ok(Event::Unmapped { address })
    }

    fn skip_ignored(&mut self, kind: u32) -> io::Result<()> {
        match kind {
            // A memory dump.
            6 => {
                self.skip(16)?;
                let bytes = self.u32()?;
                self.skip(u64::from(bytes))
            }
            // A marker; mmap and munmap of older versions; mallopt; the wall clock.
            7 => self.skip(4),
            8 => self.skip(5 * 8 + 4 * 4 + 8),
            9 => self.skip(4 * 8 + 4),
            10 => self.skip(2 * 8 + 4 * 4),
            11 => {
                let bytes = self.u32()?;
                self.skip(u64::from(bytes))
            }
            12 => self.skip(3 * 8),
            // The use of a mapping.
            26 => {
                self.skip(8)?;
                self.varint()?;
                self.skip(8)?;
                (0..7).try_for_each(|_| self.varint().map(drop))
            }
            // mmap.
            _ => {
                self.varint()?;
                self.skip(8)?;
                self.varint()?;
                self.varint()?;
                self.skip(3 * 4)?;
                self.varint()?;
                self.skip(8)?;
                self.varint()?;
                self.skip(4)
            }
        }
    }
}

impl Event {
    /// Reads the next event.
    ///
    /// # Errors
    /// The reader's own, `UnexpectedEof` inside an event, and an error for an invalid event.
    pub(crate) fn read(input: impl Read) -> io::Result<Self> {
        let mut fields = Fields(input);
        let kind = fields.u32()?;
        match kind {
            0 => fields.header(),
            1 => {
                let at_us = fields.u64()?;
                fields.block(at_us).map(Self::Alloc)
            }
            2 => fields.realloc(),
            3 => fields.free(),
            4 | 23 => {
                fields.skip(8)?;
                let path = fields.text()?;
                let bytes = if kind == 4 { u64::from(fields.u32()?) } else { fields.u64()? };
                Ok(Self::File { path, contents: fields.contents(bytes)? })
            }
            5 => fields.whole(8),
            13 => fields.partial(8),
            14..=16 => Ok(Self::Postprocessed),
            17 => {
                fields.skip(3 * 8)?;
                let blocks = fields.u64()?;
                fields.skip(3 * 8)?;
                Ok(Self::Stripped { blocks })
            }
            18 => fields.partial(4),
            19 => fields.whole(4),
            // With an id of the block, which is not needed: its address identifies it.
            20 => {
                fields.skip(16)?;
                let at_us = fields.u64()?;
                fields.block(at_us).map(Self::Alloc)
            }
            21 => {
                fields.skip(16)?;
                fields.realloc()
            }
            22 => {
                fields.skip(16)?;
                fields.free()
            }
            24 => fields.mapped(),
            25 => fields.unmapped(),
            6..=12 | 26 | 27 => fields.skip_ignored(kind).map(|()| Self::Ignored),
            _ => Err(io::Error::other(format!("an event of unknown kind {kind}"))),
        }
    }
}
