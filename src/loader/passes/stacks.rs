//! Stacks without duplicates, cut to the depth that was asked for.
//!
//! Reads: the file's stack nodes. Writes: for a node's id the one [`StackId`] of its stack, for a
//! stack its frames, and numbers of sites by first appearance.
//!
//! Invariants:
//! - Two nodes with equal frames (after the cut) and equal roots have one [`StackId`].
//! - No stack has more than `depth_max` frames.
//! - A parent's [`StackId`] is smaller than its child's, so every walk ends.

use std::collections::HashMap;

use crate::loader::fast_hash::FastHash;
use crate::loader::passes::metadata_pass::Node;
use crate::loader::rows::{LocationId, Site, StackId};
use crate::recording::NodeId;

/// How a stack ends on its outer side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StackCompleteness {
    /// The outermost frame was reached.
    Whole,
    /// There are more frames than were asked for.
    Truncated,
    /// It could not be unwound further, or a definition is missing.
    Failed,
    /// The recorder's table was full.
    Other,
}

impl StackCompleteness {
    const ALL: [Self; 4] = [Self::Whole, Self::Truncated, Self::Failed, Self::Other];

    /// As in `sites.stack`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Truncated => "truncated",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }

    /// The stack that has no frame and this end.
    const fn empty(self) -> StackId {
        StackId(self as u32)
    }

    fn of_root(id: NodeId) -> Self {
        match id {
            NodeId::ROOT => Self::Whole,
            NodeId::TRUNCATED => Self::Truncated,
            NodeId::OVERFLOW => Self::Other,
            _ => Self::Failed,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    parent: StackId,
    location: LocationId,
    depth: u32,
}

/// All distinct stacks.
#[derive(Debug)]
pub(crate) struct Stacks {
    depth_max: u32,
    /// The first ones are the empty stacks, in the order of [`StackCompleteness::ALL`].
    frames: Vec<Frame>,
    known: HashMap<(StackId, LocationId), StackId, FastHash>,
    by_node: ByNode,
    /// Nodes that refer to a parent that the file does not define.
    missing: u64,
}

impl Stacks {
    /// Takes in all nodes of a file.
    pub(crate) fn new(mut nodes: Vec<Node>, depth_max: u32) -> Self {
        let empty = Frame { parent: StackId(0), location: LocationId(u32::MAX), depth: 0 };
        let mut stacks = Self {
            depth_max,
            frames: vec![empty; StackCompleteness::ALL.len()],
            known: HashMap::default(),
            by_node: ByNode::sized_for(&nodes),
            missing: 0,
        };
        // Parents have smaller ids; the first definition of an id holds.
        nodes.sort_by_key(|node| node.id);
        for node in &nodes {
            if stacks.by_node.get(node.id).is_some() {
                continue;
            }
            let parent = match stacks.by_node.get(node.parent) {
                Some(parent) => parent,
                None if node.parent.is_root() => StackCompleteness::of_root(node.parent).empty(),
                None => {
                    stacks.missing += 1;
                    StackCompleteness::Failed.empty()
                }
            };
            let stack = stacks.child(parent, node.location);
            stacks.by_node.set(node.id, stack);
        }
        stacks
    }

    /// Definitions that were missing.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// The stack of a node, not yet cut; `None` if the file does not define it.
    #[inline]
    pub(crate) fn of_node(&self, node: NodeId) -> Option<StackId> {
        if node.is_root() {
            return Some(StackCompleteness::of_root(node).empty());
        }
        self.by_node.get(node)
    }

    /// The same stack with only its innermost `depth_max` frames.
    pub(crate) fn cut(&mut self, stack: StackId) -> StackId {
        if self.frames[stack.0 as usize].depth <= self.depth_max {
            return stack;
        }
        let innermost: Vec<_> = self.locations(stack).take(self.depth_max as usize).collect();
        innermost
            .into_iter()
            .rev()
            .fold(StackCompleteness::Truncated.empty(), |parent, location| {
                self.child(parent, location)
            })
    }

    /// A stack's frames, innermost first.
    pub(crate) fn locations(&self, stack: StackId) -> impl Iterator<Item = LocationId> + '_ {
        let mut at = stack;
        std::iter::from_fn(move || {
            let frame = self.frames[at.0 as usize];
            (frame.depth > 0).then(|| {
                at = frame.parent;
                frame.location
            })
        })
    }

    /// How a stack ends on its outer side.
    pub(crate) fn outermost(&self, stack: StackId) -> StackCompleteness {
        let mut at = stack;
        while self.frames[at.0 as usize].depth > 0 {
            at = self.frames[at.0 as usize].parent;
        }
        StackCompleteness::ALL[at.0 as usize]
    }

    /// The stack below the innermost frame, and that frame; `None` for an empty stack.
    pub(crate) fn split(&self, stack: StackId) -> Option<(StackId, LocationId)> {
        let frame = self.frames[stack.0 as usize];
        (frame.depth > 0).then_some((frame.parent, frame.location))
    }

    fn child(&mut self, parent: StackId, location: LocationId) -> StackId {
        let frames = &mut self.frames;
        *self.known.entry((parent, location)).or_insert_with(|| {
            frames.push(Frame { parent, location, depth: frames[parent.0 as usize].depth + 1 });
            StackId(frames.len() as u32 - 1)
        })
    }
}

/// Numbers of sites by first appearance.
#[derive(Debug, Default)]
pub(crate) struct Sites {
    /// By [`StackId`]: the site, or [`Site::NONE`].
    by_stack: Vec<Site>,
    /// By site, from 1: its stack, already cut.
    stacks: Vec<StackId>,
    /// By node: what was answered before.
    by_node: HashMap<NodeId, Site, FastHash>,
    by_small_node: Vec<Site>,
    /// Events whose node the file does not define.
    unknown: u64,
}

/// Nodes below this are answered from an array.
const SMALL_NODE: u32 = 1 << 24;

impl Sites {
    /// The site of an event's node; a new number if its stack was not seen before.
    #[inline]
    pub(crate) fn of(&mut self, node: NodeId, stacks: &mut Stacks) -> Site {
        if node == NodeId::NONE {
            return Site::NONE;
        }
        let cached = match self.by_small_node.get(node.0 as usize) {
            Some(site) => *site,
            None if node.0 < SMALL_NODE => Site::NONE,
            None => self.by_node.get(&node).copied().unwrap_or(Site::NONE),
        };
        if cached != Site::NONE {
            return cached;
        }
        self.look_up(node, stacks)
    }

    /// The site of a node that an event has had before; gives no new number.
    #[inline]
    pub(crate) fn known(&self, node: NodeId) -> Option<Site> {
        self.by_small_node.get(node.0 as usize).copied().filter(|site| *site != Site::NONE)
    }

    #[cold]
    fn look_up(&mut self, node: NodeId, stacks: &mut Stacks) -> Site {
        let known = stacks.of_node(node);
        let Some(stack) = known else {
            self.unknown += 1;
            return self.number(StackCompleteness::Failed.empty());
        };
        let stack = stacks.cut(stack);
        let site = self.number(stack);
        if node.0 < SMALL_NODE {
            let needed = (node.0 as usize + 1).next_power_of_two();
            if self.by_small_node.len() < needed {
                self.by_small_node.resize(needed, Site::NONE);
            }
            self.by_small_node[node.0 as usize] = site;
        } else {
            self.by_node.insert(node, site);
        }
        site
    }

    fn number(&mut self, stack: StackId) -> Site {
        let index = stack.0 as usize;
        if self.by_stack.len() <= index {
            self.by_stack.resize((index + 1).next_power_of_two(), Site::NONE);
        }
        if self.by_stack[index] == Site::NONE {
            self.stacks.push(stack);
            self.by_stack[index] = Site(self.stacks.len() as u32);
        }
        self.by_stack[index]
    }

    /// The stacks of all sites; the first is site 1's.
    pub(crate) fn stacks(&self) -> &[StackId] {
        &self.stacks
    }

    /// Events that refer to a node that the file does not define.
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown
    }
}

/// Stacks by the file's node ids: an array where ids are dense, a map where they are not.
#[derive(Debug)]
enum ByNode {
    Dense(Vec<StackId>),
    Sparse(HashMap<NodeId, StackId, FastHash>),
}

impl ByNode {
    fn sized_for(nodes: &[Node]) -> Self {
        let ids_max = nodes.iter().map(|node| node.id.0 as usize).max();
        match ids_max {
            Some(max) if max > nodes.len().saturating_mul(4).saturating_add(1 << 16) => {
                Self::Sparse(HashMap::default())
            }
            max => Self::Dense(vec![StackId(u32::MAX); max.map_or(0, |max| max + 1)]),
        }
    }

    fn get(&self, id: NodeId) -> Option<StackId> {
        match self {
            Self::Dense(list) => list.get(id.0 as usize).copied(),
            Self::Sparse(map) => map.get(&id).copied(),
        }
        .filter(|stack| stack.0 != u32::MAX)
    }

    fn set(&mut self, id: NodeId, stack: StackId) {
        match self {
            Self::Dense(list) => {
                if let Some(slot) = list.get_mut(id.0 as usize) {
                    *slot = stack;
                }
            }
            Self::Sparse(map) => {
                map.insert(id, stack);
            }
        }
    }
}
