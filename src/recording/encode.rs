//! The encoder of one event stream; an allocation or free takes 1 to 16 bytes.
//!
//! Writes the short form (two little-endian words) for plain allocations and frees, and the long
//! form (varints) for everything else. docs/reference/FORMAT.md shows the layout.
//!
//! Invariants:
//! - The encoder updates its [`Model`] exactly as the decoder will.
//! - Encoding writes to one fixed-size buffer and cannot fail.

use crate::recording::bytes::{ByteWriter, zigzag};
use crate::recording::events::{
    ADDRESS_FAR, ADDRESS_LONG_FORM, FLAG_LINKED, FLAG_MOVED, FLAG_ZEROED, Model, OP_ALLOC,
    OP_FAILED, OP_FREE, OP_KEYFRAME, OP_REALLOC, OP_REALLOC_BEGIN, OP_REALLOC_END, OP_SCOPE,
    OP_SKIP, OP_SKIPPED_ALLOCS, OP_THREAD, TIME_ESCAPE,
};
use crate::recording::ids::{Address, Bytes, NodeId, ScopeId, ThreadId, Ticks};

/// Maximum number of bytes that one encoder call writes.
pub const EVENT_BYTES_MAX: usize = 96;

/// Encodes the events of one stream.
#[derive(Clone, Debug)]
pub struct Encoder {
    model: Model,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder for a new stream; its first event must be a keyframe.
    pub const fn new() -> Self {
        Self { model: Model::new() }
    }

    /// Time of the last event.
    pub fn now(&self) -> Ticks {
        Ticks(self.model.ticks)
    }

    /// Writes a keyframe, at which decoding can start: it carries the thread and the absolute time,
    /// and resets all predictions. All methods return the number of bytes written.
    pub fn keyframe(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        thread: ThreadId,
    ) -> usize {
        self.model.reset(at.0);
        long_form(out, 0, OP_KEYFRAME, |out| {
            out.u32(thread.0);
            out.u64(at.0);
        })
    }

    /// Writes that the events from here on belong to `thread`.
    pub fn thread(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        thread: ThreadId,
    ) -> usize {
        let delta = self.delta(at);
        long_form(out, delta, OP_THREAD, |out| out.u32(thread.0))
    }

    /// Writes that the events from here on happen in `scope`, up to the next keyframe.
    pub fn scope(&mut self, out: &mut [u8; EVENT_BYTES_MAX], scope: ScopeId) -> usize {
        long_form(out, 0, OP_SCOPE, |out| out.u32(scope.0))
    }

    /// Writes an allocation with natural alignment and without zeroing.
    #[inline(always)]
    pub fn alloc(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        address: Address,
        size: Bytes,
        node: NodeId,
    ) -> usize {
        self.alloc_short(out, at, address, size, node)
            .unwrap_or_else(|| self.alloc_long(out, at, address, size, node, 0, false))
    }

    /// Like [`Encoder::alloc`] if the short form can express it; else `None`, and nothing is
    /// written. Contains no call, so that the caller's fast path saves no registers.
    #[inline(always)]
    pub fn alloc_short(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        address: Address,
        size: Bytes,
        node: NodeId,
    ) -> Option<usize> {
        // Wraps to a huge value if the time went backwards.
        let delta = at.0.wrapping_sub(self.model.ticks);
        let short = self.short_address(address)?;
        if delta > u64::from(u16::MAX) || size.0 > u64::from(u32::MAX) {
            return None;
        }
        self.model.ticks += delta;
        self.observe_address(address, short);

        let size = size.0 as u32;
        let predicted = self.model.predicted_size(node.0);
        // 0 if predicted; 1, 2 or 3 for one, two or four bytes.
        let size_code = if size == predicted {
            0
        } else {
            1 + u32::from(size > 0xff) + u32::from(size > 0xffff)
        };
        let size_len = (1_u32 << size_code) >> 1;
        self.model.observe_size(node.0, size);
        if node.0 == self.model.predicted_node() {
            self.model.node = node.0;
            let (head, head_len) = head_word(delta, short.code, 0, Some(u64::from(size_code << 2)));
            let len = store_head(out, head, head_len, short);
            store_at(out, len, u64::from(size));
            return Some((len + size_len) as usize);
        }
        let (node_code, node_low, node_rest, node_len) = self.short_node(node.0);
        self.model.observe_node(node.0);
        let second = u64::from(node_code | (size_code << 2) | (node_low << 4));
        let (head, head_len) = head_word(delta, short.code, 0, Some(second));
        let len = store_head(out, head, head_len, short);
        store_at(out, len, u64::from(node_rest) | (u64::from(size) << (8 * node_len)));
        Some((len + node_len + size_len) as usize)
    }

    /// Writes an allocation in the general form.
    #[expect(clippy::too_many_arguments, reason = "an event's fields, as in `Event::Alloc`")]
    pub fn alloc_long(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        address: Address,
        size: Bytes,
        node: NodeId,
        align_log2: u8,
        zeroed: bool,
    ) -> usize {
        let flags = if zeroed { FLAG_ZEROED } else { 0 };
        let flags = flags | (u64::from(align_log2) << 1);
        self.long_block(out, OP_ALLOC, flags, (at, address, size, node))
    }

    /// Writes a free.
    #[inline(always)]
    pub fn free(&mut self, out: &mut [u8; EVENT_BYTES_MAX], at: Ticks, address: Address) -> usize {
        self.free_short(out, at, address).unwrap_or_else(|| self.free_long(out, at, address))
    }

    /// Like [`Encoder::free`] if the short form can express it; else `None`, and nothing is
    /// written. Contains no call, so that the caller's fast path saves no registers.
    #[inline(always)]
    pub fn free_short(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        address: Address,
    ) -> Option<usize> {
        let delta = at.0.wrapping_sub(self.model.ticks);
        let short = self.short_address(address)?;
        if delta > u64::from(u16::MAX) {
            return None;
        }
        self.model.ticks += delta;
        self.observe_address(address, short);
        let (head, head_len) = head_word(delta, short.code, 1, None);
        Some(store_head(out, head, head_len, short) as usize)
    }

    #[cold]
    fn free_long(&mut self, out: &mut [u8; EVENT_BYTES_MAX], at: Ticks, address: Address) -> usize {
        let delta = self.delta(at);
        let near = self.model.near;
        self.model.jump(address.0);
        long_form(out, delta, OP_FREE, |out| {
            out.zigzag(address.0.wrapping_sub(near).cast_signed());
        })
    }

    /// Writes a reallocation, with the times before and after the inner call.
    #[expect(clippy::too_many_arguments, reason = "an event's fields, as in `Event::Realloc`")]
    pub fn realloc(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        began: Ticks,
        at: Ticks,
        old: Address,
        new: Address,
        size: Bytes,
        node: NodeId,
        align_log2: u8,
    ) -> usize {
        // The time of the event is the end of the call; its start must not precede the last event.
        let began = began.0.clamp(self.model.ticks, at.0.max(self.model.ticks));
        let delta = self.delta(at);
        let took = self.model.ticks - began;
        let near = self.model.near;
        self.model.near = new.0;
        self.observe_block(node, size);
        long_form(out, delta, OP_REALLOC, |out| {
            out.varint(took);
            out.u8(align_log2);
            out.zigzag(old.0.wrapping_sub(near).cast_signed());
            out.zigzag(new.0.wrapping_sub(old.0).cast_signed());
            out.varint(u64::from(node.0));
            out.varint(size.0);
        })
    }

    /// Writes the end of a block because of a reallocation.
    pub fn realloc_end(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        address: Address,
    ) -> usize {
        let delta = self.delta(at);
        let near = self.model.near;
        self.model.jump(address.0);
        long_form(out, delta, OP_REALLOC_END, |out| {
            out.zigzag(address.0.wrapping_sub(near).cast_signed());
        })
    }

    /// Writes a block that a reallocation allocated.
    #[expect(clippy::too_many_arguments, reason = "an event's fields, as in `Event::ReallocBegin`")]
    pub fn realloc_begin(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        address: Address,
        size: Bytes,
        node: NodeId,
        align_log2: u8,
        moved: bool,
        linked: bool,
    ) -> usize {
        let moved = if moved { FLAG_MOVED } else { 0 };
        let linked = if linked { FLAG_LINKED } else { 0 };
        let flags = moved | linked | (u64::from(align_log2) << 2);
        self.long_block(out, OP_REALLOC_BEGIN, flags, (at, address, size, node))
    }

    /// Writes the number of blocks that the thread allocated since its last event and that were
    /// aggregated.
    pub fn skipped_allocs(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        allocations: u64,
    ) -> usize {
        let delta = self.delta(at);
        long_form(out, delta, OP_SKIPPED_ALLOCS, |out| out.varint(allocations))
    }

    /// Writes a request for which the inner allocator returned null.
    pub fn failed(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        size: Bytes,
        node: NodeId,
    ) -> usize {
        let delta = self.delta(at);
        long_form(out, delta, OP_FAILED, |out| {
            out.varint(u64::from(node.0));
            out.varint(size.0);
        })
    }

    /// The long form of an allocated block.
    fn long_block(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        operation: u8,
        flags: u64,
        (at, address, size, node): (Ticks, Address, Bytes, NodeId),
    ) -> usize {
        let delta = self.delta(at);
        let near = self.model.near;
        self.model.jump(address.0);
        self.observe_block(node, size);
        long_form(out, delta, operation, |out| {
            out.varint(flags);
            out.zigzag(address.0.wrapping_sub(near).cast_signed());
            out.varint(u64::from(node.0));
            out.varint(size.0);
        })
    }

    /// Advances the stream's time to `at`, never backwards, and returns the distance.
    fn delta(&mut self, at: Ticks) -> u64 {
        let delta = at.0.saturating_sub(self.model.ticks);
        self.model.ticks += delta;
        delta
    }

    fn observe_block(&mut self, node: NodeId, size: Bytes) {
        self.model.observe_size(node.0, size.0 as u32);
        self.model.observe_node(node.0);
    }

    /// The short form of `address`, at most four bytes, if there is one.
    #[inline(always)]
    fn short_address(&self, address: Address) -> Option<ShortAddress> {
        let near = address.0.wrapping_sub(self.model.near).cast_signed();
        if near & 7 != 0 {
            return None;
        }
        let bytes = zigzag(near >> 3);
        if bytes <= u64::from(u32::MAX) {
            let len = (39 - (bytes as u32).leading_zeros()) / 8;
            return Some(ShortAddress { code: len as u8, bytes: bytes as u32, len });
        }
        let far = address.0.wrapping_sub(self.model.far).cast_signed();
        let bytes = zigzag(far >> 3);
        (far & 7 == 0 && bytes <= u64::from(u32::MAX)).then_some(ShortAddress {
            code: ADDRESS_FAR,
            bytes: bytes as u32,
            len: 4,
        })
    }

    #[inline(always)]
    fn observe_address(&mut self, address: Address, short: ShortAddress) {
        if short.code == ADDRESS_FAR {
            self.model.jump(address.0);
        } else {
            self.model.near = address.0;
        }
    }

    /// The short form of a node that was not predicted: (code, four bits for the second byte, bytes
    /// after the address, their number).
    fn short_node(&self, node: u32) -> (u32, u32, u32, u32) {
        let delta = zigzag(i64::from(node) - i64::from(self.model.node));
        if delta < 16 {
            (1, delta as u32, 0, 0)
        } else if delta < 1 << 12 {
            (2, delta as u32 & 15, delta as u32 >> 4, 1)
        } else {
            (3, 0, node, 4)
        }
    }
}

/// The address of a short form.
#[derive(Clone, Copy)]
struct ShortAddress {
    code: u8,
    bytes: u32,
    len: u32,
}

/// Byte 0 (operation, address code, time), byte 1 if there is one, and the escaped time.
#[inline(always)]
fn head_word(delta: u64, address_code: u8, operation: u64, second: Option<u64>) -> (u64, u32) {
    let escaped = delta >= TIME_ESCAPE;
    let nibble = if escaped { TIME_ESCAPE } else { delta };
    let mut word = operation | (u64::from(address_code) << 1) | (nibble << 4);
    let mut len = 1;
    if let Some(second) = second {
        word |= second << 8;
        len = 2;
    }
    if escaped {
        word |= delta << (8 * len);
        len += 2;
    }
    (word, len)
}

/// Stores the head and the address bytes, at most eight bytes in total (2 of head, 2 of time, 4 of
/// address), and returns their number.
#[inline(always)]
fn store_head(
    out: &mut [u8; EVENT_BYTES_MAX],
    head: u64,
    head_len: u32,
    short: ShortAddress,
) -> u32 {
    store_at(out, 0, head | (u64::from(short.bytes) << (8 * head_len)));
    head_len + short.len
}

/// Stores eight bytes at `at`, which is at most 8.
#[inline(always)]
fn store_at(out: &mut [u8; EVENT_BYTES_MAX], at: u32, word: u64) {
    let at = at as usize & 15;
    if let Some(room) = out.get_mut(at..at + 8) {
        room.copy_from_slice(&word.to_le_bytes());
    }
}

/// Writes a skip if the time needs one, then the head of the long form and its body.
fn long_form(
    out: &mut [u8; EVENT_BYTES_MAX],
    delta: u64,
    operation: u8,
    body: impl FnOnce(&mut ByteWriter<'_>),
) -> usize {
    let mut writer = ByteWriter::new(out);
    let mut short_delta = delta;
    if short_delta > u64::from(u16::MAX) {
        writer.u8(ADDRESS_LONG_FORM << 1);
        writer.u8(OP_SKIP);
        writer.varint(short_delta);
        short_delta = 0;
    }
    let (head, len) = head_word(short_delta, ADDRESS_LONG_FORM, 0, None);
    writer.bytes(head.to_le_bytes().get(..len as usize).unwrap_or_default());
    writer.u8(operation);
    body(&mut writer);
    // The longest: a skip (12), a head (4), a realloc (10 + 1 + 10 + 10 + 5 + 10).
    writer.len()
}
