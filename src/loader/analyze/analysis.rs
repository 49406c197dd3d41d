//! What follows from names and sums together: frames, tree, suspects.
//!
//! Reads: summaries of all sites, their stacks, symbols. Writes: `frames`, `backtrace_frames`,
//! `tree`, `tree_inverted`, `suspects`, and what `sites` says of them.
//!
//! Invariant: depends on nothing that a database does not hold, so that it can be done again
//! when names were missing.

use rusqlite::Connection;
use rusqlite::types::Value;

use crate::loader::analyze::call_tree::{Direction, Tree};
use crate::loader::analyze::estimates::{self, EstimateTarget, Estimated};
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::analyze::suspects::{self, Suspect};
use crate::loader::symbols::Symbols;
use crate::loader::symbols::frame_names::SiteFrames;
use crate::loader::write::row_writer::integer;
use crate::loader::write::tables::{self, SiteNames};

/// What `meta` says of it.
pub(crate) fn meta(summaries: &[SiteSummary], run: &Run) -> Vec<(String, Value)> {
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

/// Fills the tables, and says what `sites` needs to know; sites count from 0 there.
pub(crate) fn write(
    connection: &Connection,
    summaries: &[SiteSummary],
    names: &SiteFrames,
    symbols: &Symbols,
    run: &Run,
) -> rusqlite::Result<Vec<SiteNames>> {
    tables::write_names(connection, names, symbols)?;
    let functions = names.functions(symbols);
    let tree = Tree::grow(summaries, names, &functions, run, Direction::Callees);
    tree.write(connection, "tree")?;
    let inverted = Direction::callers(summaries.len());
    let inverted = Tree::grow(summaries, names, &functions, run, inverted);
    inverted.write(connection, "tree_inverted")?;
    if let Some(rate) = run.rate {
        tree.write_estimates(connection, EstimateTarget::Tree, rate)?;
        inverted.write_estimates(connection, EstimateTarget::TreeInverted, rate)?;
    }

    let mut of_sites: Vec<_> = (0..names.sites())
        .map(|site| SiteNames {
            frame: names.own(site).map(|(_, row)| row.0),
            suspect: None,
            tree: tree.leaf(site),
            depth: names.frames(site).len() as u32,
        })
        .collect();
    let function = |row| names.frame(row, symbols).function.as_str();
    let suspects = suspects::rank(summaries, names, run, function);
    for (rank, suspect) in (1..).zip(&suspects) {
        for site in &suspect.sites {
            of_sites[site.0 as usize - 1].suspect = Some(rank);
        }
    }
    write_suspects(connection, &suspects)?;
    if let Some(rate) = run.rate {
        let rows = (1..).zip(&suspects).map(|(id, suspect)| Estimated {
            id,
            bytes: suspect.sums.bytes,
            live_bytes: suspect.sums.live_bytes,
            sampled: suspect.sampled,
        });
        estimates::rows(connection, EstimateTarget::Suspect, rate, rows)?;
    }
    Ok(of_sites)
}

fn write_suspects(connection: &Connection, suspects: &[Suspect]) -> rusqlite::Result<()> {
    let mut insert = connection
        .prepare(&format!("INSERT INTO suspects VALUES ({})", vec!["?"; 18].join(", ")))?;
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
        insert.raw_execute()?;
    }
    Ok(())
}

/// Tables, or parts of them, that [`write`] fills, to be emptied before it fills them again.
pub(crate) const TABLES: [&str; 6] = [
    "frames",
    "backtrace_frames",
    "tree",
    "tree_inverted",
    "suspects",
    "estimates WHERE of NOT IN ('total', 'site')",
];
