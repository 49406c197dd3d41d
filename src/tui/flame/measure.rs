//! What a flamegraph can be as wide as.
//!
//! Invariant: every measure has a unit and one sentence that defines it; both are shown.

use std::ops::{AddAssign, Index, IndexMut};

use crate::database::table::Unit;

/// How many measures there are.
pub const MEASURES: usize = 7;

/// What a cell's width stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Bytes alive at the end.
    #[default]
    LiveAtEnd,
    /// Bytes alive at the global peak.
    LiveAtPeak,
    /// Bytes of all blocks.
    Allocated,
    /// Blocks made.
    Count,
    /// Blocks freed almost at once.
    Temporary,
    /// Bytes alive at the end minus at half time.
    Growth,
    /// Blocks alive at the end.
    LiveBlocks,
}

impl Measure {
    /// All of them, in the order in which the key steps through them.
    pub const ALL: [Self; MEASURES] = [
        Self::LiveAtEnd,
        Self::LiveAtPeak,
        Self::Allocated,
        Self::Count,
        Self::Temporary,
        Self::Growth,
        Self::LiveBlocks,
    ];

    /// The next one, round and round.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % MEASURES]
    }

    /// A few words.
    pub fn title(self) -> &'static str {
        match self {
            Self::LiveAtEnd => "live at end",
            Self::LiveAtPeak => "live at peak",
            Self::Allocated => "allocated bytes",
            Self::Count => "allocations",
            Self::Temporary => "temporary blocks",
            Self::Growth => "growth",
            Self::LiveBlocks => "live blocks",
        }
    }

    /// One sentence that says what the number means.
    pub fn definition(self) -> &'static str {
        match self {
            Self::LiveAtEnd => "bytes of blocks not freed when the recording ended",
            Self::LiveAtPeak => "bytes of blocks live when the heap was largest",
            Self::Allocated => "bytes of all blocks ever allocated, freed or not",
            Self::Count => "blocks ever allocated, freed or not",
            Self::Temporary => "blocks freed by their thread after at most one other allocation",
            Self::Growth => {
                "live bytes at the end minus at half time; negative growth counts as zero"
            }
            Self::LiveBlocks => "blocks not freed when the recording ended",
        }
    }

    /// What the numbers count.
    pub fn unit(self) -> Unit {
        match self {
            Self::Count | Self::Temporary | Self::LiveBlocks => Unit::Count,
            _ => Unit::Bytes,
        }
    }

    /// The measure that counts the blocks whose bytes this one sums, if there is one.
    pub fn blocks(self) -> Option<Self> {
        match self {
            Self::LiveAtEnd | Self::LiveBlocks => Some(Self::LiveBlocks),
            Self::Allocated | Self::Count => Some(Self::Count),
            Self::Temporary => Some(Self::Temporary),
            Self::LiveAtPeak | Self::Growth => None,
        }
    }

    /// The measure that sums the bytes of the blocks that this one counts, or itself.
    pub fn bytes(self) -> Option<Self> {
        match self {
            Self::LiveAtEnd | Self::LiveBlocks => Some(Self::LiveAtEnd),
            Self::Allocated | Self::Count => Some(Self::Allocated),
            Self::Temporary => None,
            Self::LiveAtPeak | Self::Growth => Some(self),
        }
    }
}

/// One number a measure. Growth may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights(pub [i64; MEASURES]);

impl Weights {
    /// What a cell's width is made from: never negative.
    pub fn width(&self, measure: Measure) -> u64 {
        u64::try_from(self[measure]).unwrap_or(0)
    }

    /// To take away what [`AddAssign`] would add.
    #[must_use]
    pub fn negated(self) -> Self {
        Self(self.0.map(i64::wrapping_neg))
    }

    /// Whether nothing would be shown, whatever the measure.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|weight| *weight == 0)
    }
}

impl Index<Measure> for Weights {
    type Output = i64;

    fn index(&self, measure: Measure) -> &i64 {
        &self.0[measure as usize]
    }
}

impl IndexMut<Measure> for Weights {
    fn index_mut(&mut self, measure: Measure) -> &mut i64 {
        &mut self.0[measure as usize]
    }
}

impl AddAssign for Weights {
    fn add_assign(&mut self, other: Self) {
        for (sum, weight) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(weight);
        }
    }
}
