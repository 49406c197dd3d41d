//! Reads one side of a comparison: the totals of its sites, summed by stack of own frames.
//!
//! Reads `sites`, or `allocations` for a window; and `frames`, `backtrace_frames`.
//!
//! Invariant: every block of the window is counted in exactly one stack, also blocks without a
//! backtrace.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::database::cancel::CancelToken;
use crate::database::caveats::Caveats;
use crate::database::compare::comparison::{StackMetrics, Total};
use crate::database::compare::metrics::{Metrics, Normalization, Ratio};
use crate::database::compare::stacks::{Name, NameId, Stacks};
use crate::database::compare::window::{self, Span, Window};
use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::query::{Limits, Params};
use crate::database::table::Value;

/// One side of a comparison.
#[derive(Clone, Debug)]
pub struct Side<'a> {
    /// The database.
    pub database: &'a Database,
    /// The part of the recording that is compared.
    pub window: Window,
}

impl<'a> Side<'a> {
    /// The whole recording.
    pub fn whole(database: &'a Database) -> Self {
        Self { database, window: Window::default() }
    }
}

const SITES: &str = "SELECT bt, live_bytes, live_blocks, bytes, allocations FROM sites";

/// Blocks without a backtrace belong to no site: the totals of all threads minus those of all sites.
const WITHOUT_BACKTRACE: &str = "\
SELECT NULL, sum(threads.live_bytes) - (SELECT coalesce(sum(live_bytes), 0) FROM sites),
  sum(threads.live_blocks) - (SELECT coalesce(sum(live_blocks), 0) FROM sites),
  sum(threads.bytes) - (SELECT coalesce(sum(bytes), 0) FROM sites),
  sum(threads.allocations) - (SELECT coalesce(sum(allocations), 0) FROM sites)
FROM threads";

/// Each block of a window.
const BLOCKS: &str = "\
SELECT bt, CASE WHEN dealloc_after IS NULL OR dealloc_after > :to THEN size ELSE 0 END,
  dealloc_after IS NULL OR dealloc_after > :to, size, 1
FROM allocations WHERE alloc_after > :from AND alloc_after <= :to";

/// Blocks of a window in a sampled recording, weighted and summed by site.
const SAMPLES: &str = "\
SELECT bt, sum(iif(alive, bytes, 0)), CAST(round(sum(iif(alive, blocks, 0))) AS INTEGER),
  sum(bytes), CAST(round(sum(blocks)) AS INTEGER)
FROM (SELECT bt, bytes, blocks, dealloc_after IS NULL OR dealloc_after > :to AS alive
  FROM allocations JOIN sample_weights USING (size)
  WHERE alloc_after > :from AND alloc_after <= :to)
GROUP BY bt";

/// `main` tells whether an address without a name belongs to the executable.
const FRAMES: &str = "\
SELECT frames.id, frames.sym, frames.function, frames.crate, frames.kind, frames.file, frames.line,
  coalesce(modules.main, 0)
FROM frames LEFT JOIN modules ON modules.id = frames.module";

/// In the order of the primary key, so that SQLite does not sort.
const STACKS: &str = "SELECT bt, frame FROM backtrace_frames ORDER BY bt, frame_no";

/// Adds the totals of one side to `metrics_by_stack`.
pub(crate) fn read_side(
    side: &Side<'_>,
    per: &Normalization,
    stacks: &mut Stacks,
    metrics_by_stack: &mut StackMetrics,
    side_index: usize,
    cancel: &CancelToken,
) -> Result<Total, QueryError> {
    let limits = Limits::none().cancelled_by(cancel);
    let database = side.database;
    let span = side.window.resolve(database, &limits)?;
    let ratio = normalization_ratio(database, per, &span, &limits)?;
    let caveats = Caveats::read(database, &limits)?;
    let sites = read_metrics(database, &span, &caveats, &limits)?;
    let frames = read_frames(database, stacks, &limits)?;
    let mut total = Total::new(database.path(), &side.window, span);
    total.caveats = caveats;
    let mut add = |key, bt: Option<i64>, metrics: Metrics| {
        total.metrics += metrics;
        total.sites += 1;
        metrics_by_stack.add(key, side_index, bt, metrics);
    };
    let mut stack: (i64, Vec<Frame>) = (i64::MIN, Vec::new());
    let mut finish = |stack: &mut (i64, Vec<Frame>)| {
        let names = matching_frames(&stack.1);
        stack.1.clear();
        if let Some(metrics) = sites.get(&Some(stack.0)) {
            add(stacks.stack(names.into_iter().rev()), Some(stack.0), *metrics);
        }
    };
    database.stream(STACKS, &Params::none(), &limits, |row| {
        let bt = row.first().and_then(Value::as_i64).unwrap_or(i64::MIN);
        if bt != stack.0 {
            finish(&mut stack);
            stack.0 = bt;
        }
        let frame = row.get(1).and_then(Value::as_i64);
        stack.1.extend(frame.and_then(|frame| frames.get(&frame)).copied());
        ControlFlow::Continue(())
    })?;
    finish(&mut stack);
    if let Some(without_backtrace) = sites.get(&None) {
        let name = stacks.name(Name {
            sym: "(no backtrace)".to_owned(),
            function: "(no backtrace)".to_owned(),
            kind: "unknown".to_owned(),
            ..Name::default()
        });
        let key = stacks.stack([name].into_iter());
        total.metrics += *without_backtrace;
        metrics_by_stack.add(key, side_index, None, *without_backtrace);
    }
    metrics_by_stack.set_ratio(side_index, ratio);
    total.ratio = ratio;
    Ok(total)
}

fn normalization_ratio(
    database: &Database,
    per: &Normalization,
    span: &Span,
    limits: &Limits,
) -> Result<Ratio, QueryError> {
    Ok(match per {
        Normalization::Whole => Ratio::ONE,
        Normalization::Time(ns) => Ratio { numerator: *ns, denominator: span.duration_ns().max(1) },
        Normalization::Mark(name) => {
            Ratio { numerator: 1, denominator: window::marks_in(database, name, span, limits)? }
        }
    })
}

type BySite = HashMap<Option<i64>, Metrics>;

fn read_metrics(
    database: &Database,
    span: &Span,
    caveats: &Caveats,
    limits: &Limits,
) -> Result<BySite, QueryError> {
    let mut sites = BySite::new();
    let mut add = |row: &[Value]| {
        let number = |at: usize| row.get(at).and_then(Value::as_i64);
        let metrics = Metrics {
            live_bytes: number(1).unwrap_or(0),
            live_blocks: number(2).unwrap_or(0),
            bytes: number(3).unwrap_or(0),
            allocations: number(4).unwrap_or(0),
        };
        if metrics != Metrics::default() {
            *sites.entry(number(0)).or_default() += metrics;
        }
        ControlFlow::Continue(())
    };
    if span.is_whole {
        database.stream(SITES, &Params::none(), limits, &mut add)?;
        database.stream(WITHOUT_BACKTRACE, &Params::none(), limits, &mut add)?;
    } else {
        let params = Params::none().with("from", span.from_ns).with("to", span.to_ns);
        let sql = if caveats.sampled.is_some() { SAMPLES } else { BLOCKS };
        database.stream(sql, &params, limits, &mut add)?;
    }
    Ok(sites)
}

/// A frame's name and owner.
#[derive(Clone, Copy, Debug)]
struct Frame {
    name: NameId,
    owner: FrameOwner,
}

/// The owner of a frame's code, as far as it matters for matching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FrameOwner {
    Own,
    Dependency,
    Unknown,
    Other,
}

/// The names and owners of all frames, by `frames.id`.
fn read_frames(
    database: &Database,
    stacks: &mut Stacks,
    limits: &Limits,
) -> Result<HashMap<i64, Frame>, QueryError> {
    let mut frames = HashMap::new();
    database.stream(FRAMES, &Params::none(), limits, |row| {
        let text = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or("").to_owned();
        let number = |at: usize| row.get(at).and_then(Value::as_i64);
        let kind = text(4);
        let owner = match kind.as_str() {
            "own" => FrameOwner::Own,
            "unknown" if number(7) == Some(1) => FrameOwner::Own,
            "dependency" => FrameOwner::Dependency,
            "unknown" => FrameOwner::Unknown,
            _ => FrameOwner::Other,
        };
        let name = stacks.name(Name {
            sym: text(1),
            function: text(2),
            krate: text(3),
            kind,
            file: row.get(5).and_then(Value::as_str).map(str::to_owned),
            line: number(6).and_then(|line| u32::try_from(line).ok()),
        });
        frames.insert(number(0).unwrap_or(0), Frame { name, owner });
        ControlFlow::Continue(())
    })?;
    Ok(frames)
}

/// The frames that identify a stack: its own frames; without any, those of dependencies; then those
/// without a name; else all. Cycles are removed, because the depth of a recursion is no difference.
fn matching_frames(frames: &[Frame]) -> Vec<NameId> {
    for owner in [FrameOwner::Own, FrameOwner::Dependency, FrameOwner::Unknown] {
        let found: Vec<NameId> =
            frames.iter().filter(|frame| frame.owner == owner).map(|frame| frame.name).collect();
        if !found.is_empty() {
            return collapse_cycles(found);
        }
    }
    collapse_cycles(frames.iter().map(|frame| frame.name).collect())
}

/// The path without cycles: if it returns to a function, the frames in between are removed.
fn collapse_cycles(path: Vec<NameId>) -> Vec<NameId> {
    let mut collapsed: Vec<NameId> = Vec::with_capacity(path.len());
    for name in path {
        match collapsed.iter().position(|it| *it == name) {
            Some(index) => collapsed.truncate(index + 1),
            None => collapsed.push(name),
        }
    }
    collapsed
}
