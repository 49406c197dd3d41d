//! Events as 1 to 16 bytes: the encoder that the recording path calls.
//!
//! Reads: an event's fields. Writes: the short form (two little-endian words joined) for the
//! usual alloc and free, the long form (varints) for everything else. The layout is drawn in
//! docs/FORMAT.md.
//!
//! Invariants:
//! - What is encoded is seen by the [`Model`] as the decoder will see it.
//! - Encoding writes one fixed-size buffer and can't fail.

use crate::recording::bytes::{ByteWriter, zigzag};
use crate::recording::events::{
    ADDRESS_FAR, ADDRESS_LONG_FORM, FLAG_LINKED, FLAG_MOVED, FLAG_ZEROED, Model, OP_ALLOC,
    OP_FAILED, OP_FREE, OP_KEYFRAME, OP_REALLOC, OP_REALLOC_BEGIN, OP_REALLOC_END, OP_SCOPE,
    OP_SKIP, OP_SKIPPED_ALLOCS, OP_THREAD, TIME_ESCAPE,
};
use crate::recording::ids::{Address, Bytes, NodeId, ScopeId, ThreadId, Ticks};

/// No encoder call writes more than this many bytes.
pub const EVENT_BYTES_MAX: usize = 96;

/// Writes one stream's events.
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
    /// A new stream; its first event must be a keyframe.
    pub const fn new() -> Self {
        Self { model: Model::new() }
    }

    /// The time of the last event.
    pub fn now(&self) -> Ticks {
        Ticks(self.model.ticks)
    }

    /// A place to start decoding: the thread and the full time; all predictions begin anew.
    /// The bytes written are the answer, here and below.
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

    /// The events from here on are `thread`'s.
    pub fn thread(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        thread: ThreadId,
    ) -> usize {
        let delta = self.delta(at);
        long_form(out, delta, OP_THREAD, |out| out.u32(thread.0))
    }

    /// The events from here on happen in `scope`, until the next keyframe says that they don't.
    pub fn scope(&mut self, out: &mut [u8; EVENT_BYTES_MAX], scope: ScopeId) -> usize {
        long_form(out, 0, OP_SCOPE, |out| out.u32(scope.0))
    }

    /// A block was handed out, with natural alignment and not zeroed.
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

    /// The same if the short form can say it, else `None` and nothing is written. No call is in
    /// here.
    #[inline(always)]
    pub fn alloc_short(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        address: Address,
        size: Bytes,
        node: NodeId,
    ) -> Option<usize> {
        // Huge where the time went back.
        let delta = at.0.wrapping_sub(self.model.ticks);
        let place = self.short_address(address)?;
        if delta > u64::from(u16::MAX) || size.0 > u64::from(u32::MAX) {
            return None;
        }
        self.model.ticks += delta;
        self.observe_address(address, place);

        let size = size.0 as u32;
        let predicted = self.model.predicted_size(node.0);
        // 0 if predicted, else 1, 2 or 3 for 1, 2 or 4 bytes.
        let size_code = if size == predicted {
            0
        } else {
            1 + u32::from(size > 0xff) + u32::from(size > 0xffff)
        };
        let size_len = (1_u32 << size_code) >> 1;
        self.model.observe_size(node.0, size);
        if node.0 == self.model.predicted_node() {
            self.model.node = node.0;
            let (head, head_len) = head_word(delta, place.code, 0, Some(u64::from(size_code << 2)));
            let len = store_head(out, head, head_len, place);
            store_at(out, len, u64::from(size));
            return Some((len + size_len) as usize);
        }
        let (node_code, node_low, node_rest, node_len) = self.short_node(node.0);
        self.model.observe_node(node.0);
        let second = u64::from(node_code | (size_code << 2) | (node_low << 4));
        let (head, head_len) = head_word(delta, place.code, 0, Some(second));
        let len = store_head(out, head, head_len, place);
        store_at(out, len, u64::from(node_rest) | (u64::from(size) << (8 * node_len)));
        Some((len + node_len + size_len) as usize)
    }

    /// A block was handed out: the general form.
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

    /// A block was given back.
    #[inline(always)]
    pub fn free(&mut self, out: &mut [u8; EVENT_BYTES_MAX], at: Ticks, address: Address) -> usize {
        self.free_short(out, at, address).unwrap_or_else(|| self.free_long(out, at, address))
    }

    /// The same if the short form can say it, else `None` and nothing is written. No call is in
    /// here.
    #[inline(always)]
    pub fn free_short(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        address: Address,
    ) -> Option<usize> {
        let delta = at.0.wrapping_sub(self.model.ticks);
        let place = self.short_address(address)?;
        if delta > u64::from(u16::MAX) {
            return None;
        }
        self.model.ticks += delta;
        self.observe_address(address, place);
        let (head, head_len) = head_word(delta, place.code, 1, None);
        Some(store_head(out, head, head_len, place) as usize)
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

    /// A block changed its size. Stamped with both ends of the inner call.
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
        // The event's own time is the end; the beginning can't lie before the last event.
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

    /// A block ended because it grew or shrank.
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

    /// A block was made by growing or shrinking another one.
    #[expect(clippy::too_many_arguments, reason = "an event's fields, as in `Event::Continued`")]
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

    /// The thread made so many blocks since its last event that were aggregated away.
    pub fn skipped_allocs(
        &mut self,
        out: &mut [u8; EVENT_BYTES_MAX],
        at: Ticks,
        allocations: u64,
    ) -> usize {
        let delta = self.delta(at);
        long_form(out, delta, OP_SKIPPED_ALLOCS, |out| out.varint(allocations))
    }

    /// The inner allocator answered null.
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

    /// The general form of a block's beginning.
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

    /// Moves the stream's time to `at`, never back, and says how far that was.
    fn delta(&mut self, at: Ticks) -> u64 {
        let delta = at.0.saturating_sub(self.model.ticks);
        self.model.ticks += delta;
        delta
    }

    fn observe_block(&mut self, node: NodeId, size: Bytes) {
        self.model.observe_size(node.0, size.0 as u32);
        self.model.observe_node(node.0);
    }

    /// How to say `address` in at most four bytes, if that can be done.
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
    fn observe_address(&mut self, address: Address, place: ShortAddress) {
        if place.code == ADDRESS_FAR {
            self.model.jump(address.0);
        } else {
            self.model.near = address.0;
        }
    }

    /// How to say a node that was not predicted: (code, the four bits in the second byte, the
    /// bytes behind the address, how many).
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

/// The address part of a short form.
#[derive(Clone, Copy)]
struct ShortAddress {
    code: u8,
    bytes: u32,
    len: u32,
}

/// Byte 0 (operation, address code, time), byte 1 where there is one, the escaped time.
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

/// Stores the head with the address bytes behind it, eight bytes at most (2 of head, 2 of time,
/// 4 of address), and answers how many they are.
#[inline(always)]
fn store_head(
    out: &mut [u8; EVENT_BYTES_MAX],
    head: u64,
    head_len: u32,
    place: ShortAddress,
) -> u32 {
    store_at(out, 0, head | (u64::from(place.bytes) << (8 * head_len)));
    head_len + place.len
}

/// Stores eight bytes at `at`, which is at most 8.
#[inline(always)]
fn store_at(out: &mut [u8; EVENT_BYTES_MAX], at: u32, word: u64) {
    let at = at as usize & 15;
    if let Some(room) = out.get_mut(at..at + 8) {
        room.copy_from_slice(&word.to_le_bytes());
    }
}

/// A skip where the time needs one, then the long form's head and its body.
fn long_form(
    out: &mut [u8; EVENT_BYTES_MAX],
    delta: u64,
    operation: u8,
    body: impl FnOnce(&mut ByteWriter<'_>),
) -> usize {
    let mut writer = ByteWriter::new(out);
    let mut left = delta;
    if left > u64::from(u16::MAX) {
        writer.u8(ADDRESS_LONG_FORM << 1);
        writer.u8(OP_SKIP);
        writer.varint(left);
        left = 0;
    }
    let (head, len) = head_word(left, ADDRESS_LONG_FORM, 0, None);
    writer.bytes(head.to_le_bytes().get(..len as usize).unwrap_or_default());
    writer.u8(operation);
    body(&mut writer);
    // The longest: a skip (12), a head (4), a realloc (10 + 1 + 10 + 10 + 5 + 10).
    writer.len()
}
