//! The recorder: real programs, recorded, against the truth.

pub(crate) mod aggregate;
pub(crate) mod annotations;
pub(crate) mod control;
pub(crate) mod disk_faults;
pub(crate) mod endings;
pub(crate) mod fault_injection;
pub(crate) mod http_server;
pub(crate) mod rough;
pub(crate) mod sampler;
pub(crate) mod sampling;
pub(crate) mod truth;
