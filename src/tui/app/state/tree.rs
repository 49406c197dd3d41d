//! State of the Tree view: expanded lines, selection, statistics of lines.
//!
//! It shows the tree that the flamegraph draws.
//!
//! Invariant: [`TreeState::lines`] belong to the tree of [`TreeState::shown`].

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::tui::app::state::cursor::Cursor;
use crate::tui::flame::shape::{ShapedId, ShapedTree, TOP};
use crate::tui::flame::site_stats::SiteStats;
use crate::tui::flame::tree_lines::{self, Line, Path};

/// The call tree.
#[derive(Clone, Debug, Default)]
pub struct TreeState {
    /// The expanded lines.
    pub opened: HashSet<Path>,
    /// Selection and scroll position.
    pub cursor: Cursor,
    sites: Option<Arc<HashMap<i64, SiteStats>>>,
    /// The tree of the lines.
    shown: Option<Arc<ShapedTree>>,
    lines: Vec<Line>,
    stats: HashMap<ShapedId, SiteStats>,
}

impl TreeState {
    /// The visible lines in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The tree of the lines.
    pub fn shown(&self) -> Option<&Arc<ShapedTree>> {
        self.shown.as_ref()
    }

    /// The selected line.
    pub fn selected(&self) -> Option<&Line> {
        self.lines.get(self.cursor.at as usize)
    }

    /// Statistics of the backtraces below a visible line.
    pub fn stats(&self, line: &Line) -> Option<&SiteStats> {
        self.stats.get(&line.node())
    }

    /// Shows another tree; expands it to its first branch, unless some of its lines are expanded.
    pub fn set(&mut self, shown: &Arc<ShapedTree>) {
        self.shown = Some(Arc::clone(shown));
        let known = tree_lines::lines(shown, &HashSet::new());
        if !known.iter().any(|line| self.opened.contains(&line.path)) {
            if let Some(first) = known.first() {
                self.opened.extend(tree_lines::paths_to_next_fork(shown, first));
            }
            self.cursor = Cursor::default();
        }
        self.refresh();
    }

    /// Sets the statistics of backtraces.
    pub fn set_sites(&mut self, sites: Arc<HashMap<i64, SiteStats>>) {
        self.sites = Some(sites);
        self.stats.clear();
    }

    /// Whether the statistics were read.
    pub fn has_sites(&self) -> bool {
        self.sites.is_some()
    }

    /// Rebuilds the lines after some were expanded or collapsed.
    pub fn refresh(&mut self) {
        let selected = self.selected().map(|line| line.path);
        self.lines = match &self.shown {
            Some(shown) => tree_lines::lines(shown, &self.opened),
            None => Vec::new(),
        };
        // The selection follows its line.
        let at = selected.and_then(|path| self.lines.iter().position(|line| line.path == path));
        if let Some(at) = at {
            self.cursor.at = at as u64;
        }
        self.stats.clear();
    }

    /// Sums the statistics of the backtraces below the visible lines.
    pub fn sum_visible(&mut self, window: u64) {
        let (Some(shown), Some(sites)) = (&self.shown, &self.sites) else {
            return;
        };
        let in_view = self.lines.iter().skip(self.cursor.top as usize).take(window as usize);
        let wanted: Vec<ShapedId> = in_view.map(Line::node).collect();
        if wanted.iter().all(|node| self.stats.contains_key(node)) {
            return;
        }
        let mut place = vec![usize::MAX; shown.len()];
        for (at, node) in wanted.iter().enumerate() {
            if let Some(place) = place.get_mut(node.0 as usize) {
                *place = at;
            }
        }
        let mut sums = vec![SiteStats::default(); wanted.len()];
        for (bt, leaf) in shown.sites() {
            let Some(stats) = sites.get(bt) else { continue };
            let mut node = *leaf;
            while node != TOP {
                let at = place.get(node.0 as usize).copied().unwrap_or(usize::MAX);
                if let Some(sum) = sums.get_mut(at) {
                    sum.add(stats);
                }
                node = shown.parent(node);
            }
        }
        self.stats = wanted.into_iter().zip(sums).collect();
    }

    /// The summed statistics of the backtraces below a node.
    pub fn stats_below(&self, shown: &ShapedTree, node: ShapedId) -> Option<SiteStats> {
        let sites = self.sites.as_ref()?;
        let mut sum = SiteStats::default();
        for (bt, leaf) in shown.sites() {
            let Some(stats) = sites.get(bt) else { continue };
            let mut at = *leaf;
            while at != node && at != TOP {
                at = shown.parent(at);
            }
            if at == node {
                sum.add(stats);
            }
        }
        Some(sum)
    }

    /// Selects a line by its path; returns whether it is visible.
    pub fn select(&mut self, path: Path) -> bool {
        let at = self.lines.iter().position(|line| line.path == path);
        if let Some(at) = at {
            self.cursor.at = at as u64;
        }
        at.is_some()
    }

    /// The parent of the selected line.
    pub fn parent(&self) -> Option<usize> {
        let depth = self.selected()?.depth;
        let before = self.lines.get(..self.cursor.at as usize)?;
        before.iter().rposition(|line| line.depth < depth)
    }
}
