//! Which questions are open, and what for.
//!
//! Invariants:
//! - Of each [`Purpose`] at most one question is open; asking again cancels the earlier one.
//! - The answer to a cancelled or replaced question has no purpose any more and changes nothing.

use std::collections::BTreeMap;

use crate::tui::app::message::{Ask, Effect, Now, Request, RequestId, RequestQueue};

/// Names a table, through all its sorts and filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u64);

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Facts for the header.
    Facts,
    /// The slices of the run.
    Slices,
    /// Names of threads.
    Threads,
    /// The list of suspects.
    Suspects,
    /// Their curves.
    Trends,
    /// The frames of a backtrace.
    Frames,
    /// The totals of a backtrace.
    Site,
    /// Source lines for the pane.
    Excerpt,
    /// Source lines for the pop-up.
    Source,
    /// A call tree.
    Tree,
    /// A call tree as it is to be shown.
    Shown,
    /// Facts of backtraces beside their weights.
    Sites,
    /// The course of the filter set's sites.
    Changes,
    /// The course of the largest of them.
    Largest,
    /// Samples of resident memory.
    Rss,
    /// Marks of the program.
    Marks,
    /// What is to be said of all figures.
    Notes,
    /// Sizes, lives and ages.
    Histograms,
    /// Names of the sites in them.
    Names,
    /// What differs between two sides.
    Compared,
    /// The same as it is to be shown.
    Differences,
    /// An export.
    Export,
    /// A page of a table, by its number.
    Page(TableId, u64),
    /// The rows of a table.
    Count(TableId),
}

/// An open question.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// What for.
    pub purpose: Purpose,
    /// Where it waits.
    pub lane: RequestQueue,
    /// Since when.
    pub since: Now,
}

/// The open questions.
#[derive(Clone, Debug, Default)]
pub struct PendingRequests {
    last: u64,
    open: BTreeMap<RequestId, Open>,
}

impl PendingRequests {
    /// Asks, taking back what was asked for the same purpose.
    pub fn ask(&mut self, lane: RequestQueue, purpose: Purpose, ask: Ask, now: Now) -> Vec<Effect> {
        let mut effects = self.forget(|open| open.purpose == purpose);
        self.last += 1;
        let id = RequestId(self.last);
        self.open.insert(id, Open { purpose, lane, since: now });
        effects.push(Effect::Ask(Request { id, lane, ask }));
        effects
    }

    /// Takes back whatever `which` says yes to.
    pub fn forget(&mut self, which: impl Fn(&Open) -> bool) -> Vec<Effect> {
        let ids: Vec<RequestId> =
            self.open.iter().filter_map(|(id, open)| which(open).then_some(*id)).collect();
        for id in &ids {
            self.open.remove(id);
        }
        ids.into_iter().map(Effect::Cancel).collect()
    }

    /// What the open questions are for that `which` says yes to.
    pub fn open(&self, which: impl Fn(&Open) -> bool) -> Vec<Purpose> {
        let open = self.open.values().filter(|open| which(open));
        open.map(|open| open.purpose).collect()
    }

    /// What an answer is for, if anybody still waits for it.
    pub fn answered(&mut self, id: RequestId) -> Option<Open> {
        self.open.remove(&id)
    }

    /// Whether an answer is waited for.
    pub fn is_open(&self, which: impl Fn(Purpose) -> bool) -> bool {
        self.open.values().any(|open| which(open.purpose))
    }

    /// The question that has been open longest, counts apart.
    pub fn oldest(&self) -> Option<&Open> {
        self.open.values().find(|open| open.lane != RequestQueue::Count)
    }
}
