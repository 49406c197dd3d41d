//! What is known of a site on each side, and how it is made comparable.
//!
//! Invariant: [`Rate::of`] is the same function on both sides and rounds away from zero both
//! ways, so that differences change only their sign when the sides are exchanged.

use std::ops::AddAssign;

use crate::database::table::Unit;
use crate::database::text::units;

/// What a difference is taken of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Bytes alive at the end of the window.
    #[default]
    LiveBytes,
    /// Blocks alive at the end of the window.
    LiveBlocks,
    /// Bytes of all blocks made in the window.
    Bytes,
    /// Blocks made in the window.
    Allocations,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LiveBytes, Self::LiveBlocks, Self::Bytes, Self::Allocations];

    /// As it is typed, and as fields of it are called.
    pub fn word(self) -> &'static str {
        match self {
            Self::LiveBytes => "live_bytes",
            Self::LiveBlocks => "live_blocks",
            Self::Bytes => "bytes",
            Self::Allocations => "allocations",
        }
    }

    /// A few words for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::LiveBytes => "live bytes",
            Self::LiveBlocks => "live blocks",
            Self::Bytes => "allocated bytes",
            Self::Allocations => "allocations",
        }
    }

    /// What its numbers count.
    pub fn unit(self) -> Unit {
        match self {
            Self::LiveBytes | Self::Bytes => Unit::Bytes,
            Self::LiveBlocks | Self::Allocations => Unit::Count,
        }
    }

    /// The next one, round and round.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }

    /// A value as people read it.
    pub fn show(self, value: i64) -> String {
        match self.unit() {
            Unit::Bytes => units::bytes(value as f64),
            _ => units::count(value),
        }
    }

    /// A difference as people read it: its sign always stands there.
    pub fn show_difference(self, value: i64) -> String {
        if value > 0 { format!("+{}", self.show(value)) } else { self.show(value) }
    }
}

/// The figures of a site, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metrics {
    /// Bytes alive at the end of the window.
    pub live_bytes: i64,
    /// Blocks alive at the end of the window.
    pub live_blocks: i64,
    /// Bytes of all blocks made in the window.
    pub bytes: i64,
    /// Blocks made in the window.
    pub allocations: i64,
}

impl Metrics {
    /// The figure of a measure.
    pub fn get(&self, measure: Measure) -> i64 {
        match measure {
            Measure::LiveBytes => self.live_bytes,
            Measure::LiveBlocks => self.live_blocks,
            Measure::Bytes => self.bytes,
            Measure::Allocations => self.allocations,
        }
    }

    /// Each figure changed by `change`.
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

/// What figures are divided by before they are compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Normalization {
    /// Nothing: as they are.
    #[default]
    Whole,
    /// The window's length, in units of so many nanoseconds.
    Time(i64),
    /// The marks of this name in the window.
    Mark(String),
}

impl Normalization {
    /// Reads `second`, `minute`, `hour`, `day`, a duration such as `10m`, or `@NAME` for the marks of
    /// that name.
    ///
    /// # Errors
    /// With what would be understood.
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

    /// " an hour", " a mark @request", or nothing.
    pub fn words(&self) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Time(1_000_000_000) => " a second".to_owned(),
            Self::Time(60_000_000_000) => " a minute".to_owned(),
            Self::Time(3_600_000_000_000) => " an hour".to_owned(),
            Self::Time(86_400_000_000_000) => " a day".to_owned(),
            Self::Time(ns) => format!(" in {}", units::duration(*ns as f64)),
            Self::Mark(name) => format!(" a mark @{name}"),
        }
    }

    /// As [`parse`](Self::parse) takes it; `None` for [`Normalization::Whole`].
    pub fn word(&self) -> Option<String> {
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

/// A factor as a fraction: `times / of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Multiplies.
    pub times: i64,
    /// Divides; above zero.
    pub of: i64,
}

impl Rate {
    /// What changes nothing.
    pub const ONE: Self = Self { times: 1, of: 1 };

    /// The value at this rate, to the nearest whole number, halves away from zero.
    pub fn of(self, value: i64) -> i64 {
        let (product, of) =
            (i128::from(value) * i128::from(self.times), i128::from(self.of.max(1)));
        let half = if product < 0 { -of / 2 } else { of / 2 };
        let rounded = (product + half) / of;
        i64::try_from(rounded).unwrap_or(if rounded < 0 { i64::MIN } else { i64::MAX })
    }
}
