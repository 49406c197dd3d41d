//! The measures of a flamegraph's widths.
//!
//! Invariant: every measure has a unit and a definition, which are shown.

use std::ops::{AddAssign, Index, IndexMut};

use crate::database::table::Unit;

/// Number of measures.
pub const MEASURES: usize = 7;

/// A measure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Bytes live at the end.
    #[default]
    LiveAtEnd,
    /// Bytes live at the global peak.
    LiveAtPeak,
    /// Bytes of all allocations.
    Allocated,
    /// Allocations.
    Count,
    /// Temporary allocations.
    Temporary,
    /// Bytes live at the end minus bytes live at half time.
    Growth,
    /// Blocks live at the end.
    LiveBlocks,
}

impl Measure {
    /// All measures, in the order of the key that steps through them.
    pub const ALL: [Self; MEASURES] = [
        Self::LiveAtEnd,
        Self::LiveAtPeak,
        Self::Allocated,
        Self::Count,
        Self::Temporary,
        Self::Growth,
        Self::LiveBlocks,
    ];

    /// The next variant; the first follows the last.
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % MEASURES]
    }

    /// The name.
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

    /// The definition, one sentence.
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

    /// The unit of the values.
    pub fn unit(self) -> Unit {
        match self {
            Self::Count | Self::Temporary | Self::LiveBlocks => Unit::Count,
            _ => Unit::Bytes,
        }
    }

    /// The measure that counts the blocks whose bytes this one sums.
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

/// One value per measure. Growth may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weights(pub [i64; MEASURES]);

impl Weights {
    /// The weight of a cell: never negative.
    pub fn width(&self, measure: Measure) -> u64 {
        u64::try_from(self[measure]).unwrap_or(0)
    }

    /// The negative of all values.
    #[must_use]
    pub fn negated(self) -> Self {
        Self(self.0.map(i64::wrapping_neg))
    }

    /// Whether all values are 0.
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
