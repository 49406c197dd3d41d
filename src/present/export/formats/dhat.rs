//! Exports DHAT's format, version 2, as `valgrind` and the crate `dhat` write it, for `dh_view.html`.
//!
//! Invariants:
//! - No two program points have the same frames, because dh_view rejects duplicates.
//! - Lifetimes and peaks are known for whole sites only; a time window or a weight is an error.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;

use serde::{Serialize, Serializer};

use crate::database::caveats::Caveats;
use crate::database::{Database, Measure, Params};
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::json::Each;
use crate::present::export::metadata::Metadata;
use crate::present::export::request::Request;
use crate::present::export::stacks::{Frame, Stacks};
use crate::present::export::trie::{StackId, Trie};
use crate::present::json;

/// Lifetime in µs below which dh_view calls a block short-lived.
const SHORT_LIVED_US: u32 = 500;

/// The fields and their names are DHAT's.
#[derive(Serialize)]
struct File<P, F> {
    #[serde(rename = "dhatFileVersion")]
    version: u32,
    mode: &'static str,
    verb: &'static str,
    bklt: bool,
    bkacc: bool,
    tu: &'static str,
    #[serde(rename = "Mtu")]
    mtu: &'static str,
    tuth: u32,
    cmd: String,
    pid: i64,
    tg: i64,
    te: i64,
    pps: P,
    ftbl: F,
}

/// A program point with the frames of its stack, innermost first.
#[derive(Serialize)]
struct FramedPoint<'a, F> {
    #[serde(flatten)]
    point: &'a Point,
    fs: F,
}

/// A program point with DHAT's field names: t is total, g at the global maximum, e at the end, m the
/// point's own maximum; b is bytes, bk blocks, l lifetime.
#[derive(Clone, Debug, Default, Serialize)]
struct Point {
    tb: i64,
    tbk: i64,
    #[serde(rename = "tl", serialize_with = "microseconds")]
    tl_ns: i64,
    mb: i64,
    mbk: i64,
    gb: i64,
    gbk: i64,
    eb: i64,
    ebk: i64,
}

/// The columns of `sites` that are no weights.
#[derive(Clone, Copy, Debug, Default)]
struct Site {
    peak_bytes: i64,
    peak_ns: i64,
    peak_blocks: i64,
    lifetimes_ns: i64,
}

pub(crate) fn write(
    stacks: &Stacks<'_>,
    database: &Database,
    request: &Request<'_>,
    caveats: &Caveats,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    if !request.window.is_whole() || !stacks.from_sites {
        return Err(ExportError::Request(
            "dhat has lifetimes and peaks, which are known for whole sites only: \
             omit --from, --to and --weight, and select sites, not blocks"
                .to_owned(),
        ));
    }
    let metadata = Metadata::read(database, request)?;
    let sites = sites(database, request, &metadata)?;
    let mut trie = Trie::default();
    let mut points: HashMap<StackId, Point> = HashMap::new();
    let kind = |measure| stacks.weights.kind(measure).unwrap_or(0);
    let both = |bytes: Measure| (kind(bytes), kind(bytes.counterpart()));
    let allocated = both(Measure::AllocatedBytes);
    let (live, peak) = (both(Measure::LiveBytes), both(Measure::PeakBytes));
    let mut order = Vec::new();
    stacks.for_each(|stack| {
        let Some(id) = trie.number(stack.frames.iter().rev().copied())? else { return Ok(()) };
        let weight = |kind: usize| stack.weights[kind];
        // The own peak of blocks without a backtrace is unknown, but at least this.
        let none = Site {
            peak_bytes: weight(peak.0).max(weight(live.0)),
            peak_blocks: weight(peak.1).max(weight(live.1)),
            ..Site::default()
        };
        let site = stack.bt.and_then(|bt| sites.get(&bt)).copied().unwrap_or(none);
        let point = points.entry(id).or_insert_with(|| {
            order.push(id);
            Point::default()
        });
        for (sum, more) in [
            (&mut point.tb, weight(allocated.0)),
            (&mut point.tbk, weight(allocated.1)),
            (&mut point.tl_ns, site.lifetimes_ns),
            (&mut point.mb, site.peak_bytes),
            (&mut point.mbk, site.peak_blocks),
            (&mut point.gb, weight(peak.0)),
            (&mut point.gbk, weight(peak.1)),
            (&mut point.eb, weight(live.0)),
            (&mut point.ebk, weight(live.1)),
        ] {
            *sum = sum.saturating_add(more);
        }
        Ok(())
    })?;
    let modules = modules(database, request)?;
    let points = order.iter().map(|id| {
        let path = std::iter::successors(Some(*id), |id| trie.below[*id as usize]);
        // Number 0 of the frame table is the root.
        let fs = Each(path.map(|id| trie.frame[id as usize] + 1));
        FramedPoint { point: &points[id], fs }
    });
    let frames = stacks.frames.iter().map(|it| Cow::Owned(frame(it, &modules)));
    let file = File {
        version: 2,
        mode: "rust-heap",
        verb: "Allocated",
        bklt: true,
        bkacc: false,
        tu: "µs",
        mtu: "s",
        tuth: SHORT_LIVED_US,
        cmd: command(database, request, caveats)?,
        pid: metadata.number("pid"),
        tg: metadata.number("peak_ns") / 1000,
        te: metadata.number("duration_ns") / 1000,
        pps: Each(points),
        ftbl: Each(std::iter::once(Cow::Borrowed("[root]")).chain(frames)),
    };
    file.serialize(&mut json::export(out))?;
    out.write_all(b"\n")?;
    Ok(Summary { noun: "program points", count: order.len() as u64, ..Summary::default() })
}

/// The path of the program, and a tag if it is sampled.
fn command(
    database: &Database,
    request: &Request<'_>,
    caveats: &Caveats,
) -> Result<String, ExportError> {
    let main = "SELECT path FROM modules WHERE main = 1 ORDER BY id LIMIT 1";
    let main = database.query(main, &Params::none(), &request.limits())?;
    let command = main.rows.first().and_then(|row| row[0].as_str()).unwrap_or("unknown");
    Ok(match caveats.sampled {
        Some(sampled) => format!("{command} ({})", sampled.tag()),
        None => command.to_owned(),
    })
}

fn microseconds<S: Serializer>(ns: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(ns / 1000)
}

/// `0x1234: function (file:line)`, the form that readers of the format parse.
fn frame(frame: &Frame, modules: &HashMap<i64, String>) -> String {
    let name = &frame.sym;
    let place = match (&frame.file, frame.line) {
        (Some(file), Some(line)) => format!(" ({file}:{line})"),
        (Some(file), None) => format!(" ({file})"),
        _ => match frame.module.and_then(|module| modules.get(&module)) {
            Some(module) => format!(" (in {module})"),
            None => return name.clone(),
        },
    };
    format!("{:#x}: {name}{place}", frame.offset.unwrap_or(0))
}

fn modules(
    database: &Database,
    request: &Request<'_>,
) -> Result<HashMap<i64, String>, ExportError> {
    let sql = "SELECT id, path FROM modules";
    let mut modules = HashMap::new();
    database.stream(sql, &Params::none(), &request.limits(), |row| {
        if let (Some(id), Some(path)) = (row[0].as_i64(), row[1].as_str()) {
            modules.insert(id, path.to_owned());
        }
        ControlFlow::Continue(())
    })?;
    Ok(modules)
}

/// Reads peaks and lifetimes. The number of blocks at a site's own peak is in no table, and is
/// counted in one scan of all blocks.
fn sites(
    database: &Database,
    request: &Request<'_>,
    metadata: &Metadata,
) -> Result<HashMap<i64, Site>, ExportError> {
    let limits = request.limits();
    let sql = "SELECT bt, peak_bytes, peak_ns, frees, coalesce(lifetime_avg_ns, 0) FROM sites";
    let mut sites: HashMap<i64, Site> = HashMap::new();
    database.stream(sql, &Params::none(), &limits, |row| {
        let number = |column: usize| row[column].as_i64().unwrap_or(0);
        let lifetimes_ns = number(3).saturating_mul(number(4));
        let site =
            Site { peak_bytes: number(1), peak_ns: number(2), lifetimes_ns, ..Site::default() };
        sites.insert(number(0), site);
        ControlFlow::Continue(())
    })?;
    let (end_ns, rate) = (metadata.number("duration_ns"), metadata.rate());
    let sql = "SELECT bt, alloc_after, dealloc_after, size FROM allocations WHERE bt IS NOT NULL";
    let mut peak_blocks: HashMap<i64, f64> = HashMap::new();
    database.stream(sql, &Params::none(), &limits, |row| {
        let made = row[1].as_i64().unwrap_or(0);
        let freed = row[2].as_i64();
        let size = row[3].as_i64().unwrap_or(0).max(0).unsigned_abs();
        let blocks = rate.map_or(1.0, |rate| rate.blocks(size));
        let bt = row[0].as_i64().unwrap_or(0);
        if let Some(site) = sites.get_mut(&bt) {
            if made <= site.peak_ns && freed.is_none_or(|freed| freed > site.peak_ns) {
                *peak_blocks.entry(bt).or_default() += blocks;
            }
            if freed.is_none() {
                let lived = ((end_ns - made).max(0) as f64 * blocks).round() as i64;
                site.lifetimes_ns = site.lifetimes_ns.saturating_add(lived);
            }
        }
        ControlFlow::Continue(())
    })?;
    for (bt, site) in &mut sites {
        site.peak_blocks = peak_blocks.get(bt).map_or(0, |blocks| blocks.round() as i64);
        // A peak within one nanosecond matches no block.
        site.peak_blocks = site.peak_blocks.max(i64::from(site.peak_bytes > 0));
    }
    Ok(sites)
}
