//! The backtraces of an export, one after the other, each with its frames and weights.
//!
//! Reads: `frames` and `backtrace_frames`. Writes: nothing.
//!
//! Invariants:
//! - Backtraces come in the order of their numbers; the same database gives the same order.
//! - One backtrace is held at a time, beside the weights and the distinct frames.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::database::{Database, Params, Value};
use crate::present::export::error::ExportError;
use crate::present::export::request::{Request, Unit};
use crate::present::export::weights::{self, Weights};

/// What stands for the backtrace of blocks that have none.
const NO_BACKTRACE: &str = "[backtrace not recorded]";
/// What stands for a backtrace without frames.
const NO_FRAMES: &str = "[no frames]";

/// A place in the code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The function, uncleaned.
    pub sym: String,
    /// Its source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<i64>,
    /// own, dependency, std, runtime, unknown.
    pub kind: String,
    /// Whether it is inlined into the next frame outwards.
    pub inlined: bool,
    /// The object that it is in.
    pub module: Option<i64>,
    /// Its address in that object's file.
    pub offset: Option<i64>,
}

/// A backtrace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack<'a> {
    /// Its number in the database; `None`: it was not recorded.
    pub bt: Option<i64>,
    /// Positions in [`Stacks::frames`], innermost first; never empty.
    pub frames: &'a [usize],
    /// A number for each of [`Stacks::weights`]' kinds.
    pub weights: &'a [i64],
}

/// Everything about an export's backtraces but their frames, which are streamed.
#[derive(Debug)]
pub(crate) struct Stacks<'a> {
    database: &'a Database,
    request: &'a Request<'a>,
    /// The distinct frames; the last two are made up.
    pub frames: Vec<Frame>,
    positions: HashMap<i64, usize>,
    /// What each backtrace weighs.
    pub weights: Weights,
    /// Whether the weights are those of whole sites.
    pub is_of_sites: bool,
}

impl<'a> Stacks<'a> {
    /// Weighs backtraces and reads frames.
    pub(crate) fn gather(
        database: &'a Database,
        request: &'a Request<'a>,
    ) -> Result<Self, ExportError> {
        let (weights, is_of_sites) = weights::weigh(database, request)?;
        let (mut frames, mut positions) = (Vec::new(), HashMap::new());
        let sql = "SELECT id, sym, file, line, kind, inlined, module, offset FROM frames";
        database.stream(sql, &Params::none(), &request.limits(), |row| {
            if let Some(id) = row[0].as_i64() {
                positions.insert(id, frames.len());
                frames.push(frame(row));
            }
            ControlFlow::Continue(())
        })?;
        for made_up in [NO_FRAMES, NO_BACKTRACE] {
            frames.push(Frame { sym: made_up.into(), kind: "unknown".into(), ..Frame::default() });
        }
        Ok(Self { database, request, frames, positions, weights, is_of_sites })
    }

    /// The position of the kind that the request names: it is shown first, or alone.
    pub(crate) fn chosen(&self) -> usize {
        self.weights.kind(self.request.measure, self.request.unit).unwrap_or(0)
    }

    /// The positions of all kinds worth writing where a format holds several: what is leaked
    /// differs from what is live only where a window ends early.
    pub(crate) fn kinds(&self) -> Vec<usize> {
        use crate::present::export::request::Measure::Leaked;
        let twins = [Unit::Blocks, Unit::Bytes].map(|unit| self.weights.kind(Leaked, unit));
        let is_twin = |kind: &usize| twins.contains(&Some(*kind));
        let shown = self.request.window.to.is_some() || self.request.measure == Leaked;
        (0..self.weights.kinds.len()).filter(|kind| shown || !is_twin(kind)).collect()
    }

    /// Hands on each backtrace.
    pub(crate) fn each(
        &self,
        mut each: impl FnMut(Stack<'_>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let bts = &self.weights.bts;
        let mut next = 0;
        let mut failed = Ok(());
        let mut stack: Vec<usize> = Vec::new();
        let mut hand = |next: &mut usize, stack: &mut Vec<usize>| {
            let made_up = if bts[*next].is_none() { 1 } else { 2 };
            if stack.is_empty() {
                stack.push(self.frames.len() - made_up);
            }
            let (bt, weights) = (bts[*next], self.weights.at(*next));
            let handed = each(Stack { bt, frames: stack, weights });
            stack.clear();
            *next += 1;
            handed
        };
        // Both sides are in the order of backtraces: they are merged.
        let sql = "SELECT bt, frame FROM backtrace_frames ORDER BY bt, frame_no";
        self.database.stream(sql, &Params::none(), &self.request.limits(), |row| {
            let bt = row[0].as_i64();
            while next < bts.len() && bts[next].is_some() && bts[next] < bt {
                failed = hand(&mut next, &mut stack);
                if failed.is_err() {
                    return ControlFlow::Break(());
                }
            }
            if next < bts.len() && bts[next] == bt {
                let position = row[1].as_i64().and_then(|id| self.positions.get(&id));
                stack.push(position.copied().unwrap_or(self.frames.len() - 2));
            }
            ControlFlow::Continue(())
        })?;
        failed?;
        while next < bts.len() {
            hand(&mut next, &mut stack)?;
        }
        Ok(())
    }
}

fn frame(row: &[Value]) -> Frame {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Frame {
        sym: text(&row[1]).unwrap_or_default(),
        file: text(&row[2]),
        line: row[3].as_i64(),
        kind: text(&row[4]).unwrap_or_default(),
        inlined: row[5].as_i64() == Some(1),
        module: row[6].as_i64(),
        offset: row[7].as_i64(),
    }
}
