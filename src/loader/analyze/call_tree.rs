//! All backtraces merged into a tree of functions, with sums.
//!
//! Reads: sites' frames and briefs. Writes: the rows of `tree` and `tree_inverted`.
//!
//! Invariant: a node's sums are those of all sites whose stacks pass through it; a parent stands
//! before its children.

use std::collections::HashMap;

use rusqlite::Connection;

use crate::database::estimate::SamplingRate;
use crate::loader::analyze::estimates::{self, Estimated, Of};
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::fast_hash::FastHash;
use crate::loader::symbols::frame_names::{FrameRow, Names};
use crate::loader::totals::sample_weights::Sampled;
use crate::loader::write::row_writer::integer;
use crate::loader::write::tables::fill;

/// The inverted tree may have about so many nodes: with many sites it is cut at a depth.
const INVERTED_NODES: usize = 300_000;
/// … but not at less than this.
const INVERTED_DEPTH_MIN: usize = 5;

/// Which frame is the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The outermost one.
    Callees,
    /// The innermost one, cut at this depth.
    Callers(usize),
}

impl Direction {
    /// From the inside outwards, cut so that so many sites make a tree that can be shown.
    pub(crate) fn callers(sites: usize) -> Self {
        Self::Callers((INVERTED_NODES / sites.max(1)).max(INVERTED_DEPTH_MIN))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    parent: Option<u32>,
    frame: FrameRow,
    depth: u32,
    sums: Sums,
    self_bytes: u64,
    self_live_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    allocations: u64,
    bytes: u64,
    live_blocks: u64,
    live_bytes: u64,
    at_peak_bytes: u64,
    temporary: u64,
    growth_bytes: i64,
}

impl Sums {
    fn of(brief: &SiteSummary, run: &Run) -> Self {
        let before = brief.live_at(run.half_slice());
        Self {
            allocations: brief.allocations,
            bytes: brief.bytes,
            live_blocks: brief.live_blocks,
            live_bytes: brief.live_bytes,
            at_peak_bytes: brief.at_peak_bytes,
            temporary: brief.temporary,
            growth_bytes: integer(brief.live_bytes) - integer(before),
        }
    }

    fn add(&mut self, other: &Self) {
        self.allocations = self.allocations.saturating_add(other.allocations);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.live_blocks = self.live_blocks.saturating_add(other.live_blocks);
        self.live_bytes = self.live_bytes.saturating_add(other.live_bytes);
        self.at_peak_bytes = self.at_peak_bytes.saturating_add(other.at_peak_bytes);
        self.temporary = self.temporary.saturating_add(other.temporary);
        self.growth_bytes = self.growth_bytes.saturating_add(other.growth_bytes);
    }
}

/// A tree of functions.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// By site, from 0: the node that its stack ends in.
    leaves: Vec<Option<u32>>,
    /// By node: the samples that its sums stand on; empty where they are exact.
    samples: Vec<Sampled>,
}

impl Tree {
    /// Merges the stacks of all sites that made a block.
    pub(crate) fn grow(
        briefs: &[SiteSummary],
        names: &Names,
        functions: &[FrameRow],
        run: &Run,
        direction: Direction,
    ) -> Self {
        let mut tree =
            Self { nodes: Vec::new(), leaves: vec![None; names.sites()], samples: Vec::new() };
        let mut known: HashMap<(u32, u32), u32, FastHash> = HashMap::default();
        for brief in briefs {
            let site = brief.site.0 as usize - 1;
            let frames = names.frames(site).iter();
            let leaf = match direction {
                Direction::Callees => tree.path(frames.rev(), functions, &mut known),
                Direction::Callers(depth) => tree.path(frames.take(depth), functions, &mut known),
            };
            tree.leaves[site] = leaf;
            if let Some(leaf) = leaf {
                let node = &mut tree.nodes[leaf as usize];
                node.sums.add(&Sums::of(brief, run));
                node.self_bytes = node.self_bytes.saturating_add(brief.bytes);
                node.self_live_bytes = node.self_live_bytes.saturating_add(brief.live_bytes);
                if run.rate.is_some() {
                    tree.samples.resize_with(tree.nodes.len(), Sampled::default);
                    tree.samples[leaf as usize].join(&brief.sampled());
                }
            }
        }
        for index in (0..tree.nodes.len()).rev() {
            let node = tree.nodes[index];
            if let Some(parent) = node.parent {
                tree.nodes[parent as usize].sums.add(&node.sums);
                if let Some(samples) = tree.samples.get(index).copied() {
                    tree.samples[parent as usize].join(&samples);
                }
            }
        }
        tree
    }

    fn path<'a>(
        &mut self,
        frames: impl Iterator<Item = &'a FrameRow>,
        functions: &[FrameRow],
        known: &mut HashMap<(u32, u32), u32, FastHash>,
    ) -> Option<u32> {
        let mut at = None;
        for (depth, row) in (0_u32..).zip(frames) {
            let frame = functions[row.0 as usize - 1];
            let key = (at.map_or(u32::MAX, |parent: u32| parent), frame.0);
            let nodes = &mut self.nodes;
            at = Some(*known.entry(key).or_insert_with(|| {
                nodes.push(Node { parent: at, frame, depth, ..Node::default() });
                nodes.len() as u32 - 1
            }));
        }
        at
    }

    /// The row of the node that a site's stack ends in; sites count from 0 here.
    pub(crate) fn leaf(&self, site: usize) -> Option<u32> {
        self.leaves[site].map(|index| index + 1)
    }

    /// Fills a table.
    pub(crate) fn write(&self, connection: &Connection, table: &str) -> rusqlite::Result<()> {
        let rows = (1_i64..).zip(&self.nodes).map(|(id, node)| {
            let sums = &node.sums;
            (
                id,
                node.parent.map(|parent| parent + 1),
                node.frame.0,
                node.depth,
                integer(sums.allocations),
                integer(sums.bytes),
                integer(sums.live_blocks),
                integer(sums.live_bytes),
                integer(sums.at_peak_bytes),
                integer(sums.temporary),
                sums.growth_bytes,
                integer(node.self_bytes),
                integer(node.self_live_bytes),
            )
        });
        fill(connection, table, 13, rows)
    }

    /// How far its sums may be off.
    pub(crate) fn write_estimates(
        &self,
        connection: &Connection,
        of: Of,
        rate: SamplingRate,
    ) -> rusqlite::Result<()> {
        let nodes = (1..).zip(self.nodes.iter().zip(&self.samples));
        let rows = nodes.map(|(id, (node, sampled))| Estimated {
            id,
            bytes: node.sums.bytes,
            live_bytes: node.sums.live_bytes,
            sampled: *sampled,
        });
        estimates::rows(connection, of, rate, rows)
    }
}
