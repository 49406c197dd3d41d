//! Writes the tables that depend on names: `frames`, `backtrace_frames`, `tree`, `tree_inverted`,
//! `suspects` and `suspect_frames`.
//!
//! Invariant: depends only on data that a database holds, so that `rheaper symbolize` can repeat it.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::loader::analyze::call_tree::{Direction, Tree};
use crate::loader::analyze::estimates::{self, Estimate, EstimateTarget};
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::analyze::suspects::{self, Suspect};
use crate::loader::analyze::{causes, outline};
use crate::loader::symbols::Symbols;
use crate::loader::symbols::site_frames::{FrameRow, SiteFrames};
use crate::loader::write::insert::insert;
use crate::loader::write::row_writer::integer;
use crate::loader::write::symbol_tables;
use crate::loader::write::tables::SiteNames;

/// The rows of `meta` about the analysis.
pub(crate) fn meta_rows(summaries: &[SiteSummary], run: &Run) -> Vec<(String, Value)> {
    let depth = match Direction::callers(summaries.len()) {
        Direction::Callers(depth) => depth as i64,
        Direction::Callees => 0,
    };
    let half = run.half_slice().map_or(-1, |slice| slice as i64);
    vec![
        (String::from("half_slice"), Value::Integer(half)),
        (String::from("inverted_depth"), Value::Integer(depth)),
    ]
}

/// Writes the tables; returns the columns of `sites` that depend on them, by site from 0.
pub(crate) fn write(
    connection: &Connection,
    summaries: &[SiteSummary],
    site_frames: &SiteFrames,
    symbols: &Symbols,
    run: &Run,
) -> rusqlite::Result<Vec<SiteNames>> {
    symbol_tables::write_frames(connection, site_frames, symbols)?;
    let functions = site_frames.functions(symbols);
    let tree = Tree::build(summaries, site_frames, &functions, run, Direction::Callees);
    tree.write(connection, "tree")?;
    let inverted = Direction::callers(summaries.len());
    let inverted = Tree::build(summaries, site_frames, &functions, run, inverted);
    inverted.write(connection, "tree_inverted")?;
    if let Some(rate) = run.rate {
        tree.write_estimates(connection, EstimateTarget::Tree, rate)?;
        inverted.write_estimates(connection, EstimateTarget::TreeInverted, rate)?;
    }

    let mut site_names: Vec<_> = (0..site_frames.sites())
        .map(|site| SiteNames {
            frame: site_frames.named(site).map(|named| named.frame.0),
            through: site_frames.named(site).and_then(|named| named.through).map(|row| row.0),
            caller: site_frames.named(site).and_then(|named| named.caller).map(|row| row.0),
            suspect: None,
            tree: tree.leaf(site),
            depth: site_frames.frames(site).len() as u32,
            ..SiteNames::default()
        })
        .collect();
    for summary in summaries {
        let names = &mut site_names[summary.site.0 as usize - 1];
        (names.judged_blocks, names.judged_bytes) = (summary.judged_blocks, summary.judged_bytes);
    }
    let name = |row, through| describe(row, through, site_frames, symbols);
    let causes = causes::group(summaries, site_frames, symbols, &functions, run);
    let suspects = suspects::rank(causes, site_frames, run, name);
    for (rank, suspect) in (1..).zip(&suspects) {
        for site in &suspect.sites {
            site_names[site.0 as usize - 1].suspect = Some(rank);
        }
    }
    write_suspects(connection, &suspects)?;
    let outlines = outline::outline(&suspects, site_frames, symbols);
    let rows = (1_i64..).zip(outlines).flat_map(|(rank, outline)| {
        outline.into_iter().map(move |frame_no| (rank, frame_no as i64))
    });
    insert!(connection, "suspect_frames", rows, |(suspect, frame_no)| {
        suspect: suspect,
        frame_no: frame_no,
    });
    if let Some(rate) = run.rate {
        let rows = (1..).zip(&suspects).map(|(id, suspect)| Estimate {
            id,
            bytes: suspect.sums.bytes,
            live_bytes: suspect.sums.judged_bytes,
            samples: suspect.sampled,
        });
        estimates::write_rows(connection, EstimateTarget::Suspect, rate, rows)?;
    }
    Ok(site_names)
}

/// The name of a suspect in its sentence: `` `Index::push` (index.rs:19) through `lru::Cache::put` ``.
fn describe(
    row: FrameRow,
    through: Option<FrameRow>,
    site_frames: &SiteFrames,
    symbols: &Symbols,
) -> String {
    let frame = site_frames.frame(row, symbols);
    let mut text = format!("`{}`", frame.function);
    if let (Some(file), Some(line)) = (&frame.file, frame.line) {
        let file = file.rsplit('/').next().unwrap_or(file);
        text.push_str(&format!(" ({file}:{line})"));
    }
    if let Some(through) = through {
        let frame = site_frames.frame(through, symbols);
        let krate = frame.krate.as_deref().filter(|it| !frame.function.starts_with(*it));
        let krate = krate.map(|krate| format!("{krate}::")).unwrap_or_default();
        text.push_str(&format!(" through `{krate}{}`", frame.function));
    }
    text
}

fn write_suspects(connection: &Connection, suspects: &[Suspect]) -> rusqlite::Result<()> {
    insert!(connection, "suspects", (1_i64..).zip(suspects), |(rank, suspect)| {
        id: rank,
        label: suspect.verdict.label.text(),
        sentence: &suspect.sentence,
        score: suspect.verdict.score,
        frame: suspect.frame.map(|row| row.0),
        bt: suspect.sums.site.0,
        sites: suspect.sites.len() as i64,
        live_bytes: integer(suspect.sums.judged_bytes),
        live_blocks: integer(suspect.sums.judged_blocks),
        live_share: suspect.live_share,
        allocations: integer(suspect.sums.allocations),
        bytes: integer(suspect.sums.bytes),
        steadiness: suspect.verdict.steadiness,
        recency: suspect.verdict.recency,
        slope_bytes_per_s: suspect.verdict.slope_bytes_per_s,
        fit: suspect.verdict.fit,
        first_ns: integer(suspect.sums.first_ns),
        last_ns: integer(suspect.sums.last_ns),
        through: suspect.through.map(|row| row.0),
    });
    Ok(())
}

/// The tables that [`write`] fills, with a condition where it fills only some rows: to be emptied
/// before it is repeated.
pub(crate) const TABLES: [&str; 7] = [
    "frames",
    "backtrace_frames",
    "tree",
    "tree_inverted",
    "suspects",
    "suspect_frames",
    "estimates WHERE of NOT IN ('total', 'site', 'site_judged')",
];
