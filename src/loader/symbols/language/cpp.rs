//! C++: mangled names, and what demanglers and debug information make of them.
//!
//! Reads: `_Z…`, or a declaration such as `void ns::Cache<K>::emplace<K>(K&&) const`. Writes: its
//! words, and the scopes that the function is in.
//!
//! A declaration is read from its left end, outside all brackets: a space ends the return type, a
//! `::` a scope, and parameters end the name unless a `::` goes on behind them, as in what is
//! local to a function.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, Symbol};

use crate::loader::symbols::language::brackets::{
    Rules, group_end, is_word_start, split_group, split_once,
};
use crate::loader::symbols::language::{Language, Words, cpp_operator, plain};

/// No name is demangled further than this; substitutions could make one of any length.
const BYTES_MAX: usize = 1 << 20;

/// The scope that has no name.
pub(crate) const ANONYMOUS: &str = "(anonymous namespace)";

const LAMBDA: &str = "{lambda}";

/// Words of demanglers before the name that a table or a thunk belongs to.
const MADE_FOR: [&str; 17] = [
    "vtable for ",
    "VTT for ",
    "typeinfo for ",
    "typeinfo name for ",
    "typeinfo fn for ",
    "guard variable for ",
    "non-virtual thunk to ",
    "virtual thunk to ",
    "covariant return thunk to ",
    "construction vtable for ",
    "TLS init function for ",
    "TLS wrapper function for ",
    "transaction clone for ",
    "non-transaction clone for ",
    "hidden alias for ",
    "invocation function for block in ",
    "reference temporary for ",
];

/// The words of a name that begins with `_Z`, whatever stands before it; `None` if it is none.
pub(crate) fn mangled(symbol: &str) -> Option<Words> {
    let whole = demangle(symbol)?;
    let short = short(&whole);
    Some(Words { language: Language::Cpp, whole, identity: None, short })
}

/// The name as `cpp_demangle` writes it, which refuses what nests deeper than a small stack bears.
fn demangle(symbol: &str) -> Option<String> {
    let parsed = Symbol::new(symbol).ok()?;
    let mut limited = Limited(String::new());
    parsed.structured_demangle(&mut limited, &DemangleOptions::default()).ok()?;
    Some(limited.0)
}

/// Text up to [`BYTES_MAX`].
struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        if self.0.len() < BYTES_MAX { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Whether only C++ writes such a name.
pub(crate) fn is_certain(text: &str) -> bool {
    const MARKS: [&str; 8] = [
        ANONYMOUS,
        "{lambda(",
        "<lambda(",
        "{unnamed type",
        "{default arg",
        "[abi:",
        "[clone ",
        "::~",
    ];
    let is_operator = |(at, _): (usize, &str)| {
        is_word_start(text, at)
            && (cpp_operator::symbol_length(&text[at..]).is_some()
                || text[at..].starts_with("operator\"\"")
                || text[at..].starts_with("operator "))
    };
    MARKS.iter().any(|mark| text.contains(mark))
        || made_for(text).len() < text.len()
        || text.match_indices("operator").any(is_operator)
}

/// `Store::insert` of `ns::Store::insert(std::vector<ns::Key> const&)`.
pub(crate) fn short(text: &str) -> String {
    let scopes = scopes(text);
    let is_std = scopes.first().is_some_and(|root| root == "std");
    let mut names: Vec<&str> = Vec::new();
    let mut lambdas = 0;
    let mut before = "";
    for scope in &scopes {
        let is_call = before == LAMBDA && matches!(&**scope, "operator()" | "_FUN" | "__invoke");
        match &**scope {
            LAMBDA => lambdas += 1,
            _ if is_call => {}
            ANONYMOUS => {}
            inline if is_std && is_inline_namespace(inline) => {}
            name => {
                lambdas = 0;
                names.push(name);
            }
        }
        if !is_call {
            before = scope;
        }
    }
    let from = names.len().saturating_sub(2);
    let inside = std::iter::repeat_n(LAMBDA, lambdas);
    let parts: Vec<&str> = names[from..].iter().copied().chain(inside).collect();
    if parts.is_empty() { scopes.join("::") } else { parts.join("::") }
}

/// Whether a namespace is a version of the standard library, which sources do not spell out.
fn is_inline_namespace(name: &str) -> bool {
    let version = name.strip_prefix("__ndk").or_else(|| name.strip_prefix("__cxx"));
    let version = version.or_else(|| name.strip_prefix("__")).or_else(|| name.strip_prefix("_V"));
    version.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The scopes that a function is in, from the outermost, and its own name; template arguments and
/// parameters are left out.
pub(crate) fn scopes(text: &str) -> Vec<String> {
    let mut reader = Reader { text: made_for(text), ..Reader::default() };
    // Each step takes at least a byte.
    while reader.at < reader.text.len() && !reader.is_done {
        reader.step();
    }
    reader.finish()
}

/// The name that a thunk or a table belongs to.
fn made_for(text: &str) -> &str {
    let mut text = text;
    while let Some(rest) = MADE_FOR.iter().find_map(|mark| text.strip_prefix(mark)) {
        text = rest;
    }
    // `{virtual override thunk({offset(-16)}, ns::A::f())}`, `{vtable(ns::A)}`
    if text.starts_with('{') && !text.starts_with("{lambda") {
        let (inside, rest) = split_group(text, Rules::Cpp);
        if rest.is_empty()
            && let Some(at) = inside.find('(')
        {
            let (inside, _) = split_group(&inside[at..], Rules::Cpp);
            let mut last = inside;
            while let Some((_, after)) = split_once(last, ", ", Rules::Cpp) {
                last = after;
            }
            return last;
        }
    }
    text
}

#[derive(Default)]
struct Reader<'a> {
    text: &'a str,
    at: usize,
    /// The scopes that are complete.
    scopes: Vec<String>,
    /// The one that is being read.
    name: String,
    /// The name before a space, in case no other follows.
    before: Vec<String>,
    is_done: bool,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn step(&mut self) {
        let rest = self.rest();
        if self.name.is_empty() && self.operator(rest) {
            return;
        }
        match rest.as_bytes()[0] {
            b':' if rest.starts_with("::") => {
                self.end_scope();
                self.at += 2;
            }
            b'<' => self.angle(rest),
            b'(' => self.parenthesis(rest),
            b'{' => self.brace(rest),
            b'[' if rest.starts_with("[clone ") => self.is_done = true,
            b'[' => self.at = group_end(self.text, self.at, Rules::Cpp),
            b'\'' if self.name.is_empty() && self.quoted(rest) => {}
            b' ' => self.space(rest),
            _ => {
                let c = rest.chars().next().unwrap_or(' ');
                // A closing bracket that closes nothing is no part of a name.
                if !matches!(c, ')' | ']' | '}' | '>') {
                    self.name.push(c);
                }
                self.at += c.len_utf8();
            }
        }
    }

    fn end_scope(&mut self) {
        let name = std::mem::take(&mut self.name);
        // clang's lambdas: `main::$_0`.
        let is_lambda = name
            .strip_prefix("$_")
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
        if is_lambda {
            self.scopes.push(String::from(LAMBDA));
        } else if !name.is_empty() {
            self.scopes.push(name);
        }
    }

    /// An operator, as the name of a function.
    fn operator(&mut self, rest: &str) -> bool {
        if !rest.starts_with("operator") || !is_word_start(self.text, self.at) {
            return false;
        }
        let Some((name, after)) = cpp_operator::split(rest) else { return false };
        self.at = self.text.len() - after.len();
        if name != "operator " {
            self.name = name.replace("r \"\"", "r\"\"").replace("\"\" ", "\"\"");
            return true;
        }
        // A conversion: all is the type, up to the parameters.
        let end = conversion_end(after);
        self.name = format!("operator {}", without_arguments(after[..end].trim_end()));
        self.at += end;
        true
    }

    fn angle(&mut self, rest: &str) {
        let end = group_end(self.text, self.at, Rules::Cpp);
        // As debug information calls a lambda.
        if self.name.is_empty() && rest.starts_with("<lambda") {
            self.name = String::from(LAMBDA);
        }
        self.at = end;
    }

    fn brace(&mut self, rest: &str) {
        let (inside, after) = split_group(rest, Rules::Cpp);
        if self.name.is_empty() {
            let kind = inside.split(['(', '#']).next().unwrap_or(inside).trim_end();
            let is_word = kind.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | ' '));
            let kind = if kind == "unnamed type" || !is_word { "unnamed" } else { kind };
            self.name = format!("{{{kind}}}");
        }
        self.at = self.text.len() - after.len();
    }

    /// `'lambda'(int)`, `'unnamed'`.
    fn quoted(&mut self, rest: &str) -> bool {
        let Some((word, after)) = rest[1..].split_once('\'') else { return false };
        let kind = word.trim_end_matches(|c: char| c.is_ascii_digit());
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_alphabetic()) {
            return false;
        }
        self.name = format!("{{{kind}}}");
        self.at = self.text.len() - after.len();
        if after.starts_with('(') {
            self.at = group_end(self.text, self.at, Rules::Cpp);
        }
        true
    }

    fn parenthesis(&mut self, rest: &str) {
        let (inside, after) = split_group(rest, Rules::Cpp);
        let end = self.text.len() - after.len();
        if !self.name.is_empty() {
            let is_type = matches!(&*self.name, "decltype" | "noexcept" | "__typeof");
            match (is_type, local_to(after)) {
                (true, _) => self.at = end,
                // A name that is local to this function.
                (false, Some(local)) => self.at = self.text.len() - local.len(),
                (false, None) => self.is_done = true,
            }
            return;
        }
        self.at = end;
        if inside.starts_with("anonymous") && inside.contains("namespace") {
            self.name = String::from(ANONYMOUS);
        } else if inside.starts_with("lambda") {
            self.name = String::from(LAMBDA);
        } else if inside.starts_with("anonymous") {
            self.name = String::from("{unnamed}");
        } else if let Some(declared) = pointed(inside) {
            // `void (*ns::get<int>(int))(char)` returns a pointer to a function.
            let inner = scopes(declared);
            if !inner.is_empty() {
                self.scopes = inner;
                self.is_done = true;
            }
        }
    }

    /// A space ends the return type, or stands before arguments or an attribute.
    fn space(&mut self, rest: &str) {
        let after = rest.trim_start();
        let next = self.text.len() - after.len();
        let is_operator = self.name.starts_with("operator");
        let goes_on = is_operator && after.starts_with('<')
            || after.starts_with("[abi:")
            || self.name == "decltype" && after.starts_with('(');
        if goes_on || after.is_empty() {
            self.at = next;
            return;
        }
        self.end_scope();
        if !self.scopes.is_empty() {
            self.before = std::mem::take(&mut self.scopes);
        }
        self.at = next;
    }

    fn finish(mut self) -> Vec<String> {
        self.end_scope();
        let mut found = if self.scopes.is_empty() { self.before } else { self.scopes };
        // `ns::operator_km::operator ""`, as `cpp_demangle` writes `ns::operator""_km`.
        if let [.., literal, last] = &*found
            && last == "operator\"\""
            && let Some(suffix) = literal.strip_prefix("operator")
        {
            let whole = format!("operator\"\"{suffix}");
            found.truncate(found.len() - 2);
            found.push(whole);
        }
        found.into_iter().map(|name| plain::without_clone(&name).to_owned()).collect()
    }
}

/// The name after the qualifiers of an enclosing function; `None` if there is none.
fn local_to(after: &str) -> Option<&str> {
    let mut rest = after;
    loop {
        rest = rest.trim_start();
        if rest.starts_with("::") {
            return Some(rest);
        }
        if rest.starts_with("[abi:") {
            rest = split_group(rest, Rules::Cpp).1;
            continue;
        }
        let words = ["const", "volatile", "restrict", "noexcept", "&&", "&"];
        rest = words.iter().find_map(|word| rest.strip_prefix(word))?;
    }
}

/// The name after the stars of `*name(int)` or `Class::*name(int)`.
fn pointed(inside: &str) -> Option<&str> {
    let member = split_once(inside, "::*", Rules::Cpp).map(|(_, rest)| rest);
    let rest = member.unwrap_or(inside).trim_start_matches(['*', '&', ' ']);
    let rest = rest.strip_prefix("const ").unwrap_or(rest);
    (rest.len() < inside.len() && !rest.is_empty()).then_some(rest)
}

/// Where the type of a conversion ends: before the last of the groups that follow it.
fn conversion_end(text: &str) -> usize {
    let mut at = 0;
    let mut last = None;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'(' => {
                let end = group_end(text, at, Rules::Cpp);
                last = Some(at);
                if !text[end..].starts_with('(') {
                    break;
                }
                at = end;
            }
            b'<' | b'[' | b'{' => at = group_end(text, at, Rules::Cpp),
            _ => at += text[at..].chars().next().map_or(1, char::len_utf8),
        }
    }
    last.unwrap_or(text.len())
}

/// The type without what stands in angle brackets.
fn without_arguments(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, _)) = split_once(rest, "<", Rules::Cpp) {
        kept.push_str(before);
        rest = &rest[group_end(rest, before.len(), Rules::Cpp)..];
    }
    kept.push_str(rest);
    kept
}
