//! Keyboard and mouse: keys, key bindings, key logs.

pub(crate) mod event_thread;
pub mod keylog;
pub mod keymap;
pub mod keytable;
pub mod action;
pub mod key;
