//! The explorer: its model, its screens, and the real binary in a pseudo-terminal.

pub(crate) mod bench;
pub(crate) mod compare;
pub(crate) mod driver;
pub(crate) mod export;
pub(crate) mod fixture;
pub(crate) mod keys;
pub(crate) mod model;
pub(crate) mod pty;
pub(crate) mod random_walk;
pub(crate) mod screens;
pub(crate) mod themes;
pub(crate) mod views;
