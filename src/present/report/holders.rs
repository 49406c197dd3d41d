//! Rankings of functions by the memory that they hold or allocate.
//!
//! Invariant: shares are of the stated whole; listed functions and the others add up to it.

use crate::database::{Params, QueryError};
use crate::present::report::reader::{Reader, int, real, text};

/// Number of functions in a ranking.
const LISTED: i64 = 4;
/// Further ones are listed if they have at least this share.
const LARGE_SHARE: f64 = 0.1;

/// The measure of a ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Bytes live before the shutdown, else at the end.
    Held,
    /// Bytes live at the peak.
    Peak,
    /// Allocated bytes.
    Allocated,
}

/// A function in a ranking.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Holder {
    /// Its name.
    pub function: String,
    /// File and line, if known.
    pub place: Option<String>,
    /// Bytes of its blocks.
    pub bytes: i64,
    /// Its blocks.
    pub blocks: i64,
    /// Share of all bytes, 0 to 1.
    pub share: f64,
}

/// A ranking.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Ranking {
    /// Bytes of all functions and of blocks without a backtrace.
    pub bytes: i64,
    /// Number of functions with any of these bytes.
    pub functions: i64,
    /// The first ones.
    pub holders: Vec<Holder>,
}

impl Ranking {
    /// The share of the listed functions together.
    pub(crate) fn listed_share(&self) -> f64 {
        self.holders.iter().map(|holder| holder.share).sum()
    }
}

/// Reads a ranking; empty if the database lacks the columns.
pub(super) fn rank(reader: &Reader<'_>, by: By, whole: i64) -> Result<Ranking, QueryError> {
    let (bytes, blocks) = match by {
        By::Held => ("judged_bytes", "judged_blocks"),
        By::Peak => ("at_peak_bytes", "at_peak_blocks"),
        By::Allocated => ("bytes", "allocations"),
    };
    // The line is that of the function's site with most bytes.
    let sql = format!(
        "SELECT top.function, place.file, place.line, top.bytes, top.blocks,
            1.0 * top.bytes / :whole AS share, top.functions
         FROM (SELECT f.function, f.sym, functions.{bytes} AS bytes, functions.{blocks} AS blocks,
                count(*) OVER () AS functions
            FROM functions JOIN frames AS f ON f.id = functions.frame
            WHERE functions.{blocks} > 0 ORDER BY bytes DESC, f.function, f.sym LIMIT :limit) AS top
         LEFT JOIN frames AS place ON place.id = (SELECT s.frame FROM sites AS s
            JOIN frames AS g ON g.id = s.frame WHERE g.sym = top.sym
            ORDER BY s.{bytes} DESC, s.bt LIMIT 1)
         ORDER BY top.bytes DESC, top.function, top.sym"
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
