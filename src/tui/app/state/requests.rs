//! Pending requests and their purposes.
//!
//! Invariants:
//! - At most one request per [`Purpose`] is pending; a new one cancels the earlier one.
//! - The response to a cancelled request has no purpose any more and changes nothing.

use std::collections::BTreeMap;

use crate::tui::app::message::{Effect, Now, Queue, Request, RequestBody, RequestId};

/// Identifies a table, whatever its sorting and filters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(pub u64);

/// The purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Purpose {
    /// The data of the header.
    Overview,
    /// The slices of the timeline.
    Slices,
    /// Names of threads.
    Threads,
    /// The list of suspects.
    Suspects,
    /// The curves of the suspects.
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
    /// Shapes of the call tree.
    Shape,
    /// Statistics of backtraces.
    Sites,
    /// The curve of the selected sites.
    Changes,
    /// The curves of the largest selected sites.
    Largest,
    /// Memory readings.
    Rss,
    /// Marks of the program.
    Marks,
    /// The caveats.
    Caveats,
    /// The histograms.
    Histograms,
    /// Names of the sites in the histograms.
    Names,
    /// A comparison.
    Compared,
    /// List and tree of the comparison.
    Differences,
    /// An export.
    Export,
    /// A page of a table, by number.
    Page(TableId, u64),
    /// The number of rows of a table.
    Count(TableId),
}

/// A pending request.
#[derive(Clone, Copy, Debug)]
pub struct PendingRequest {
    /// Its purpose.
    pub purpose: Purpose,
    /// Its queue.
    pub queue: Queue,
    /// When it was sent.
    pub since: Now,
}

/// All pending requests.
#[derive(Clone, Debug, Default)]
pub struct PendingRequests {
    last: u64,
    pending: BTreeMap<RequestId, PendingRequest>,
}

impl PendingRequests {
    /// Sends a request; cancels the pending one of the same purpose.
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

    /// Cancels the requests that `which` selects.
    pub fn cancel(&mut self, which: impl Fn(&PendingRequest) -> bool) -> Vec<Effect> {
        let ids: Vec<RequestId> =
            self.pending.iter().filter_map(|(id, request)| which(request).then_some(*id)).collect();
        for id in &ids {
            self.pending.remove(id);
        }
        ids.into_iter().map(Effect::Cancel).collect()
    }

    /// The purposes of the requests that `which` selects.
    pub fn purposes(&self, which: impl Fn(&PendingRequest) -> bool) -> Vec<Purpose> {
        let request = self.pending.values().filter(|request| which(request));
        request.map(|request| request.purpose).collect()
    }

    /// Removes the request of a response; `None` if it was cancelled.
    pub fn complete(&mut self, id: RequestId) -> Option<PendingRequest> {
        self.pending.remove(&id)
    }

    /// Whether a request of such a purpose is pending.
    pub fn is_pending(&self, which: impl Fn(Purpose) -> bool) -> bool {
        self.pending.values().any(|request| which(request.purpose))
    }

    /// The oldest pending request outside of the background queue.
    pub fn oldest(&self) -> Option<&PendingRequest> {
        self.pending.values().find(|request| request.queue != Queue::Count)
    }
}
