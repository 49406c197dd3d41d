//! Keyboard and mouse: keys, key bindings, key logs.

pub(crate) mod event_thread;
pub mod keylog;
pub mod key_lookup;
pub mod bindings;
pub mod action;
pub mod key;
