//! `rheaper export`: writes backtraces or tables in the format of another tool.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::cli::args::ExportArgs;
use crate::cli::argument_values::ExportMeasure;
use crate::cli::commands::check;
use crate::cli::commands::load;
use crate::cli::commands::open;
use crate::cli::commands::query;
use crate::cli::exit::Failure;
use crate::cli::progress;
use crate::database::text::units;
use crate::database::{CancelToken, Database, Params};
use crate::present::export;
use crate::present::export::Summary;
use crate::present::export::request::{Label, Request, Selection, Window};
use crate::present::export::target::{Overwrite, Target};
use crate::present::table_printer::caret;

/// `rheaper export`
pub(crate) fn export(args: &ExportArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let request = request(args, cancel)?;
    let database = open::database(&args.database)?;
    if let Some(selection) = &request.selection {
        // Prepared first, so that an SQL error shows its position before anything is written.
        database
            .columns(&selection.sql)
            .map_err(|error| Failure::query(&error, caret::explain(&error, &selection.sql)))?;
    }
    let file = args.output.as_deref().filter(|path| *path != Path::new("-"));
    if file.is_none() && request.format.is_binary() && io::stdout().is_terminal() {
        return Err(Failure::usage(format!(
            "{} is binary and not for a terminal: give -o FILE, or redirect stdout",
            request.format.name()
        )));
    }
    if request.format.is_tabular() {
        return tables(args, file, &database, &request);
    }
    let Some(path) = file else {
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let summary = export::export(&database, &request, &mut out)?;
        out.flush()?;
        print_omissions(&summary);
        return Ok(());
    };
    let mut target = begin(args, path)?;
    let summary = export::export(&database, &request, target.out())?;
    print_written(path, target.finish()?, &summary);
    print_omissions(&summary);
    Ok(())
}

fn begin(args: &ExportArgs, path: &Path) -> Result<Target, Failure> {
    let replace = if args.force { Overwrite::Allowed } else { Overwrite::Never };
    Ok(Target::begin(path, replace, load::is_recording)?)
}

/// Writes each table to a file in a directory, or a single table to a file or stdout.
fn tables(
    args: &ExportArgs,
    file: Option<&Path>,
    database: &Database,
    request: &Request<'_>,
) -> Result<(), Failure> {
    let tables = export::tables(database, request)?;
    let word = request.format.name();
    let Some(path) = file else {
        let [table] = tables.as_slice() else {
            return Err(Failure::usage(format!(
                "{} tables: give -o DIR for all of them, or choose one with --table",
                tables.len()
            )));
        };
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout());
        export::export_table(table, database, request, &mut out)?;
        out.flush()?;
        return print_table_omissions(&tables, database, request);
    };
    let is_directory =
        tables.len() > 1 || path.is_dir() || path.as_os_str().as_bytes().ends_with(b"/");
    if is_directory && !path.is_dir() {
        std::fs::create_dir(path).map_err(|error| {
            Failure::file(format!("{}: can't create the directory: {error}", path.display()))
        })?;
    }
    // All files are created before one is written, so that an existing file is found at once.
    let mut targets = Vec::new();
    for table in &tables {
        let path = if is_directory {
            path.join(format!("{}.{word}", table.name))
        } else {
            path.to_owned()
        };
        targets.push((begin(args, &path)?, path, table));
    }
    for (mut target, path, table) in targets {
        let summary = export::export_table(table, database, request, target.out())?;
        print_written(&path, target.finish()?, &summary);
    }
    print_table_omissions(&tables, database, request)
}

fn print_table_omissions(
    tables: &[export::Table],
    database: &Database,
    request: &Request<'_>,
) -> Result<(), Failure> {
    let omission = export::omissions::of_tables(tables, database, request)?;
    progress::print_sampling_caveat(database);
    omission.iter().for_each(|sentence| progress::print_line(sentence));
    Ok(())
}

fn print_written(path: &Path, bytes: u64, Summary { noun, count, .. }: &Summary) {
    let (count, bytes) = (units::count(count.cast_signed()), units::bytes(bytes as f64));
    progress::print_line(&format!("{}: {count} {noun}, {bytes}", path.display()));
}

fn print_omissions(summary: &Summary) {
    if summary.negative_weights > 0 {
        progress::print_line(&format!(
            "left out: {} backtraces whose weight is negative",
            summary.negative_weights
        ));
    }
    summary.omission.iter().for_each(|sentence| progress::print_line(sentence));
    summary
        .sampling_caveat
        .iter()
        .for_each(|sentence| progress::print_line(&format!("note: {sentence}")));
}

fn request<'a>(args: &ExportArgs, cancel: &'a CancelToken) -> Result<Request<'a>, Failure> {
    check_options(args)?;
    let selection = selection(args)?;
    if args.weight.is_some() && selection.is_none() {
        return Err(Failure::usage("--weight names a column of --query or --sql, and needs one"));
    }
    Ok(Request {
        format: args.format,
        measure: args.measure.with_unit(args.blocks),
        window: window(args)?,
        is_collapsed: args.collapse,
        selection,
        weight: args.weight.clone(),
        tables: args.table.clone(),
        labels: labels(args)?,
        cancel,
    })
}

/// Rejects options that only other formats support.
fn check_options(args: &ExportArgs) -> Result<(), Failure> {
    let word = args.format.name();
    let given = |options: &[(&'static str, bool)]| {
        options.iter().find(|(_, given)| *given).map(|(option, _)| *option)
    };
    if args.format.is_tabular() {
        let option = given(&[
            ("--weight", args.weight.is_some()),
            ("--from", args.from.is_some()),
            ("--to", args.to.is_some()),
            ("--blocks", args.blocks),
            ("--collapse", args.collapse),
            ("--measure", args.measure != ExportMeasure::default()),
        ]);
        return match option {
            Some(option) => Err(Failure::usage(format!(
                "{option} is for backtraces with weights; {word} holds tables, and --sql chooses rows"
            ))),
            None => Ok(()),
        };
    }
    match given(&[("--table", !args.table.is_empty()), ("--label", !args.label.is_empty())]) {
        Some(option) => Err(Failure::usage(format!("{option} is for csv and parquet, not {word}"))),
        None => Ok(()),
    }
}

fn labels(args: &ExportArgs) -> Result<Vec<Label>, Failure> {
    let mut labels: Vec<Label> = Vec::new();
    for typed in &args.label {
        let (name, value) = typed.split_once('=').unwrap_or((typed, ""));
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || !typed.contains('=') {
            return Err(Failure::usage(format!(
                "--label {typed}: expected NAME=VALUE, the name of letters, digits and _"
            )));
        }
        if labels.iter().any(|label| label.name.eq_ignore_ascii_case(name)) {
            return Err(Failure::usage(format!("--label {name} is given twice")));
        }
        labels.push(Label { name: name.to_owned(), value: value.to_owned() });
    }
    Ok(labels)
}

fn window(args: &ExportArgs) -> Result<Window, Failure> {
    let moment = |option: &str, typed: &Option<String>| {
        let parsed = typed.as_deref().map(units::parse_duration).transpose();
        parsed.map_err(|error| Failure::usage(format!("{option}: {error}")))
    };
    let window = Window { from: moment("--from", &args.from)?, to: moment("--to", &args.to)? };
    match window {
        Window { from: Some(from), to: Some(to) } if from > to => {
            Err(Failure::usage("--from is later than --to: no block is made in between"))
        }
        window => Ok(window),
    }
}

fn selection(args: &ExportArgs) -> Result<Option<Selection>, Failure> {
    if let Some(name) = &args.query {
        let catalog = query::catalog();
        let query = query::find(&catalog, name)?;
        let params = check::params(query, &args.param)?;
        return Ok(Some(Selection { title: name.clone(), sql: query.sql.clone(), params }));
    }
    let selection = |sql: &String| Selection {
        title: "the SQL".to_owned(),
        sql: sql.clone(),
        params: Params::none(),
    };
    Ok(args.sql.as_ref().map(selection))
}
