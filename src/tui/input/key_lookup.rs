//! Looks up keys; replaces those of the key table by the user's `keys.txt`.
//!
//! `keys.txt` is read once, before the first key is handled.
//!
//! Invariants:
//! - A key has one action per context; [`action`] searches the contexts from the innermost outwards.
//! - Every action keeps at least one key, whatever is in `keys.txt`.

use std::sync::OnceLock;

pub use crate::tui::input::action::{Action, Context};
pub use crate::tui::input::bindings::{BINDINGS, Binding, Rank};
use crate::tui::input::key::Key;

/// The key table with the user's keys.
static USER_TABLE: OnceLock<Vec<Binding>> = OnceLock::new();

/// The key table.
pub fn table() -> &'static [Binding] {
    USER_TABLE.get().map_or(BINDINGS, Vec::as_slice)
}

/// Sets the user's keys, once per process; returns the problems in them.
pub fn configure(text: &str) -> Vec<String> {
    let (table, problems) = parse_table(text);
    // Later calls have no effect: keys don't change while the explorer runs.
    let _ = USER_TABLE.set(table);
    problems
}

/// The key table with the user's keys, and a message for each invalid line, which is skipped.
///
/// A line has a context, an action and its keys: `flame next-measure M ^N`. Names are not case
/// sensitive. A line that begins with `#` is a comment.
pub fn parse_table(text: &str) -> (Vec<Binding>, Vec<String>) {
    let mut table = BINDINGS.to_vec();
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // `#` within a line is a key.
        let words: Vec<&str> = line.split_whitespace().collect();
        if words.first().is_none_or(|word| word.starts_with('#')) {
            continue;
        }
        if let Err(problem) = rebind(&mut table, &words) {
            problems.push(format!("line {}: {problem}", number + 1));
        }
    }
    (table, problems)
}

fn rebind(table: &mut [Binding], words: &[&str]) -> Result<(), String> {
    let [context, action, keys @ ..] = words else {
        let expected = "expected a context, an action and its keys, as in: flame next-measure M";
        return Err(expected.to_owned());
    };
    let in_context = |binding: &Binding| binding.context.name().eq_ignore_ascii_case(context);
    let at = table.iter().position(|binding| {
        in_context(binding) && binding.action.name().eq_ignore_ascii_case(action)
    });
    let Some(at) = at else {
        return Err(match table.iter().any(in_context) {
            true => format!("{context} has no action {action}; see rheaper tui --list-keys"),
            false => format!("there is no context {context}; see rheaper tui --list-keys"),
        });
    };
    let mut parsed = Vec::new();
    for key in keys {
        parsed.push(Key::parse(key).ok_or_else(|| format!("unknown key {key}"))?);
    }
    if parsed.is_empty() {
        return Err(format!("no key is given for {action}"));
    }
    let context = table[at].context;
    let mut changed: Vec<(usize, Vec<Key>)> = vec![(at, parsed.clone())];
    for (other, binding) in table.iter().enumerate() {
        if other == at || binding.context != context {
            continue;
        }
        let remaining: Vec<Key> =
            binding.keys.iter().filter(|key| !parsed.contains(key)).copied().collect();
        if remaining.is_empty() {
            let key = binding.keys.first().map(|key| key.spelling()).unwrap_or_default();
            let other = binding.action.name();
            return Err(format!(
                "{key} is the only key of {other}: give {other} another key first"
            ));
        }
        if remaining.len() < binding.keys.len() {
            changed.push((other, remaining));
        }
    }
    for (at, keys) in changed {
        // The keys are leaked because the table lives as long as the process.
        table[at].keys = Vec::leak(keys);
    }
    Ok(())
}

/// The key table in the format of `keys.txt`.
pub fn listing() -> String {
    let mut text = String::from("# context action keys\n");
    let mut context = None;
    for binding in table() {
        if context != Some(binding.context) {
            text.push_str(&format!("\n# {}\n", binding.context.title()));
            context = Some(binding.context);
        }
        let keys: Vec<String> = binding.keys.iter().map(|key| key.spelling()).collect();
        let line =
            format!("{} {} {}", binding.context.name(), binding.action.name(), keys.join(" "));
        text.push_str(&format!("# {}\n{line}\n", binding.help));
    }
    text
}

/// The action of a key in the first context that has one.
pub fn action(contexts: &[Context], key: Key) -> Option<Action> {
    contexts.iter().find_map(|context| {
        let mut bound = table().iter().filter(|it| it.context == *context);
        bound.find_map(|it| it.keys.contains(&key).then_some(it.action))
    })
}

/// The bindings of these contexts, without those whose first key an inner context overrides.
pub fn bindings(contexts: &[Context]) -> impl Iterator<Item = &'static Binding> {
    let contexts = contexts.to_vec();
    let of = move |context: Context| table().iter().filter(move |it| it.context == context);
    let all = contexts.clone();
    contexts.into_iter().flat_map(of).filter(move |binding| {
        let first = binding.keys.first().copied();
        first.is_none_or(|key| action(&all, key) == Some(binding.action))
    })
}
