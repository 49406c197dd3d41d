//! Line editing of the prompt: highlighting, hints, completion, and detection of complete input.

use std::borrow::Cow;

use rustyline::completion::{Completer, Pair};
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Result};

use crate::cli::repl::commands::{ArgumentKind, COMMANDS};
use crate::database::completion::{self, CandidateKind, Names};
use crate::database::sql::lexer::{self, Ending, TokenKind};
use crate::present::table_printer::Format;

/// Words shorter than this get no hint, because too many names match.
const HINT_MIN: usize = 2;

pub(super) struct Helper {
    names: Names,
    history: HistoryHinter,
}

impl Helper {
    pub(super) fn new(names: Names) -> Self {
        Self { names, history: HistoryHinter::new() }
    }

    /// Completes dot commands and their arguments.
    fn complete_command(&self, line: &str, cursor: usize) -> (usize, Vec<Pair>) {
        let line = &line[..cursor];
        let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let typed = &line[start..];
        let words: Vec<String> = if start == 0 {
            COMMANDS.iter().map(|command| command.name.to_owned()).collect()
        } else {
            let name = line.split_whitespace().next().unwrap_or_default();
            let kind = COMMANDS
                .iter()
                .find(|command| command.name == name)
                .map(|command| command.argument);
            self.arguments(kind.unwrap_or(ArgumentKind::None))
        };
        let fits = words.into_iter().filter(|word| word.starts_with(typed));
        (start, fits.map(|word| Pair { display: word.clone(), replacement: word }).collect())
    }

    fn arguments(&self, kind: ArgumentKind) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        match kind {
            ArgumentKind::None | ArgumentKind::File | ArgumentKind::Numbers => Vec::new(),
            ArgumentKind::Switch => words(&["on", "off"]),
            ArgumentKind::Format => {
                Format::NAMES.iter().map(|(_, name, _)| (*name).to_owned()).collect()
            }
            ArgumentKind::Table => {
                self.names.tables.iter().map(|table| table.name.clone()).collect()
            }
            ArgumentKind::Query => self.names.queries.clone(),
        }
    }
}

impl rustyline::Helper for Helper {}

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(&self, line: &str, cursor: usize, _: &Context<'_>) -> Result<(usize, Vec<Pair>)> {
        if line.starts_with('.') {
            return Ok(self.complete_command(line, cursor));
        }
        let found = completion::complete(line, cursor, &self.names);
        let pairs = found.candidates.into_iter().map(|candidate| {
            let call = if candidate.kind == CandidateKind::Function { "(" } else { "" };
            Pair { display: candidate.text.clone(), replacement: candidate.text + call }
        });
        Ok((found.range.start, pairs.collect()))
    }
}

impl Hinter for Helper {
    type Hint = String;

    /// The rest of an earlier statement with the same beginning, else of the best completion.
    fn hint(&self, line: &str, cursor: usize, context: &Context<'_>) -> Option<String> {
        if cursor < line.len() || line.is_empty() {
            return None;
        }
        if let Some(hint) = self.history.hint(line, cursor, context).filter(|hint| !hint.is_empty())
        {
            return Some(hint);
        }
        if line.starts_with('.') {
            return None;
        }
        let found = completion::complete(line, cursor, &self.names);
        let typed = &line[found.range];
        let best = found.candidates.first()?;
        let rest = best.text.get(typed.len()..)?;
        let begins = best.text[..typed.len()].eq_ignore_ascii_case(typed);
        (typed.len() >= HINT_MIN && begins).then(|| rest.to_owned())
    }
}

impl Highlighter for Helper {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if line.starts_with('.') {
            return Cow::Borrowed(line);
        }
        Cow::Owned(coloured(line))
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("\x1b[2m{hint}\x1b[0m"))
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        true
    }
}

impl Validator for Helper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> Result<ValidationResult> {
        let input = context.input();
        let whole = input.trim().is_empty() || input.starts_with('.') || lexer::is_complete(input);
        Ok(if whole { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

/// The statement with SGR colours; its characters are unchanged.
fn coloured(sql: &str) -> String {
    let mut text = String::with_capacity(sql.len() * 2);
    let tokens = lexer::tokens(sql);
    for (i, token) in tokens.iter().enumerate() {
        let called = tokens.get(i + 1).is_some_and(|next| next.text(sql) == "(");
        let colour = match token.kind {
            _ if token.ending == Ending::Open => "33",
            TokenKind::Name if called => "36",
            TokenKind::Keyword => "1;34",
            TokenKind::String | TokenKind::Blob => "32",
            TokenKind::Number => "35",
            TokenKind::Comment => "2",
            TokenKind::Parameter => "33",
            TokenKind::Illegal => "31",
            _ => "",
        };
        if colour.is_empty() {
            text.push_str(token.text(sql));
        } else {
            text.push_str(&format!("\x1b[{colour}m{}\x1b[0m", token.text(sql)));
        }
    }
    text
}
