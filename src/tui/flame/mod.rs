//! The flamegraph without a screen: stacks → call tree → the tree as shown → cells, or lines.
//!
//! Reads: weighed stacks or rows of the `tree` table, handed over by the worker.
//! Writes: [`shape::Shown`], whose widths [`cells`] deals out exactly.
//!
//! Invariant: pure; nothing here knows SQL, a terminal or a clock.

pub mod tree_lines;
pub mod difference_tree;
pub mod cell_layout;
pub mod shape;
pub mod tree;
pub mod site_stats;
pub mod measure;
