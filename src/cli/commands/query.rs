//! `rheaper query`: lists, describes and runs built-in queries.
//!
//! Each query has its own parameters, which clap can't know: the arguments after the name are parsed
//! here.

use std::io::{self, BufWriter, Write};

use crate::cli::args::QueryArgs;
use crate::cli::commands::open;
use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::cli::run_query::{self, Statement};
use crate::database::builtin;
use crate::database::text::sanitize;
use crate::database::text::units;
use crate::database::{BuiltinQuery, CancelToken, Catalog, Limits, Params};
use crate::present::table_printer::Format;

/// `rheaper query`
pub(crate) fn query(args: &QueryArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let catalog = catalog();
    let mut out = BufWriter::new(io::stdout().lock());
    // Flags such as `--help` can take the position of the name.
    let Some(name) = args.name.as_deref().filter(|name| !name.starts_with('-')) else {
        open::database(&args.database)?;
        return Ok(list(&catalog, &mut out)?);
    };
    let query = find(&catalog, name)?;
    let typed = Arguments::parse(query, &args.rest)?;
    match typed.action {
        Action::Describe => return Ok(describe(query, &mut out)?),
        Action::Sql => return Ok(writeln!(out, "{}", sanitize::block(query.sql.trim_end()))?),
        Action::Run => {}
    }
    let database = open::database(&args.database)?;
    let params = typed.bind(query)?;
    let sql = query.sql_for(&progress::print_caveats(&database));
    let statement = Statement { sql: &sql, params: &params, query: Some(query) };
    let limits = Limits::none().cancelled_by(cancel);
    let style = run_query::style_of(typed.format);
    let rows = run_query::run(&database, &statement, &style, &limits, &mut out)?;
    if query.limit(&params).is_some_and(|limit| limit == rows) {
        let all = query.count(&database, &params, &limits)?;
        if all > rows {
            let count = |rows: u64| units::count(i64::try_from(rows).unwrap_or(i64::MAX));
            out.flush()?;
            progress::print_line(&format!(
                "the first {} of {} rows: --limit gives more",
                count(rows),
                count(all)
            ));
        }
    }
    Ok(())
}

/// Parses `--PARAM VALUE` words into parameters.
pub(crate) fn bind_words(query: &BuiltinQuery, words: &[String]) -> Result<Params, Failure> {
    Arguments::parse(query, words)?.bind(query)
}

/// The built-in queries and the user's; problems of the user's files are printed.
pub(crate) fn catalog() -> Catalog {
    let (catalog, problems) = Catalog::with_user(builtin::user_directory().as_deref());
    for problem in problems {
        progress::print_line(&format!("ignored {problem}"));
    }
    catalog
}

/// The query of a name; the error suggests a similar name.
pub(crate) fn find<'a>(catalog: &'a Catalog, name: &str) -> Result<&'a BuiltinQuery, Failure> {
    catalog.get(name).ok_or_else(|| {
        let meant = catalog.nearest(name).map(|nearest| format!("; did you mean `{nearest}`?"));
        Failure::usage(format!("no query is called `{name}`{}", meant.unwrap_or_default()))
    })
}

/// Prints names and titles of all queries by group.
pub(crate) fn list(catalog: &Catalog, out: &mut dyn Write) -> io::Result<()> {
    let width = catalog.iter().map(|query| query.name.len()).max().unwrap_or(0);
    let mut group = "";
    for query in catalog.iter() {
        if query.group != group {
            let lead = if group.is_empty() { "" } else { "\n" };
            writeln!(out, "{lead}{}:", sanitize::line(&query.group))?;
            group = &query.group;
        }
        writeln!(
            out,
            "  {:width$}  {}",
            sanitize::line(&query.name),
            sanitize::line(&query.title)
        )?;
    }
    out.flush()
}

/// Prints the description, parameters and columns of a query.
pub(crate) fn describe(query: &BuiltinQuery, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}: {}", sanitize::line(&query.name), sanitize::line(&query.title))?;
    if !query.description.is_empty() {
        writeln!(out, "\n{}", sanitize::line(&query.description))?;
    }
    for (i, parameter) in query.parameters.iter().enumerate() {
        if i == 0 {
            writeln!(out, "\nParameters:")?;
        }
        let default = match parameter.default.as_deref() {
            None => "required".to_owned(),
            Some("") => "default: any".to_owned(),
            Some(default) => format!("default: {default}"),
        };
        let kind = parameter.kind.name();
        writeln!(
            out,
            "  --{} {kind}  {} ({default})",
            sanitize::line(&parameter.name),
            sanitize::line(&parameter.help)
        )?;
    }
    for (i, column) in query.columns.iter().enumerate() {
        if i == 0 {
            writeln!(out, "\nColumns:")?;
        }
        writeln!(
            out,
            "  {} ({})  {}",
            sanitize::line(&column.name),
            column.unit.name(),
            sanitize::line(&column.help)
        )?;
    }
    out.flush()
}

/// The arguments after the name.
struct Arguments {
    action: Action,
    format: Format,
    params: Vec<(String, String)>,
}

enum Action {
    Run,
    Describe,
    Sql,
}

impl Arguments {
    fn parse(query: &BuiltinQuery, words: &[String]) -> Result<Self, Failure> {
        let mut typed = Self { action: Action::Run, format: Format::default(), params: Vec::new() };
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
                "describe" | "help" => typed.action = Action::Describe,
                "sql" if query.parameter("sql").is_none() => typed.action = Action::Sql,
                _ => {
                    let value = value.or_else(|| words.next().cloned());
                    let value =
                        value.ok_or_else(|| Failure::usage(format!("--{name} needs a value")))?;
                    if name == "format" && query.parameter("format").is_none() {
                        typed.format = Format::parse(&value).map_err(Failure::usage)?;
                    } else {
                        typed.params.push((declared, value));
                    }
                }
            }
        }
        Ok(typed)
    }

    fn bind(&self, query: &BuiltinQuery) -> Result<Params, Failure> {
        let given: Vec<_> =
            self.params.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        query.bind(&given).map_err(|error| Failure::usage(format!("{}: {error}", query.name)))
    }
}
