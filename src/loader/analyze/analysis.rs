//! What follows from names and sums together: frames, tree, suspects, functions.
//!
//! Reads: briefs of all sites, their stacks, symbols. Writes: `frames`, `backtrace_frames`,
//! `tree`, `tree_inverted`, `suspects`, `suspect_frames`, and what `sites` says of them.
//!
//! Invariant: depends on nothing that a database does not hold, so that it can be done again
//! when names were missing.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::loader::analyze::call_tree::{Direction, Tree};
use crate::loader::analyze::estimates::{self, Estimated, Of};
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::analyze::suspects::{self, Suspect};
use crate::loader::analyze::{causes, outline};
use crate::loader::symbols::Symbols;
use crate::loader::symbols::frame_names::{FrameRow, Names};
use crate::loader::write::row_writer::integer;
use crate::loader::write::tables::{self, SiteNames};

/// What `meta` says of it.
pub(crate) fn meta(briefs: &[SiteSummary], run: &Run) -> Vec<(String, Value)> {
    let depth = match Direction::callers(briefs.len()) {
        Direction::Callers(depth) => depth as i64,
        Direction::Callees => 0,
    };
    let half = run.half_slice().map_or(-1, |slice| slice as i64);
    vec![
        (String::from("half_slice"), Value::Integer(half)),
        (String::from("inverted_depth"), Value::Integer(depth)),
    ]
}

/// Fills the tables, and says what `sites` needs to know; sites count from 0 there.
pub(crate) fn write(
    connection: &Connection,
    briefs: &[SiteSummary],
    names: &Names,
    symbols: &Symbols,
    run: &Run,
) -> rusqlite::Result<Vec<SiteNames>> {
    tables::write_names(connection, names, symbols)?;
    let functions = names.functions(symbols);
    let tree = Tree::grow(briefs, names, &functions, run, Direction::Callees);
    tree.write(connection, "tree")?;
    let inverted = Direction::callers(briefs.len());
    let inverted = Tree::grow(briefs, names, &functions, run, inverted);
    inverted.write(connection, "tree_inverted")?;
    if let Some(rate) = run.rate {
        tree.write_estimates(connection, Of::Tree, rate)?;
        inverted.write_estimates(connection, Of::TreeInverted, rate)?;
    }

    let mut of_sites: Vec<_> = (0..names.sites())
        .map(|site| SiteNames {
            frame: names.named(site).map(|named| named.frame.0),
            through: names.named(site).and_then(|named| named.through).map(|row| row.0),
            caller: names.named(site).and_then(|named| named.caller).map(|row| row.0),
            suspect: None,
            tree: tree.leaf(site),
            depth: names.frames(site).len() as u32,
        })
        .collect();
    let name = |row, through| describe(row, through, names, symbols);
    let causes = causes::group(briefs, names, symbols, &functions, run);
    let suspects = suspects::rank(causes, names, run, name);
    for (rank, suspect) in (1..).zip(&suspects) {
        for site in &suspect.sites {
            of_sites[site.0 as usize - 1].suspect = Some(rank);
        }
    }
    write_suspects(connection, &suspects)?;
    let outlines = outline::outline(&suspects, names, symbols);
    let rows = (1_i64..).zip(outlines).flat_map(|(rank, outline)| {
        outline.into_iter().map(move |frame_no| (rank, frame_no as i64))
    });
    tables::fill(connection, "suspect_frames", 2, rows)?;
    if let Some(rate) = run.rate {
        let rows = (1..).zip(&suspects).map(|(id, suspect)| Estimated {
            id,
            bytes: suspect.sums.bytes,
            live_bytes: suspect.sums.live_bytes,
            sampled: suspect.sampled,
        });
        estimates::rows(connection, Of::Suspect, rate, rows)?;
    }
    Ok(of_sites)
}

/// `` `Index::push` (index.rs:19) through `lru::Cache::put` ``
fn describe(row: FrameRow, through: Option<FrameRow>, names: &Names, symbols: &Symbols) -> String {
    let frame = names.frame(row, symbols);
    let mut text = format!("`{}`", frame.function);
    if let (Some(file), Some(line)) = (&frame.file, frame.line) {
        let file = file.rsplit('/').next().unwrap_or(file);
        text.push_str(&format!(" ({file}:{line})"));
    }
    if let Some(through) = through {
        let frame = names.frame(through, symbols);
        let krate = frame.krate.as_deref().filter(|it| !frame.function.starts_with(*it));
        let krate = krate.map(|krate| format!("{krate}::")).unwrap_or_default();
        text.push_str(&format!(" through `{krate}{}`", frame.function));
    }
    text
}

fn write_suspects(connection: &Connection, suspects: &[Suspect]) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare(&format!("INSERT INTO suspects VALUES ({})", vec!["?"; 19].join(", ")))?;
    for (rank, suspect) in (1_i64..).zip(suspects) {
        let sums = &suspect.sums;
        insert.raw_bind_parameter(1, rank)?;
        insert.raw_bind_parameter(2, suspect.label)?;
        insert.raw_bind_parameter(3, &suspect.sentence)?;
        insert.raw_bind_parameter(4, suspect.score)?;
        insert.raw_bind_parameter(5, suspect.frame.map(|row| row.0))?;
        insert.raw_bind_parameter(6, sums.site.0)?;
        insert.raw_bind_parameter(7, suspect.sites.len() as i64)?;
        insert.raw_bind_parameter(8, integer(sums.live_bytes))?;
        insert.raw_bind_parameter(9, integer(sums.live_blocks))?;
        insert.raw_bind_parameter(10, suspect.live_share)?;
        insert.raw_bind_parameter(11, integer(sums.allocations))?;
        insert.raw_bind_parameter(12, integer(sums.bytes))?;
        insert.raw_bind_parameter(13, suspect.steadiness)?;
        insert.raw_bind_parameter(14, suspect.recency)?;
        insert.raw_bind_parameter(15, suspect.slope_bytes_per_s)?;
        insert.raw_bind_parameter(16, suspect.fit)?;
        insert.raw_bind_parameter(17, integer(sums.first_ns))?;
        insert.raw_bind_parameter(18, integer(sums.last_ns))?;
        insert.raw_bind_parameter(19, suspect.through.map(|row| row.0))?;
        insert.raw_execute()?;
    }
    Ok(())
}

/// Tables, or parts of them, that [`write`] fills, to be emptied before it fills them again.
pub(crate) const TABLES: [&str; 7] = [
    "frames",
    "backtrace_frames",
    "tree",
    "tree_inverted",
    "suspects",
    "suspect_frames",
    "estimates WHERE of NOT IN ('total', 'site')",
];
