//! The terminal: modes, signals, colours; the user's history, suppressions and theme.

pub(crate) mod user_files;
pub(crate) mod signals;
pub mod osc11;
pub mod theme;
pub mod palette;
pub mod terminal_guard;
