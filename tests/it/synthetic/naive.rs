//! The naive loader: sort, then pair. What the real one must agree with.

use std::collections::HashMap;

use rheaper::recording::{Event, NodeId};

/// A row of `allocations`, with the node in place of the backtrace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub made: u64,
    pub freed: Option<u64>,
    pub node: NodeId,
    pub size: u64,
    pub address: u64,
    pub thread: u32,
    pub freed_by: Option<u32>,
}

/// One half of an event at its place in time.
#[derive(Clone, Copy, Debug)]
enum Half {
    Made(u64, u64, NodeId),
    Freed(u64),
}

/// Pairs events, given as (stream, thread, event) in each stream's order. Stamps are used as
/// they are.
pub fn load(events: &[(u32, u32, Event)]) -> Vec<Row> {
    let mut halves: Vec<(u64, u32, u32, Half)> = Vec::new();
    for (stream, thread, event) in events {
        let mut push = |at: u64, half| halves.push((at, *stream, *thread, half));
        match *event {
            Event::Alloc { at, address, size, node, .. }
            | Event::ReallocBegin { at, address, size, node, .. } => {
                push(at.0, Half::Made(address.0, size.0, node));
            }
            Event::Free { at, address } | Event::ReallocEnd { at, address } => {
                push(at.0, Half::Freed(address.0));
            }
            Event::Realloc { began, at, old, new, size, node, .. } => {
                push(began.0, Half::Freed(old.0));
                push(at.0, Half::Made(new.0, size.0, node));
            }
            Event::Failed { .. } | Event::SkippedAllocs { .. } => {}
        }
    }
    halves.sort_by_key(|(at, stream, ..)| (*at, *stream));
    let (mut live, mut rows) = (HashMap::<u64, Row>::new(), Vec::new());
    for (at, _, thread, half) in halves {
        let (address, made) = match half {
            Half::Freed(address) => (address, None),
            Half::Made(address, size, node) => {
                let row =
                    Row { made: at, freed: None, node, size, address, thread, freed_by: None };
                (address, Some(row))
            }
        };
        let freed_by = made.is_none().then_some(thread);
        if let Some(row) = live.remove(&address) {
            rows.push(Row { freed: Some(at), freed_by, ..row });
        }
        live.extend(made.map(|row| (address, row)));
    }
    rows.extend(live.into_values());
    rows.sort();
    rows
}
