//! The sums of aggregated blocks since they were last written.
//!
//! Reads: aggregated blocks, one by one. Writes: `Aggregated` payloads.
//!
//! Invariants: every block is in the sums of one site, one group, one pair of threads and one size;
//! no count of them can overflow before the sums are written.

use crate::collector::aggregate::accumulators::{Block, End, Group, group_key};
use crate::collector::aggregate::group_tables::{Groups, Pairs, Sites, Sizes};
use crate::collector::aggregate::hold_queue::Held;
use crate::collector::platform::mmap_vec::{MmapVec, Zeroable};
use crate::recording::{
    AGGREGATED_ENTRY_BYTES_MAX, AGGREGATED_SITE_BYTES_MAX, AGGREGATED_SMALL_BYTES_MAX,
    AggregatedHead, ByteWriter, DURATION_CLASS_BITS, SizePower, Ticks,
};

/// Blocks that are added together: what the sums of one need is fetched while another is added.
const BATCH: usize = 32;

/// After so many blocks the sums are written: a group counts them in 32 bits.
const BLOCKS_MAX: u64 = 1 << 31;

/// Powers of two that sizes are counted in.
const POWERS: usize = 64;

/// All sums.
pub(crate) struct Sums {
    waiting: MmapVec<Block>,
    waiting_len: usize,
    exceeds_load_factor: bool,
    sites: Sites,
    groups: Groups,
    pairs: Pairs,
    sizes: Sizes,
    /// What a site has of each class of lifetimes, while it is written.
    lives: MmapVec<Life>,
    from: Ticks,
    blocks: u64,
    /// How many were aggregated when the sums were last written.
    written_blocks: u64,
}

/// Blocks of a site in a class of lifetimes.
#[derive(Clone, Copy)]
#[repr(C)]
struct Life {
    class: u32,
    blocks: u64,
}

// SAFETY: numbers.
unsafe impl Zeroable for Life {}

impl Sums {
    pub(crate) fn new(from: Ticks) -> Option<Self> {
        Some(Self {
            waiting: MmapVec::new(BATCH)?,
            waiting_len: 0,
            exceeds_load_factor: false,
            sites: Sites::new()?,
            groups: Groups::new()?,
            pairs: Pairs::new()?,
            sizes: Sizes::new()?,
            lives: MmapVec::new(1 << DURATION_CLASS_BITS)?,
            from,
            blocks: 0,
            written_blocks: 0,
        })
    }

    /// Where the present stretch of time begins.
    pub(crate) fn from(&self) -> Ticks {
        self.from
    }

    /// Whether the sums should be written before more blocks come.
    #[inline(always)]
    pub(crate) fn exceeds_load_factor(&self) -> bool {
        self.exceeds_load_factor
    }

    /// Bytes that writing the sums may take at most.
    pub(crate) fn bytes_max(&self) -> usize {
        let sites = self.sites.len().saturating_mul(AGGREGATED_SITE_BYTES_MAX);
        // A group has a class and a power, which others may have as well.
        let entries = self.groups.len().saturating_mul(2);
        let groups = entries.saturating_mul(AGGREGATED_ENTRY_BYTES_MAX);
        let pairs = self.pairs.len().saturating_mul(AGGREGATED_SMALL_BYTES_MAX);
        sites.saturating_add(groups).saturating_add(pairs).saturating_add(64 << 10)
    }

    /// Memory that sums take, in bytes.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.sites.bytes().saturating_add(self.groups.bytes()).saturating_add(self.pairs.bytes())
    }

    /// Blocks aggregated since the beginning.
    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Adds a block that lived too short. Not when [`Sums::exceeds_load_factor`].
    #[inline(always)]
    pub(crate) fn add(&mut self, block: &Held, end: End) {
        let block = Block::new(block, end);
        self.sites.fetch(block.key);
        if let Some(place) = self.waiting.get_mut(self.waiting_len) {
            *place = block;
        }
        self.waiting_len = self.waiting_len.wrapping_add(1);
        if self.waiting_len >= BATCH {
            self.add_waiting();
        }
    }

    #[inline(never)]
    fn add_waiting(&mut self) {
        let len = std::mem::take(&mut self.waiting_len);
        let blocks = self.waiting.as_mut_slice().get_mut(..len).unwrap_or_default();
        self.sites.reserve(len);
        self.groups.reserve(len);
        self.pairs.reserve(len);
        let mut recent = (0, 0);
        for block in blocks.iter_mut() {
            if recent.0 != block.key {
                recent = (block.key, self.sites.number(block.key));
                self.sites.fetch_site(recent.1);
            }
            block.site = recent.1 as u32;
            block.group = group_key(block.site, block.life(), block.size);
            block.place = self.groups.fetch(block.group) as u32;
        }
        for block in blocks.iter() {
            self.groups.add(block.place as usize, block.group, block.size);
            self.sizes.add(block.size);
            self.sites.at_mut(block.site as usize).add(block);
        }
        self.pairs.add(blocks);
        self.blocks = self.blocks.wrapping_add(len as u64);
        // What is waiting then still fits.
        self.exceeds_load_factor = self.sites.exceeds_load_factor()
            || self.groups.exceeds_load_factor()
            || self.pairs.exceeds_load_factor()
            || self.blocks.wrapping_sub(self.written_blocks) >= BLOCKS_MAX;
    }

    /// Writes everything up to `to` as payloads, each at most `payload_max` long and handed to
    /// `payload` as what writes it; then begins anew.
    pub(crate) fn write(
        &mut self,
        to: Ticks,
        payload_max: usize,
        payload: &mut dyn FnMut(Write<'_>),
    ) {
        self.add_waiting();
        if self.sites.len() == 0 {
            self.from = to;
            return;
        }
        let head = AggregatedHead { from: self.from, to };
        self.groups.sort();
        let mut at = Cursor::default();
        while !self.is_written(&at) {
            payload(&mut |out| self.write_some(&head, &mut at, payload_max, out));
        }
        self.groups.clear();
        self.sites.clear();
        self.pairs.clear();
        self.sizes.clear();
        self.exceeds_load_factor = false;
        self.from = to;
        self.written_blocks = self.blocks;
    }

    fn is_written(&self, at: &Cursor) -> bool {
        at.groups >= self.groups.len()
            && at.pairs >= self.pairs.places().len()
            && self.sizes.of_class(at.sizes).is_none()
    }

    fn write_some(
        &mut self,
        head: &AggregatedHead,
        at: &mut Cursor,
        payload_max: usize,
        out: &mut ByteWriter<'_>,
    ) {
        head.write(out);
        while at.groups < self.groups.len() {
            if !self.write_site(head, at, payload_max, out) {
                return;
            }
        }
        while let Some(pair) = self.pairs.places().get(at.pairs) {
            if out.len().saturating_add(AGGREGATED_SMALL_BYTES_MAX) > payload_max {
                return;
            }
            at.pairs = at.pairs.wrapping_add(1);
            if pair.blocks > 0 {
                pair.aggregated().write(head, out);
            }
        }
        while let Some(size) = self.sizes.of_class(at.sizes) {
            if out.len().saturating_add(AGGREGATED_SMALL_BYTES_MAX) > payload_max {
                return;
            }
            at.sizes = at.sizes.wrapping_add(1);
            if size.blocks > 0 {
                size.write(out);
            }
        }
    }

    /// Writes the next site with what its groups add up to; `false`: it does not fit any more.
    fn write_site(
        &mut self,
        head: &AggregatedHead,
        at: &mut Cursor,
        payload_max: usize,
        out: &mut ByteWriter<'_>,
    ) -> bool {
        let rest = self.groups.sorted().get(at.groups..).unwrap_or_default();
        let number = rest.first().map_or(0, Group::site);
        let len = rest.iter().take_while(|group| group.site() == number).count();
        let groups = rest.get(..len).unwrap_or_default();
        let mut powers = [SizePower { power: 0, blocks: 0, bytes: 0 }; POWERS];
        let (mut blocks, mut bytes) = (0_u64, 0_u64);
        let mut lives_len = 0_usize;
        for alike in groups.chunk_by(|one, next| one.class() == next.class()) {
            let mut life = Life { class: alike.first().map_or(0, Group::class), blocks: 0 };
            for group in alike {
                life.blocks = life.blocks.wrapping_add(u64::from(group.blocks));
                bytes = bytes.wrapping_add(group.bytes);
                if let Some(sum) = powers.get_mut(usize::from(group.power())) {
                    sum.power = group.power();
                    sum.blocks = sum.blocks.wrapping_add(u64::from(group.blocks));
                    sum.bytes = sum.bytes.wrapping_add(group.bytes);
                }
            }
            blocks = blocks.wrapping_add(life.blocks);
            if let Some(next) = self.lives.get_mut(lives_len) {
                *next = life;
                lives_len = lives_len.wrapping_add(1);
            }
        }
        let mut powers_len = 0_usize;
        for place in 0..POWERS {
            if powers.get(place).is_some_and(|sum| sum.blocks > 0) {
                powers.swap(powers_len, place);
                powers_len = powers_len.wrapping_add(1);
            }
        }
        let entries = lives_len.saturating_add(powers_len);
        let most = AGGREGATED_SITE_BYTES_MAX
            .saturating_add(entries.saturating_mul(AGGREGATED_ENTRY_BYTES_MAX));
        if out.len().saturating_add(most) > payload_max {
            return false;
        }
        at.groups = at.groups.wrapping_add(len);
        let lives = self.lives.as_slice().get(..lives_len).unwrap_or_default().iter();
        let lives = lives.map(|life| (life.class, life.blocks));
        let powers = powers.into_iter().take(powers_len);
        self.sites.at(number).aggregated(blocks, bytes).write(head, out, lives, powers);
        true
    }
}

/// Writes a payload.
pub(crate) type Write<'a> = &'a mut dyn FnMut(&mut ByteWriter<'_>);

/// How far writing has come.
#[derive(Default)]
struct Cursor {
    groups: usize,
    pairs: usize,
    sizes: usize,
}
