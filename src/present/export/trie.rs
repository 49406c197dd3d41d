//! Stacks numbered as a tree: a stack is a frame on top of another stack.
//!
//! Reads and writes nothing.
//!
//! Invariant: a stack's number is greater than that of the stack below it.

use std::collections::HashMap;

use crate::present::export::error::ExportError;

/// Number of a stack.
pub(crate) type StackId = u32;

/// All stacks that were seen.
#[derive(Debug, Default)]
pub(crate) struct Trie {
    ids: HashMap<(Option<StackId>, u32), StackId>,
    /// Of each stack, the one below it.
    pub below: Vec<Option<StackId>>,
    /// Of each stack, its top frame.
    pub frame: Vec<u32>,
}

impl Trie {
    /// The number of a stack, the frames from its bottom to its top; `None` for no frames.
    ///
    /// # Errors
    /// If there are more stacks than numbers.
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
