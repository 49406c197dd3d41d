//! Writes the annotations of a recording: memory readings, marks, thread names and scopes.
//!
//! Invariant: every scope that an allocation refers to has a row, even if the file does not define
//! it.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result};

use crate::loader::passes::event_pass::EventPass;
use crate::loader::passes::metadata_pass::{NamedScope, RecordingMetadata};
use crate::loader::write::insert::insert;
use crate::loader::write::row_writer::integer;
use crate::loader::write::tables::bt;
use crate::recording::{Counter, Counters, ScopeId};

/// Maximum number of names in `scopes.path`; recursive scopes may be nested without limit.
const PATH_NAMES_MAX: usize = 24;

/// Separates the names of a path.
const PATH_SEPARATOR: &str = " > ";

/// Writes `memory_readings`, `marks`, `thread_names`, `scopes` and `scope_sites`.
pub(crate) fn write(
    connection: &Connection,
    metadata: &RecordingMetadata,
    pass: &mut EventPass,
) -> Result<()> {
    insert!(connection, "memory_readings", pass.memory_readings.list(), |reading| {
        at_ns: integer(reading.at.0),
        rss_bytes: reading.rss.map(integer),
        cgroup_bytes: reading.cgroup.map(integer),
        live_bytes: integer(reading.live),
    });
    let clock = &mut pass.clock;
    let mut marks: Vec<_> =
        metadata.marks.iter().map(|mark| (clock.nanos(mark.at), mark)).collect();
    marks.sort_by_key(|(at, _)| *at);
    insert!(connection, "marks", marks, |(at, mark)| {
        at_ns: integer(at.0),
        name: &mark.name,
        value: mark.value,
        thread: mark.thread,
    });
    let names = metadata.thread_names.iter();
    let mut names: Vec<_> = names.map(|(id, at, name)| (*id, clock.nanos(*at), name)).collect();
    names.sort_by_key(|(id, at, _)| (*id, *at));
    insert!(connection, "thread_names", names, |(thread, at, name)| {
        thread: thread,
        at_ns: integer(at.0),
        name: name,
    });
    write_scopes(connection, metadata, pass)
}

fn write_scopes(
    connection: &Connection,
    metadata: &RecordingMetadata,
    pass: &EventPass,
) -> Result<()> {
    let sums = pass.totals.scopes.sorted();
    let mut scopes = metadata.scopes.clone();
    for (scope, _) in sums.keys() {
        let unknown = || NamedScope { parent: ScopeId::NONE, name: "(unknown)".to_owned() };
        scopes.entry(scope.0).or_insert_with(unknown);
    }
    insert!(connection, "scopes", &scopes, |(id, scope)| {
        id: *id,
        parent: (scope.parent != ScopeId::NONE).then_some(scope.parent.0),
        name: &scope.name,
        path: path(&scopes, *id),
    });
    insert!(connection, "scope_sites", sums, |((scope, site), sums)| {
        scope: scope.0,
        bt: bt(site),
        allocations: integer(sums.allocations),
        bytes: integer(sums.bytes),
        live_blocks: integer(sums.live_blocks),
        live_bytes: integer(sums.live_bytes),
    });
    Ok(())
}

/// The names from the outermost scope to this one.
fn path(scopes: &BTreeMap<u32, NamedScope>, id: u32) -> String {
    let mut names = Vec::new();
    let mut current = scopes.get(&id);
    while let Some(scope) = current {
        if names.len() == PATH_NAMES_MAX {
            names.push("…");
            break;
        }
        names.push(scope.name.as_str());
        current = scopes.get(&scope.parent.0);
    }
    names.reverse();
    names.join(PATH_SEPARATOR)
}

/// The rows of `meta` about memory: the last reading, and the maximum.
pub(crate) fn meta_rows(pass: &EventPass, counters: Option<&Counters>) -> Vec<(&'static str, u64)> {
    let readings = pass.memory_readings.list();
    let mut rows = Vec::new();
    let last = readings.iter().rev().find_map(|reading| Some((reading, reading.rss?)));
    if let Some((reading, rss)) = last {
        rows.push(("rss_bytes", rss));
        rows.push(("rss_live_bytes", reading.live));
    }
    // The peak may lie between two readings; the kernel knows it.
    let known = counters.map(|counters| counters.get(Counter::RssMaxBytes)).filter(|max| *max > 0);
    let max = readings.iter().filter_map(|reading| reading.rss).max().max(known);
    rows.extend(max.map(|rss| ("rss_max_bytes", rss)));
    let cgroup = readings.iter().rev().find_map(|reading| reading.cgroup);
    rows.extend(cgroup.map(|bytes| ("cgroup_bytes", bytes)));
    let limit = readings.iter().rev().find_map(|reading| reading.cgroup_limit);
    rows.extend(limit.map(|bytes| ("cgroup_limit_bytes", bytes)));
    rows
}
