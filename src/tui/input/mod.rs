//! Keyboard and mouse: keys, key bindings, key logs.

pub(crate) mod events;
pub mod keylog;
pub mod keymap;
pub mod keytable;
pub mod key;
