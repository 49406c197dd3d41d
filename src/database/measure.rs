//! The quantities that sums by site, comparisons and exports have in common.

use crate::database::table::Unit;
use crate::database::text::units;

/// A set of blocks, and whether their bytes or the blocks themselves are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Bytes live at the end of the window, or of the recording.
    #[default]
    LiveBytes,
    /// Blocks live at the end of the window, or of the recording.
    LiveBlocks,
    /// Bytes of all blocks allocated in the window, freed or not.
    AllocatedBytes,
    /// Blocks allocated in the window, freed or not.
    Allocations,
    /// Bytes of blocks allocated in the window and never freed.
    LeakedBytes,
    /// Blocks allocated in the window and never freed.
    LeakedBlocks,
    /// Bytes live when the recording had most live bytes.
    PeakBytes,
    /// Blocks live when the recording had most live bytes.
    PeakBlocks,
}

impl Measure {
    /// The measures of a comparison, in the order in which a key steps through them.
    pub const COMPARED: [Self; 4] =
        [Self::LiveBytes, Self::LiveBlocks, Self::AllocatedBytes, Self::Allocations];

    /// The name in arguments and JSON, which is that of the column of `sites` where there is one.
    pub fn name(self) -> &'static str {
        match self {
            Self::LiveBytes => "live_bytes",
            Self::LiveBlocks => "live_blocks",
            Self::AllocatedBytes => "bytes",
            Self::Allocations => "allocations",
            Self::LeakedBytes => "leaked_bytes",
            Self::LeakedBlocks => "leaked_blocks",
            Self::PeakBytes => "peak_bytes",
            Self::PeakBlocks => "peak_blocks",
        }
    }

    /// The name in headings.
    pub fn title(self) -> &'static str {
        match self {
            Self::LiveBytes => "live bytes",
            Self::LiveBlocks => "live blocks",
            Self::AllocatedBytes => "allocated bytes",
            Self::Allocations => "allocations",
            Self::LeakedBytes => "leaked bytes",
            Self::LeakedBlocks => "leaked blocks",
            Self::PeakBytes => "peak bytes",
            Self::PeakBlocks => "peak blocks",
        }
    }

    /// The unit of its values.
    pub fn unit(self) -> Unit {
        match self {
            Self::LiveBytes | Self::AllocatedBytes | Self::LeakedBytes | Self::PeakBytes => {
                Unit::Bytes
            }
            Self::LiveBlocks | Self::Allocations | Self::LeakedBlocks | Self::PeakBlocks => {
                Unit::Count
            }
        }
    }

    /// The same blocks in the other unit.
    #[must_use]
    pub fn counterpart(self) -> Self {
        match self {
            Self::LiveBytes => Self::LiveBlocks,
            Self::LiveBlocks => Self::LiveBytes,
            Self::AllocatedBytes => Self::Allocations,
            Self::Allocations => Self::AllocatedBytes,
            Self::LeakedBytes => Self::LeakedBlocks,
            Self::LeakedBlocks => Self::LeakedBytes,
            Self::PeakBytes => Self::PeakBlocks,
            Self::PeakBlocks => Self::PeakBytes,
        }
    }

    /// The next measure of a comparison; the first one after the last.
    #[must_use]
    pub fn next(self) -> Self {
        let position = Self::COMPARED.iter().position(|measure| *measure == self);
        Self::COMPARED[position.map_or(0, |position| position + 1) % Self::COMPARED.len()]
    }

    /// A value with its unit.
    pub fn format(self, value: i64) -> String {
        match self.unit() {
            Unit::Bytes => units::bytes(value as f64),
            _ => units::count(value),
        }
    }

    /// A difference with its unit and always with its sign.
    pub fn format_difference(self, value: i64) -> String {
        if value > 0 { format!("+{}", self.format(value)) } else { self.format(value) }
    }
}
