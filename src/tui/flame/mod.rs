//! Flamegraph and tree without a screen: stacks → call tree → shaped tree → cells or lines.
//!
//! Reads: weighted stacks or rows of the table `tree`, from the worker.
//! Writes: [`shape::ShapedTree`], which [`cell_layout`] lays out exactly.
//!
//! Invariant: pure; it uses no SQL, terminal or clock.

pub mod tree_lines;
pub mod difference_tree;
pub mod cell_layout;
pub mod shape;
pub mod tree;
pub mod site_stats;
pub mod measure;
