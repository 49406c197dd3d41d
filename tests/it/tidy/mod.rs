//! The shape of the source tree, and safeguards whose absence a test notices.

pub(crate) mod layout;
pub(crate) mod safeguards;
