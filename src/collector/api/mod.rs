//! What a recorded program calls: the allocator, scopes, control at run time.

pub(crate) mod allocator;
pub(crate) mod recording;
pub(crate) mod control;
#[cfg(feature = "tracing")]
pub(crate) mod tracing_layer;
pub(crate) mod scope;
