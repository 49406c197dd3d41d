//! The public interface of the recorder: allocator wrapper, scopes, and control at run time.

pub(crate) mod allocator;
pub(crate) mod recording;
pub(crate) mod control;
#[cfg(feature = "tracing")]
pub(crate) mod tracing_layer;
pub(crate) mod scope;
