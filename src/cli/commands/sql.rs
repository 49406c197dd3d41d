//! `rheaper sql`: runs statements from the command line, a file or a pipe; on a terminal, the prompt.

use std::fs;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::Path;

use crate::cli::args::SqlArgs;
use crate::cli::commands::open;
use crate::cli::exit::Failure;
use crate::cli::interrupt;
use crate::cli::progress;
use crate::cli::run_query::{self, Statement};
use crate::database::sql::lexer;
use crate::database::{CancelToken, Database, Limits, Params};
use crate::present::table_printer::{Headers, Style};

/// Limit on the length of a script.
const SCRIPT_MAX_BYTES: u64 = 64 << 20;

/// Reads and runs statements on a terminal until the user quits.
type Prompt = fn(&Database, Style, &CancelToken) -> Result<(), Failure>;

/// `rheaper sql`
pub(crate) fn sql(args: &SqlArgs, prompt: Prompt, cancel: &CancelToken) -> Result<(), Failure> {
    let database = open::database(&args.database)?;
    progress::print_caveats(&database);
    let mut style = run_query::style_of(args.output.format);
    style.headers = if args.no_headers { Headers::Hidden } else { Headers::Shown };
    if !args.command.is_empty() {
        for script in &args.command {
            run(&database, script, args, &style, cancel)?;
        }
        return Ok(());
    }
    if let Some(file) = &args.file {
        return run(&database, &read_script(file)?, args, &style, cancel);
    }
    if io::stdin().is_terminal() {
        return prompt(&database, style, cancel);
    }
    let mut script = String::new();
    interrupt::release();
    io::stdin()
        .take(SCRIPT_MAX_BYTES)
        .read_to_string(&mut script)
        .map_err(|error| Failure::file(format!("stdin: {error}")))?;
    interrupt::install();
    run(&database, &script, args, &style, cancel)
}

/// Reads a script.
pub(crate) fn read_script(file: &Path) -> Result<String, Failure> {
    let refused = |why: String| Failure::file(format!("{}: {why}", file.display()));
    let length = fs::metadata(file).map_err(|error| refused(error.to_string()))?.len();
    if length > SCRIPT_MAX_BYTES {
        return Err(refused("longer than 64 MiB".to_owned()));
    }
    fs::read_to_string(file).map_err(|error| refused(error.to_string()))
}

fn run(
    database: &Database,
    script: &str,
    args: &SqlArgs,
    style: &Style,
    cancel: &CancelToken,
) -> Result<(), Failure> {
    let stdout = io::stdout().lock();
    let mut out = BufWriter::new(stdout);
    let limits = Limits::none().cancelled_by(cancel);
    let mut failed = None;
    for statement in lexer::statements(script) {
        let sql = &script[statement.range];
        let statement = Statement { sql, params: &Params::none(), query: None };
        match run_query::run(database, &statement, style, &limits, &mut out) {
            Ok(_) => {}
            Err(failure) if args.keep_going && failure.is_query_failure() => {
                out.flush()?;
                progress::print_error(&failure.message);
                failed = Some(Failure::failed(String::new()));
            }
            Err(failure) => {
                out.flush()?;
                return Err(failure);
            }
        }
    }
    out.flush()?;
    failed.map_or(Ok(()), Err)
}
