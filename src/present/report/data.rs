//! Reads the numbers of a report.

use crate::database::caveats::{ATTACHED, Caveats};
use crate::database::estimate::Interval;
use crate::database::estimate::trend;
use crate::database::{CancelToken, Database, Params, QueryError, Value};
use crate::present::report::holders::{self, By};
use crate::present::report::reader::{Reader, int, real, text};
use crate::present::report::{Growth, Loss, Memory, Report, Suspect, Temporary};

/// Limit on the shown functions with temporary blocks.
const TEMPORARIES_MAX: i64 = 3;
/// … if they are at least this many and this share of all blocks: fewer do not matter.
const TEMPORARIES_MIN: i64 = 1000;
const TEMPORARIES_SHARE_MIN: f64 = 0.01;

pub(super) fn gather(
    database: &Database,
    top: usize,
    cancel: &CancelToken,
) -> Result<Report, QueryError> {
    let reader = Reader::new(database, cancel);
    let mut report = Report {
        file: database.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
        ..Report::default()
    };
    totals(&reader, &mut report)?;
    report.growth = growth(&reader, report.judged_ns())?;
    report.suspects = suspects(&reader, i64::try_from(top).unwrap_or(i64::MAX))?;
    report.temporaries = temporaries(&reader)?;
    report.held = holders::rank(&reader, By::Held, report.judged_bytes)?;
    report.at_peak = holders::rank(&reader, By::Peak, report.peak_bytes)?;
    report.allocated = holders::rank(&reader, By::Allocated, report.allocated_bytes)?;
    report.losses = losses(&reader)?;
    Ok(report)
}

fn totals(reader: &Reader<'_>, report: &mut Report) -> Result<(), QueryError> {
    let meta = reader.rows("SELECT key, value FROM meta", &Params::none())?;
    let fact =
        |key: &str| meta.rows.iter().find(|row| row[0].as_str() == Some(key)).map(|row| &row[1]);
    let number = |key: &str| fact(key).and_then(Value::as_i64).unwrap_or(0);
    report.duration_ns = number("duration_ns");
    report.peak_ns = number("peak_ns");
    report.ending = fact("ending").and_then(Value::as_str).map(str::to_owned);
    let known = |key: &str| fact(key).and_then(Value::as_i64);
    report.memory = known("rss_bytes").map(|rss_bytes| Memory {
        rss_bytes,
        rss_max_bytes: number("rss_max_bytes"),
        live_bytes: number("rss_live_bytes"),
        recorder_bytes: number("recorder_bytes"),
        cgroup_bytes: known("cgroup_bytes"),
        cgroup_limit_bytes: known("cgroup_limit_bytes"),
    });
    report.imported_from = fact("imported_from").and_then(Value::as_str).map(str::to_owned);
    let sentence = |row: &Vec<Value>| {
        let is_gap = row[0].as_str().is_some_and(|key| key.starts_with("not_recorded_"));
        row[1].as_str().filter(|_| is_gap).map(str::to_owned)
    };
    report.not_recorded = meta.rows.iter().filter_map(sentence).collect();
    let caveats = Caveats::read(reader.database, &reader.limits)?;
    report.not_recorded.extend(caveats.aggregated.map(|aggregated| aggregated.sentence()));
    report.not_recorded.extend(caveats.is_attached.then(|| ATTACHED.to_owned()));
    report.not_recorded.extend(missing_names(reader)?);
    report.sampled = caveats.sampled;
    let sums = reader.rows(
        "SELECT sum(allocations) AS allocations, sum(allocated_bytes) AS bytes, sum(frees) AS frees, \
         max(peak_bytes) AS peak FROM timeline",
        &Params::none(),
    )?;
    report.allocations = int(&sums, 0, "allocations");
    report.allocated_bytes = int(&sums, 0, "bytes");
    report.frees = int(&sums, 0, "frees");
    report.peak_bytes = int(&sums, 0, "peak");
    let curve = reader
        .rows("SELECT live_bytes, live_blocks FROM timeline ORDER BY slice", &Params::none())?;
    report.curve = (0..curve.rows.len()).map(|row| int(&curve, row, "live_bytes")).collect();
    if let Some(last) = curve.rows.len().checked_sub(1) {
        report.live_bytes = int(&curve, last, "live_bytes");
        report.live_blocks = int(&curve, last, "live_blocks");
    }
    report.shutdown_ns = known("shutdown_ns");
    report.judged_bytes = known("judged_bytes").unwrap_or(report.live_bytes);
    report.judged_blocks = known("judged_blocks").unwrap_or(report.live_blocks);
    let counts = reader.rows(
        "SELECT nullif((SELECT count(*) FROM threads), 0) AS threads, (SELECT count(*) FROM sites) AS sites",
        &Params::none(),
    )?;
    report.threads = counts.get(0, "threads").and_then(Value::as_i64);
    report.sites = int(&counts, 0, "sites");
    Ok(())
}

/// A sentence on the names that the executable lacks, if no file with them was found.
fn missing_names(reader: &Reader<'_>) -> Result<Option<String>, QueryError> {
    let sql = "SELECT path, symbols FROM modules WHERE main = 1 ORDER BY id DESC LIMIT 1";
    let main = reader.rows(sql, &Params::none())?;
    let text = |name: &str| main.get(0, name).and_then(Value::as_str).unwrap_or_default();
    let lacks = match text("symbols") {
        "partial" => "source lines: it was built without line tables, or stripped of them",
        "missing" => "function names: it was stripped, or is not on this machine",
        "mismatch" => "function names: the file at its path is of another build",
        _ => return Ok(None),
    };
    let help = "`rheaper symbolize --symbols` reads them from another file";
    Ok(Some(format!("{} lacks {lacks}; {help}", text("path"))))
}

/// The line through the second half of the live curve, up to the time for which leaks are judged;
/// `None` if that gives no rate.
fn growth(reader: &Reader<'_>, until: i64) -> Result<Option<Growth>, QueryError> {
    let sql = "SELECT to_ns, live_bytes FROM timeline
               WHERE from_ns < :until AND to_ns > :until / 2 ORDER BY slice";
    let half = reader.rows(sql, &Params::none().with("until", until))?;
    let points = half.rows.iter().filter_map(|row| Some((row[0].as_f64()?, row[1].as_f64()?)));
    let stretch = (until / 2).max(0).unsigned_abs();
    let growth = trend::through(points).and_then(|line| {
        let (unit_ns, unit) = trend::rate_unit(stretch, line.fit)?;
        Some(Growth {
            bytes: line.slope * unit_ns as f64,
            unit,
            bytes_per_hour: line.slope * 3600e9,
            fit: line.fit,
        })
    });
    Ok(growth)
}

fn suspects(reader: &Reader<'_>, top: i64) -> Result<Vec<Suspect>, QueryError> {
    let sql = "SELECT id, sentence, label, live_bytes, live_blocks, live_share, bt FROM suspects \
               WHERE live_bytes > 0 ORDER BY id LIMIT :top";
    let found = reader.rows(sql, &Params::none().with("top", top))?;
    // Empty unless the recording is sampled.
    let sql = "SELECT id, live_bytes_low, live_bytes_high FROM estimates WHERE of = 'suspect' \
               AND id <= :top";
    let bounds = reader.rows(sql, &Params::none().with("top", top))?;
    let interval = |id: i64| {
        let row = bounds.rows.iter().position(|row| row[0].as_i64() == Some(id))?;
        let bound = |column| int(&bounds, row, column).max(0).unsigned_abs();
        Some(Interval { low: bound("live_bytes_low"), high: bound("live_bytes_high") })
    };
    let mut suspects = Vec::new();
    for row in 0..found.rows.len() {
        let bt = int(&found, row, "bt");
        suspects.push(Suspect {
            sentence: text(&found, row, "sentence"),
            label: text(&found, row, "label"),
            live_bytes: int(&found, row, "live_bytes"),
            live_interval: interval(int(&found, row, "id")),
            live_blocks: int(&found, row, "live_blocks"),
            live_share: real(&found, row, "live_share"),
            bt,
            frames: frames(reader, int(&found, row, "id"))?,
        });
    }
    Ok(suspects)
}

/// The frames to print for a suspect, which distinguish it from all others.
fn frames(reader: &Reader<'_>, suspect: i64) -> Result<Vec<String>, QueryError> {
    let sql = "SELECT f.function, f.file, f.line FROM suspect_frames o JOIN suspects s ON s.id = o.suspect \
               JOIN backtrace_frames b ON b.bt = s.bt AND b.frame_no = o.frame_no \
               JOIN frames f ON f.id = b.frame WHERE o.suspect = :suspect ORDER BY b.frame_no";
    let found = reader.rows(sql, &Params::none().with("suspect", suspect))?;
    let shown = |row: usize| {
        let function = text(&found, row, "function");
        match (found.get(row, "file"), found.get(row, "line")) {
            (Some(Value::Text(file)), Some(Value::Integer(line))) => {
                format!("{function} ({file}:{line})")
            }
            _ => function,
        }
    };
    Ok((0..found.rows.len()).map(shown).collect())
}

fn temporaries(reader: &Reader<'_>) -> Result<Vec<Temporary>, QueryError> {
    let sql = "SELECT f.function, functions.temporary AS blocks,
            1.0 * functions.temporary / functions.allocations AS share
         FROM functions JOIN frames AS f ON f.id = functions.frame
         WHERE functions.temporary >= :least
            AND functions.temporary >= :share * (SELECT sum(allocations) FROM sites)
         ORDER BY blocks DESC, function LIMIT :most";
    let params = Params::none()
        .with("most", TEMPORARIES_MAX)
        .with("least", TEMPORARIES_MIN)
        .with("share", TEMPORARIES_SHARE_MIN);
    let found = reader.rows(sql, &params)?;
    let one = |row| Temporary {
        function: text(&found, row, "function"),
        blocks: int(&found, row, "blocks"),
        share: real(&found, row, "share"),
    };
    Ok((0..found.rows.len()).map(one).collect())
}

fn losses(reader: &Reader<'_>) -> Result<Vec<Loss>, QueryError> {
    let sql = "SELECT name, count, meaning FROM losses WHERE count > 0 ORDER BY count DESC, name";
    let found = reader.rows(sql, &Params::none())?;
    let one = |row| Loss {
        name: text(&found, row, "name"),
        count: int(&found, row, "count"),
        meaning: text(&found, row, "meaning"),
    };
    Ok((0..found.rows.len()).map(one).collect())
}
