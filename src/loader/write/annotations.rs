//! What was going on beside the events → tables: samples, marks, threads' names, scopes.
//!
//! Reads: the survey, the sums. Writes: `memory_readings`, `marks`, `thread_names`, `scopes`, `scope_sites`, and the facts
//! of `meta` about the process's memory.
//!
//! Invariant: every scope that a block names has a row, whether or not the file defines it.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result};

use crate::loader::passes::event_pass::Replay;
use crate::loader::passes::metadata_pass::{NamedScope, Survey};
use crate::loader::rows::Site;
use crate::loader::write::row_writer::integer;
use crate::loader::write::tables::fill;
use crate::recording::{Counter, Counters, ScopeId};

/// Names of a path that are shown; recursive scopes may be as deep as there are scopes.
const PATH_NAMES_MAX: usize = 24;

/// Stands between the names of a path.
const PATH_SEPARATOR: &str = " > ";

/// `memory_readings`, `marks`, `thread_names`, `scopes`, `scope_sites`.
pub(crate) fn write(connection: &Connection, survey: &Survey, replay: &mut Replay) -> Result<()> {
    let samples = replay.samples.list().iter().map(|sample| {
        (
            integer(sample.at.0),
            sample.rss.map(integer),
            sample.cgroup.map(integer),
            integer(sample.live),
        )
    });
    fill(connection, "memory_readings", 4, samples)?;
    let clock = &mut replay.clock;
    let mut marks: Vec<_> =
        survey.marks.iter().map(|mark| (integer(clock.nanos(mark.at).0), mark)).collect();
    marks.sort_by_key(|(at, _)| *at);
    let marks = marks.into_iter().map(|(at, mark)| (at, &mark.name, mark.value, mark.thread));
    fill(connection, "marks", 4, marks)?;
    let names = &survey.thread_names;
    let mut names: Vec<_> =
        names.iter().map(|(id, at, name)| (*id, integer(clock.nanos(*at).0), name)).collect();
    names.sort_by_key(|(id, at, _)| (*id, *at));
    fill(connection, "thread_names", 3, names.into_iter())?;
    write_scopes(connection, survey, replay)
}

fn write_scopes(connection: &Connection, survey: &Survey, replay: &Replay) -> Result<()> {
    let sums = replay.totals.scopes.sorted();
    let mut scopes = survey.scopes.clone();
    for (scope, _) in sums.keys() {
        let unknown = || NamedScope { parent: ScopeId::NONE, name: "(unknown)".to_owned() };
        scopes.entry(scope.0).or_insert_with(unknown);
    }
    let rows = scopes.iter().map(|(id, scope)| {
        let parent = (scope.parent != ScopeId::NONE).then_some(scope.parent.0);
        (*id, parent, &scope.name, path(&scopes, *id))
    });
    fill(connection, "scopes", 4, rows)?;
    let rows = sums.iter().map(|((scope, site), sums)| {
        let probed = (*site != Site::NONE).then_some(site.0);
        let numbers =
            [sums.allocations, sums.bytes, sums.live_blocks, sums.live_bytes].map(integer);
        (scope.0, probed, numbers[0], numbers[1], numbers[2], numbers[3])
    });
    fill(connection, "scope_sites", 6, rows)
}

/// The names from the outermost scope to this one.
fn path(scopes: &BTreeMap<u32, NamedScope>, id: u32) -> String {
    let mut names = Vec::new();
    let mut at = scopes.get(&id);
    while let Some(scope) = at {
        if names.len() == PATH_NAMES_MAX {
            names.push("…");
            break;
        }
        names.push(scope.name.as_str());
        at = scopes.get(&scope.parent.0);
    }
    names.reverse();
    names.join(PATH_SEPARATOR)
}

/// What `meta` says about the process's memory: of the last sample, and the largest ones.
pub(crate) fn meta(replay: &Replay, counters: Option<&Counters>) -> Vec<(&'static str, u64)> {
    let samples = replay.samples.list();
    let mut facts = Vec::new();
    if let Some((sample, rss)) = samples.iter().rev().find_map(|sample| Some((sample, sample.rss?)))
    {
        facts.push(("rss_bytes", rss));
        facts.push(("rss_live_bytes", sample.live));
    }
    // Between two readings there is room for a peak, of which only the kernel knows.
    let known = counters.map(|counters| counters.get(Counter::RssMaxBytes)).filter(|max| *max > 0);
    let most = samples.iter().filter_map(|it| it.rss).max().max(known);
    facts.extend(most.map(|rss| ("rss_max_bytes", rss)));
    let of_group = samples.iter().rev().find_map(|sample| sample.cgroup);
    facts.extend(of_group.map(|bytes| ("cgroup_bytes", bytes)));
    let limit = samples.iter().rev().find_map(|sample| sample.cgroup_limit);
    facts.extend(limit.map(|bytes| ("cgroup_limit_bytes", bytes)));
    facts
}
