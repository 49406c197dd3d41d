//! Which questions are open, and what for.
//!
//! Invariants:
//! - Of each [`Purpose`] at most one question is open; asking again cancels the earlier one.
//! - The answer to a cancelled or replaced question has no purpose any more and changes nothing.

use std::collections::BTreeMap;

use crate::tui::app::message::{Effect, Now, Queue, Request, RequestBody, RequestId};

/// Names a table, through all its sorts and filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u64);

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// Facts for the header.
    Overview,
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
pub struct PendingRequest {
    /// What for.
    pub purpose: Purpose,
    /// Where it waits.
    pub queue: Queue,
    /// Since when.
    pub since: Now,
}

/// The open questions.
#[derive(Clone, Debug, Default)]
pub struct PendingRequests {
    last: u64,
    pending: BTreeMap<RequestId, PendingRequest>,
}

impl PendingRequests {
    /// Asks, taking back what was asked for the same purpose.
    pub fn send(
        &mut self,
        queue: Queue,
        purpose: Purpose,
        body: RequestBody,
        now: Now,
    ) -> Vec<Effect> {
        let mut effects = self.cancel(|request| request.purpose == purpose);
        self.last += 1;
        let id = RequestId(self.last);
        self.pending.insert(id, PendingRequest { purpose, queue, since: now });
        effects.push(Effect::Send(Request { id, queue, body }));
        effects
    }

    /// Takes back whatever `which` says yes to.
    pub fn cancel(&mut self, which: impl Fn(&PendingRequest) -> bool) -> Vec<Effect> {
        let ids: Vec<RequestId> =
            self.pending.iter().filter_map(|(id, request)| which(request).then_some(*id)).collect();
        for id in &ids {
            self.pending.remove(id);
        }
        ids.into_iter().map(Effect::Cancel).collect()
    }

    /// What the open questions are for that `which` says yes to.
    pub fn purposes(&self, which: impl Fn(&PendingRequest) -> bool) -> Vec<Purpose> {
        let request = self.pending.values().filter(|request| which(request));
        request.map(|request| request.purpose).collect()
    }

    /// What an answer is for, if anybody still waits for it.
    pub fn complete(&mut self, id: RequestId) -> Option<PendingRequest> {
        self.pending.remove(&id)
    }

    /// Whether an answer is waited for.
    pub fn is_pending(&self, which: impl Fn(Purpose) -> bool) -> bool {
        self.pending.values().any(|request| which(request.purpose))
    }

    /// The question that has been open longest, counts apart.
    pub fn oldest(&self) -> Option<&PendingRequest> {
        self.pending.values().find(|request| request.queue != Queue::Count)
    }
}
