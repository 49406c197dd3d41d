//! The terminal: modes, signals, colours, and the user's files.

pub(crate) mod user_files;
pub(crate) mod signals;
pub mod osc11;
pub mod theme;
pub mod palette;
pub mod terminal_guard;
