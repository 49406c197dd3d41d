//! Interns stacks as nodes of a tree: a stack is a frame on top of another stack.
//!
//! Invariant: the id of a stack is greater than that of its parent.

use std::collections::HashMap;

use crate::present::export::error::ExportError;

/// Id of a stack.
pub(crate) type StackId = u32;

/// The interned stacks.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    ids: HashMap<(Option<StackId>, u32), StackId>,
    /// The parent of each stack.
    pub below: Vec<Option<StackId>>,
    /// The innermost frame of each stack.
    pub frame: Vec<u32>,
}

impl Trie {
    /// Interns a stack, outermost frame first; `None` without frames.
    ///
    /// # Errors
    /// If there are more stacks than ids.
    pub(crate) fn number(
        &mut self,
        frames: impl Iterator<Item = usize>,
    ) -> Result<Option<StackId>, ExportError> {
        let mut at = None;
        for frame in frames {
            let next = to_u32(self.frame.len())?;
            let frame = to_u32(frame)?;
            let id = *self.ids.entry((at, frame)).or_insert(next);
            if id == next {
                self.below.push(at);
                self.frame.push(frame);
            }
            at = Some(id);
        }
        Ok(at)
    }
}

fn to_u32(number: usize) -> Result<u32, ExportError> {
    u32::try_from(number).map_err(|_| {
        ExportError::Request("more than four billion stacks: choose fewer backtraces".to_owned())
    })
}
