//! The recording: what is on disk.
