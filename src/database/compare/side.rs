//! One side of a comparison: its sites' figures, summed by stack of own frames.
//!
//! Reads: `sites`, or `allocations` where only a window counts; `frames`, `backtrace_frames`.
//! Writes: names into the shared [`Stacks`], figures into `Gathered`.
//!
//! Invariant: every block of the window is in exactly one stack, those without a backtrace too.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::database::cancel::CancelToken;
use crate::database::caveats::Notes;
use crate::database::compare::comparison::{Gathered, Total};
use crate::database::compare::figures::{Metrics, Normalization, Rate};
use crate::database::compare::stacks::{Name, NameId, Stacks};
use crate::database::compare::window::{self, Span, Window};
use crate::database::connection::Database;
use crate::database::error::QueryError;
use crate::database::query::{Limits, Params};
use crate::database::table::Value;

/// One side.
#[derive(Clone, Debug)]
pub struct Side<'a> {
    /// Its recording.
    pub database: &'a Database,
    /// What of it.
    pub window: Window,
}

impl<'a> Side<'a> {
    /// A whole recording.
    pub fn whole(database: &'a Database) -> Self {
        Self { database, window: Window::default() }
    }
}

const SITES: &str = "SELECT bt, live_bytes, live_blocks, bytes, allocations FROM sites";

/// What has no backtrace has no site either; threads know of all blocks.
const UNPROBED: &str = "\
SELECT NULL, sum(threads.live_bytes) - (SELECT coalesce(sum(live_bytes), 0) FROM sites),
  sum(threads.live_blocks) - (SELECT coalesce(sum(live_blocks), 0) FROM sites),
  sum(threads.bytes) - (SELECT coalesce(sum(bytes), 0) FROM sites),
  sum(threads.allocations) - (SELECT coalesce(sum(allocations), 0) FROM sites)
FROM threads";

/// Each block of a window, with its figures.
const BLOCKS: &str = "\
SELECT bt, CASE WHEN dealloc_after IS NULL OR dealloc_after > :to THEN size ELSE 0 END,
  dealloc_after IS NULL OR dealloc_after > :to, size, 1
FROM allocations WHERE alloc_after > :from AND alloc_after <= :to";

/// The same of samples, by site.
const SAMPLES: &str = "\
SELECT bt, sum(iif(alive, bytes, 0)), CAST(round(sum(iif(alive, blocks, 0))) AS INTEGER),
  sum(bytes), CAST(round(sum(blocks)) AS INTEGER)
FROM (SELECT bt, bytes, blocks, dealloc_after IS NULL OR dealloc_after > :to AS alive
  FROM allocations JOIN sample_weights USING (size)
  WHERE alloc_after > :from AND alloc_after <= :to)
GROUP BY bt";

/// `main`: whether an address without a name is in the program itself.
const FRAMES: &str = "\
SELECT frames.id, frames.sym, frames.function, frames.crate, frames.kind, frames.file, frames.line,
  coalesce(modules.main, 0)
FROM frames LEFT JOIN modules ON modules.id = frames.module";

/// In the order in which the table stands: nothing is sorted.
const STACKS: &str = "SELECT bt, frame FROM backtrace_frames ORDER BY bt, frame_no";

/// Adds the figures of one side.
pub(crate) fn gather(
    side: &Side<'_>,
    per: &Normalization,
    stacks: &mut Stacks,
    gathered: &mut Gathered,
    which: usize,
    cancel: &CancelToken,
) -> Result<Total, QueryError> {
    let limits = Limits::none().cancelled_by(cancel);
    let database = side.database;
    let span = side.window.resolve(database, &limits)?;
    let rate = rate(database, per, &span, &limits)?;
    let notes = Notes::read(database, &limits)?;
    let sites = figures(database, &span, &notes, &limits)?;
    let frames = frames(database, stacks, &limits)?;
    let mut total = Total::new(database.path(), &side.window, span);
    total.notes = notes;
    let mut add = |key, bt: Option<i64>, figures: Metrics| {
        total.figures += figures;
        total.sites += 1;
        gathered.add(key, which, bt, figures);
    };
    let mut stack: (i64, Vec<Frame>) = (i64::MIN, Vec::new());
    let mut finish = |stack: &mut (i64, Vec<Frame>)| {
        let own = own(&stack.1);
        stack.1.clear();
        if let Some(figures) = sites.get(&Some(stack.0)) {
            add(stacks.stack(own.into_iter().rev()), Some(stack.0), *figures);
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
    if let Some(unprobed) = sites.get(&None) {
        let name = stacks.name(Name {
            sym: "(no backtrace)".to_owned(),
            function: "(no backtrace)".to_owned(),
            kind: "unknown".to_owned(),
            ..Name::default()
        });
        let key = stacks.stack([name].into_iter());
        total.figures += *unprobed;
        gathered.add(key, which, None, *unprobed);
    }
    gathered.rate(which, rate);
    total.rate = rate;
    Ok(total)
}

fn rate(
    database: &Database,
    per: &Normalization,
    span: &Span,
    limits: &Limits,
) -> Result<Rate, QueryError> {
    Ok(match per {
        Normalization::Whole => Rate::ONE,
        Normalization::Time(ns) => Rate { times: *ns, of: span.length_ns().max(1) },
        Normalization::Mark(name) => {
            Rate { times: 1, of: window::marks_in(database, name, span, limits)? }
        }
    })
}

type BySite = HashMap<Option<i64>, Metrics>;

fn figures(
    database: &Database,
    span: &Span,
    notes: &Notes,
    limits: &Limits,
) -> Result<BySite, QueryError> {
    let mut sites = BySite::new();
    let mut add = |row: &[Value]| {
        let number = |at: usize| row.get(at).and_then(Value::as_i64);
        let figures = Metrics {
            live_bytes: number(1).unwrap_or(0),
            live_blocks: number(2).unwrap_or(0),
            bytes: number(3).unwrap_or(0),
            allocations: number(4).unwrap_or(0),
        };
        if figures != Metrics::default() {
            *sites.entry(number(0)).or_default() += figures;
        }
        ControlFlow::Continue(())
    };
    if span.is_whole {
        database.stream(SITES, &Params::none(), limits, &mut add)?;
        database.stream(UNPROBED, &Params::none(), limits, &mut add)?;
    } else {
        let params = Params::none().with("from", span.from_ns).with("to", span.to_ns);
        let sql = if notes.sampled.is_some() { SAMPLES } else { BLOCKS };
        database.stream(sql, &params, limits, &mut add)?;
    }
    Ok(sites)
}

/// A frame, and whether it belongs to what is matched.
#[derive(Clone, Copy, Debug)]
struct Frame {
    name: NameId,
    whose: Whose,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Own,
    Dependency,
    Unknown,
    Other,
}

fn frames(
    database: &Database,
    stacks: &mut Stacks,
    limits: &Limits,
) -> Result<HashMap<i64, Frame>, QueryError> {
    let mut frames = HashMap::new();
    database.stream(FRAMES, &Params::none(), limits, |row| {
        let text = |at: usize| row.get(at).and_then(Value::as_str).unwrap_or("").to_owned();
        let number = |at: usize| row.get(at).and_then(Value::as_i64);
        let kind = text(4);
        let whose = match kind.as_str() {
            "own" => Whose::Own,
            "unknown" if number(7) == Some(1) => Whose::Own,
            "dependency" => Whose::Dependency,
            "unknown" => Whose::Unknown,
            _ => Whose::Other,
        };
        let name = stacks.name(Name {
            sym: text(1),
            function: text(2),
            krate: text(3),
            kind,
            file: row.get(5).and_then(Value::as_str).map(str::to_owned),
            line: number(6).and_then(|line| u32::try_from(line).ok()),
        });
        frames.insert(number(0).unwrap_or(0), Frame { name, whose });
        ControlFlow::Continue(())
    })?;
    Ok(frames)
}

/// The frames by which a stack is known: its own; where it has none, the dependencies', then those
/// without a name, else all of them. Recursion is collapsed: its depth is no difference.
fn own(frames: &[Frame]) -> Vec<NameId> {
    for whose in [Whose::Own, Whose::Dependency, Whose::Unknown] {
        let found: Vec<NameId> =
            frames.iter().filter(|frame| frame.whose == whose).map(|frame| frame.name).collect();
        if !found.is_empty() {
            return collapse_cycles(found);
        }
    }
    collapse_cycles(frames.iter().map(|frame| frame.name).collect())
}

/// The path without its cycles: where it comes back to a function, what is in between is cut.
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
