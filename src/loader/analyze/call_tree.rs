//! Merges all backtraces into a call tree of functions, with sums per node.
//!
//! Invariant: a node's sums are those of all sites whose stacks pass through it; a parent has a
//! smaller index than its children.

use std::collections::HashMap;
use std::ops::AddAssign;

use rusqlite::Connection;

use crate::database::estimate::SamplingRate;
use crate::loader::analyze::estimates::{self, Estimate, EstimateTarget};
use crate::loader::analyze::site_summary::{Run, SiteSummary};
use crate::loader::fast_hash::FastHash;
use crate::loader::symbols::site_frames::{FrameRow, SiteFrames};
use crate::loader::totals::block_sums::BlockSums;
use crate::loader::totals::sample_weights::SampleSums;
use crate::loader::write::insert::insert;
use crate::loader::write::row_writer::integer;

/// Approximate maximum of the inverted tree's nodes: with many sites, it is cut at a depth, but
/// never above [`INVERTED_DEPTH_MIN`].
const INVERTED_NODES: usize = 300_000;
const INVERTED_DEPTH_MIN: usize = 5;

/// The end of a stack at which the tree has its root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// The outermost frame: children are callees.
    Callees,
    /// The innermost frame: children are callers, cut at this depth.
    Callers(usize),
}

impl Direction {
    /// Callers, cut at a depth that suits this number of sites.
    pub(crate) fn callers(sites: usize) -> Self {
        Self::Callers((INVERTED_NODES / sites.max(1)).max(INVERTED_DEPTH_MIN))
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    parent: Option<u32>,
    frame: FrameRow,
    depth: u32,
    sums: NodeSums,
    self_bytes: u64,
    self_live_bytes: u64,
}

/// Sums over the sites whose stacks pass through a node.
#[derive(Clone, Copy, Debug, Default)]
struct NodeSums {
    blocks: BlockSums,
    at_peak_bytes: u64,
    temporary: u64,
    growth_bytes: i64,
}

impl NodeSums {
    fn of(site: &SiteSummary, run: &Run) -> Self {
        let before = site.live_at(run.half_slice());
        Self {
            blocks: BlockSums {
                allocations: site.allocations,
                bytes: site.bytes,
                live_blocks: site.live_blocks,
                live_bytes: site.live_bytes,
            },
            at_peak_bytes: site.at_peak_bytes,
            temporary: site.temporary,
            growth_bytes: integer(site.live_bytes) - integer(before),
        }
    }
}

impl AddAssign for NodeSums {
    fn add_assign(&mut self, other: Self) {
        self.blocks += other.blocks;
        self.at_peak_bytes = self.at_peak_bytes.saturating_add(other.at_peak_bytes);
        self.temporary = self.temporary.saturating_add(other.temporary);
        self.growth_bytes = self.growth_bytes.saturating_add(other.growth_bytes);
    }
}

/// A call tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    /// By site, from 0: the node at which its stack ends.
    leaves: Vec<Option<u32>>,
    /// By node: the samples that its sums are based on; empty if they are exact.
    samples: Vec<SampleSums>,
}

impl Tree {
    /// Merges the stacks of all sites that have an allocation. `functions` maps a row of `frames` to
    /// the first row of the same function.
    pub(crate) fn build(
        summaries: &[SiteSummary],
        site_frames: &SiteFrames,
        functions: &[FrameRow],
        run: &Run,
        direction: Direction,
    ) -> Self {
        let mut tree = Self {
            nodes: Vec::new(),
            leaves: vec![None; site_frames.sites()],
            samples: Vec::new(),
        };
        let mut children: HashMap<(u32, u32), u32, FastHash> = HashMap::default();
        for summary in summaries {
            let site = summary.site.0 as usize - 1;
            let frames = site_frames.frames(site).iter();
            let leaf = match direction {
                Direction::Callees => tree.path(frames.rev(), functions, &mut children),
                Direction::Callers(depth) => {
                    tree.path(frames.take(depth), functions, &mut children)
                }
            };
            tree.leaves[site] = leaf;
            if let Some(leaf) = leaf {
                let node = &mut tree.nodes[leaf as usize];
                node.sums += NodeSums::of(summary, run);
                node.self_bytes = node.self_bytes.saturating_add(summary.bytes);
                node.self_live_bytes = node.self_live_bytes.saturating_add(summary.live_bytes);
                if run.rate.is_some() {
                    tree.samples.resize_with(tree.nodes.len(), SampleSums::default);
                    tree.samples[leaf as usize].join(&summary.sampled());
                }
            }
        }
        for index in (0..tree.nodes.len()).rev() {
            let node = tree.nodes[index];
            if let Some(parent) = node.parent {
                tree.nodes[parent as usize].sums += node.sums;
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
        children: &mut HashMap<(u32, u32), u32, FastHash>,
    ) -> Option<u32> {
        let mut at = None;
        for (depth, row) in (0_u32..).zip(frames) {
            let frame = functions[row.0 as usize - 1];
            let key = (at.map_or(u32::MAX, |parent: u32| parent), frame.0);
            let nodes = &mut self.nodes;
            at = Some(*children.entry(key).or_insert_with(|| {
                nodes.push(Node { parent: at, frame, depth, ..Node::default() });
                nodes.len() as u32 - 1
            }));
        }
        at
    }

    /// The row of the node at which a site's stack ends; sites count from 0 here.
    pub(crate) fn leaf(&self, site: usize) -> Option<u32> {
        self.leaves[site].map(|index| index + 1)
    }

    /// Writes `tree` or `tree_inverted`.
    pub(crate) fn write(&self, connection: &Connection, table: &str) -> rusqlite::Result<()> {
        insert!(connection, table, (1_i64..).zip(&self.nodes), |(id, node)| {
            id: id,
            parent: node.parent.map(|parent| parent + 1),
            frame: node.frame.0,
            depth: node.depth,
            allocations: integer(node.sums.blocks.allocations),
            bytes: integer(node.sums.blocks.bytes),
            live_blocks: integer(node.sums.blocks.live_blocks),
            live_bytes: integer(node.sums.blocks.live_bytes),
            at_peak_bytes: integer(node.sums.at_peak_bytes),
            temporary: integer(node.sums.temporary),
            growth_bytes: node.sums.growth_bytes,
            self_bytes: integer(node.self_bytes),
            self_live_bytes: integer(node.self_live_bytes),
        });
        Ok(())
    }

    /// Writes the rows of `estimates` for the tree's nodes.
    pub(crate) fn write_estimates(
        &self,
        connection: &Connection,
        target: EstimateTarget,
        rate: SamplingRate,
    ) -> rusqlite::Result<()> {
        let nodes = (1..).zip(self.nodes.iter().zip(&self.samples));
        let rows = nodes.map(|(id, (node, samples))| Estimate {
            id,
            bytes: node.sums.blocks.bytes,
            live_bytes: node.sums.blocks.live_bytes,
            samples: *samples,
        });
        estimates::write_rows(connection, target, rate, rows)
    }
}
