//! Where folding stands in each tracker's stream.
//!
//! Reads: regions. Writes: its own pages.
//!
//! Invariant: a stream is read as it is up to a keyframe, and folded from there on, for ever.

use std::ptr::NonNull;

use crate::collector::fold::pending::{Held, Kind};
use crate::collector::pages::Pages;
use crate::collector::region::Shared;
use crate::collector::sys;
use crate::recording::{Decoder, Event, ScopeId, ThreadId, Ticks};

/// One stream.
pub(in crate::collector) struct Stream {
    decoder: Decoder,
    /// Position of the first byte that is not decoded.
    pub(in crate::collector) at: u64,
    /// An event that was decoded too early.
    ahead: Option<Event>,
    /// The thread of the last event.
    pub(in crate::collector) thread: ThreadId,
    /// Its scope then.
    pub(in crate::collector) scope: ScopeId,
    /// Blocks that it has made.
    pub(in crate::collector) made: u32,
    /// Of which thread something was written last, and how many it had made by then.
    pub(in crate::collector) written: (ThreadId, u32),
}

impl Stream {
    /// A stream that is folded from a keyframe at this position on.
    fn new(at: u64) -> Self {
        Self {
            decoder: Decoder::new(),
            at,
            ahead: None,
            thread: ThreadId(u32::MAX),
            scope: ScopeId::NONE,
            made: 0,
            written: (ThreadId(u32::MAX), 0),
        }
    }

    /// The next event before the position `end`.
    #[inline(always)]
    pub(in crate::collector) fn next(
        &mut self,
        shared: &Shared,
        end: u64,
        undecoded: &mut u64,
    ) -> Option<Event> {
        if let Some(event) = self.ahead.take() {
            return Some(event);
        }
        while self.at < end {
            let mut bytes = shared.contiguous(self.at, end);
            let before = bytes.len();
            let Ok(event) = self.decoder.step(&mut bytes) else {
                // What our own encoder wrote can be decoded; were it not so, it would be said.
                *undecoded = undecoded.wrapping_add(end.wrapping_sub(self.at));
                self.at = end;
                return None;
            };
            self.at = self.at.wrapping_add(before.wrapping_sub(bytes.len()) as u64);
            if let Some(event) = event {
                self.meet(self.decoder.thread());
                self.scope = self.decoder.scope();
                return Some(event);
            }
        }
        None
    }

    /// Who does what this stream handed out last. Asked once an event.
    #[inline(always)]
    pub(in crate::collector) fn by(&mut self, index: usize, event: &Event) -> By {
        if matches!(event, Event::Alloc { .. } | Event::Realloc { .. }) {
            self.made = self.made.wrapping_add(1);
        }
        By { index: index as u32, thread: self.thread, scope: self.scope, made: self.made }
    }

    /// Gives an event back, to be handed out next time.
    pub(in crate::collector) fn give_back(&mut self, event: Event) {
        self.ahead = Some(event);
    }

    #[inline]
    fn meet(&mut self, thread: ThreadId) {
        if thread != self.thread {
            self.thread = thread;
            self.made = 0;
        }
    }
}

/// Who does something.
#[derive(Clone, Copy)]
pub(in crate::collector) struct By {
    pub(in crate::collector) index: u32,
    pub(in crate::collector) thread: ThreadId,
    pub(in crate::collector) scope: ScopeId,
    /// Blocks that the thread has made by then.
    pub(in crate::collector) made: u32,
}

impl By {
    #[inline(always)]
    pub(in crate::collector) fn held(&self, kind: Kind, at: Ticks, address: u64) -> Held {
        Held {
            stream: self.index,
            thread: self.thread.0,
            scope: self.scope.0,
            made: self.made,
            ..Held::new(kind, at.0, address)
        }
    }
}

/// All streams, by number.
pub(in crate::collector) struct Streams {
    /// Addresses; 0: not folded yet.
    table: Pages<u64>,
    made: u64,
}

impl Streams {
    pub(in crate::collector) fn new(streams_max: usize) -> Option<Self> {
        Some(Self { table: Pages::new(streams_max)?, made: 0 })
    }

    #[inline]
    pub(in crate::collector) fn get(&mut self, index: usize) -> Option<&mut Stream> {
        let address = *self.table.get(index)?;
        // SAFETY: only `begin` stores here, the address of a stream in pages of its own, which
        // are given back in `drop` only; the reference borrows all streams.
        unsafe { (address as *mut Stream).as_mut() }
    }

    /// Folds a stream from here on; `false`: there is no memory for it.
    pub(in crate::collector) fn begin(&mut self, index: usize, at: u64) -> bool {
        let Some(place) = self.table.get_mut(index) else { return false };
        let Some(pages) = sys::map_pages(size_of::<Stream>()) else { return false };
        let stream = pages.cast::<Stream>();
        // SAFETY: fresh pages, page-aligned and large enough.
        unsafe { stream.write(Stream::new(at)) };
        *place = stream.as_ptr() as u64;
        self.made = self.made.wrapping_add(1);
        true
    }

    /// Memory, in bytes.
    pub(in crate::collector) fn used_bytes(&self) -> u64 {
        self.made.saturating_mul((size_of::<Stream>() as u64).next_multiple_of(4096))
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        for address in self.table.as_slice() {
            if let Some(stream) = NonNull::new(*address as *mut u8) {
                // SAFETY: a mapping of this size that `begin` made; a stream needs no drop.
                unsafe { sys::unmap_pages(stream, size_of::<Stream>()) };
            }
        }
    }
}
