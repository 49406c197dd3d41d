//! Exports a pprof profile: gzipped protobuf, as `proto/profile.proto` of google/pprof defines it.
//!
//! The fields of `Profile` are repeated and may be in any order: each sample is written at once, after
//! the locations, functions and strings that it is the first to reference.
//!
//! Invariants:
//! - Memory grows with distinct locations, functions and strings only.
//! - Ids are positive and defined once; string 0 is the empty one.

use std::collections::HashMap;
use std::io::Write;
use std::ops::ControlFlow;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::database::caveats::Caveats;
use crate::database::table::Unit;
use crate::database::{Database, Measure, Params};
use crate::present::export::Summary;
use crate::present::export::error::ExportError;
use crate::present::export::metadata::Metadata;
use crate::present::export::names;
use crate::present::export::request::Request;
use crate::present::export::stacks::{Frame, Stacks};
use crate::present::export::weights::{Source, WeightKind};

/// Field numbers of `Profile`.
mod field {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING_TABLE: u32 = 6;
    pub(super) const TIME_NANOS: u32 = 9;
    pub(super) const DURATION_NANOS: u32 = 10;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
    pub(super) const COMMENT: u32 = 13;
    pub(super) const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

#[derive(Clone, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    /// Innermost first.
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    memory_start: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(uint64, tag = "4")]
    file_offset: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(int64, tag = "6")]
    build_id: i64,
    /// This and the next three tell readers that the profile is symbolized.
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    /// Inlined functions first, the function that they are inlined into last.
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    /// Empty, because pprof treats a name that equals its system name as C++ and removes template
    /// arguments: `<Vec<T> as Clone>::clone` becomes `::clone`.
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

pub(crate) fn write(
    stacks: &Stacks<'_>,
    database: &Database,
    request: &Request<'_>,
    caveats: &Caveats,
    out: &mut dyn Write,
) -> Result<Summary, ExportError> {
    let mut profile = Profile::begin(out)?;
    let kinds = stacks.kinds();
    for kind in &kinds {
        let (name, unit) = sample_type(&stacks.weights.kinds[*kind]);
        let value = ValueType { kind: profile.string(&name)?, unit: profile.string(unit)? };
        profile.message(field::SAMPLE_TYPE, &value)?;
    }
    let (shown, _) = sample_type(&stacks.weights.kinds[stacks.chosen()]);
    let shown = profile.string(&shown)?;
    profile.number(field::DEFAULT_SAMPLE_TYPE, shown)?;
    profile.metadata(database, request, caveats)?;
    profile.modules(database, request)?;
    let mut summary = Summary { noun: "backtraces", ..Summary::default() };
    let mut sample = Sample::default();
    stacks.for_each(|stack| {
        sample.value.clear();
        sample.value.extend(kinds.iter().map(|kind| stack.weights[*kind]));
        if sample.value.iter().all(|weight| *weight == 0) {
            return Ok(());
        }
        sample.location_id.clear();
        let frames = stack.frames.get(library_frames(stack.frames, &stacks.frames)..);
        let frames = frames.unwrap_or(stack.frames);
        // Inlined frames belong to the location of the frame that they are inlined into.
        for place in frames.split_inclusive(|frame| !stacks.frames[*frame].inlined) {
            sample.location_id.push(profile.location(&stacks.frames, place)?);
        }
        summary.count += 1;
        profile.message(field::SAMPLE, &sample)
    })?;
    profile.finish()?;
    Ok(summary)
}

/// The number of innermost frames to leave out because they are of the standard library or the
/// runtime; 0 for a backtrace without other frames.
///
/// Tools rank by the innermost frame, which would be the allocator everywhere; Go's heap profiles leave
/// it out as well. pprof's `drop_frames` is no alternative: it would cut at the outermost frame that
/// matches, the runtime's caller of `main`.
fn library_frames(stack: &[usize], frames: &[Frame]) -> usize {
    let is_library = |frame: &usize| matches!(&*frames[*frame].kind, "std" | "runtime");
    stack.iter().position(|frame| !is_library(frame)).unwrap_or(0)
}

/// The name and unit of Go's heap profiles, where they have the measure.
fn sample_type(kind: &WeightKind) -> (String, &'static str) {
    let Source::Measure(measure) = kind.source else {
        let unit = match kind.unit {
            Unit::Bytes => "bytes",
            Unit::Duration | Unit::Moment => "nanoseconds",
            _ => "count",
        };
        return (names::plain(&kind.name).into_owned(), unit);
    };
    let name = match measure {
        Measure::AllocatedBytes => "alloc_space",
        Measure::Allocations => "alloc_objects",
        Measure::LiveBytes => "inuse_space",
        Measure::LiveBlocks => "inuse_objects",
        Measure::LeakedBytes => "leaked_space",
        Measure::LeakedBlocks => "leaked_objects",
        Measure::PeakBytes => "peak_space",
        Measure::PeakBlocks => "peak_objects",
    };
    (name.to_owned(), if measure.unit() == Unit::Bytes { "bytes" } else { "count" })
}

/// A profile that is being written.
struct Profile<W: Write> {
    out: GzEncoder<W>,
    buffer: Vec<u8>,
    strings: HashMap<String, i64>,
    /// By name and file.
    functions: HashMap<(i64, i64), u64>,
    /// By frames, innermost first.
    locations: HashMap<Box<[usize]>, u64>,
    /// By module id of the database: the mapping id, and the bias of addresses.
    mappings: HashMap<i64, (u64, i64)>,
}

impl<W: Write> Profile<W> {
    fn begin(out: W) -> Result<Self, ExportError> {
        let mut profile = Self {
            out: GzEncoder::new(out, Compression::default()),
            buffer: Vec::new(),
            strings: HashMap::new(),
            functions: HashMap::new(),
            locations: HashMap::new(),
            mappings: HashMap::new(),
        };
        profile.string("")?;
        Ok(profile)
    }

    fn finish(self) -> Result<(), ExportError> {
        self.out.finish()?.flush()?;
        Ok(())
    }

    fn message(&mut self, tag: u32, message: &impl Message) -> Result<(), ExportError> {
        self.bytes(tag, &message.encode_to_vec())
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) -> Result<(), ExportError> {
        self.buffer.clear();
        encode_key(tag, WireType::LengthDelimited, &mut self.buffer);
        encode_varint(bytes.len() as u64, &mut self.buffer);
        self.out.write_all(&self.buffer)?;
        Ok(self.out.write_all(bytes)?)
    }

    fn number(&mut self, tag: u32, number: i64) -> Result<(), ExportError> {
        self.buffer.clear();
        encode_key(tag, WireType::Varint, &mut self.buffer);
        encode_varint(number.cast_unsigned(), &mut self.buffer);
        Ok(self.out.write_all(&self.buffer)?)
    }

    /// The index of a string, which is written if it is new.
    fn string(&mut self, text: &str) -> Result<i64, ExportError> {
        if let Some(known) = self.strings.get(text) {
            return Ok(*known);
        }
        let next = i64::try_from(self.strings.len()).unwrap_or(i64::MAX);
        self.strings.insert(text.to_owned(), next);
        self.bytes(field::STRING_TABLE, text.as_bytes())?;
        Ok(next)
    }

    fn metadata(
        &mut self,
        database: &Database,
        request: &Request<'_>,
        caveats: &Caveats,
    ) -> Result<(), ExportError> {
        let metadata = Metadata::read(database, request)?;
        self.number(field::TIME_NANOS, metadata.number("started_unix_ns"))?;
        self.number(field::DURATION_NANOS, metadata.number("duration_ns"))?;
        // Weights of samples are scaled already; the period is informative.
        let sample_bytes = caveats.sampled.map_or(1, |sampled| sampled.sample_bytes);
        let period = ValueType { kind: self.string("space")?, unit: self.string("bytes")? };
        self.message(field::PERIOD_TYPE, &period)?;
        self.number(field::PERIOD, sample_bytes.cast_signed())?;
        let comment = concat!("written by rheaper ", env!("CARGO_PKG_VERSION"));
        let comment = self.string(comment)?;
        self.number(field::COMMENT, comment)?;
        if let Some(sampled) = caveats.sampled {
            let comment = self.string(&sampled.sentence())?;
            self.number(field::COMMENT, comment)?;
        }
        Ok(())
    }

    fn modules(&mut self, database: &Database, request: &Request<'_>) -> Result<(), ExportError> {
        let sql = "SELECT id, path, build_id, start_addr, end_addr, bias FROM modules \
                   ORDER BY main DESC, id";
        let mut rows = Vec::new();
        database.stream(sql, &Params::none(), &request.limits(), |row| {
            rows.push(row.to_vec());
            ControlFlow::Continue(())
        })?;
        for (row, id) in rows.iter().zip(1..) {
            let number = |column: usize| row[column].as_i64().unwrap_or(0);
            let text = |column: usize| row[column].as_str().unwrap_or_default();
            let filename = self.string(&names::plain(text(1)))?;
            let build_id = match text(2) {
                "" => 0,
                build_id => self.string(&names::plain(build_id))?,
            };
            self.message(
                field::MAPPING,
                &Mapping {
                    id,
                    memory_start: number(3).cast_unsigned(),
                    memory_limit: number(4).cast_unsigned(),
                    file_offset: 0,
                    filename,
                    build_id,
                    has_functions: true,
                    has_filenames: true,
                    has_line_numbers: true,
                    has_inline_frames: true,
                },
            )?;
            self.mappings.insert(number(0), (id, number(5)));
        }
        Ok(())
    }

    /// The location id of a frame and the frames that are inlined into it.
    fn location(&mut self, frames: &[Frame], place: &[usize]) -> Result<u64, ExportError> {
        if let Some(known) = self.locations.get(place) {
            return Ok(*known);
        }
        let mut line = Vec::with_capacity(place.len());
        for frame in place.iter().map(|frame| &frames[*frame]) {
            line.push(Line { function_id: self.function(frame)?, line: frame.line.unwrap_or(0) });
        }
        let id = self.locations.len() as u64 + 1;
        let outermost = place.last().map(|frame| &frames[*frame]);
        let mapped = outermost.and_then(|frame| {
            let (mapping_id, bias) = self.mappings.get(&frame.module?)?;
            Some((*mapping_id, bias.wrapping_add(frame.offset?).cast_unsigned()))
        });
        let (mapping_id, address) = mapped.unwrap_or_default();
        self.message(field::LOCATION, &Location { id, mapping_id, address, line })?;
        self.locations.insert(place.into(), id);
        Ok(id)
    }

    fn function(&mut self, frame: &Frame) -> Result<u64, ExportError> {
        let name = self.string(&names::plain(&frame.sym))?;
        let filename = match &frame.file {
            Some(file) => self.string(&names::plain(file))?,
            None => 0,
        };
        if let Some(known) = self.functions.get(&(name, filename)) {
            return Ok(*known);
        }
        let id = self.functions.len() as u64 + 1;
        self.functions.insert((name, filename), id);
        self.message(field::FUNCTION, &Function { id, name, system_name: 0, filename })?;
        Ok(id)
    }
}
