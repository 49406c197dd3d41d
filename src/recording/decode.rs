//! The decoder of one event stream.
//!
//! Invariants: any input yields events or an error, never a panic; the [`Model`] is updated exactly
//! as the encoder updates its own.

use crate::recording::bytes::{ByteReader, unzigzag};
use crate::recording::error::FormatError;
use crate::recording::events::{
    ADDRESS_FAR, ADDRESS_LONG_FORM, Event, FLAG_LINKED, FLAG_MOVED, FLAG_ZEROED, Model, OP_ALLOC,
    OP_FAILED, OP_FREE, OP_KEYFRAME, OP_REALLOC, OP_REALLOC_BEGIN, OP_REALLOC_END, OP_SCOPE,
    OP_SKIP, OP_SKIPPED_ALLOCS, OP_THREAD, TIME_ESCAPE,
};
use crate::recording::ids::{Address, Bytes, NodeId, ScopeId, ThreadId, Ticks};

/// Maximum length of the short form: two bytes of head, two of time, four of address, four of node
/// and four of size.
const SHORT_WINDOW: usize = 16;

/// Number of address bytes, by address code.
const ADDRESS_LENS: [u8; 8] = [0, 1, 2, 3, 4, 4, 0, 0];

/// Mask of the low bytes of a word, by length (0 to 4) or by address code.
const LOW_BYTES: [u64; 8] = [0, 0xff, 0xffff, 0xff_ffff, 0xffff_ffff, 0xffff_ffff, 0, 0];

/// Decodes the events of one stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    model: Model,
    thread: ThreadId,
    scope: ScopeId,
    /// Whether a keyframe was decoded: events before the first one cannot be interpreted.
    has_keyframe: bool,
}

/// An event in the short form: a plain allocation or free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactEvent {
    /// Time of the event.
    pub at: Ticks,
    /// Address of the block.
    pub address: Address,
    /// Size of the block; 0 for a free.
    pub size_bytes: u32,
    /// Call path; `NodeId(0)` for a free.
    pub node: NodeId,
    /// Whether this is a free.
    pub is_free: bool,
}

impl CompactEvent {
    /// Converts to the general representation.
    pub fn event(&self) -> Event {
        let (at, address) = (self.at, self.address);
        if self.is_free {
            return Event::Free { at, address };
        }
        let size = Bytes(u64::from(self.size_bytes));
        Event::Alloc { at, address, size, node: self.node, align_log2: 0, zeroed: false }
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at the start of a stream, or after a gap: the next bytes must be a keyframe.
    pub const fn new() -> Self {
        Self { model: Model::new(), thread: ThreadId(0), scope: ScopeId::NONE, has_keyframe: false }
    }

    /// The thread of the last decoded event.
    pub fn thread(&self) -> ThreadId {
        self.thread
    }

    /// The scope of the last decoded event.
    pub fn scope(&self) -> ScopeId {
        self.scope
    }

    /// Removes the next event from the front of `bytes`; `Ok(None)` at the end. Keyframes, skips
    /// and changes of thread and scope update the decoder and are not returned.
    ///
    /// # Errors
    /// When the bytes are invalid. The stream cannot be decoded from there up to the next keyframe.
    #[inline(always)]
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, FormatError> {
        while !bytes.is_empty() {
            let event = self.step(bytes)?;
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Removes one event, keyframe, skip or thread change from the front of `bytes`; `Ok(None)` if
    /// it was not an event, or at the end.
    ///
    /// # Errors
    /// As [`Decoder::next`].
    #[inline(always)]
    pub fn step(&mut self, bytes: &mut &[u8]) -> Result<Option<Event>, FormatError> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let mut input = ByteReader::new(bytes, "an event");
        input.u8()?;
        let event = match (first >> 1) & 7 {
            ADDRESS_LONG_FORM => self.long(first, &mut input)?,
            code @ 0..=ADDRESS_FAR if self.has_keyframe => {
                Some(self.short(first, code, &mut input)?)
            }
            _ => return Err(FormatError::Invalid("an event's first byte")),
        };
        *bytes = input.rest();
        Ok(event)
    }

    /// Decodes an event in the short form from the front of `bytes` and returns it with its length.
    /// `None` leaves the decoder unchanged: the event has another form, may be cut off, or is
    /// damaged; use [`Decoder::step`].
    ///
    /// Faster than [`Decoder::step`]: it loads whole words and shifts, and the result has a single
    /// shape, so that it stays in registers.
    #[inline(always)]
    pub fn step_compact(&mut self, bytes: &[u8]) -> Option<(CompactEvent, usize)> {
        let window = bytes.first_chunk::<SHORT_WINDOW>()?;
        let word = u64::from_le_bytes(*window.first_chunk()?);
        let code = (word >> 1) as usize & 7;
        if code > usize::from(ADDRESS_FAR) || !self.has_keyframe {
            return None;
        }
        if word & 1 == 1 {
            let (ticks, address, len) = self.compact_head(word, code, 1);
            self.update_position(ticks, address, code);
            let (at, address) = (Ticks(ticks), Address(address));
            return Some((
                CompactEvent { at, address, size_bytes: 0, node: NodeId(0), is_free: true },
                len,
            ));
        }
        let (ticks, address, len) = self.compact_head(word, code, 2);
        // Node and size take at most eight bytes together.
        let rest = u64::from_le_bytes(*window.get(len..)?.first_chunk()?);
        let second = (word >> 8) as u32;
        let (node, node_len) = match second & 3 {
            0 => (self.model.predicted_node(), 0),
            1 => (self.node_at((second >> 4) & 15).ok()?, 0),
            2 => (self.node_at(((second >> 4) & 15) | ((rest as u32 & 0xff) << 4)).ok()?, 1),
            _ => (rest as u32, 4),
        };
        let size_code = (second >> 2) as usize & 3;
        let size_len = (1_usize << size_code) >> 1;
        let size = match size_code {
            0 => self.model.predicted_size(node),
            _ => ((rest >> (8 * node_len)) & LOW_BYTES[size_len]) as u32,
        };
        self.model.observe_size(node, size);
        self.model.observe_node(node);
        self.update_position(ticks, address, code);
        let (at, address) = (Ticks(ticks), Address(address));
        let event =
            CompactEvent { at, address, size_bytes: size, node: NodeId(node), is_free: false };
        Some((event, len + node_len + size_len))
    }

    /// Time, address and length of a short form with a head of `head_len` bytes, without node and
    /// size.
    #[inline(always)]
    fn compact_head(&self, word: u64, code: usize, head_len: usize) -> (u64, u64, usize) {
        let nibble = (word >> 4) & 15;
        let is_escaped = nibble == TIME_ESCAPE;
        let delta = if is_escaped { (word >> (8 * head_len)) & 0xffff } else { nibble };
        let head_len = head_len + if is_escaped { 2 } else { 0 };
        let moved = unzigzag((word >> (8 * head_len)) & LOW_BYTES[code]) << 3;
        let base = if code == usize::from(ADDRESS_FAR) { self.model.far } else { self.model.near };
        let ticks = self.model.ticks.saturating_add(delta);
        let address = base.wrapping_add(moved.cast_unsigned());
        (ticks, address, head_len + usize::from(ADDRESS_LENS[code]))
    }

    #[inline(always)]
    fn update_position(&mut self, ticks: u64, address: u64, code: usize) {
        self.model.ticks = ticks;
        if code == usize::from(ADDRESS_FAR) {
            self.model.jump(address);
        } else {
            self.model.near = address;
        }
    }

    #[inline(always)]
    fn short(
        &mut self,
        first: u8,
        code: u8,
        input: &mut ByteReader<'_>,
    ) -> Result<Event, FormatError> {
        let is_free = first & 1 == 1;
        let second = if is_free { 0 } else { u32::from(input.u8()?) };
        let at = self.time(first, input)?;
        let len = if code == ADDRESS_FAR { 4 } else { usize::from(code) };
        let delta = unzigzag(u64::from(input.small(len)?)) << 3;
        let base = if code == ADDRESS_FAR { self.model.far } else { self.model.near };
        let address = base.wrapping_add(delta.cast_unsigned());
        if code == ADDRESS_FAR {
            self.model.jump(address);
        } else {
            self.model.near = address;
        }
        if is_free {
            return Ok(Event::Free { at, address: Address(address) });
        }
        let node = match second & 3 {
            0 => self.model.predicted_node(),
            1 => self.node_at(second >> 4)?,
            2 => self.node_at((second >> 4) | (u32::from(input.u8()?) << 4))?,
            _ => input.u32()?,
        };
        let size = match (second >> 2) & 3 {
            0 => self.model.predicted_size(node),
            1 => u32::from(input.u8()?),
            2 => u32::from(input.u16()?),
            _ => input.u32()?,
        };
        self.model.observe_size(node, size);
        self.model.observe_node(node);
        Ok(Event::Alloc {
            at,
            address: Address(address),
            size: Bytes(u64::from(size)),
            node: NodeId(node),
            align_log2: 0,
            zeroed: false,
        })
    }

    #[inline(never)]
    fn long(
        &mut self,
        first: u8,
        input: &mut ByteReader<'_>,
    ) -> Result<Option<Event>, FormatError> {
        let at = self.time(first, input)?;
        let operation = input.u8()?;
        if !self.has_keyframe && operation != OP_KEYFRAME {
            return Err(FormatError::Invalid("a stream's first event"));
        }
        match operation {
            OP_KEYFRAME => {
                self.thread = ThreadId(input.u32()?);
                self.model.reset(input.u64()?);
                self.scope = ScopeId::NONE;
                self.has_keyframe = true;
                Ok(None)
            }
            OP_SKIP => {
                let skipped = input.varint()?;
                self.model.ticks = self.model.ticks.saturating_add(skipped);
                Ok(None)
            }
            OP_THREAD => {
                self.thread = ThreadId(input.u32()?);
                Ok(None)
            }
            OP_SCOPE => {
                self.scope = ScopeId(input.u32()?);
                Ok(None)
            }
            OP_ALLOC => self.long_alloc(at, input).map(Some),
            OP_FREE => {
                let address = self.model.near.wrapping_add(input.zigzag()?.cast_unsigned());
                self.model.jump(address);
                Ok(Some(Event::Free { at, address: Address(address) }))
            }
            OP_REALLOC_END => {
                let address = self.model.near.wrapping_add(input.zigzag()?.cast_unsigned());
                self.model.jump(address);
                Ok(Some(Event::ReallocEnd { at, address: Address(address) }))
            }
            OP_REALLOC => self.long_realloc(at, input).map(Some),
            OP_REALLOC_BEGIN => self.long_continued(at, input).map(Some),
            OP_SKIPPED_ALLOCS => {
                Ok(Some(Event::SkippedAllocs { at, allocations: input.varint()? }))
            }
            OP_FAILED => {
                let node = node_id(input.varint()?)?;
                Ok(Some(Event::Failed { at, size: Bytes(input.varint()?), node }))
            }
            _ => Err(FormatError::Invalid("an event's operation")),
        }
    }

    fn long_alloc(&mut self, at: Ticks, input: &mut ByteReader<'_>) -> Result<Event, FormatError> {
        let (flags, align_log2) = flags(input, 1)?;
        let (address, node, size) = self.long_block(input)?;
        let zeroed = flags & FLAG_ZEROED != 0;
        Ok(Event::Alloc { at, address, size, node, align_log2, zeroed })
    }

    fn long_continued(
        &mut self,
        at: Ticks,
        input: &mut ByteReader<'_>,
    ) -> Result<Event, FormatError> {
        let (flags, align_log2) = flags(input, 2)?;
        let (address, node, size) = self.long_block(input)?;
        let linked = flags & FLAG_LINKED != 0;
        let moved = flags & FLAG_MOVED != 0;
        Ok(Event::ReallocBegin { at, address, size, node, align_log2, moved, linked })
    }

    fn long_block(
        &mut self,
        input: &mut ByteReader<'_>,
    ) -> Result<(Address, NodeId, Bytes), FormatError> {
        let address = self.model.near.wrapping_add(input.zigzag()?.cast_unsigned());
        self.model.jump(address);
        let node = node_id(input.varint()?)?;
        let size = Bytes(input.varint()?);
        self.observe_block(node, size);
        Ok((Address(address), node, size))
    }

    fn long_realloc(
        &mut self,
        at: Ticks,
        input: &mut ByteReader<'_>,
    ) -> Result<Event, FormatError> {
        let took = input.varint()?;
        let align_log2 = align_log2(input.u8()?)?;
        let old = self.model.near.wrapping_add(input.zigzag()?.cast_unsigned());
        let new = old.wrapping_add(input.zigzag()?.cast_unsigned());
        self.model.near = new;
        let node = node_id(input.varint()?)?;
        let size = Bytes(input.varint()?);
        self.observe_block(node, size);
        Ok(Event::Realloc {
            began: Ticks(at.0.saturating_sub(took)),
            at,
            old: Address(old),
            new: Address(new),
            size,
            node,
            align_log2,
        })
    }

    fn observe_block(&mut self, node: NodeId, size: Bytes) {
        self.model.observe_size(node.0, size.0 as u32);
        self.model.observe_node(node.0);
    }

    #[inline(always)]
    fn time(&mut self, first: u8, input: &mut ByteReader<'_>) -> Result<Ticks, FormatError> {
        let nibble = u64::from(first >> 4);
        let delta = if nibble == TIME_ESCAPE { u64::from(input.u16()?) } else { nibble };
        self.model.ticks = self.model.ticks.saturating_add(delta);
        Ok(Ticks(self.model.ticks))
    }

    #[inline(always)]
    fn node_at(&self, delta: u32) -> Result<u32, FormatError> {
        u32::try_from(i64::from(self.model.node) + unzigzag(u64::from(delta)))
            .map_err(|_| FormatError::Invalid("a node's delta"))
    }
}

fn node_id(value: u64) -> Result<NodeId, FormatError> {
    u32::try_from(value).map(NodeId).map_err(|_| FormatError::Invalid("a node's id"))
}

/// Splits a flags field: the low `bits` are flags, the alignment is above them.
fn flags(input: &mut ByteReader<'_>, bits: u32) -> Result<(u64, u8), FormatError> {
    let flags = input.varint()?;
    Ok((flags, align_log2((flags >> bits).min(255) as u8)?))
}

fn align_log2(value: u8) -> Result<u8, FormatError> {
    if value < 64 { Ok(value) } else { Err(FormatError::Invalid("an alignment")) }
}
