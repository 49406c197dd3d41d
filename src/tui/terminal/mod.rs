//! The terminal: raw mode, signals, colours, the files of the user.

pub(crate) mod user_files;
pub(crate) mod signals;
pub mod osc11;
pub mod theme;
pub mod palette;
pub mod screen;
