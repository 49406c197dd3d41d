//! The tree's state: which lines are open, which one is selected, what is known of their sites.
//!
//! Reads: the tree that the flamegraph draws. Writes: which lines are in view.
//!
//! Invariant: [`TreeState::lines`] are those of the tree that `TreeState::of` says, or none.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::tui::app::state::cursor::Cursor;
use crate::tui::flame::outline::{self, Line, Path};
use crate::tui::flame::shape::{Shown, ShownId, TOP};
use crate::tui::flame::sites::SiteFacts;

/// The tree.
#[derive(Clone, Debug, Default)]
pub struct TreeState {
    /// The lines that are open.
    pub opened: HashSet<Path>,
    /// The selected line, and the first one shown.
    pub cursor: Cursor,
    sites: Option<Arc<HashMap<i64, SiteFacts>>>,
    /// The tree that the lines are of.
    of: Option<Arc<Shown>>,
    lines: Vec<Line>,
    facts: HashMap<ShownId, SiteFacts>,
}

impl TreeState {
    /// The lines in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The tree that they are of.
    pub fn shown(&self) -> Option<&Arc<Shown>> {
        self.of.as_ref()
    }

    /// The selected line.
    pub fn selected(&self) -> Option<&Line> {
        self.lines.get(self.cursor.at as usize)
    }

    /// What is known of the backtraces below a line in view.
    pub fn facts(&self, line: &Line) -> Option<&SiteFacts> {
        self.facts.get(&line.node())
    }

    /// Takes a tree: opens it to its first fork, unless lines of it are open already.
    pub fn take(&mut self, shown: &Arc<Shown>) {
        self.of = Some(Arc::clone(shown));
        let known = outline::lines(shown, &HashSet::new());
        if !known.iter().any(|line| self.opened.contains(&line.path)) {
            if let Some(first) = known.first() {
                self.opened.extend(outline::to_next_fork(shown, first));
            }
            self.cursor = Cursor::default();
        }
        self.refresh();
    }

    /// Takes what is known of each backtrace.
    pub fn take_sites(&mut self, sites: Arc<HashMap<i64, SiteFacts>>) {
        self.sites = Some(sites);
        self.facts.clear();
    }

    /// Whether that is here.
    pub fn has_sites(&self) -> bool {
        self.sites.is_some()
    }

    /// Lines were opened or closed.
    pub fn refresh(&mut self) {
        let selected = self.selected().map(|line| line.path);
        self.lines = match &self.of {
            Some(shown) => outline::lines(shown, &self.opened),
            None => Vec::new(),
        };
        // The selection stays with its line, wherever that is now.
        let at = selected.and_then(|path| self.lines.iter().position(|line| line.path == path));
        if let Some(at) = at {
            self.cursor.at = at as u64;
        }
        self.facts.clear();
    }

    /// Sums what is known of the backtraces below the lines in view.
    pub fn sum_up(&mut self, window: u64) {
        let (Some(shown), Some(sites)) = (&self.of, &self.sites) else {
            return;
        };
        let in_view = self.lines.iter().skip(self.cursor.top as usize).take(window as usize);
        let wanted: Vec<ShownId> = in_view.map(Line::node).collect();
        if wanted.iter().all(|node| self.facts.contains_key(node)) {
            return;
        }
        let mut place = vec![usize::MAX; shown.len()];
        for (at, node) in wanted.iter().enumerate() {
            if let Some(place) = place.get_mut(node.0 as usize) {
                *place = at;
            }
        }
        let mut sums = vec![SiteFacts::default(); wanted.len()];
        for (bt, leaf) in shown.sites() {
            let Some(facts) = sites.get(bt) else { continue };
            let mut node = *leaf;
            while node != TOP {
                let at = place.get(node.0 as usize).copied().unwrap_or(usize::MAX);
                if let Some(sum) = sums.get_mut(at) {
                    sum.add(facts);
                }
                node = shown.parent(node);
            }
        }
        self.facts = wanted.into_iter().zip(sums).collect();
    }

    /// What is known of the backtraces below any node of a tree, if they are known.
    pub fn below(&self, shown: &Shown, node: ShownId) -> Option<SiteFacts> {
        let sites = self.sites.as_ref()?;
        let mut sum = SiteFacts::default();
        for (bt, leaf) in shown.sites() {
            let Some(facts) = sites.get(bt) else { continue };
            let mut at = *leaf;
            while at != node && at != TOP {
                at = shown.parent(at);
            }
            if at == node {
                sum.add(facts);
            }
        }
        Some(sum)
    }

    /// Goes to a line by its path, if it is there.
    pub fn go_to(&mut self, path: Path) -> bool {
        let at = self.lines.iter().position(|line| line.path == path);
        if let Some(at) = at {
            self.cursor.at = at as u64;
        }
        at.is_some()
    }

    /// The line above the selected one that it lies below.
    pub fn parent(&self) -> Option<usize> {
        let depth = self.selected()?.depth;
        let before = self.lines.get(..self.cursor.at as usize)?;
        before.iter().rposition(|line| line.depth < depth)
    }
}
