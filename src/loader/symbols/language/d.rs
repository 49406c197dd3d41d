//! D, as demanglers write it: `pure nothrow @nogc @safe void app.cache.insert(int)`.
//!
//! A declaration is read from its left end, outside all brackets: a space ends what stands before
//! the name, a dot a scope, and parameters end the name unless a dot goes on behind them.

use crate::loader::symbols::language::brackets::{Rules, group_end};

/// Words that only D writes before a name.
const ATTRIBUTES: [&str; 8] =
    ["@nogc ", "@safe ", "@trusted ", "@system ", "@property ", "@live ", "nothrow ", "inout("];

/// Whether a name looks like one of D's: it has D's attributes, or dots and parameters.
pub(crate) fn is_likely(text: &str) -> bool {
    if text.contains("::") {
        return false;
    }
    if ATTRIBUTES.iter().any(|word| text.contains(word)) || text.contains("!(") {
        return true;
    }
    let Some((before, _)) = text.split_once('(') else { return false };
    let name = before.rsplit(' ').next().unwrap_or(before);
    let mut parts = name.split('.');
    let is_word = |part: &str| {
        part.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    text.ends_with(')') && name.contains('.') && parts.all(is_word)
}

/// `cache.insert`.
pub(crate) fn short(text: &str) -> String {
    shorten(&scopes(text))
}

/// The last two scopes; a function without a name is called by the one that it is in.
pub(crate) fn shorten(scopes: &[String]) -> String {
    let is_lambda = |name: &&String| {
        ["__lambda", "__dgliteral", "__funcliteral"].iter().any(|start| name.starts_with(start))
    };
    let lambdas = scopes.iter().rev().take_while(is_lambda).count();
    let mut names: Vec<&str> =
        scopes.iter().filter(|name| !is_lambda(name)).map(String::as_str).collect();
    // A template with one member is written twice: `std.conv.to!(int).to(long)`.
    names.dedup();
    let shown = names[names.len().saturating_sub(2)..].iter().copied();
    let shown: Vec<&str> = shown.chain(std::iter::repeat_n("{lambda}", lambdas)).collect();
    shown.join(".")
}

fn scopes(text: &str) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    let mut before = Vec::new();
    let mut name = String::new();
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'.' => {
                scopes.extend(Some(std::mem::take(&mut name)).filter(|name| !name.is_empty()));
                at += 1;
            }
            b' ' => {
                scopes.extend(Some(std::mem::take(&mut name)).filter(|name| !name.is_empty()));
                if !scopes.is_empty() {
                    before = std::mem::take(&mut scopes);
                }
                at += 1;
            }
            b'!' => {
                // Template arguments: a group, or one word.
                at += 1;
                if text[at..].starts_with('(') {
                    at = group_end(text, at, Rules::D);
                } else {
                    let word = text[at..].find(|c: char| !(c.is_alphanumeric() || c == '_'));
                    at = word.map_or(text.len(), |length| at + length);
                }
            }
            b'(' => {
                let end = group_end(text, at, Rules::D);
                let is_type = name.is_empty()
                    || ["const", "immutable", "shared", "inout", "extern"].contains(&&*name);
                at = end;
                if !is_type {
                    let rest = text[end..].trim_start();
                    // Parameters follow those of a template (`f(T)(int)`), or a scope does.
                    match rest.as_bytes().first() {
                        Some(b'(' | b'.') => at = text.len() - rest.len(),
                        _ => break,
                    }
                }
            }
            b'[' | b'{' => at = group_end(text, at, Rules::D),
            b')' | b']' | b'}' => at += 1,
            _ => {
                let c = text[at..].chars().next().unwrap_or(' ');
                name.push(c);
                at += c.len_utf8();
            }
        }
    }
    scopes.extend(Some(name).filter(|name| !name.is_empty()));
    if scopes.is_empty() { before } else { scopes }
}
