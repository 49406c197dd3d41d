//! The totals of a site on one side, and the normalization that makes two sides comparable.
//!
//! Invariant: [`Ratio::apply`] is the same function on both sides and rounds away from zero in both
//! directions, so that exchanging the sides changes only the sign of a difference.

use std::ops::AddAssign;

use crate::database::measure::Measure;
use crate::database::text::units;

/// The totals of a site, or of a whole side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metrics {
    /// Bytes live at the end of the window.
    pub live_bytes: i64,
    /// Blocks live at the end of the window.
    pub live_blocks: i64,
    /// Bytes of all blocks allocated in the window.
    pub bytes: i64,
    /// Blocks allocated in the window.
    pub allocations: i64,
}

impl Metrics {
    /// The total of a measure; 0 for those that are not in [`Measure::COMPARED`].
    pub fn get(&self, measure: Measure) -> i64 {
        match measure {
            Measure::LiveBytes => self.live_bytes,
            Measure::LiveBlocks => self.live_blocks,
            Measure::AllocatedBytes => self.bytes,
            Measure::Allocations => self.allocations,
            Measure::LeakedBytes
            | Measure::LeakedBlocks
            | Measure::PeakBytes
            | Measure::PeakBlocks => 0,
        }
    }

    /// Applies `change` to each total.
    #[must_use]
    pub fn map(self, change: impl Fn(i64) -> i64) -> Self {
        Self {
            live_bytes: change(self.live_bytes),
            live_blocks: change(self.live_blocks),
            bytes: change(self.bytes),
            allocations: change(self.allocations),
        }
    }
}

impl AddAssign for Metrics {
    fn add_assign(&mut self, other: Self) {
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.live_blocks = self.live_blocks.saturating_add(other.live_blocks);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.allocations = self.allocations.saturating_add(other.allocations);
    }
}

/// The divisor of all totals of a side before the sides are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// No division.
    #[default]
    Whole,
    /// The duration of the window, in units of this many nanoseconds.
    Time(i64),
    /// The number of marks of this name in the window.
    Mark(String),
}

impl Normalization {
    /// Parses `second`, `minute`, `hour`, `day`, a duration such as `10m`, or `@NAME` for the marks of
    /// that name.
    ///
    /// # Errors
    /// The accepted forms, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        const S: i64 = 1_000_000_000;
        if let Some(name) = text.strip_prefix('@').filter(|name| !name.is_empty()) {
            return Ok(Self::Mark(name.to_owned()));
        }
        Ok(Self::Time(match text {
            "second" => S,
            "minute" => 60 * S,
            "hour" => 3600 * S,
            "day" => 86_400 * S,
            _ => match units::parse_duration(text) {
                Ok(ns) if ns > 0 => ns,
                _ => {
                    return Err(
                        "expected second, minute, hour, day, a duration such as 10m, or @MARK"
                            .to_owned(),
                    );
                }
            },
        }))
    }

    /// A suffix for headings: " per hour", " per mark @request", or nothing.
    pub fn label(&self) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Time(1_000_000_000) => " per second".to_owned(),
            Self::Time(60_000_000_000) => " per minute".to_owned(),
            Self::Time(3_600_000_000_000) => " per hour".to_owned(),
            Self::Time(86_400_000_000_000) => " per day".to_owned(),
            Self::Time(ns) => format!(" per {}", units::duration(*ns as f64)),
            Self::Mark(name) => format!(" per mark @{name}"),
        }
    }

    /// An argument that [`parse`](Self::parse) accepts; `None` for [`Normalization::Whole`].
    pub fn to_argument(&self) -> Option<String> {
        Some(match self {
            Self::Whole => return None,
            Self::Time(1_000_000_000) => "second".to_owned(),
            Self::Time(60_000_000_000) => "minute".to_owned(),
            Self::Time(3_600_000_000_000) => "hour".to_owned(),
            Self::Time(86_400_000_000_000) => "day".to_owned(),
            Self::Time(ns) => format!("{ns}ns"),
            Self::Mark(name) => format!("@{name}"),
        })
    }
}

/// A factor as a fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// Multiplies a value.
    pub numerator: i64,
    /// Divides a value; above zero.
    pub denominator: i64,
}

impl Ratio {
    /// The factor 1.
    pub const ONE: Self = Self { numerator: 1, denominator: 1 };

    /// The value times this factor, rounded to the nearest integer, halves away from zero.
    pub fn apply(self, value: i64) -> i64 {
        let (product, divisor) =
            (i128::from(value) * i128::from(self.numerator), i128::from(self.denominator.max(1)));
        let half = if product < 0 { -divisor / 2 } else { divisor / 2 };
        let rounded = (product + half) / divisor;
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }
}
