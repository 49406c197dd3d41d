//! The recording file format: encoding, decoding and validation of every byte.
//!
//! Works on slices only, without I/O, threads or allocation: the collector calls it from inside an
//! allocator, and the loader calls it on untrusted bytes.
//!
//! Invariants:
//! - Every decoder returns a value or a [`FormatError`] for any input. It never panics, and it
//!   reserves no memory because of an unchecked length field.
//! - A decoder returns what the encoder of the same version wrote (property tests).
#![doc = include_str!("../../docs/reference/FORMAT.md")]

mod header;
mod block;
mod definitions;
mod counters;
mod decode;
mod encode;
mod events;
mod annotations;
mod aggregate;
mod bytes;
mod ids;
mod error;
mod size_classes;

pub use crate::recording::aggregate::{
    AGGREGATED_ENTRY_BYTES_MAX, AGGREGATED_SITE_BYTES_MAX, AGGREGATED_SMALL_BYTES_MAX, Aggregated,
    AggregatedHead, AggregatedPair, AggregatedRecords, AggregatedSite, AggregatedSize,
    AggregationStep, Lifetimes, SizePower, SizePowers, StepReason,
};
pub use crate::recording::annotations::{MarkDef, MemoryReadingDef, ScopeDef};
pub use crate::recording::size_classes::{
    DURATION_CLASS_BITS, FIRST_WIDE_CLASS, SIZE_CLASSES, duration_class, duration_class_midpoint,
    size_class, size_class_max, size_power, size_power_max,
};
pub use block::{BLOCK_HEADER_BYTES, Block, BlockHeader, BlockKind, PAYLOAD_BYTES_MAX, SYNC};
pub use bytes::{ByteReader, ByteWriter};
pub use counters::{Counter, Counters};
pub use decode::{CompactEvent, Decoder};
pub use definitions::{
    ClockPair, EventsHead, ModuleDef, ModuleStatus, NodeDefs, NodesHead, Seal, SealReason,
    ThreadDef,
};
pub use encode::{EVENT_BYTES_MAX, Encoder};
pub use error::FormatError;
pub use events::Event;
pub use header::{ClockKind, HEADER_BYTES, Header, MAGIC, VERSION};
pub use ids::{Address, Bytes, ModuleId, NodeId, ScopeId, StreamId, ThreadId, Ticks};
