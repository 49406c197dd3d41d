//! Interns the file's stacks, truncates them to `max_stack_depth`, and numbers the sites.
//!
//! Invariants:
//! - Two nodes whose truncated stacks are equal have the same [`StackId`].
//! - No stack has more than `depth_max` frames.
//! - A parent's [`StackId`] is smaller than its child's, so every walk ends.

use std::collections::HashMap;

use crate::loader::fast_hash::FastHash;
use crate::loader::model::{LocationId, Site, StackId};
use crate::loader::passes::metadata_pass::Node;
use crate::recording::NodeId;

/// Whether a stack reaches its outermost frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum StackCompleteness {
    /// It does.
    Whole,
    /// It has more than `max_stack_depth` frames, the outer ones are cut off.
    Truncated,
    /// Unwinding failed, or the file does not define all frames.
    Failed,
    /// The recorder's stack table was full.
    Other,
}

impl StackCompleteness {
    const ALL: [Self; 4] = [Self::Whole, Self::Truncated, Self::Failed, Self::Other];

    /// The value of `sites.stack`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Truncated => "truncated",
            Self::Failed => "failed",
            Self::Other => "other",
        }
    }

    /// The stack without frames from which stacks with this end are built.
    const fn root(self) -> StackId {
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

/// A stack: its innermost frame and its caller's stack.
#[derive(Clone, Copy, Debug)]
struct Frame {
    parent: StackId,
    location: LocationId,
    depth: u32,
}

/// All distinct stacks.
#[derive(Debug)]
pub(crate) struct StackTable {
    depth_max: u32,
    /// Indexed by [`StackId`]; first the roots, in the order of [`StackCompleteness::ALL`].
    frames: Vec<Frame>,
    ids: HashMap<(StackId, LocationId), StackId, FastHash>,
    by_node: ByNode,
    /// Nodes whose parent the file does not define.
    missing: u64,
}

impl StackTable {
    /// Interns all nodes of a file.
    pub(crate) fn new(mut nodes: Vec<Node>, depth_max: u32) -> Self {
        let empty = Frame { parent: StackId(0), location: LocationId(u32::MAX), depth: 0 };
        let mut stacks = Self {
            depth_max,
            frames: vec![empty; StackCompleteness::ALL.len()],
            ids: HashMap::default(),
            by_node: ByNode::sized_for(&nodes),
            missing: 0,
        };
        // A parent has a smaller id than its children; of equal ids, the first definition counts.
        nodes.sort_by_key(|node| node.id);
        for node in &nodes {
            if stacks.by_node.get(node.id).is_some() {
                continue;
            }
            let parent = match stacks.by_node.get(node.parent) {
                Some(parent) => parent,
                None if node.parent.is_root() => StackCompleteness::of_root(node.parent).root(),
                None => {
                    stacks.missing += 1;
                    StackCompleteness::Failed.root()
                }
            };
            let stack = stacks.child(parent, node.location);
            stacks.by_node.set(node.id, stack);
        }
        stacks
    }

    /// Nodes whose parent the file does not define.
    pub(crate) fn missing(&self) -> u64 {
        self.missing
    }

    /// The stack of a node before truncation; `None` if the file does not define it.
    #[inline]
    pub(crate) fn of_node(&self, node: NodeId) -> Option<StackId> {
        if node.is_root() {
            return Some(StackCompleteness::of_root(node).root());
        }
        self.by_node.get(node)
    }

    /// The stack of the innermost `depth_max` frames.
    pub(crate) fn truncate(&mut self, stack: StackId) -> StackId {
        if self.frames[stack.0 as usize].depth <= self.depth_max {
            return stack;
        }
        let innermost: Vec<_> = self.locations(stack).take(self.depth_max as usize).collect();
        innermost.into_iter().rev().fold(StackCompleteness::Truncated.root(), |parent, location| {
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

    /// Whether a stack reaches its outermost frame.
    pub(crate) fn completeness(&self, stack: StackId) -> StackCompleteness {
        let mut at = stack;
        while self.frames[at.0 as usize].depth > 0 {
            at = self.frames[at.0 as usize].parent;
        }
        StackCompleteness::ALL[at.0 as usize]
    }

    /// The caller's stack and the innermost frame; `None` for a stack without frames.
    pub(crate) fn split(&self, stack: StackId) -> Option<(StackId, LocationId)> {
        let frame = self.frames[stack.0 as usize];
        (frame.depth > 0).then_some((frame.parent, frame.location))
    }

    fn child(&mut self, parent: StackId, location: LocationId) -> StackId {
        let frames = &mut self.frames;
        *self.ids.entry((parent, location)).or_insert_with(|| {
            frames.push(Frame { parent, location, depth: frames[parent.0 as usize].depth + 1 });
            StackId(frames.len() as u32 - 1)
        })
    }
}

/// Numbers the sites by first appearance.
#[derive(Debug, Default)]
pub(crate) struct SiteTable {
    /// By [`StackId`]: the site, or [`Site::NONE`].
    by_stack: Vec<Site>,
    /// By site, from 1: its truncated stack.
    stacks: Vec<StackId>,
    /// Cache of [`SiteTable::site_of`] for ids from [`ARRAY_NODES_MAX`] on.
    by_node: HashMap<NodeId, Site, FastHash>,
    /// Cache for smaller ids, indexed by id.
    by_small_node: Vec<Site>,
    /// Events whose node the file does not define.
    unknown: u64,
}

/// Node ids below this are cached in an array, of 64 MiB at most; a recorder's ids are dense, only
/// a damaged file has larger ones.
const ARRAY_NODES_MAX: u32 = 1 << 24;

impl SiteTable {
    /// The site of an event's node; a new one if no event had this stack before.
    #[inline]
    pub(crate) fn site_of(&mut self, node: NodeId, stacks: &mut StackTable) -> Site {
        if node == NodeId::NONE {
            return Site::NONE;
        }
        let cached = match self.by_small_node.get(node.0 as usize) {
            Some(site) => *site,
            None if node.0 < ARRAY_NODES_MAX => Site::NONE,
            None => self.by_node.get(&node).copied().unwrap_or(Site::NONE),
        };
        if cached != Site::NONE {
            return cached;
        }
        self.insert(node, stacks)
    }

    /// The site of a node if an earlier event had it.
    #[inline]
    pub(crate) fn cached_site(&self, node: NodeId) -> Option<Site> {
        self.by_small_node.get(node.0 as usize).copied().filter(|site| *site != Site::NONE)
    }

    #[cold]
    fn insert(&mut self, node: NodeId, stacks: &mut StackTable) -> Site {
        let known = stacks.of_node(node);
        let Some(stack) = known else {
            self.unknown += 1;
            return self.intern(StackCompleteness::Failed.root());
        };
        let stack = stacks.truncate(stack);
        let site = self.intern(stack);
        if node.0 < ARRAY_NODES_MAX {
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

    fn intern(&mut self, stack: StackId) -> Site {
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

    /// The truncated stacks of all sites; the first is that of site 1.
    pub(crate) fn stacks(&self) -> &[StackId] {
        &self.stacks
    }

    /// Events whose node the file does not define.
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown
    }
}

/// Maps node ids to stacks: an array if ids are dense, else a hash table.
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
