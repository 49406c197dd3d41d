//! The shape of the source tree, and safeguards whose absence a test notices.

pub(crate) mod layout;
mod modules;
pub(crate) mod safeguards;
