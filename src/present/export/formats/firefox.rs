//! Exports the Firefox Profiler's processed format, version 61, which newer profilers upgrade.
//!
//! Each measure is a thread of the profile. Weights that are known by time slice are samples at the
//! slice's time, so that a selected range shows the allocations and the growth in that range. The
//! crate `fxprof-processed-profile` has 32-bit weights, too few for bytes.
//!
//! Invariants:
//! - The weights of a thread add up to the total of its measure.
//! - All columns of a table have the table's length; a stack's prefix precedes it.

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;

use crate::database::table::Unit;
use crate::database::{Database, Measure, Params};
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::json::{self, List};
use crate::present::export::metadata::Metadata;
use crate::present::export::request::Request;
use crate::present::export::stacks::Stacks;
use crate::present::export::trie::{StackId, Trie};
use crate::present::export::weights::Source;

/// Version of the processed format.
const VERSION: u32 = 61;

/// Kinds of frames with names and colours; the first one is the default category.
const CATEGORIES: [(&str, &str, &str); 5] = [
    ("unknown", "Unknown", "grey"),
    ("own", "Own code", "green"),
    ("dependency", "Dependencies", "orange"),
    ("std", "Standard library", "blue"),
    ("runtime", "Runtime", "purple"),
];

/// A thread of the profile, which is a measure.
struct Thread {
    name: String,
    weight_type: &'static str,
    samples: Samples,
}

/// Samples in the order of time.
#[derive(Default)]
struct Samples {
    stacks: Vec<StackId>,
    times_ns: Vec<i64>,
    weights: Vec<i64>,
}

impl Samples {
    fn push(&mut self, stack: StackId, time_ns: i64, weight: i64) {
        if weight != 0 {
            self.stacks.push(stack);
            self.times_ns.push(time_ns);
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
    meta(&metadata, title, shown, kinds.len(), out)?;
    let libs = libs(database, request, out)?;
    counter(database, request, &metadata, out)?;
    shared(stacks, &trie, &libs, out)?;
    drop(trie);
    out.write_all(b",\n\"threads\":")?;
    let mut list = List::begin(out)?;
    for (number, kind) in kinds.iter().enumerate() {
        list.item(out)?;
        let about = &stacks.weights.kinds[*kind];
        let thread = Thread {
            name: about.name.clone(),
            weight_type: if about.unit == Unit::Bytes { "bytes" } else { "samples" },
            samples: samples(stacks, database, request, &metadata, &ids, *kind)?,
        };
        write_thread(&thread, number, &metadata, out)?;
    }
    List::end(out)?;
    out.write_all(b"}\n")?;
    Ok(Summary { noun: "backtraces", count: ids.len() as u64, ..Summary::default() })
}

fn meta(
    metadata: &Metadata,
    title: &str,
    shown: usize,
    threads: usize,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    write!(
        out,
        "{{\"meta\":{{\"interval\":{},\"startTime\":{},\"processType\":0,\"product\":{},\
         \"stackwalk\":1,\"version\":29,\"preprocessedProfileVersion\":{VERSION},\
         \"symbolicated\":true,\"importedFrom\":\"rheaper {}\",\"usesOnlyOneStackType\":true,\
         \"sourceCodeIsNotOnSearchfox\":true,\"keepProfileThreadOrder\":true,\
         \"initialSelectedThreads\":[{shown}],\"markerSchema\":[],\"initialVisibleThreads\":",
        milliseconds(metadata.number("slice_ns").max(1)),
        milliseconds(metadata.number("started_unix_ns")),
        json::string(title),
        env!("CARGO_PKG_VERSION"),
    )?;
    json::array(out, (0..threads).map(|thread| thread.to_string()))?;
    out.write_all(b",\"categories\":")?;
    json::array(
        out,
        CATEGORIES.map(|(_, name, color)| {
            format!("{{\"name\":\"{name}\",\"color\":\"{color}\",\"subcategories\":[\"Other\"]}}")
        }),
    )?;
    out.write_all(b"},\n\"libs\":")?;
    Ok(())
}

/// A time in milliseconds, with all digits.
fn milliseconds(ns: i64) -> String {
    format!("{}{}.{:06}", if ns < 0 { "-" } else { "" }, ns.abs() / 1_000_000, ns.abs() % 1_000_000)
}

/// Writes the modules; returns their positions and names by id.
fn libs(
    database: &Database,
    request: &Request<'_>,
    out: &mut dyn Write,
) -> Result<HashMap<i64, (usize, String)>, ExportError> {
    let sql = "SELECT id, path, build_id FROM modules ORDER BY main DESC, id";
    let mut rows = Vec::new();
    database.stream(sql, &Params::none(), &request.limits(), |row| {
        rows.push(row.to_vec());
        ControlFlow::Continue(())
    })?;
    let mut libs = HashMap::new();
    let mut list = List::begin(out)?;
    for (at, row) in rows.iter().enumerate() {
        let path = row[1].as_str().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or(path).to_owned();
        let code_id = row[2].as_str().map_or_else(|| "null".to_owned(), json::string);
        let (shown, path) = (json::string(&name), json::string(path));
        list.item(out)?;
        write!(
            out,
            "{{\"arch\":\"\",\"name\":{shown},\"path\":{path},\"debugName\":{shown},\
             \"debugPath\":{path},\"breakpadId\":\"\",\"codeId\":{code_id}}}"
        )?;
        libs.insert(row[0].as_i64().unwrap_or(0), (at, name));
    }
    List::end(out)?;
    Ok(libs)
}

/// Writes the live curve as a memory track.
fn counter(
    database: &Database,
    request: &Request<'_>,
    metadata: &Metadata,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let (mut times, mut changes) = (vec![milliseconds(0)], vec!["0".to_owned()]);
    let mut before = 0;
    let sql = "SELECT to_ns, live_bytes FROM timeline ORDER BY slice";
    database.stream(sql, &Params::none(), &request.limits(), |row| {
        let live = row[1].as_i64().unwrap_or(0);
        times.push(milliseconds(row[0].as_i64().unwrap_or(0)));
        changes.push((live - before).to_string());
        before = live;
        ControlFlow::Continue(())
    })?;
    write!(
        out,
        ",\n\"counters\":[{{\"name\":\"malloc\",\"category\":\"Memory\",\
         \"description\":\"Live bytes\",\"pid\":\"{}\",\"mainThreadIndex\":0,\"samples\":{{\"time\":",
        metadata.number("pid")
    )?;
    let length = times.len();
    json::array(out, times)?;
    out.write_all(b",\"count\":")?;
    json::array(out, changes)?;
    write!(out, ",\"length\":{length}}}}}]")?;
    Ok(())
}

/// Interned strings.
#[derive(Default)]
struct Strings {
    ids: HashMap<String, usize>,
    all: Vec<String>,
}

impl Strings {
    fn intern(&mut self, text: &str) -> usize {
        if let Some(known) = self.ids.get(text) {
            return *known;
        }
        let next = self.all.len();
        self.ids.insert(text.to_owned(), next);
        self.all.push(json::string(text));
        next
    }
}

/// Writes the tables that all threads share: stacks, frames, functions, sources, strings.
fn shared(
    stacks: &Stacks<'_>,
    trie: &Trie,
    libs: &HashMap<i64, (usize, String)>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let mut strings = Strings::default();
    let mut sources: Vec<usize> = Vec::new();
    let mut source_of: HashMap<&str, usize> = HashMap::new();
    // A function is identified by name, source file and module.
    let mut functions: Vec<(usize, Option<usize>, Option<usize>)> = Vec::new();
    let mut function_of = HashMap::new();
    let mut frame_function = Vec::with_capacity(stacks.frames.len());
    for frame in &stacks.frames {
        let name = strings.intern(&frame.sym);
        let source = frame.file.as_deref().map(|file| {
            *source_of.entry(file).or_insert_with(|| {
                sources.push(strings.intern(file));
                sources.len() - 1
            })
        });
        let lib = frame.module.and_then(|module| libs.get(&module)).map(|(at, _)| *at);
        let function = *function_of.entry((name, source, lib)).or_insert(functions.len());
        if function == functions.len() {
            functions.push((name, source, lib));
        }
        frame_function.push(function);
    }
    let mut resources: Vec<(usize, usize)> =
        libs.values().map(|(at, name)| (*at, strings.intern(name))).collect();
    resources.sort_unstable();

    out.write_all(b",\n\"shared\":{\"stackTable\":{\"frame\":")?;
    json::array(out, trie.frame.iter().map(ToString::to_string))?;
    out.write_all(b",\"prefix\":")?;
    json::array(out, trie.below.iter().map(|below| json::number(below.map(i64::from))))?;
    write!(out, ",\"length\":{}}}", trie.frame.len())?;
    frame_table(stacks, &frame_function, out)?;
    func_table(&functions, out)?;
    let length = resources.len();
    out.write_all(b",\n\"resourceTable\":{\"lib\":")?;
    json::array(out, resources.iter().map(|(lib, _)| lib.to_string()))?;
    out.write_all(b",\"name\":")?;
    json::array(out, resources.iter().map(|(_, name)| name.to_string()))?;
    column(out, "host", "null", length)?;
    column(out, "type", "1", length)?;
    write!(
        out,
        ",\"length\":{length}}},\n\"nativeSymbols\":{{\"libIndex\":[],\"address\":[],\"name\":[],\
         \"functionSize\":[],\"length\":0}},\n\"sources\":{{\"filename\":"
    )?;
    let length = sources.len();
    json::array(out, sources.iter().map(ToString::to_string))?;
    column(out, "id", "null", length)?;
    column(out, "startLine", "1", length)?;
    column(out, "startColumn", "1", length)?;
    column(out, "sourceMapURL", "null", length)?;
    write!(out, ",\"length\":{length}}},\n\"stringArray\":")?;
    json::array(out, &strings.all)?;
    out.write_all(b"}")?;
    Ok(())
}

fn frame_table(
    stacks: &Stacks<'_>,
    functions: &[usize],
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let frames = &stacks.frames;
    let length = frames.len();
    let category = |kind: &str| CATEGORIES.iter().position(|(own, ..)| *own == kind).unwrap_or(0);
    out.write_all(b",\n\"frameTable\":{\"func\":")?;
    json::array(out, functions.iter().map(ToString::to_string))?;
    out.write_all(b",\"line\":")?;
    json::array(out, frames.iter().map(|frame| json::number(frame.line)))?;
    out.write_all(b",\"category\":")?;
    json::array(out, frames.iter().map(|frame| category(&frame.kind).to_string()))?;
    out.write_all(b",\"inlineDepth\":")?;
    json::array(out, frames.iter().map(|frame| u8::from(frame.inlined).to_string()))?;
    column(out, "address", "-1", length)?;
    column(out, "subcategory", "0", length)?;
    column(out, "nativeSymbol", "null", length)?;
    column(out, "innerWindowID", "null", length)?;
    column(out, "column", "null", length)?;
    write!(out, ",\"length\":{length}}}")?;
    Ok(())
}

fn func_table(
    functions: &[(usize, Option<usize>, Option<usize>)],
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let length = functions.len();
    let or = |number: Option<usize>, none: &str| {
        number.map_or_else(|| none.to_owned(), |number| number.to_string())
    };
    out.write_all(b",\n\"funcTable\":{\"name\":")?;
    json::array(out, functions.iter().map(|(name, ..)| name.to_string()))?;
    out.write_all(b",\"source\":")?;
    json::array(out, functions.iter().map(|(_, source, _)| or(*source, "null")))?;
    out.write_all(b",\"resource\":")?;
    json::array(out, functions.iter().map(|(_, _, lib)| or(*lib, "-1")))?;
    column(out, "isJS", "false", length)?;
    column(out, "relevantForJS", "false", length)?;
    column(out, "lineNumber", "null", length)?;
    column(out, "columnNumber", "null", length)?;
    write!(out, ",\"length\":{length}}}")?;
    Ok(())
}

/// Writes a column with the same value in every row.
fn column(out: &mut dyn Write, name: &str, value: &str, length: usize) -> Result<(), ExportError> {
    write!(out, ",\"{name}\":")?;
    Ok(json::array(out, (0..length).map(|_| value))?)
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

fn write_thread(
    thread: &Thread,
    number: usize,
    metadata: &Metadata,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let Samples { stacks, times_ns, weights } = &thread.samples;
    write!(
        out,
        "{{\"name\":{},\"processType\":\"default\",\"processStartupTime\":0,\
         \"processShutdownTime\":null,\"registerTime\":0,\"unregisterTime\":null,\
         \"pausedRanges\":[],\"isMainThread\":{},\"pid\":\"{}\",\"tid\":{number},\
         \"markers\":{{\"data\":[],\"name\":[],\"startTime\":[],\"endTime\":[],\"phase\":[],\
         \"category\":[],\"length\":0}},\n\"samples\":{{\"weightType\":\"{}\",\"stack\":",
        json::string(&thread.name),
        number == 0,
        metadata.number("pid"),
        thread.weight_type
    )?;
    json::array(out, stacks.iter().map(ToString::to_string))?;
    out.write_all(b",\n\"time\":")?;
    json::array(out, times_ns.iter().map(|ns| milliseconds(*ns)))?;
    out.write_all(b",\n\"weight\":")?;
    json::array(out, weights.iter().map(ToString::to_string))?;
    write!(out, ",\n\"length\":{}}}}}", stacks.len())?;
    Ok(())
}
