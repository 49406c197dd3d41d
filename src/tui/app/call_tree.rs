//! Reads a call tree from the database.
//!
//! Reads: the table `tree`, or the backtraces of weighted rows. Writes: a [`CallTree`].
//!
//! Invariants:
//! - Rows are streamed: memory holds the tree, never a whole result.
//! - A node's own weight is its row minus the rows of its children, because rows of `tree` include
//!   their subtrees.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::database::cancel::CancelToken;
use crate::database::caveats::Caveats;
use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::estimate::SampleSum;
use crate::database::query::{Limits, Params};
use crate::database::table::Value;
use crate::tui::app::message::TreeSource;
use crate::tui::flame::measure::{MEASURES, Weights};
use crate::tui::flame::site_stats::{SiteStats, TREND};
use crate::tui::flame::tree::{
    CallTree, FrameId, FrameKind, NodeId, ROOT, Symbol, SymbolId, Symbols, TreeBuilder,
};

/// Backtraces per query for stacks; their ids are listed in the statement.
const BATCH: usize = 400;

const FRAMES: &str = "SELECT id, sym, function, crate, kind, file, line FROM frames";

const PREPARED: &str = "\
SELECT id, parent, frame, live_bytes, at_peak_bytes, bytes, allocations, temporary, growth_bytes,
  live_blocks
FROM tree ORDER BY id";

const SITES: &str = "SELECT bt, tree FROM sites WHERE tree IS NOT NULL";

const CURVES: &str = "SELECT bt, slice, live_bytes FROM site_timeline ORDER BY bt, slice";

const LIVE: &str = "\
SELECT bt, alloc_after FROM allocations
WHERE dealloc_after IS NULL AND rowid > coalesce(
  (SELECT value FROM meta WHERE key = 'freed_rows'), 0)";

const LIVE_SAMPLES: &str = "\
SELECT bt, alloc_after, blocks FROM allocations JOIN sample_weights USING (size)
WHERE dealloc_after IS NULL";

const SAMPLE_SUMS: &str = "\
SELECT id, sampled_bytes, bytes_variance, live_sampled_bytes, live_bytes_variance
FROM estimates WHERE of = 'site'";

/// The frame of blocks without a backtrace.
const NO_BACKTRACE: FrameId = FrameId(i64::MIN);

/// Reads the call tree of a source.
///
/// # Errors
/// As [`Database::query`].
pub fn read(
    database: &Database,
    source: &TreeSource,
    token: &CancelToken,
) -> Result<CallTree, QueryError> {
    let limits = Limits::none().cancelled_by(token);
    let symbols = Arc::new(symbols(database, &limits)?);
    match source {
        TreeSource::Prepared => prepared(database, &limits, &symbols),
        TreeSource::Weights(query) => {
            let mut weights: HashMap<Option<i64>, Weights> = HashMap::new();
            database.stream(&query.sql, &query.params, &limits, |row| {
                *weights.entry(row.first().and_then(integer)).or_default() +=
                    measures(row.get(1..));
                ControlFlow::Continue(())
            })?;
            stacks(database, &limits, &symbols, &weights)
        }
    }
}

/// Reads statistics of each backtrace: trend, ages, sampling error.
///
/// # Errors
/// As [`Database::query`].
pub fn sites(
    database: &Database,
    end_ns: i64,
    token: &CancelToken,
) -> Result<HashMap<i64, SiteStats>, QueryError> {
    let limits = Limits::none().cancelled_by(token);
    let mut slices = 0;
    database.stream("SELECT count(*) FROM timeline", &Params::none(), &limits, |row| {
        slices = row.first().and_then(integer).unwrap_or(0);
        ControlFlow::Continue(())
    })?;
    let mut sites: HashMap<i64, SiteStats> = HashMap::new();
    database.stream(CURVES, &Params::none(), &limits, |row| {
        if let [Some(bt), Some(slice), Some(live)] =
            [0, 1, 2].map(|at| row.get(at).and_then(integer))
        {
            let stats = sites.entry(bt).or_default();
            // A value holds from the bucket in which its slice ends.
            let share = (slice * TREND as i64 / slices.max(1)).clamp(0, TREND as i64 - 1);
            if let Some(rest) = stats.trend.get_mut(share as usize..) {
                rest.fill(u64::try_from(live).unwrap_or(0));
            }
        }
        ControlFlow::Continue(())
    })?;
    let is_sampled = Caveats::read(database, &limits)?.sampled.is_some();
    if is_sampled {
        database.stream(SAMPLE_SUMS, &Params::none(), &limits, |row| {
            let sample_sum = |at: usize| SampleSum {
                blocks: 0,
                bytes: row.get(at).and_then(integer).unwrap_or(0).max(0).unsigned_abs(),
                variance: row.get(at + 1).and_then(Value::as_f64).unwrap_or(0.0),
            };
            let stats = sites.entry(row.first().and_then(integer).unwrap_or(0)).or_default();
            (stats.allocated, stats.live) = (sample_sum(1), sample_sum(3));
            ControlFlow::Continue(())
        })?;
    }
    let live = if is_sampled { LIVE_SAMPLES } else { LIVE };
    database.stream(live, &Params::none(), &limits, |row| {
        if let [Some(bt), Some(allocated_at)] = [0, 1].map(|at| row.get(at).and_then(integer)) {
            let stats = sites.entry(bt).or_default();
            let blocks = row.get(2).and_then(Value::as_f64).unwrap_or(1.0);
            stats.age_sum_ns += (end_ns - allocated_at) as f64 * blocks;
            stats.live_blocks += blocks;
        }
        ControlFlow::Continue(())
    })?;
    Ok(sites)
}

fn symbols(database: &Database, limits: &Limits) -> Result<Symbols, QueryError> {
    let mut symbols = Symbols::default();
    database.stream(FRAMES, &Params::none(), limits, |row| {
        let text = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or("").to_owned();
        let frame = FrameId(row.first().and_then(integer).unwrap_or(0));
        symbols.insert(
            frame,
            Symbol {
                sym: text(1),
                function: text(2),
                krate: text(3),
                kind: FrameKind::parse(&text(4)),
                file: row.get(5).and_then(Value::as_str).map(str::to_owned),
                line: row.get(6).and_then(integer).and_then(|it| u32::try_from(it).ok()),
            },
        );
        ControlFlow::Continue(())
    })?;
    symbols.insert(
        NO_BACKTRACE,
        Symbol {
            sym: "(no backtrace)".into(),
            function: "(no backtrace)".into(),
            kind: FrameKind::Unknown,
            ..Symbol::default()
        },
    );
    Ok(symbols)
}

fn prepared(
    database: &Database,
    limits: &Limits,
    symbols: &Arc<Symbols>,
) -> Result<CallTree, QueryError> {
    let mut builder = TreeBuilder::new(Arc::clone(symbols));
    // Rows of one function with one caller on several lines are one node.
    let mut nodes: HashMap<i64, NodeId> = HashMap::new();
    database.stream(PREPARED, &Params::none(), limits, |row| {
        let number = |at: usize| row.get(at).and_then(integer);
        let parent = number(1).and_then(|it| nodes.get(&it)).copied().unwrap_or(ROOT);
        let symbol = number(2).and_then(|it| symbols.of_frame(FrameId(it)));
        let node = match symbol {
            Some(symbol) => builder.child(parent, symbol),
            None => parent,
        };
        let weights = measures(row.get(3..));
        builder.add_weights(node, weights);
        if parent != ROOT {
            builder.add_weights(parent, weights.negated());
        }
        if let Some(id) = number(0) {
            nodes.insert(id, node);
        }
        ControlFlow::Continue(())
    })?;
    database.stream(SITES, &Params::none(), limits, |row| {
        let number = |at: usize| row.get(at).and_then(integer);
        if let (Some(bt), Some(node)) = (number(0), number(1).and_then(|it| nodes.get(&it))) {
            builder.add_site(bt, *node);
        }
        ControlFlow::Continue(())
    })?;
    Ok(builder.finish())
}

fn stacks(
    database: &Database,
    limits: &Limits,
    symbols: &Arc<Symbols>,
    weights: &HashMap<Option<i64>, Weights>,
) -> Result<CallTree, QueryError> {
    let mut builder = TreeBuilder::new(Arc::clone(symbols));
    if let Some(without_backtrace) = weights.get(&None) {
        builder.add_stack(symbols.of_frame(NO_BACKTRACE).into_iter(), *without_backtrace);
    }
    let mut bts: Vec<i64> = weights.keys().copied().flatten().collect();
    bts.sort_unstable();
    for batch in bts.chunks(BATCH) {
        let list: Vec<String> = batch.iter().map(i64::to_string).collect();
        let sql = format!(
            "SELECT bt, frame FROM backtrace_frames WHERE bt IN ({}) ORDER BY bt, frame_no DESC",
            list.join(",")
        );
        let mut stack: (i64, Vec<SymbolId>) = (i64::MIN, Vec::new());
        let mut finish = |stack: &mut (i64, Vec<SymbolId>)| {
            if let Some(weights) = weights.get(&Some(stack.0)) {
                let node = builder.add_stack(stack.1.drain(..), *weights);
                builder.add_site(stack.0, node);
            }
        };
        database.stream(&sql, &Params::none(), limits, |row| {
            let number = |at: usize| row.get(at).and_then(integer);
            let bt = number(0).unwrap_or(i64::MIN);
            if bt != stack.0 {
                finish(&mut stack);
                stack.0 = bt;
            }
            stack.1.extend(number(1).and_then(|it| symbols.of_frame(FrameId(it))));
            ControlFlow::Continue(())
        })?;
        finish(&mut stack);
    }
    Ok(builder.finish())
}

fn measures(values: Option<&[Value]>) -> Weights {
    let mut weights = [0; MEASURES];
    for (weight, value) in weights.iter_mut().zip(values.unwrap_or_default()) {
        *weight = integer(value).unwrap_or(0);
    }
    Weights(weights)
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        Value::Real(number) => Some(*number as i64),
        Value::Text(text) => text.parse().ok(),
        Value::Null | Value::Blob(_) => None,
    }
}
