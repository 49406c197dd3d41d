//! Streams the backtraces of an export, each with its frames and weights.
//!
//! Invariants:
//! - Backtraces are in the order of their ids, so that the output is deterministic.
//! - Memory holds the weights, the distinct frames, and one backtrace.

use std::collections::HashMap;
use std::ops::ControlFlow;

use crate::database::{Database, Measure, Params, Value};
use crate::present::export::error::ExportError;
use crate::present::export::request::Request;
use crate::present::export::weights::{self, Weights};

/// The frame of blocks without a backtrace.
const NO_BACKTRACE: &str = "[backtrace not recorded]";
/// The frame of a backtrace without frames.
const NO_FRAMES: &str = "[no frames]";

/// A frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The function, not sanitized.
    pub sym: String,
    /// The source file.
    pub file: Option<String>,
    /// The line in the file.
    pub line: Option<i64>,
    /// `frames.kind`.
    pub kind: String,
    /// Whether it is inlined into the next outer frame.
    pub inlined: bool,
    /// The module, `modules.id`.
    pub module: Option<i64>,
    /// The address in the module's file.
    pub offset: Option<i64>,
}

/// A backtrace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stack<'a> {
    /// The id in the database; `None`: not recorded.
    pub bt: Option<i64>,
    /// Indices into [`Stacks::frames`], innermost first; never empty.
    pub frames: &'a [usize],
    /// One number per kind of [`Stacks::weights`].
    pub weights: &'a [i64],
}

/// Weights and distinct frames of an export; the frames of each backtrace are streamed.
#[derive(Debug)]
pub(crate) struct Stacks<'a> {
    database: &'a Database,
    request: &'a Request<'a>,
    /// The distinct frames; the last two are [`NO_FRAMES`] and [`NO_BACKTRACE`].
    pub frames: Vec<Frame>,
    positions: HashMap<i64, usize>,
    /// The weights of each backtrace.
    pub weights: Weights,
    /// Whether the weights are the totals of whole sites.
    pub from_sites: bool,
}

impl<'a> Stacks<'a> {
    /// Computes weights and reads frames.
    pub(crate) fn read(
        database: &'a Database,
        request: &'a Request<'a>,
    ) -> Result<Self, ExportError> {
        let (weights, from_sites) = weights::compute(database, request)?;
        let (mut frames, mut positions) = (Vec::new(), HashMap::new());
        let sql = "SELECT id, sym, file, line, kind, inlined, module, offset FROM frames";
        database.stream(sql, &Params::none(), &request.limits(), |row| {
            if let Some(id) = row[0].as_i64() {
                positions.insert(id, frames.len());
                frames.push(frame(row));
            }
            ControlFlow::Continue(())
        })?;
        for synthetic in [NO_FRAMES, NO_BACKTRACE] {
            frames.push(Frame {
                sym: synthetic.into(),
                kind: "unknown".into(),
                ..Frame::default()
            });
        }
        Ok(Self { database, request, frames, positions, weights, from_sites })
    }

    /// The position of the requested kind.
    pub(crate) fn chosen(&self) -> usize {
        self.weights.kind(self.request.measure).unwrap_or(0)
    }

    /// The positions of all kinds to write where a format holds several. Without a window's end,
    /// leaked blocks are the live ones, and are left out unless they were requested.
    pub(crate) fn kinds(&self) -> Vec<usize> {
        const LEAKED: [Measure; 2] = [Measure::LeakedBlocks, Measure::LeakedBytes];
        let positions = LEAKED.map(|measure| self.weights.kind(measure));
        let is_leaked = |kind: &usize| positions.contains(&Some(*kind));
        let shown = self.request.window.to.is_some() || LEAKED.contains(&self.request.measure);
        (0..self.weights.kinds.len()).filter(|kind| shown || !is_leaked(kind)).collect()
    }

    /// Passes each backtrace to `each`.
    pub(crate) fn for_each(
        &self,
        mut each: impl FnMut(Stack<'_>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let bts = &self.weights.bts;
        let mut next = 0;
        let mut failed = Ok(());
        let mut stack: Vec<usize> = Vec::new();
        let mut emit = |next: &mut usize, stack: &mut Vec<usize>| {
            let synthetic = if bts[*next].is_none() { 1 } else { 2 };
            if stack.is_empty() {
                stack.push(self.frames.len() - synthetic);
            }
            if self.request.is_collapsed {
                self.collapse(stack);
            }
            let (bt, weights) = (bts[*next], self.weights.at(*next));
            let result = each(Stack { bt, frames: stack, weights });
            stack.clear();
            *next += 1;
            result
        };
        // A merge join: both sides are in the order of backtraces.
        let sql = "SELECT bt, frame FROM backtrace_frames ORDER BY bt, frame_no";
        self.database.stream(sql, &Params::none(), &self.request.limits(), |row| {
            let bt = row[0].as_i64();
            while next < bts.len() && bts[next].is_some() && bts[next] < bt {
                failed = emit(&mut next, &mut stack);
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
            emit(&mut next, &mut stack)?;
        }
        Ok(())
    }

    /// Leaves of each run of the standard library's and the runtime's frames what was called first.
    fn collapse(&self, stack: &mut Vec<usize>) {
        let is_library = |frame: usize| matches!(&*self.frames[frame].kind, "std" | "runtime");
        let kept = (0..stack.len()).filter(|at| {
            let outer = stack.get(at + 1);
            !is_library(stack[*at]) || outer.is_none_or(|outer| !is_library(*outer))
        });
        *stack = kept.map(|at| stack[at]).collect();
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
