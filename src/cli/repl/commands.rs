//! The dot commands of the prompt: one table for help, completion and dispatch.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::cli::commands::{query, sql};
use crate::cli::exit::Failure;
use crate::cli::repl::session::{Session, Timer};
use crate::cli::run_query::Statement;
use crate::database::caveats::Caveats;
use crate::database::text::sanitize;
use crate::database::{Limits, Params, page};
use crate::present::table_printer::{Format, Headers};

/// A dot command.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) argument: ArgumentKind,
    usage: &'static str,
    help: &'static str,
    run: fn(&mut Session<'_>, &[String]) -> Result<Outcome, Failure>,
}

/// The effect of a command on the script that it is part of.
pub(super) enum Outcome {
    /// Continue with the next line.
    Done,
    /// Run this script, then continue.
    Script(String),
    /// Leave the prompt.
    Quit,
}

/// The argument of a command, for completion.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgumentKind {
    None,
    Switch,
    Format,
    Table,
    Query,
    File,
    Numbers,
}

/// All commands in the order of `.help`.
#[rustfmt::skip]
pub(super) const COMMANDS: &[Command] = &[
    Command { name: ".help", argument: ArgumentKind::None, usage: "", help: "list the commands", run: help },
    Command { name: ".queries", argument: ArgumentKind::Query, usage: "[NAME]", help: "list the built-in queries, or describe one", run: queries },
    Command { name: ".run", argument: ArgumentKind::Query, usage: "NAME [--PARAM VALUE]...", help: "run a built-in query", run: run_query },
    Command { name: ".tables", argument: ArgumentKind::None, usage: "", help: "list tables and views", run: tables },
    Command { name: ".schema", argument: ArgumentKind::Table, usage: "[TABLE]", help: "CREATE statements of tables", run: schema },
    Command { name: ".mode", argument: ArgumentKind::Format, usage: "FORMAT", help: "table, csv, tsv, json, jsonl, markdown or line", run: mode },
    Command { name: ".headers", argument: ArgumentKind::Switch, usage: "on|off", help: "column names above the rows", run: headers },
    Command { name: ".width", argument: ArgumentKind::Numbers, usage: "[N]...", help: "column widths; 0 or none: automatic", run: width },
    Command { name: ".timer", argument: ArgumentKind::Switch, usage: "on|off", help: "number of rows and time below each result", run: timer },
    Command { name: ".output", argument: ArgumentKind::File, usage: "[[--overwrite] FILE]", help: "results to a file; without one, to the screen", run: output },
    Command { name: ".read", argument: ArgumentKind::File, usage: "FILE", help: "run the statements and commands of a file", run: read },
    Command { name: ".quit", argument: ArgumentKind::None, usage: "", help: "leave; also Ctrl-D", run: quit },
    Command { name: ".exit", argument: ArgumentKind::None, usage: "", help: "same as .quit", run: quit },
];

/// Runs a line that begins with a dot.
pub(super) fn dispatch(session: &mut Session<'_>, line: &str) -> Result<Outcome, Failure> {
    let words = words(line);
    let name = words.first().map_or("", String::as_str);
    let mut fits = COMMANDS.iter().filter(|command| command.name.starts_with(name));
    let exact = COMMANDS.iter().find(|command| command.name == name);
    let command = exact.or_else(|| fits.next().filter(|_| fits.next().is_none() && name.len() > 1));
    let command = command.ok_or_else(|| {
        Failure::usage(format!("no command is called `{name}`; .help lists them"))
    })?;
    (command.run)(session, words.get(1..).unwrap_or_default())
}

/// Splits at blanks; `'a b'` and `"a b"` are one word.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (word, after) = match quote {
            Some(quote) => rest[1..].split_once(quote).unwrap_or((&rest[1..], "")),
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

fn help(session: &mut Session<'_>, _: &[String]) -> Result<Outcome, Failure> {
    session.show(|out| {
        for command in COMMANDS {
            writeln!(out, "{:34} {}", format!("{} {}", command.name, command.usage), command.help)?;
        }
        writeln!(out, "\nA statement ends with `;` and may have several lines. Tab completes, Ctrl-R searches,")?;
        writeln!(out, "Ctrl-C stops the running query. Nothing can be changed or created in the database.")
    })?;
    Ok(Outcome::Done)
}

fn queries(session: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    let catalog = session.catalog;
    match arguments.first() {
        None => session.show(|out| query::list(catalog, out))?,
        Some(name) => {
            let found = query::find(catalog, name)?;
            session.show(|out| query::describe(found, out))?;
        }
    }
    Ok(Outcome::Done)
}

fn run_query(session: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    let Some((name, rest)) = arguments.split_first() else {
        return Err(Failure::usage(".run needs the name of a built-in query; .queries lists them"));
    };
    let query = query::find(session.catalog, name)?;
    let params = query::bind_words(query, rest)?;
    let caveats = Caveats::read(session.database, &Limits::default()).unwrap_or_default();
    let sql = query.sql_for(&caveats);
    session.run(&Statement { sql: &sql, params: &params, query: Some(query) })?;
    Ok(Outcome::Done)
}

fn tables(session: &mut Session<'_>, _: &[String]) -> Result<Outcome, Failure> {
    let sql = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name";
    let found = session.database.query(sql, &Params::none(), &Limits::default())?;
    session.show(|out| {
        for row in &found.rows {
            writeln!(out, "{}", sanitize::line(row[0].as_str().unwrap_or_default()))?;
        }
        Ok(())
    })?;
    Ok(Outcome::Done)
}

fn schema(session: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL \
               AND (:name IS NULL OR tbl_name = :name COLLATE NOCASE) ORDER BY rowid";
    let name = arguments.first().map_or(crate::database::Value::Null, |name| name.as_str().into());
    let mut params = Params::none();
    params.set("name", name);
    let found = session.database.query(sql, &params, &Limits::default())?;
    if let (0, Some(name)) = (found.rows.len(), arguments.first()) {
        return Err(Failure::failed(format!("no table is called {}", page::quote(name))));
    }
    session.show(|out| {
        for row in &found.rows {
            writeln!(out, "{};", sanitize::block(row[0].as_str().unwrap_or_default()))?;
        }
        Ok(())
    })?;
    Ok(Outcome::Done)
}

fn mode(session: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    let name = arguments.first().map_or("", String::as_str);
    session.style.format =
        Format::parse(name).map_err(|message| Failure::usage(format!(".mode: {message}")))?;
    Ok(Outcome::Done)
}

fn headers(session: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    session.style.headers =
        if switch(".headers", arguments)? { Headers::Shown } else { Headers::Hidden };
    Ok(Outcome::Done)
}

fn width(session: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    let parsed: Result<Vec<usize>, _> = arguments.iter().map(|argument| argument.parse()).collect();
    session.style.column_widths =
        parsed.map_err(|_| Failure::usage(".width needs one number per column"))?;
    Ok(Outcome::Done)
}

fn timer(session: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    session.timer = if switch(".timer", arguments)? { Timer::On } else { Timer::Off };
    Ok(Outcome::Done)
}

/// Creates a file that only its owner may read; replaces an existing one only with `--overwrite`.
fn output(session: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    let (overwrite, name) = match arguments {
        [] => {
            session.output = None;
            return Ok(Outcome::Done);
        }
        [flag, name] if flag == "--overwrite" => (true, name),
        [name] if !name.starts_with("--") => (false, name),
        _ => return Err(Failure::usage(".output [[--overwrite] FILE]")),
    };
    if session.is_database(Path::new(name)) {
        return Err(Failure::usage("that file is the open database"));
    }
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    let options =
        if overwrite { options.create(true).truncate(true) } else { options.create_new(true) };
    let file = options.open(name).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::failed(format!("{name} exists; `.output --overwrite {name}` replaces it"))
        }
        _ => Failure::file(format!("{name}: {error}")),
    })?;
    session.output = Some(file);
    Ok(Outcome::Done)
}

fn read(_: &mut Session<'_>, arguments: &[String]) -> Result<Outcome, Failure> {
    let [name] = arguments else {
        return Err(Failure::usage(".read needs one file"));
    };
    Ok(Outcome::Script(sql::read_script(Path::new(name))?))
}

fn quit(_: &mut Session<'_>, _: &[String]) -> Result<Outcome, Failure> {
    Ok(Outcome::Quit)
}

fn switch(command: &str, arguments: &[String]) -> Result<bool, Failure> {
    match arguments {
        [word] if word == "on" => Ok(true),
        [word] if word == "off" => Ok(false),
        _ => Err(Failure::usage(format!("{command} on|off"))),
    }
}
