//! `rheaper query`: lists, describes and runs canned queries.
//!
//! Reads: the catalog and a database. Writes: answers to stdout.
//!
//! The parameters are the query's own, so that clap can't know them: what follows the name is
//! read here.

use std::io::{self, BufWriter, Write};

use clap::ValueEnum;

use crate::cli::args::QueryArgs;
use crate::cli::commands::open;
use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::run_query::{self, Question};
use crate::database::builtin;
use crate::database::text::sanitize;
use crate::database::text::units;
use crate::database::{CancelToken, Canned, Catalog, Limits, Params};
use crate::present::table_printer::Format;

/// `rheaper query`
pub(crate) fn query(args: &QueryArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let catalog = catalog();
    let mut out = BufWriter::new(io::stdout().lock());
    // `rheaper query heap.db --help`-like words stand where the name would.
    let Some(name) = args.name.as_deref().filter(|name| !name.starts_with('-')) else {
        open::database(&args.database)?;
        return Ok(list(&catalog, &mut out)?);
    };
    let canned = find(&catalog, name)?;
    let typed = Typed::parse(canned, &args.rest)?;
    match typed.wish {
        Wish::Describe => return Ok(describe(canned, &mut out)?),
        Wish::Sql => return Ok(writeln!(out, "{}", sanitize::block(canned.sql.trim_end()))?),
        Wish::Run => {}
    }
    let database = open::database(&args.database)?;
    let params = typed.bind(canned)?;
    let sql = canned.sql_for(&progress::notes(&database));
    let question = Question { sql: &sql, params: &params, canned: Some(canned) };
    let limits = Limits::none().cancelled_by(cancel);
    let rows = run_query::ask(
        &database,
        &question,
        &run_query::style_of(typed.format),
        &limits,
        &mut out,
    )?;
    if canned.limit(&params).is_some_and(|limit| limit == rows) {
        let all = canned.count(&database, &params, &limits)?;
        if all > rows {
            let count = |rows: u64| units::count(i64::try_from(rows).unwrap_or(i64::MAX));
            out.flush()?;
            progress::say(&format!(
                "the first {} of {} rows: --limit gives more",
                count(rows),
                count(all)
            ));
        }
    }
    Ok(())
}

/// The values of `--PARAM VALUE` words, and the defaults of the others.
pub(crate) fn bind_words(canned: &Canned, words: &[String]) -> Result<Params, Failure> {
    Typed::parse(canned, words)?.bind(canned)
}

/// Ours and the user's. What is wrong with the user's files is said, and no reason to stop.
pub(crate) fn catalog() -> Catalog {
    let (catalog, problems) = Catalog::with_user(builtin::user_directory().as_deref());
    for problem in problems {
        progress::say(&format!("ignored {problem}"));
    }
    catalog
}

/// The query of a name, or what was perhaps meant.
pub(crate) fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a Canned, Failure> {
    catalog.get(name).ok_or_else(|| {
        let meant = catalog.nearest(name).map(|nearest| format!("; did you mean `{nearest}`?"));
        Failure::usage(format!("no query is called `{name}`{}", meant.unwrap_or_default()))
    })
}

/// Every query, by group: its name and title.
pub(crate) fn list(catalog: &Catalog, out: &mut dyn Write) -> io::Result<()> {
    let width = catalog.iter().map(|canned| canned.name.len()).max().unwrap_or(0);
    let mut group = "";
    for canned in catalog.iter() {
        if canned.group != group {
            let lead = if group.is_empty() { "" } else { "\n" };
            writeln!(out, "{lead}{}:", sanitize::line(&canned.group))?;
            group = &canned.group;
        }
        writeln!(
            out,
            "  {:width$}  {}",
            sanitize::line(&canned.name),
            sanitize::line(&canned.title)
        )?;
    }
    out.flush()
}

/// What it answers, asks for and gives.
pub(crate) fn describe(canned: &Canned, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", sanitize::line(&canned.name), sanitize::line(&canned.title))?;
    if !canned.question.is_empty() {
        writeln!(out, "\n{}", sanitize::line(&canned.question))?;
    }
    for (i, parameter) in canned.parameters.iter().enumerate() {
        if i == 0 {
            writeln!(out, "\nParameters:")?;
        }
        let default = match parameter.default.as_deref() {
            None => "must be given".to_owned(),
            Some("") => "any if not given".to_owned(),
            Some(default) => format!("{default} if not given"),
        };
        let kind = parameter.kind.word();
        writeln!(
            out,
            "  --{} {kind}  {} ({default})",
            sanitize::line(&parameter.name),
            sanitize::line(&parameter.help)
        )?;
    }
    for (i, column) in canned.columns.iter().enumerate() {
        if i == 0 {
            writeln!(out, "\nColumns:")?;
        }
        writeln!(
            out,
            "  {} ({})  {}",
            sanitize::line(&column.name),
            column.unit.word(),
            sanitize::line(&column.help)
        )?;
    }
    out.flush()
}

/// What followed the name.
struct Typed {
    wish: Wish,
    format: Format,
    params: Vec<(String, String)>,
}

enum Wish {
    Run,
    Describe,
    Sql,
}

impl Typed {
    fn parse(canned: &Canned, words: &[String]) -> Result<Self, Failure> {
        let mut typed = Self { wish: Wish::Run, format: Format::default(), params: Vec::new() };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(name) = word.strip_prefix("--") else {
                return Err(Failure::usage(format!("expected --PARAM VALUE, found `{word}`")));
            };
            let (name, value) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            let declared = name.replace('-', "_");
            match name {
                "describe" | "help" => typed.wish = Wish::Describe,
                "sql" if canned.parameter("sql").is_none() => typed.wish = Wish::Sql,
                _ => {
                    let value = value.or_else(|| words.next().cloned());
                    let value =
                        value.ok_or_else(|| Failure::usage(format!("--{name} needs a value")))?;
                    if name == "format" && canned.parameter("format").is_none() {
                        typed.format = Format::from_str(&value, true).map_err(Failure::usage)?;
                    } else {
                        typed.params.push((declared, value));
                    }
                }
            }
        }
        Ok(typed)
    }

    fn bind(&self, canned: &Canned) -> Result<Params, Failure> {
        let given: Vec<_> =
            self.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        canned.bind(&given).map_err(|error| Failure::usage(format!("{}: {error}", canned.name)))
    }
}
