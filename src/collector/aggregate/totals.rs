//! The totals of aggregated blocks since they were last written.
//!
//! Reads: aggregated blocks, one by one. Writes: `Aggregated` payloads.
//!
//! Invariants: every block is in the totals of one site, one group, one pair of threads and one size;
//! no counter can overflow before the totals are written.

use crate::collector::aggregate::accumulator_tables::{
    GroupTable, SiteTable, SizeTable, ThreadPairTable,
};
use crate::collector::aggregate::accumulators::{FreeInfo, FreedBlock, GroupTotals, group_key};
use crate::collector::aggregate::hold_queue::DeferredEvent;
use crate::collector::platform::mmap_vec::{MmapVec, Zeroable};
use crate::recording::{
    AGGREGATED_ENTRY_BYTES_MAX, AGGREGATED_SITE_BYTES_MAX, AGGREGATED_SMALL_BYTES_MAX,
    AggregatedHead, ByteWriter, DURATION_CLASS_BITS, SizePower, Ticks,
};

/// Blocks per batch: the accumulators of a whole batch are prefetched before its first block is added.
const BATCH: usize = 32;

/// Blocks after which the totals are written, because a group counts them in 32 bits.
const BLOCKS_MAX: u64 = 1 << 31;

/// Powers of two of sizes.
const POWERS: usize = 64;

/// All totals.
pub(crate) struct Totals {
    batch: MmapVec<FreedBlock>,
    batch_len: usize,
    exceeds_load_factor: bool,
    sites: SiteTable,
    groups: GroupTable,
    pairs: ThreadPairTable,
    sizes: SizeTable,
    /// The lifetime classes of the site that is being written.
    lifetimes: MmapVec<LifetimeCount>,
    /// When the totals were last written.
    from: Ticks,
    /// Blocks since the start of the recording.
    blocks: u64,
    /// Value of `blocks` when the totals were last written.
    written_blocks: u64,
}

/// Number of a site's blocks in a lifetime class.
#[derive(Clone, Copy)]
#[repr(C)]
struct LifetimeCount {
    class: u32,
    blocks: u64,
}

// SAFETY: integers: all-zero is a valid value.
unsafe impl Zeroable for LifetimeCount {}

impl Totals {
    pub(crate) fn new(from: Ticks) -> Option<Self> {
        Some(Self {
            batch: MmapVec::new(BATCH)?,
            batch_len: 0,
            exceeds_load_factor: false,
            sites: SiteTable::new()?,
            groups: GroupTable::new()?,
            pairs: ThreadPairTable::new()?,
            sizes: SizeTable::new()?,
            lifetimes: MmapVec::new(1 << DURATION_CLASS_BITS)?,
            from,
            blocks: 0,
            written_blocks: 0,
        })
    }

    /// The time at which the totals start.
    pub(crate) fn from(&self) -> Ticks {
        self.from
    }

    /// Whether the totals must be written before the next batch of events.
    #[inline(always)]
    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.exceeds_load_factor
    }

    /// Upper bound of the bytes that writing the totals takes.
    pub(crate) fn bytes_max(&self) -> usize {
        let sites = self.sites.len().saturating_mul(AGGREGATED_SITE_BYTES_MAX);
        // At most one entry for its lifetime class and one for its power of two.
        let entries = self.groups.len().saturating_mul(2);
        let groups = entries.saturating_mul(AGGREGATED_ENTRY_BYTES_MAX);
        let pairs = self.pairs.len().saturating_mul(AGGREGATED_SMALL_BYTES_MAX);
        sites.saturating_add(groups).saturating_add(pairs).saturating_add(64 << 10)
    }

    /// Memory in use, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.sites
            .used_bytes()
            .saturating_add(self.groups.used_bytes())
            .saturating_add(self.pairs.used_bytes())
    }

    /// Blocks that were aggregated in this recording.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Adds a block. Requires that [`Totals::exceeds_load_factor`] was false for this batch of events.
    #[inline(always)]
    pub(crate) fn add(&mut self, alloc: &DeferredEvent, free: FreeInfo) {
        let block = FreedBlock::new(alloc, free);
        self.sites.prefetch(block.key);
        if let Some(entry) = self.batch.get_mut(self.batch_len) {
            *entry = block;
        }
        self.batch_len = self.batch_len.wrapping_add(1);
        if self.batch_len >= BATCH {
            self.add_batch();
        }
    }

    #[inline(never)]
    fn add_batch(&mut self) {
        let len = std::mem::take(&mut self.batch_len);
        let blocks = self.batch.as_mut_slice().get_mut(..len).unwrap_or_default();
        self.sites.reserve(len);
        self.groups.reserve(len);
        self.pairs.reserve(len);
        let mut recent = (0, 0);
        for block in blocks.iter_mut() {
            if recent.0 != block.key {
                recent = (block.key, self.sites.number(block.key));
                self.sites.prefetch_site(recent.1);
            }
            block.site = recent.1 as u32;
            block.group = group_key(block.site, block.lifetime(), block.size);
            block.group_position = self.groups.prefetch(block.group) as u32;
        }
        for block in blocks.iter() {
            self.groups.add(block.group_position as usize, block.group, block.size);
            self.sizes.add(block.size);
            self.sites.at_mut(block.site as usize).add(block);
        }
        self.pairs.add(blocks);
        self.blocks = self.blocks.wrapping_add(len as u64);
        // The last quarter of the tables has room for the blocks of the current batch of events.
        self.exceeds_load_factor = self.sites.exceeds_load_factor()
            || self.groups.exceeds_load_factor()
            || self.pairs.exceeds_load_factor()
            || self.blocks.wrapping_sub(self.written_blocks) >= BLOCKS_MAX;
    }

    /// Writes the totals up to `to` as payloads of at most `payload_max` bytes, and resets them. Each
    /// payload is a function that `payload` calls to write it.
    pub(crate) fn write(
        &mut self,
        to: Ticks,
        payload_max: usize,
        payload: &mut dyn FnMut(Write<'_>),
    ) {
        self.add_batch();
        if self.sites.len() == 0 {
            self.from = to;
            return;
        }
        let head = AggregatedHead { from: self.from, to };
        self.groups.sort();
        let mut cursor = Cursor::default();
        while !self.is_written(&cursor) {
            payload(&mut |out| self.write_some(&head, &mut cursor, payload_max, out));
        }
        self.groups.clear();
        self.sites.clear();
        self.pairs.clear();
        self.sizes.clear();
        self.exceeds_load_factor = false;
        self.from = to;
        self.written_blocks = self.blocks;
    }

    fn is_written(&self, cursor: &Cursor) -> bool {
        cursor.groups >= self.groups.len()
            && cursor.pairs >= self.pairs.positions().len()
            && self.sizes.of_class(cursor.sizes).is_none()
    }

    fn write_some(
        &mut self,
        head: &AggregatedHead,
        cursor: &mut Cursor,
        payload_max: usize,
        out: &mut ByteWriter<'_>,
    ) {
        head.write(out);
        while cursor.groups < self.groups.len() {
            if !self.write_site(head, cursor, payload_max, out) {
                return;
            }
        }
        while let Some(pair) = self.pairs.positions().get(cursor.pairs) {
            if out.len().saturating_add(AGGREGATED_SMALL_BYTES_MAX) > payload_max {
                return;
            }
            cursor.pairs = cursor.pairs.wrapping_add(1);
            if pair.blocks > 0 {
                pair.record().write(head, out);
            }
        }
        while let Some(size) = self.sizes.of_class(cursor.sizes) {
            if out.len().saturating_add(AGGREGATED_SMALL_BYTES_MAX) > payload_max {
                return;
            }
            cursor.sizes = cursor.sizes.wrapping_add(1);
            if size.blocks > 0 {
                size.write(out);
            }
        }
    }

    /// Writes the next site with the sums of its groups; `false` if it does not fit.
    fn write_site(
        &mut self,
        head: &AggregatedHead,
        cursor: &mut Cursor,
        payload_max: usize,
        out: &mut ByteWriter<'_>,
    ) -> bool {
        let remaining = self.groups.sorted().get(cursor.groups..).unwrap_or_default();
        let number = remaining.first().map_or(0, GroupTotals::site);
        let len = remaining.iter().take_while(|group| group.site() == number).count();
        let groups = remaining.get(..len).unwrap_or_default();
        let mut powers = [SizePower { power: 0, blocks: 0, bytes: 0 }; POWERS];
        let (mut blocks, mut bytes) = (0_u64, 0_u64);
        let mut lifetimes_len = 0_usize;
        for same_class in groups.chunk_by(|one, next| one.class() == next.class()) {
            let mut lifetime = LifetimeCount {
                class: same_class.first().map_or(0, GroupTotals::class),
                blocks: 0,
            };
            for group in same_class {
                lifetime.blocks = lifetime.blocks.wrapping_add(u64::from(group.blocks));
                bytes = bytes.wrapping_add(group.bytes);
                if let Some(sum) = powers.get_mut(usize::from(group.power())) {
                    sum.power = group.power();
                    sum.blocks = sum.blocks.wrapping_add(u64::from(group.blocks));
                    sum.bytes = sum.bytes.wrapping_add(group.bytes);
                }
            }
            blocks = blocks.wrapping_add(lifetime.blocks);
            if let Some(next) = self.lifetimes.get_mut(lifetimes_len) {
                *next = lifetime;
                lifetimes_len = lifetimes_len.wrapping_add(1);
            }
        }
        let mut powers_len = 0_usize;
        for power in 0..POWERS {
            if powers.get(power).is_some_and(|sum| sum.blocks > 0) {
                powers.swap(powers_len, power);
                powers_len = powers_len.wrapping_add(1);
            }
        }
        let entries = lifetimes_len.saturating_add(powers_len);
        let bytes_max = AGGREGATED_SITE_BYTES_MAX
            .saturating_add(entries.saturating_mul(AGGREGATED_ENTRY_BYTES_MAX));
        if out.len().saturating_add(bytes_max) > payload_max {
            return false;
        }
        cursor.groups = cursor.groups.wrapping_add(len);
        let lifetimes = self.lifetimes.as_slice().get(..lifetimes_len).unwrap_or_default().iter();
        let lifetimes = lifetimes.map(|lifetime| (lifetime.class, lifetime.blocks));
        let powers = powers.into_iter().take(powers_len);
        self.sites.at(number).record(blocks, bytes).write(head, out, lifetimes, powers);
        true
    }
}

/// Writes one payload.
pub(crate) type Write<'a> = &'a mut dyn FnMut(&mut ByteWriter<'_>);

/// Progress of writing the totals.
#[derive(Default)]
struct Cursor {
    groups: usize,
    pairs: usize,
    sizes: usize,
}
