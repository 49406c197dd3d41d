//! The two passes over a recording: first the metadata, then the events.

pub(crate) mod event_pass;
pub(crate) mod memory_readings;
pub(crate) mod pairing;
pub(crate) mod stacks;
pub(crate) mod metadata_pass;
