//! Who holds memory, and who allocates it: by function, with shares of a whole that is named.
//!
//! Reads: `sites` and their frames. Writes: a [`Ranking`].
//!
//! Invariant: what is listed and what is left out add up to the whole.

use crate::database::{Params, QueryError};
use crate::present::report::data::{Reader, int, real, text};

/// Functions that are listed.
const LISTED: i64 = 4;
/// One that is further down is listed all the same if it has this share.
const LARGE_SHARE: f64 = 0.1;

/// What functions are ranked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Alive before the shutdown, or at the end.
    Held,
    /// Alive at the peak.
    Peak,
    /// Ever allocated.
    Allocated,
}

/// A function with what it holds or allocates.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Holder {
    /// Its name.
    pub function: String,
    /// Where it is: file and line, if that is known.
    pub place: Option<String>,
    /// Bytes of its blocks.
    pub bytes: i64,
    /// Its blocks.
    pub blocks: i64,
    /// Of all bytes, 0 to 1.
    pub share: f64,
}

/// The first functions of a ranking.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ranking {
    /// The whole that shares are of.
    pub bytes: i64,
    /// Functions that have any of it.
    pub functions: i64,
    /// The first of them.
    pub holders: Vec<Holder>,
}

impl Ranking {
    /// The share of the whole that the listed functions have.
    pub(crate) fn listed_share(&self) -> f64 {
        self.holders.iter().map(|holder| holder.share).sum()
    }
}

/// The ranking; empty where a database lacks what is asked for.
pub(super) fn rank(reader: &Reader<'_>, by: By, whole: i64) -> Result<Ranking, QueryError> {
    let (bytes, blocks) = match by {
        By::Held => ("judged_bytes", "judged_blocks"),
        By::Peak => ("at_peak_bytes", "at_peak_blocks"),
        By::Allocated => ("bytes", "allocations"),
    };
    // Functions are told apart by their whole names; the line is that of the heaviest site.
    let sql = format!(
        "SELECT coalesce(f.function, 'backtrace ' || s.bt) AS function, f.file, f.line,
            max(s.{bytes}) AS heaviest, sum(s.{bytes}) AS bytes, sum(s.{blocks}) AS blocks,
            1.0 * sum(s.{bytes}) / :whole AS share, count(*) OVER () AS functions
         FROM sites AS s LEFT JOIN frames AS f ON f.id = s.frame
         WHERE s.{blocks} > 0 GROUP BY coalesce(f.sym, s.bt)
         ORDER BY bytes DESC, function LIMIT :limit"
    );
    let most = (1.0 / LARGE_SHARE) as i64;
    let params = Params::none().with("whole", whole.max(1)).with("limit", LISTED.max(most));
    let found = reader.rows(&sql, &params)?;
    let is_listed =
        |row: &usize| *row < LISTED as usize || real(&found, *row, "share") >= LARGE_SHARE;
    let holder = |row: usize| Holder {
        function: text(&found, row, "function"),
        place: (int(&found, row, "line") > 0)
            .then(|| format!("{}:{}", short(&text(&found, row, "file")), int(&found, row, "line"))),
        bytes: int(&found, row, "bytes"),
        blocks: int(&found, row, "blocks"),
        share: real(&found, row, "share"),
    };
    let functions = if found.rows.is_empty() { 0 } else { int(&found, 0, "functions") };
    let holders = (0..found.rows.len()).filter(is_listed).map(holder).collect();
    Ok(Ranking { bytes: whole, functions, holders })
}

/// The last two parts of a path.
pub(super) fn short(path: &str) -> &str {
    let cut = path.rmatch_indices('/').nth(1).map_or(0, |(at, _)| at + 1);
    &path[cut..]
}
