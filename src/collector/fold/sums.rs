//! The sums of folded blocks since they were last written.
//!
//! Reads: folded blocks, one by one. Writes: `Folded` payloads.
//!
//! Invariants: every block is in the sums of one site, one pair of threads and one size, or in
//! none of them and refused; refusing is for lack of room only, and asks for the sums to be
//! written.

use crate::collector::fold::parts::{Block, End, Pair, Power, Site};
use crate::collector::fold::pending::Held;
use crate::collector::pages::{Pages, fetch};
use crate::recording::{
    ByteWriter, DURATION_CLASS_BITS, FIRST_WIDE_CLASS, FOLDED_ENTRY_BYTES_MAX,
    FOLDED_SITE_BYTES_MAX, FOLDED_SMALL_BYTES_MAX, FoldedHead, FoldedPower, FoldedSize,
    SIZE_CLASSES, Ticks, duration_class, size_class, size_power,
};

/// Places for sites; three quarters of them are used at most.
const SITES: usize = 1 << 15;
const SITE_BITS: u32 = SITES.trailing_zeros();
const SITES_MAX: usize = SITES / 4 * 3;

/// Places for (site, class of lifetimes).
const LIVES: usize = 1 << 18;
const LIFE_BITS: u32 = LIVES.trailing_zeros();
const LIVES_MAX: usize = LIVES / 4 * 3;

/// Places for pairs of threads.
const PAIRS: usize = 1 << 13;
const PAIR_BITS: u32 = PAIRS.trailing_zeros();
const PAIRS_MAX: usize = PAIRS / 4 * 3;

/// Places for (site, power of sizes).
const POWERS: usize = 1 << 16;
const POWER_TABLE_BITS: u32 = POWERS.trailing_zeros();
const POWERS_MAX: usize = POWERS / 4 * 3;

/// Bits that a power needs.
const POWER_BITS: u32 = 6;

/// Blocks that are added together: what the sums of one need is fetched while another is added.
const BATCH: usize = 32;

/// All sums.
pub(in crate::collector) struct Sums {
    waiting: Pages<Block>,
    waiting_len: usize,
    /// Whether a table is nearly full.
    is_crowded: bool,
    sites: Pages<Site>,
    sites_len: usize,
    /// Upper half: site's place, class and 1 above them; lower half: the count.
    lives: Pages<u64>,
    lives_len: usize,
    powers: Pages<Power>,
    powers_len: usize,
    pairs: Pages<Pair>,
    pairs_len: usize,
    /// The pair that was used last.
    recent_pair: usize,
    sizes: Pages<u64>,
    /// Bytes of the classes that are not exact.
    wide_bytes: Pages<u64>,
    from: Ticks,
    blocks: u64,
}

impl Sums {
    pub(in crate::collector) fn new(from: Ticks) -> Option<Self> {
        Some(Self {
            waiting: Pages::new(BATCH)?,
            waiting_len: 0,
            is_crowded: false,
            sites: Pages::new(SITES)?,
            sites_len: 0,
            lives: Pages::new(LIVES)?,
            lives_len: 0,
            powers: Pages::new(POWERS)?,
            powers_len: 0,
            pairs: Pages::new(PAIRS)?,
            pairs_len: 0,
            recent_pair: 0,
            sizes: Pages::new(SIZE_CLASSES)?,
            wide_bytes: Pages::new(SIZE_CLASSES.checked_sub(FIRST_WIDE_CLASS)?)?,
            from,
            blocks: 0,
        })
    }

    /// Where the present stretch of time begins.
    pub(in crate::collector) fn from(&self) -> Ticks {
        self.from
    }

    /// Whether the sums should be written before more blocks come.
    #[inline(always)]
    pub(in crate::collector) fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// Bytes that writing the sums may take at most.
    pub(in crate::collector) fn bytes_max(&self) -> usize {
        let sites = self.sites_len.saturating_mul(FOLDED_SITE_BYTES_MAX);
        let entries = self.lives_len.saturating_add(self.powers_len);
        let lives = entries.saturating_mul(FOLDED_ENTRY_BYTES_MAX);
        let pairs = self.pairs_len.saturating_mul(FOLDED_SMALL_BYTES_MAX);
        sites.saturating_add(lives).saturating_add(pairs).saturating_add(64 << 10)
    }

    /// Adds a block that lived too short. Not when [`Sums::is_crowded`].
    #[inline(always)]
    pub(in crate::collector) fn add(&mut self, block: &Held, end: End) {
        let block = Block::new(block, end);
        let home = site_home(block.key);
        if let Some(site) = self.sites.get(home) {
            fetch(site);
        }
        if let Some(place) = self.waiting.get_mut(self.waiting_len) {
            *place = block;
        }
        self.blocks = self.blocks.wrapping_add(1);
        self.waiting_len = self.waiting_len.wrapping_add(1);
        if self.waiting_len >= BATCH {
            self.add_waiting();
        }
    }

    #[inline(never)]
    fn add_waiting(&mut self) {
        let len = std::mem::take(&mut self.waiting_len);
        let mut recent = (0, 0);
        for index in 0..len {
            let Some(block) = self.waiting.get(index).copied() else { return };
            if recent.0 != block.key {
                let Some(place) = self.site_place(block.key) else { return };
                recent = (block.key, place);
            }
            let life_key = life_key(recent.1, block.life());
            let life_home = life_home(life_key);
            let power_home = power_home(power_key(recent.1, block.size));
            if let Some(block) = self.waiting.get_mut(index) {
                block.place = recent.1 as u32;
                block.life_key = life_key;
                block.life_home = life_home as u32;
                block.power_home = power_home as u32;
            }
            if let Some(site) = self.sites.get(recent.1) {
                fetch(&site.lifetime_max);
                fetch(&site.threads);
            }
            if let Some(life) = self.lives.get(life_home) {
                fetch(life);
            }
            if let Some(power) = self.powers.get(power_home) {
                fetch(power);
            }
        }
        for index in 0..len {
            let Some(block) = self.waiting.get(index).copied() else { return };
            self.add_block(&block);
        }
        // What is waiting then still fits.
        self.is_crowded = self.sites_len >= SITES_MAX
            || self.lives_len >= LIVES_MAX
            || self.powers_len >= POWERS_MAX
            || self.pairs_len >= PAIRS_MAX;
    }

    #[inline(always)]
    fn add_block(&mut self, block: &Block) {
        let place = block.place as usize;
        self.add_life(block.life_key, block.life_home as usize);
        self.add_power(power_key(place, block.size), block.power_home as usize, block.size);
        self.add_pair(block);
        let class = size_class(block.size);
        if let Some(count) = self.sizes.get_mut(class) {
            *count = count.wrapping_add(1);
        }
        if let Some(wide) = class.checked_sub(FIRST_WIDE_CLASS)
            && let Some(bytes) = self.wide_bytes.get_mut(wide)
        {
            *bytes = bytes.wrapping_add(block.size);
        }
        if let Some(site) = self.sites.get_mut(place) {
            site.add(block);
        }
    }

    /// Blocks folded since the beginning.
    pub(in crate::collector) fn blocks(&self) -> u64 {
        self.blocks
    }

    #[inline]
    fn site_place(&mut self, key: u64) -> Option<usize> {
        let (node, flags) = (key as u32, (key >> 32) as u32);
        let mut place = site_home(key);
        loop {
            let site = self.sites.get_mut(place)?;
            if site.node == node && site.flags == flags {
                return Some(place);
            }
            if site.flags == 0 {
                site.flags = flags;
                site.node = node;
                self.sites_len = self.sites_len.wrapping_add(1);
                return Some(place);
            }
            place = place.wrapping_add(1) & (SITES - 1);
        }
    }

    #[inline(always)]
    fn add_life(&mut self, key: u32, home: usize) {
        let mut place = home;
        loop {
            let Some(entry) = self.lives.get_mut(place) else { return };
            if (*entry >> 32) as u32 == key {
                // A count can't reach 2³² before the sums are written.
                *entry = entry.wrapping_add(1);
                return;
            }
            if *entry == 0 {
                *entry = (u64::from(key) << 32) | 1;
                self.lives_len = self.lives_len.wrapping_add(1);
                return;
            }
            place = place.wrapping_add(1) & (LIVES - 1);
        }
    }

    #[inline(always)]
    fn add_power(&mut self, key: u64, home: usize, size: u64) {
        let mut place = home;
        while let Some(power) = self.powers.get_mut(place) {
            if power.key == 0 {
                power.key = key;
                self.powers_len = self.powers_len.wrapping_add(1);
            }
            if power.key == key {
                power.blocks = power.blocks.wrapping_add(1);
                power.bytes = power.bytes.wrapping_add(size);
                return;
            }
            place = place.wrapping_add(1) & (POWERS - 1);
        }
    }

    #[inline(always)]
    fn add_pair(&mut self, block: &Block) {
        let is_it = |pair: &Pair| {
            pair.made_by == block.thread && pair.freed_by == block.freed_by && pair.blocks > 0
        };
        if let Some(pair) = self.pairs.get_mut(self.recent_pair)
            && is_it(pair)
        {
            return pair.add(block);
        }
        let key = u64::from(block.thread) | (u64::from(block.freed_by) << 32);
        let mut place = (mix(key) >> (64 - PAIR_BITS)) as usize;
        while let Some(pair) = self.pairs.get_mut(place) {
            if pair.blocks == 0 {
                pair.begin(block);
                self.pairs_len = self.pairs_len.wrapping_add(1);
            }
            if pair.made_by == block.thread && pair.freed_by == block.freed_by {
                pair.add(block);
                self.recent_pair = place;
                return;
            }
            place = place.wrapping_add(1) & (PAIRS - 1);
        }
    }

    /// Writes everything up to `to` as payloads, each at most `payload_max` long and handed to
    /// `payload` as what writes it; then begins anew.
    pub(in crate::collector) fn write(
        &mut self,
        to: Ticks,
        payload_max: usize,
        payload: &mut dyn FnMut(Write<'_>),
    ) {
        self.add_waiting();
        if self.sites_len == 0 {
            self.from = to;
            return;
        }
        let head = FoldedHead { from: self.from, to };
        let lives_len = self.sort_lives();
        self.sort_powers();
        let mut at = Cursor::default();
        while at.lives < lives_len || at.pairs < PAIRS || at.sizes < SIZE_CLASSES {
            payload(&mut |out| self.write_some(&head, &mut at, lives_len, payload_max, out));
        }
        self.clear();
        self.from = to;
    }

    /// Brings the lifetimes to the front, by site.
    fn sort_lives(&mut self) -> usize {
        let lives = self.lives.as_mut_slice();
        let mut len = 0_usize;
        for place in 0..LIVES {
            let entry = lives.get(place).copied().unwrap_or(0);
            if entry != 0 {
                lives.swap(len, place);
                len = len.wrapping_add(1);
            }
        }
        if let Some(used) = lives.get_mut(..len) {
            used.sort_unstable();
        }
        len
    }

    /// Brings the powers to the front, by site.
    fn sort_powers(&mut self) {
        let powers = self.powers.as_mut_slice();
        let mut len = 0_usize;
        for place in 0..POWERS {
            if powers.get(place).is_some_and(|power| power.key != 0) {
                powers.swap(len, place);
                len = len.wrapping_add(1);
            }
        }
        if let Some(used) = powers.get_mut(..len) {
            used.sort_unstable_by_key(|power| power.key);
        }
    }

    fn write_some(
        &self,
        head: &FoldedHead,
        at: &mut Cursor,
        lives_len: usize,
        payload_max: usize,
        out: &mut ByteWriter<'_>,
    ) {
        head.write(out);
        while at.lives < lives_len {
            let rest = self.lives.as_slice().get(at.lives..lives_len).unwrap_or_default();
            let place = rest.first().map_or(0, |entry| place_of(*entry));
            let len = rest.iter().take_while(|entry| place_of(**entry) == place).count();
            let powers = self.powers.as_slice().get(at.powers..self.powers_len).unwrap_or_default();
            let of_site =
                |power: &&Power| power.key >> POWER_BITS == (place as u64).wrapping_add(1);
            let powers_len = powers.iter().take_while(of_site).count();
            let entries = len.saturating_add(powers_len);
            let bytes = FOLDED_SITE_BYTES_MAX
                .saturating_add(entries.saturating_mul(FOLDED_ENTRY_BYTES_MAX));
            if out.len().saturating_add(bytes) > payload_max {
                return;
            }
            at.lives = at.lives.wrapping_add(len);
            at.powers = at.powers.wrapping_add(powers_len);
            let Some(site) = self.sites.get(place) else { continue };
            let class = |entry: &u64| ((entry >> 32) as u32) & ((1 << DURATION_CLASS_BITS) - 1);
            let lives = rest.get(..len).unwrap_or_default().iter();
            let lives = lives.map(|entry| (class(entry), entry & u64::from(u32::MAX)));
            let powers = powers.get(..powers_len).unwrap_or_default().iter();
            let powers = powers.map(|power| FoldedPower {
                power: (power.key & ((1 << POWER_BITS) - 1)) as u8,
                blocks: power.blocks,
                bytes: power.bytes,
            });
            site.folded().write(head, out, lives, powers);
        }
        while let Some(pair) = self.pairs.get(at.pairs) {
            if out.len().saturating_add(FOLDED_SMALL_BYTES_MAX) > payload_max {
                return;
            }
            at.pairs = at.pairs.wrapping_add(1);
            if pair.blocks > 0 {
                pair.folded().write(head, out);
            }
        }
        while let Some(blocks) = self.sizes.get(at.sizes).copied() {
            if out.len().saturating_add(FOLDED_SMALL_BYTES_MAX) > payload_max {
                return;
            }
            let class = at.sizes;
            at.sizes = class.wrapping_add(1);
            let wide =
                class.checked_sub(FIRST_WIDE_CLASS).and_then(|wide| self.wide_bytes.get(wide));
            if blocks > 0 {
                FoldedSize { class, blocks, bytes: wide.copied().unwrap_or(0) }.write(out);
            }
        }
    }

    fn clear(&mut self) {
        // Lifetimes were brought to the front, sites are where they are.
        for index in 0..self.lives_len {
            let entry = self.lives.get(index).copied().unwrap_or(0);
            if let Some(site) = self.sites.get_mut(place_of(entry)) {
                *site = Site::default();
            }
        }
        if let Some(used) = self.lives.as_mut_slice().get_mut(..self.lives_len) {
            used.fill(0);
        }
        if let Some(used) = self.powers.as_mut_slice().get_mut(..self.powers_len) {
            used.fill(Power::default());
        }
        self.pairs.as_mut_slice().fill(Pair::default());
        self.sizes.as_mut_slice().fill(0);
        self.wide_bytes.as_mut_slice().fill(0);
        (self.sites_len, self.lives_len, self.powers_len, self.pairs_len) = (0, 0, 0, 0);
        self.is_crowded = false;
    }
}

/// Writes a payload.
pub(in crate::collector) type Write<'a> = &'a mut dyn FnMut(&mut ByteWriter<'_>);

/// How far writing has come.
#[derive(Default)]
struct Cursor {
    lives: usize,
    powers: usize,
    pairs: usize,
    sizes: usize,
}

/// Where the search for a site begins; here and below.
#[inline(always)]
fn site_home(key: u64) -> usize {
    (mix(key) >> (64 - SITE_BITS)) as usize
}

#[inline(always)]
fn life_key(site: usize, life: u64) -> u32 {
    ((site as u32) << DURATION_CLASS_BITS | duration_class(life)) | 1 << 31
}

#[inline(always)]
fn life_home(key: u32) -> usize {
    (mix(u64::from(key)) >> (64 - LIFE_BITS)) as usize
}

#[inline(always)]
fn power_key(site: usize, size: u64) -> u64 {
    ((site as u64).wrapping_add(1) << POWER_BITS) | u64::from(size_power(size))
}

#[inline(always)]
fn power_home(key: u64) -> usize {
    (mix(key) >> (64 - POWER_TABLE_BITS)) as usize
}

/// The site's place in a lifetime's entry.
fn place_of(entry: u64) -> usize {
    (((entry >> 32) as u32 & !(1 << 31)) >> DURATION_CLASS_BITS) as usize
}

/// Stafford's thirteenth mix: all bits of a key reach the high ones.
fn mix(key: u64) -> u64 {
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}
