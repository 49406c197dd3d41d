//! Caveats to show next to any number of a database: estimates (sampled recordings) and missing rows
//! (aggregated blocks). Explorer, reports and exports use the same sentences.
//!
//! Invariant: a complete recording has no caveats.

use crate::database::connection::Database;
use crate::database::error::{QueryError, QueryErrorKind};
use crate::database::estimate::{Interval, SamplingRate};
use crate::database::query::{Limits, Params};
use crate::database::table::{Table, Value};
use crate::database::text::units;

/// The caveats of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caveats {
    /// The recording is sampled.
    pub sampled: Option<Sampled>,
    /// Short-lived blocks were aggregated.
    pub aggregated: Option<Aggregated>,
    /// The recorder was attached to a running program.
    pub is_attached: bool,
}

/// The sampling interval, and the estimated totals with their bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Mean bytes between two samples.
    pub sample_bytes: u64,
    /// Estimated bytes of all allocations.
    pub bytes: u64,
    /// Bounds of `bytes`.
    pub bytes_interval: Interval,
    /// Estimated live bytes at the end.
    pub live_bytes: u64,
    /// Bounds of `live_bytes`.
    pub live_interval: Interval,
}

/// Blocks that are in totals and have no rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Aggregated {
    /// Number of blocks.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Upper limit of their lifetimes.
    pub shorter_than_ns: u64,
}

/// The caveat of a recording that began while the program was running.
pub const ATTACHED: &str = "attached: the recorder was attached to a running program; earlier allocations are \
in no figure, and their frees are left out";

/// The query for [`Caveats::from_row`], which has one row.
pub const CAVEATS_SQL: &str = "\
SELECT (SELECT value FROM meta WHERE key = 'sample_bytes') AS sample_bytes,
  (SELECT value FROM meta WHERE key = 'attached') AS attached,
  (SELECT value FROM meta WHERE key = 'bytes') AS bytes,
  (SELECT value FROM meta WHERE key = 'live_bytes') AS live_bytes,
  (SELECT value FROM meta WHERE key = 'aggregated_blocks') AS aggregated_blocks,
  (SELECT value FROM meta WHERE key = 'aggregated_bytes') AS aggregated_bytes,
  (SELECT max(aggregate_below_ns) FROM aggregation_steps) AS shorter_than_ns,
  max(bytes_low) AS bytes_low, max(bytes_high) AS bytes_high,
  max(live_bytes_low) AS live_bytes_low, max(live_bytes_high) AS live_bytes_high
FROM estimates WHERE of = 'total'";

impl Caveats {
    /// Reads the caveats. A database without the tables has none.
    ///
    /// # Errors
    /// If the database is damaged, or a limit is exceeded.
    pub fn read(database: &Database, limits: &Limits) -> Result<Self, QueryError> {
        match database.query(CAVEATS_SQL, &Params::none(), limits) {
            Err(error) if error.kind == QueryErrorKind::Sql => Ok(Self::default()),
            other => other.map(|table| Self::from_row(&table)),
        }
    }

    /// Converts the row of [`CAVEATS_SQL`].
    pub fn from_row(row: &Table) -> Self {
        let number = |name: &str| {
            let value = row.get(0, name).and_then(Value::as_i64).unwrap_or(0);
            value.max(0).unsigned_abs()
        };
        let interval = |low: &str, high: &str| Interval { low: number(low), high: number(high) };
        let sampled = Sampled {
            sample_bytes: number("sample_bytes"),
            bytes: number("bytes"),
            bytes_interval: interval("bytes_low", "bytes_high"),
            live_bytes: number("live_bytes"),
            live_interval: interval("live_bytes_low", "live_bytes_high"),
        };
        let aggregated = Aggregated {
            blocks: number("aggregated_blocks"),
            bytes: number("aggregated_bytes"),
            shorter_than_ns: number("shorter_than_ns"),
        };
        Self {
            sampled: (sampled.sample_bytes > 0).then_some(sampled),
            aggregated: (aggregated.blocks > 0).then_some(aggregated),
            is_attached: number("attached") > 0,
        }
    }

    /// Whether there are no caveats.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// One sentence per caveat.
    pub fn sentences(&self) -> Vec<String> {
        let sampled = self.sampled.iter().map(Sampled::sentence);
        let attached = self.is_attached.then(|| ATTACHED.to_owned());
        sampled.chain(self.aggregated.iter().map(Aggregated::sentence)).chain(attached).collect()
    }

    /// A short text for titles; empty without caveats.
    pub fn tag(&self) -> String {
        let sampled = self.sampled.map(|sampled| sampled.tag());
        let aggregated = self.aggregated.map(|aggregated| aggregated.tag());
        let attached = self.is_attached.then(|| "attached: incomplete".to_owned());
        let words: Vec<String> = sampled.into_iter().chain(aggregated).chain(attached).collect();
        words.join("; ")
    }

    /// The sampling rate of a sampled recording.
    pub fn rate(&self) -> Option<SamplingRate> {
        self.sampled.and_then(|sampled| SamplingRate::new(sampled.sample_bytes))
    }
}

impl Sampled {
    /// "sampled, one in 512 KiB: estimates"
    pub fn tag(&self) -> String {
        format!("sampled, one in {}: estimates", units::bytes(self.sample_bytes as f64))
    }

    /// The sampling interval, and the bounds of the totals.
    pub fn sentence(&self) -> String {
        format!(
            "sampled, one block in {} was recorded: sums are estimates; in 95 % of all cases live \
             bytes at the end are {}, and allocated ones {}",
            units::bytes(self.sample_bytes as f64),
            interval_text(self.live_interval),
            interval_text(self.bytes_interval),
        )
    }
}

impl Aggregated {
    /// "aggregated below 1 s: not in peaks"
    pub fn tag(&self) -> String {
        let shorter = units::duration(self.shorter_than_ns as f64);
        format!("aggregated below {shorter}: not in peaks")
    }

    /// The aggregated blocks, and the numbers that exclude them.
    pub fn sentence(&self) -> String {
        format!(
            "aggregated: {} blocks of {} that lived shorter than {} are in the totals of allocations \
             and frees, but not in rows, peaks, or live bytes at a moment",
            units::count(i64::try_from(self.blocks).unwrap_or(i64::MAX)),
            units::bytes(self.bytes as f64),
            units::duration(self.shorter_than_ns as f64),
        )
    }
}

/// "11.2 MiB to 12.9 MiB"
pub fn interval_text(interval: Interval) -> String {
    format!("{} to {}", units::bytes(interval.low as f64), units::bytes(interval.high as f64))
}

/// "±12%"; empty without an error.
pub fn relative_error_text(relative_error: Option<f64>) -> String {
    match relative_error {
        None => String::new(),
        // Beyond this the estimate is useless, whatever the exact error.
        Some(error) if error >= 9.995 => "±>999%".to_owned(),
        Some(error) if error < 0.0995 && error > 0.0 => format!("±{:.1}%", error * 100.0),
        Some(error) => format!("±{:.0}%", error * 100.0),
    }
}
