//! The one key table: dispatch, footer and help are all made from it.
//!
//! Invariants:
//! - A key means one thing in a context; [`action`] asks the contexts from the inside out.
//! - Whatever can be done has a line here, and so stands in help and in the palette.

use crate::tui::key::Key;
pub use crate::tui::keytable::{Action, BINDINGS, Binding, Context, Rank};

/// What a key means, asking `contexts` in turn.
pub fn action(contexts: &[Context], key: Key) -> Option<Action> {
    contexts.iter().find_map(|context| {
        let mut bound = BINDINGS.iter().filter(|it| it.context == *context);
        bound.find_map(|it| it.keys.contains(&key).then_some(it.action))
    })
}

/// The lines of the table for these contexts, without the keys that an inner context took.
pub fn bindings(contexts: &[Context]) -> impl Iterator<Item = &'static Binding> {
    let contexts = contexts.to_vec();
    let of = move |context: Context| BINDINGS.iter().filter(move |it| it.context == context);
    let all = contexts.clone();
    contexts.into_iter().flat_map(of).filter(move |binding| {
        let first = binding.keys.first().copied();
        first.is_none_or(|key| action(&all, key) == Some(binding.action))
    })
}
