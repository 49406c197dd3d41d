//! Exports the Firefox Profiler's processed format, version 61, which newer profilers upgrade.
//!
//! Each measure is a thread of the profile. Weights that are known by time slice are samples at the
//! slice's time, so that a selected range shows the allocations and the growth in that range. The
//! crate `fxprof-processed-profile` has 32-bit weights, too few for bytes.
//!
//! Invariants:
//! - The weights of a thread add up to the total of its measure.
//! - All columns of a table have the table's length; a stack's prefix precedes it.

use std::io::Write;
use std::ops::ControlFlow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::database::table::Unit;
use crate::database::{Database, Measure, Params};
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::formats::firefox_tables::{CATEGORIES, Module, shared};
use crate::present::export::json::{Each, Failure, Streamed};
use crate::present::export::metadata::Metadata;
use crate::present::export::request::Request;
use crate::present::export::stacks::Stacks;
use crate::present::export::trie::{StackId, Trie};
use crate::present::export::weights::{Source, WeightKind};
use crate::present::json;

/// Version of the processed format.
const VERSION: u32 = 61;

/// Samples in the order of time.
#[derive(Default)]
struct Samples {
    stacks: Vec<StackId>,
    times_ms: Vec<f64>,
    weights: Vec<i64>,
}

impl Samples {
    fn push(&mut self, stack: StackId, time_ns: i64, weight: i64) {
        if weight != 0 {
            self.stacks.push(stack);
            self.times_ms.push(milliseconds(time_ns));
            self.weights.push(weight);
        }
    }
}

pub(crate) fn write(
    stacks: &Stacks<'_>,
    database: &Database,
    request: &Request<'_>,
    title: &str,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let metadata = Metadata::read(database, request)?;
    let mut trie = Trie::default();
    let mut ids: Vec<StackId> = Vec::with_capacity(stacks.weights.bts.len());
    stacks.for_each(|stack| {
        ids.extend(trie.number(stack.frames.iter().rev().copied())?);
        Ok(())
    })?;
    let kinds = stacks.kinds();
    let shown = kinds.iter().position(|kind| *kind == stacks.chosen()).unwrap_or(0);
    let mut serializer = json::export(out);
    let mut profile = serializer.serialize_map(None)?;
    profile.serialize_entry("meta", &meta(&metadata, title, shown, kinds.len()))?;
    let modules = modules(database, request)?;
    profile.serialize_entry("libs", &Each(modules.iter().map(lib)))?;
    profile.serialize_entry("counters", &[counter(database, request, &metadata)?])?;
    profile.serialize_entry("shared", &shared(stacks, &trie, &modules))?;
    // The samples take the trie's place in memory.
    drop(trie);
    let failure = Failure::default();
    let threads = Streamed::new(&failure, |receiver| {
        for (number, kind) in kinds.iter().enumerate() {
            let samples = samples(stacks, database, request, &metadata, &ids, *kind)?;
            receiver(&thread(&stacks.weights.kinds[*kind], number, &metadata, samples))?;
        }
        Ok(())
    });
    failure.or(profile.serialize_entry("threads", &threads))?;
    profile.end()?;
    out.write_all(b"\n")?;
    Ok(Summary { noun: "backtraces", count: ids.len() as u64, ..Summary::default() })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a, T, C> {
    interval: f64,
    start_time: f64,
    process_type: u32,
    product: &'a str,
    stackwalk: u32,
    version: u32,
    preprocessed_profile_version: u32,
    symbolicated: bool,
    imported_from: &'static str,
    uses_only_one_stack_type: bool,
    source_code_is_not_on_searchfox: bool,
    keep_profile_thread_order: bool,
    initial_selected_threads: [usize; 1],
    marker_schema: [(); 0],
    initial_visible_threads: T,
    categories: C,
}

#[derive(Serialize)]
struct Category {
    name: &'static str,
    color: &'static str,
    subcategories: [&'static str; 1],
}

fn meta<'a>(
    metadata: &Metadata,
    title: &'a str,
    shown: usize,
    threads: usize,
) -> Meta<'a, impl Serialize + use<>, impl Serialize + use<>> {
    let category = |(_, name, color)| Category { name, color, subcategories: ["Other"] };
    Meta {
        interval: milliseconds(metadata.number("slice_ns").max(1)),
        start_time: milliseconds(metadata.number("started_unix_ns")),
        process_type: 0,
        product: title,
        stackwalk: 1,
        version: 29,
        preprocessed_profile_version: VERSION,
        symbolicated: true,
        imported_from: concat!("rheaper ", env!("CARGO_PKG_VERSION")),
        uses_only_one_stack_type: true,
        source_code_is_not_on_searchfox: true,
        keep_profile_thread_order: true,
        initial_selected_threads: [shown],
        marker_schema: [],
        initial_visible_threads: Each(0..threads),
        categories: CATEGORIES.map(category),
    }
}

/// The profiler's unit of time. Its numbers are doubles.
fn milliseconds(ns: i64) -> f64 {
    ns as f64 / 1e6
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Lib<'a> {
    arch: &'static str,
    name: &'a str,
    path: &'a str,
    debug_name: &'a str,
    debug_path: &'a str,
    breakpad_id: &'static str,
    code_id: Option<&'a str>,
}

fn lib(module: &Module) -> Lib<'_> {
    Lib {
        arch: "",
        name: module.name(),
        path: &module.path,
        debug_name: module.name(),
        debug_path: &module.path,
        breakpad_id: "",
        code_id: module.build_id.as_deref(),
    }
}

fn modules(database: &Database, request: &Request<'_>) -> Result<Vec<Module>, ExportError> {
    let sql = "SELECT id, path, build_id FROM modules ORDER BY main DESC, id";
    let mut modules = Vec::new();
    database.stream(sql, &Params::none(), &request.limits(), |row| {
        modules.push(Module {
            id: row[0].as_i64().unwrap_or(0),
            path: row[1].as_str().unwrap_or_default().to_owned(),
            build_id: row[2].as_str().map(str::to_owned),
        });
        ControlFlow::Continue(())
    })?;
    Ok(modules)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Counter {
    name: &'static str,
    category: &'static str,
    description: &'static str,
    pid: String,
    main_thread_index: usize,
    samples: CounterSamples,
}

#[derive(Serialize)]
struct CounterSamples {
    time: Vec<f64>,
    count: Vec<i64>,
    length: usize,
}

/// The live curve as a memory track.
fn counter(
    database: &Database,
    request: &Request<'_>,
    metadata: &Metadata,
) -> Result<Counter, ExportError> {
    let (mut time, mut count) = (vec![milliseconds(0)], vec![0]);
    let mut before = 0;
    let sql = "SELECT to_ns, live_bytes FROM timeline ORDER BY slice";
    database.stream(sql, &Params::none(), &request.limits(), |row| {
        let live = row[1].as_i64().unwrap_or(0);
        time.push(milliseconds(row[0].as_i64().unwrap_or(0)));
        count.push(live - before);
        before = live;
        ControlFlow::Continue(())
    })?;
    Ok(Counter {
        name: "malloc",
        category: "Memory",
        description: "Live bytes",
        pid: metadata.number("pid").to_string(),
        main_thread_index: 0,
        samples: CounterSamples { length: time.len(), time, count },
    })
}

/// The samples of a thread: by time slice for allocated and live measures of whole recordings, else
/// at one time.
fn samples(
    stacks: &Stacks<'_>,
    database: &Database,
    request: &Request<'_>,
    metadata: &Metadata,
    ids: &[StackId],
    kind: usize,
) -> Result<Samples, ExportError> {
    let mut samples = Samples::default();
    let by_slice = match stacks.weights.kinds[kind].source {
        Source::Measure(Measure::AllocatedBytes) => Some("allocated_bytes"),
        Source::Measure(Measure::Allocations) => Some("allocations"),
        Source::Measure(Measure::LiveBytes) => Some("allocated_bytes - freed_bytes"),
        Source::Measure(Measure::LiveBlocks) => Some("allocations - frees"),
        _ => None,
    };
    let mut rest: Vec<i64> =
        (0..ids.len()).map(|position| stacks.weights.at(position)[kind]).collect();
    if let Some(weight) = by_slice.filter(|_| stacks.from_sites && request.window.is_whole()) {
        let bts = &stacks.weights.bts;
        let sql = format!(
            "SELECT site_timeline.bt, timeline.from_ns, {} FROM site_timeline \
             JOIN timeline ON timeline.slice = site_timeline.slice \
             ORDER BY site_timeline.slice, site_timeline.bt",
            qualified(weight)
        );
        database.stream(&sql, &Params::none(), &request.limits(), |row| {
            let bt = row[0].as_i64();
            if let Ok(position) =
                bts.binary_search_by_key(&(bt.is_none(), bt), |bt| (bt.is_none(), *bt))
            {
                let weight = row[2].as_i64().unwrap_or(0);
                rest[position] -= weight;
                samples.push(ids[position], row[1].as_i64().unwrap_or(0), weight);
            }
            ControlFlow::Continue(())
        })?;
    }
    // Weights that are in no slice: peaks at their time, others at the end of the window.
    let at = match stacks.weights.kinds[kind].source {
        Source::Measure(Measure::PeakBytes | Measure::PeakBlocks) => metadata.number("peak_ns"),
        _ => request.window.to.unwrap_or_else(|| metadata.number("duration_ns")),
    };
    for (id, weight) in ids.iter().zip(rest) {
        samples.push(*id, at, weight);
    }
    Ok(samples)
}

fn qualified(weight: &str) -> String {
    let columns = weight.split(" - ").map(|column| format!("site_timeline.{column}"));
    columns.collect::<Vec<_>>().join(" - ")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thread<'a> {
    name: &'a str,
    process_type: &'static str,
    process_startup_time: u32,
    process_shutdown_time: (),
    register_time: u32,
    unregister_time: (),
    paused_ranges: [(); 0],
    is_main_thread: bool,
    pid: String,
    tid: usize,
    markers: Markers,
    samples: SampleTable,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Markers {
    data: [(); 0],
    name: [(); 0],
    start_time: [(); 0],
    end_time: [(); 0],
    phase: [(); 0],
    category: [(); 0],
    length: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleTable {
    weight_type: &'static str,
    stack: Vec<StackId>,
    time: Vec<f64>,
    weight: Vec<i64>,
    length: usize,
}

/// The thread of a kind.
fn thread<'a>(
    kind: &'a WeightKind,
    number: usize,
    metadata: &Metadata,
    samples: Samples,
) -> Thread<'a> {
    let Samples { stacks, times_ms, weights } = samples;
    Thread {
        name: &kind.name,
        process_type: "default",
        process_startup_time: 0,
        process_shutdown_time: (),
        register_time: 0,
        unregister_time: (),
        paused_ranges: [],
        is_main_thread: number == 0,
        pid: metadata.number("pid").to_string(),
        tid: number,
        markers: Markers::default(),
        samples: SampleTable {
            weight_type: if kind.unit == Unit::Bytes { "bytes" } else { "samples" },
            length: stacks.len(),
            stack: stacks,
            time: times_ms,
            weight: weights,
        },
    }
}
