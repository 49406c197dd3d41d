//! The shape of the source tree, and safeguards whose absence a test notices.

pub(crate) mod layout;
mod modules;
mod prose;
pub(crate) mod safeguards;
