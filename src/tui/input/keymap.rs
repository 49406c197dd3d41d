//! The one key table: dispatch, footer and help are all made from it.
//!
//! Reads: the user's own keys, once, before the first key is pressed.
//!
//! Invariants:
//! - A key means one thing in a context; [`action`] asks the contexts from the inside out.
//! - Whatever can be done has a line here, and so stands in help and in the palette, whatever the
//!   user's own keys are.

use std::sync::OnceLock;

use crate::tui::input::key::Key;
pub use crate::tui::input::keytable::{Action, BINDINGS, Binding, Context, Rank};

/// The table with the user's own keys, if there are any.
static USER_TABLE: OnceLock<Vec<Binding>> = OnceLock::new();

/// All lines.
pub fn table() -> &'static [Binding] {
    USER_TABLE.get().map_or(BINDINGS, Vec::as_slice)
}

/// Takes the user's own keys, once for the whole process; says what is wrong with them.
pub fn configure(text: &str) -> Vec<String> {
    let (table, problems) = parse_table(text);
    // Whoever came first has decided: keys don't change while they are pressed.
    let _ = USER_TABLE.set(table);
    problems
}

/// The table with these keys, and a sentence for each line that means nothing, which is left out.
///
/// A line is a place, an action, and its keys: `Flame Measure M ^N`. `#` begins a comment.
pub fn parse_table(text: &str) -> (Vec<Binding>, Vec<String>) {
    let mut table = BINDINGS.to_vec();
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // A comment is a line of its own, as `#` is a key as well.
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first().is_none_or(|word| word.starts_with('#')) {
            continue;
        }
        if let Err(problem) = take(&mut table, &words) {
            problems.push(format!("line {}: {problem}", number + 1));
        }
    }
    (table, problems)
}

fn take(table: &mut [Binding], words: &[&str]) -> Result<(), String> {
    let [place, action, keys @ ..] = words else {
        return Err("expected a place, an action and its keys, as in Flame Measure M".to_owned());
    };
    let is_place = |binding: &Binding| format!("{:?}", binding.context).eq_ignore_ascii_case(place);
    let at = table.iter().position(|binding| {
        is_place(binding) && format!("{:?}", binding.action).eq_ignore_ascii_case(action)
    });
    let Some(at) = at else {
        return Err(match table.iter().any(is_place) {
            true => format!("{place} has no action {action}; rheaper tui --list-keys lists them"),
            false => format!("no place is called {place}; rheaper tui --list-keys lists them"),
        });
    };
    let mut parsed = Vec::new();
    for key in keys {
        parsed.push(Key::parse(key).ok_or_else(|| format!("{key} is no key"))?);
    }
    if parsed.is_empty() {
        return Err(format!("{action} would have no key"));
    }
    let context = table[at].context;
    let mut changed: Vec<(usize, Vec<Key>)> = vec![(at, parsed.clone())];
    for (other, binding) in table.iter().enumerate() {
        if other == at || binding.context != context {
            continue;
        }
        let left: Vec<Key> =
            binding.keys.iter().filter(|key| !parsed.contains(key)).copied().collect();
        if left.is_empty() {
            let (key, other) = (binding.keys.first().map(|key| key.spelling()), binding.action);
            let key = key.unwrap_or_default();
            return Err(format!("{key} is the only key of {other:?}: give that another one first"));
        }
        if left.len() < binding.keys.len() {
            changed.push((other, left));
        }
    }
    for (at, keys) in changed {
        // The table lives as long as the process, and so do its keys.
        table[at].keys = Vec::leak(keys);
    }
    Ok(())
}

/// The table as the file of own keys has it, to be copied from.
pub fn listing() -> String {
    let mut text = String::from("# place action keys\n");
    let mut place = None;
    for binding in table() {
        if place != Some(binding.context) {
            text.push_str(&format!("\n# {}\n", binding.context.title()));
            place = Some(binding.context);
        }
        let keys: Vec<String> = binding.keys.iter().map(|key| key.spelling()).collect();
        let line = format!("{:?} {:?} {}", binding.context, binding.action, keys.join(" "));
        text.push_str(&format!("# {}\n{line}\n", binding.help));
    }
    text
}

/// What a key means, asking `contexts` in turn.
pub fn action(contexts: &[Context], key: Key) -> Option<Action> {
    contexts.iter().find_map(|context| {
        let mut bound = table().iter().filter(|it| it.context == *context);
        bound.find_map(|it| it.keys.contains(&key).then_some(it.action))
    })
}

/// The lines of the table for these contexts, without the keys that an inner context took.
pub fn bindings(contexts: &[Context]) -> impl Iterator<Item = &'static Binding> {
    let contexts = contexts.to_vec();
    let of = move |context: Context| table().iter().filter(move |it| it.context == context);
    let all = contexts.clone();
    contexts.into_iter().flat_map(of).filter(move |binding| {
        let first = binding.keys.first().copied();
        first.is_none_or(|key| action(&all, key) == Some(binding.action))
    })
}
