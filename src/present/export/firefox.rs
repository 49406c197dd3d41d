//! The Firefox Profiler's processed format, version 61, which later ones upgrade when they load it.
//!
//! Reads: stacks, `site_timeline`, `timeline`, modules. Writes: JSON.
//!
//! A measure is a thread of the profile. What is known slice by slice stands at its time, so that
//! a range that is selected shows what was made, and what grew, in that range. The crate
//! `fxprof-processed-profile` has weights of 32 bits, too few for bytes.
//!
//! Invariants:
//! - The weights of a thread add up to its measure's sum.
//! - A column of a table has as many values as the table's length; a stack's prefix stands before
//!   it.

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;

use crate::database::table::Unit as ColumnUnit;
use crate::database::{Database, Params};
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::json::{self, List};
use crate::present::export::metadata::Facts;
use crate::present::export::request::{Measure, Request, Unit};
use crate::present::export::stacks::Stacks;
use crate::present::export::trie::{StackId, Trie};
use crate::present::export::weights::Source;

/// The version of the format.
const VERSION: u32 = 61;

/// Kinds of frames with their colours; the first one is the default category.
const CATEGORIES: [(&str, &str, &str); 5] = [
    ("unknown", "Unknown", "grey"),
    ("own", "Own code", "green"),
    ("dependency", "Dependencies", "orange"),
    ("std", "Standard library", "blue"),
    ("runtime", "Runtime", "purple"),
];

/// A thread of the profile.
struct Thread {
    name: String,
    weight_type: &'static str,
    samples: Samples,
}

/// Its samples, in the order of time.
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
    let facts = Facts::read(database, request)?;
    let mut trie = Trie::default();
    let mut ids: Vec<StackId> = Vec::with_capacity(stacks.weights.bts.len());
    stacks.each(|stack| {
        ids.extend(trie.number(stack.frames.iter().rev().copied())?);
        Ok(())
    })?;
    let kinds = stacks.kinds();
    let shown = kinds.iter().position(|kind| *kind == stacks.chosen()).unwrap_or(0);
    meta(&facts, title, shown, kinds.len(), out)?;
    let libs = libs(database, request, out)?;
    counter(database, request, &facts, out)?;
    shared(stacks, &trie, &libs, out)?;
    drop(trie);
    out.write_all(b",\n\"threads\":")?;
    let mut list = List::begin(out)?;
    for (number, kind) in kinds.iter().enumerate() {
        list.item(out)?;
        let about = &stacks.weights.kinds[*kind];
        let thread = Thread {
            name: about.name.clone(),
            weight_type: if about.unit == ColumnUnit::Bytes { "bytes" } else { "samples" },
            samples: samples(stacks, database, request, &facts, &ids, *kind)?,
        };
        write_thread(&thread, number, &facts, out)?;
    }
    List::end(out)?;
    out.write_all(b"}\n")?;
    Ok(Summary { of: "backtraces", count: ids.len() as u64, ..Summary::default() })
}

fn meta(
    facts: &Facts,
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
        milliseconds(facts.number("slice_ns").max(1)),
        milliseconds(facts.number("started_unix_ns")),
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

/// A time as JSON, in milliseconds with every digit.
fn milliseconds(ns: i64) -> String {
    format!("{}{}.{:06}", if ns < 0 { "-" } else { "" }, ns.abs() / 1_000_000, ns.abs() % 1_000_000)
}

/// Writes the objects; answers their positions and names by number.
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

/// The live curve, as a memory track.
fn counter(
    database: &Database,
    request: &Request<'_>,
    facts: &Facts,
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
        facts.number("pid")
    )?;
    let length = times.len();
    json::array(out, times)?;
    out.write_all(b",\"count\":")?;
    json::array(out, changes)?;
    write!(out, ",\"length\":{length}}}}}]")?;
    Ok(())
}

/// Strings numbered by first use.
#[derive(Default)]
struct Strings {
    ids: HashMap<String, usize>,
    all: Vec<String>,
}

impl Strings {
    fn number(&mut self, text: &str) -> usize {
        if let Some(known) = self.ids.get(text) {
            return *known;
        }
        let next = self.all.len();
        self.ids.insert(text.to_owned(), next);
        self.all.push(json::string(text));
        next
    }
}

/// The tables that all threads share: stacks, frames, functions, sources, strings.
fn shared(
    stacks: &Stacks<'_>,
    trie: &Trie,
    libs: &HashMap<i64, (usize, String)>,
    out: &mut dyn Write,
) -> Result<(), ExportError> {
    let mut strings = Strings::default();
    let mut sources: Vec<usize> = Vec::new();
    let mut source_of: HashMap<&str, usize> = HashMap::new();
    // A function is a name in a source and an object.
    let mut functions: Vec<(usize, Option<usize>, Option<usize>)> = Vec::new();
    let mut function_of = HashMap::new();
    let mut frame_function = Vec::with_capacity(stacks.frames.len());
    for frame in &stacks.frames {
        let name = strings.number(&frame.sym);
        let source = frame.file.as_deref().map(|file| {
            *source_of.entry(file).or_insert_with(|| {
                sources.push(strings.number(file));
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
        libs.values().map(|(at, name)| (*at, strings.number(name))).collect();
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

/// A column with the same value in every row.
fn column(out: &mut dyn Write, name: &str, value: &str, length: usize) -> Result<(), ExportError> {
    write!(out, ",\"{name}\":")?;
    Ok(json::array(out, (0..length).map(|_| value))?)
}

/// What a thread shows: slice by slice where that is known and means something, else at once.
fn samples(
    stacks: &Stacks<'_>,
    database: &Database,
    request: &Request<'_>,
    facts: &Facts,
    ids: &[StackId],
    kind: usize,
) -> Result<Samples, ExportError> {
    let mut samples = Samples::default();
    let by_slice = match stacks.weights.kinds[kind].source {
        Source::Measure(Measure::Allocated, Unit::Bytes) => Some("allocated_bytes"),
        Source::Measure(Measure::Allocated, Unit::Blocks) => Some("allocations"),
        Source::Measure(Measure::Live, Unit::Bytes) => Some("allocated_bytes - freed_bytes"),
        Source::Measure(Measure::Live, Unit::Blocks) => Some("allocations - frees"),
        _ => None,
    };
    let mut left: Vec<i64> =
        (0..ids.len()).map(|position| stacks.weights.at(position)[kind]).collect();
    if let Some(weight) = by_slice.filter(|_| stacks.is_of_sites && request.window.is_everything())
    {
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
                left[position] -= weight;
                samples.push(ids[position], row[1].as_i64().unwrap_or(0), weight);
            }
            ControlFlow::Continue(())
        })?;
    }
    // What no slice has: peaks at their moment, the rest at the end of what was looked at.
    let at = match stacks.weights.kinds[kind].source {
        Source::Measure(Measure::Peak, _) => facts.number("peak_ns"),
        _ => request.window.to.unwrap_or_else(|| facts.number("duration_ns")),
    };
    for (id, weight) in ids.iter().zip(left) {
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
    facts: &Facts,
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
        facts.number("pid"),
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
