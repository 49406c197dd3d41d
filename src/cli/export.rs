//! `rheaper export`: what a database knows, in another tool's format.
//!
//! Reads: a database. Writes: the export to stdout or a file, what it was to stderr.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use crate::cli::args::ExportArgs;
use crate::cli::check;
use crate::cli::failure::Failure;
use crate::cli::load;
use crate::cli::narrate;
use crate::cli::open;
use crate::cli::query;
use crate::database::CancelToken;
use crate::database::Params;
use crate::database::human;
use crate::export;
use crate::export::Summary;
use crate::export::request::{Question, Request, Unit, Window};
use crate::export::target::{Replace, Target};
use crate::output::caret;

/// `rheaper export`
pub(crate) fn export(args: &ExportArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let request = request(args, cancel)?;
    let database = open::database(&args.database)?;
    if let Some(question) = &request.question {
        // An error in the user's own words shows where, before anything is written.
        database
            .columns(&question.sql)
            .map_err(|error| Failure::query(&error, caret::explain(&error, &question.sql)))?;
    }
    let file = args.output.as_deref().filter(|path| *path != Path::new("-"));
    let Some(path) = file else {
        if request.format.is_binary() && io::stdout().is_terminal() {
            let word = request.format.word();
            return Err(Failure::usage(format!(
                "{word} is binary and not for a terminal: give -o FILE, or redirect stdout"
            )));
        }
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let summary = export::export(&database, &request, &mut out)?;
        out.flush()?;
        say_left_out(&summary);
        return Ok(());
    };
    let replace = if args.force { Replace::Allowed } else { Replace::Never };
    let mut target = Target::begin(path, replace, load::is_recording)?;
    let summary = export::export(&database, &request, target.out())?;
    let bytes = human::bytes(target.finish()? as f64);
    let Summary { of, count, .. } = summary;
    narrate::say(&format!(
        "{}: {} {of}, {bytes}",
        path.display(),
        human::count(count.cast_signed())
    ));
    say_left_out(&summary);
    Ok(())
}

fn say_left_out(summary: &Summary) {
    if summary.negative > 0 {
        narrate::say(&format!(
            "left out: {} backtraces whose weight is negative",
            summary.negative
        ));
    }
}

fn request<'a>(args: &ExportArgs, cancel: &'a CancelToken) -> Result<Request<'a>, Failure> {
    let question = question(args)?;
    if args.weight.is_some() && question.is_none() {
        return Err(Failure::usage("--weight names a column of --query or --sql, and needs one"));
    }
    Ok(Request {
        format: args.format,
        measure: args.measure,
        unit: if args.blocks { Unit::Blocks } else { Unit::Bytes },
        window: window(args)?,
        question,
        weight: args.weight.clone(),
        cancel,
    })
}

fn window(args: &ExportArgs) -> Result<Window, Failure> {
    let moment = |option: &str, typed: &Option<String>| {
        let parsed = typed.as_deref().map(human::parse_duration).transpose();
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

fn question(args: &ExportArgs) -> Result<Option<Question>, Failure> {
    if let Some(name) = &args.query {
        let catalog = query::catalog();
        let canned = query::find(&catalog, name)?;
        let params = check::params(canned, &args.param)?;
        return Ok(Some(Question { title: name.clone(), sql: canned.sql.clone(), params }));
    }
    let question = |sql: &String| Question {
        title: "the SQL".to_owned(),
        sql: sql.clone(),
        params: Params::none(),
    };
    Ok(args.sql.as_ref().map(question))
}
