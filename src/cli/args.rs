//! What may be typed on the command line. Help, completions and manual pages are made from this.
//!
//! Reads and writes nothing: plain types, parsed by clap.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::present::diff::DiffFormat;
use crate::present::export::request::{Format as ExportFormat, Measure};
use crate::present::table_printer::Format;

/// Ask your heap: what was allocated, where, when, and why is it still there?
#[derive(Debug, Parser)]
#[command(
    name = "rheaper",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  rheaper rip-1767225600 heap.db       turn a recording into a database
  rheaper tui heap.db                  look at it
  rheaper report heap.db               one page of text
  rheaper query heap.db never_freed_older_than --age 10m
  rheaper sql heap.db                  ask in SQL

Answers go to stdout, everything else to stderr. Exit codes: 0 done, 1 the question failed,
2 wrong usage, 3 the file can't be read, 130 interrupted.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The short form of `load`.
    #[command(flatten)]
    pub short: ShortLoad,
}

/// `rheaper RECORDING DB`
#[derive(Args, Debug)]
pub(crate) struct ShortLoad {
    /// A recording (`rip-…`), to be turned into a database
    #[arg(value_name = "RECORDING", requires = "database")]
    pub recording: Option<PathBuf>,
    /// The database to write
    #[arg(value_name = "DB")]
    pub database: Option<PathBuf>,
}

/// What rheaper can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Turn a recording into a database
    Load(LoadArgs),
    /// Look names up again, in a database whose binaries were missing when it was made
    Symbolize(SymbolizeArgs),
    /// Turn a recording of heaptrack or bytehound into a database
    Import(ImportArgs),
    /// Explore a database, or a recording, on the screen
    Tui(TuiArgs),
    /// Ask in SQL: a prompt, or statements from -c, -f or stdin
    Sql(SqlArgs),
    /// Run a canned query; without a name, list them
    Query(QueryArgs),
    /// One page: totals, peak, growth, suspects, losses
    Report(ReportArgs),
    /// Fail if a canned query finds something: for CI
    Check(CheckArgs),
    /// What grew, shrank, is new or gone between two databases
    Diff(DiffArgs),
    /// What is in a recording, and what was lost
    Info(InfoArgs),
    /// Write a flamegraph, a profile or tables for other tools
    Export(ExportArgs),
    /// Record a small leaky service in this binary, load it, and explore it
    #[cfg(feature = "collector")]
    Demo(DemoArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print a manual page, or write all of them
    Man(ManArgs),
}

/// `rheaper load`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  rheaper load rip-1767225600                     writes rip-1767225600.db
  rheaper load rip-1767225600 -o heap.db --symbols ./target/release/server")]
pub(crate) struct LoadArgs {
    /// The recording
    pub recording: PathBuf,
    /// The database to write [default: the recording's name with .db]
    #[arg(short, long, value_name = "DB")]
    pub output: Option<PathBuf>,
    /// A file with symbols, or a directory to search by build id; may be repeated
    #[arg(long, value_name = "DIR|FILE")]
    pub symbols: Vec<PathBuf>,
    /// A file that says whose code a frame is: lines such as `dependency my_fork`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub kinds: Vec<PathBuf>,
    /// Replace a database that was made from another recording
    #[arg(long)]
    pub force: bool,
}

/// `rheaper symbolize`
#[derive(Args, Debug)]
#[command(
    after_help = "The recording is not needed. Names are taken from a file only if its build id is the recorded one;
what is known stays where nothing better is found.

Examples:
  rheaper symbolize heap.db --symbols ./target/release/server
  rheaper symbolize heap.db --symbols /srv/builds --symbols /srv/debug"
)]
pub(crate) struct SymbolizeArgs {
    /// The database
    pub database: PathBuf,
    /// A file with symbols, or a directory to search by build id; may be repeated
    #[arg(long, value_name = "DIR|FILE")]
    pub symbols: Vec<PathBuf>,
}

/// `rheaper import`
#[derive(Args, Debug)]
#[command(after_help = "What the other format does not hold is NULL in the database, and said.

Examples:
  heaptrack ./server; rheaper import heaptrack.server.4711.zst
  rheaper import memory-profiling_server_4711.dat -o heap.db --symbols ./server")]
pub(crate) struct ImportArgs {
    /// The recording: heaptrack's (.zst, .gz or plain; interpreted or raw) or bytehound's (.dat)
    pub recording: PathBuf,
    /// The database to write [default: the recording's name with .db]
    #[arg(short, long, value_name = "DB")]
    pub output: Option<PathBuf>,
    /// A file with symbols, or a directory to search by build id; may be repeated
    #[arg(long, value_name = "DIR|FILE")]
    pub symbols: Vec<PathBuf>,
    /// A file that says whose code a frame is: lines such as `dependency my_fork`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub kinds: Vec<PathBuf>,
    /// Replace a database that was made from another recording
    #[arg(long)]
    pub force: bool,
}

/// `rheaper tui`
#[derive(Args, Debug, Default)]
#[command(
    after_help = "A recording is loaded first, into a database beside it. Where stdout is not a terminal, the
report is printed instead.

Examples:
  rheaper tui heap.db
  rheaper tui after.db --compare before.db
  rheaper tui heap.db --theme light
  rheaper tui --list-keys"
)]
pub(crate) struct TuiArgs {
    /// A database or a recording
    #[arg(required_unless_present = "list_keys")]
    pub file: Option<PathBuf>,
    /// Another one to compare it with
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// What the colours are for; theme.txt in the configuration directory may say it as well
    #[arg(long, value_name = "THEME")]
    pub theme: Option<ThemeName>,
    /// Press the keys that are written in this file first
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Write the keys that are pressed into this new file
    #[arg(long, value_name = "FILE")]
    pub record_keys: Option<PathBuf>,
    /// Print all keys, as keys.txt in the configuration directory may have them, and end
    #[arg(long)]
    pub list_keys: bool,
}

/// A background.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ThemeName {
    /// Light text on dark
    Dark,
    /// Dark text on light
    Light,
    /// What the terminal says that it has, or else dark
    Auto,
}

/// `rheaper sql`
#[derive(Args, Debug)]
#[command(
    after_help = "The database is only read: nothing can be changed or created, by any statement.

Examples:
  rheaper sql heap.db
  rheaper sql heap.db -c 'SELECT bt, sum(size) FROM allocations GROUP BY bt' --format csv
  echo 'SELECT count(*) FROM allocations;' | rheaper sql heap.db"
)]
pub(crate) struct SqlArgs {
    /// The database
    pub database: PathBuf,
    /// Run these statements and end; may be repeated
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    pub command: Vec<String>,
    /// Run the statements of this file and end
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// How answers look
    #[command(flatten)]
    pub output: OutputArgs,
    /// Go on behind a statement that failed
    #[arg(long)]
    pub keep_going: bool,
    /// Print no names of columns
    #[arg(long)]
    pub no_headers: bool,
}

/// `rheaper query`
#[derive(Args, Debug)]
#[command(
    after_help = "Queries of your own join the list: put .sql files into the `queries` directory of rheaper's
configuration directory ($RHEAPER_CONFIG, else ~/.config/rheaper).

Examples:
  rheaper query heap.db
  rheaper query heap.db never_freed_older_than --describe
  rheaper query heap.db never_freed_older_than --age 10m --format csv"
)]
pub(crate) struct QueryArgs {
    /// The database
    pub database: PathBuf,
    /// The query; without it all are listed
    pub name: Option<String>,
    /// The query's own parameters, each as --NAME VALUE; and --describe, --format FORMAT, --sql
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--PARAM VALUE")]
    pub rest: Vec<String>,
}

/// `rheaper report`
#[derive(Args, Debug)]
#[command(after_help = "Example:
  rheaper report heap.db --markdown > issue.md")]
pub(crate) struct ReportArgs {
    /// The database
    pub database: PathBuf,
    /// For an issue
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// For a program
    #[arg(long)]
    pub json: bool,
    /// How many suspects
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub top: usize,
}

/// `rheaper check`
#[derive(Args, Debug)]
#[command(
    after_help = "Prints the rows and exits with 1 if there are more of them than allowed, or more bytes.

Examples:
  rheaper check heap.db --query never_freed_older_than --param age=30s --max-rows 0
  rheaper check heap.db --query live_at_end --max-bytes 16MiB"
)]
pub(crate) struct CheckArgs {
    /// The database
    pub database: PathBuf,
    /// The canned query
    #[arg(short, long, value_name = "NAME")]
    pub query: String,
    /// A parameter of it; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// Most rows that are no failure [default: 0, where no --max-bytes is given]
    #[arg(long, value_name = "N")]
    pub max_rows: Option<u64>,
    /// Most bytes that are no failure, summed over the rows
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<String>,
    /// The column that --max-bytes sums [default: the first one that has bytes]
    #[arg(long, value_name = "NAME", requires = "max_bytes")]
    pub column: Option<String>,
    /// How the rows look
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `rheaper diff`
#[derive(Args, Debug)]
#[command(
    after_help = "Sites are matched by the names of their own functions, so that two builds can be compared.
Nothing is printed where nothing differs.

A MOMENT is a time since the start such as 5m, or start, peak, end, or @MARK,
the last one of that name; @MARK#2 is the second.

Examples:
  rheaper diff before.db after.db
  rheaper diff before.db after.db --per hour
  rheaper diff before.db after.db --fail-if-grown 64K
  rheaper diff heap.db --moments 5m..end
  rheaper diff before.db after.db --format folded --unchanged | inferno-flamegraph > diff.svg"
)]
pub(crate) struct DiffArgs {
    /// The database to compare with
    pub before: PathBuf,
    /// The database that is compared
    #[arg(required_unless_present = "moments")]
    pub after: Option<PathBuf>,
    /// Compare one recording at two moments
    #[arg(long, value_name = "MOMENT..MOMENT", conflicts_with_all = ["after", "from", "to"])]
    pub moments: Option<String>,
    /// Only what was allocated after this moment of each recording
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<String>,
    /// Each recording as it was at this moment
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<String>,
    /// Divide by time or marks first: second, minute, hour, day, a duration, or @MARK
    #[arg(long, value_name = "UNIT")]
    pub per: Option<String>,
    /// What is compared
    #[arg(long, value_enum, default_value_t, value_name = "MEASURE")]
    pub measure: DiffMeasure,
    /// Leave out differences below this
    #[arg(long, value_name = "AMOUNT")]
    pub min: Option<String>,
    /// The most rows; 0: all [default: 30, for programs all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// How the answer looks
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: DiffFormat,
    /// What is the same as well: for a flamegraph in proportion
    #[arg(long)]
    pub unchanged: bool,
    /// Print only sites that grew by more than this, and exit with 1 if there are any
    #[arg(long, value_name = "BYTES", conflicts_with = "unchanged")]
    pub fail_if_grown: Option<String>,
}

impl DiffArgs {
    /// Without any option.
    pub(crate) fn of(before: PathBuf, after: PathBuf) -> Self {
        Self {
            before,
            after: Some(after),
            moments: None,
            from: None,
            to: None,
            per: None,
            measure: DiffMeasure::default(),
            min: None,
            limit: None,
            format: DiffFormat::default(),
            unchanged: false,
            fail_if_grown: None,
        }
    }
}

/// What `rheaper diff` compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DiffMeasure {
    /// Bytes alive at the end
    #[default]
    LiveBytes,
    /// Blocks alive at the end
    LiveBlocks,
    /// Bytes of all blocks
    Bytes,
    /// Blocks made
    Allocations,
}

/// `rheaper info`
#[derive(Args, Debug)]
#[command(after_help = "Example:
  rheaper info rip-1767225600")]
pub(crate) struct InfoArgs {
    /// A recording
    pub recording: PathBuf,
}

/// `rheaper export`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  rheaper export heap.db --format svg -o leaks.svg           what was never freed, as a flamegraph
  rheaper export heap.db --format pprof -o heap.pb.gz        go tool pprof -http : heap.pb.gz
  rheaper export heap.db --format folded --measure allocated --blocks
  rheaper export heap.db --format svg --from 10m --to 20m --measure leaked -o window.svg
  rheaper export heap.db --format svg --query never_freed_older_than --param age=10m -o old.svg
  rheaper export heap.db --format folded --sql 'SELECT bt, temporary FROM sites' --weight temporary
  rheaper export heap.db --format csv --table timeline       one table
  rheaper export heap.db --format parquet --label host=web-1 --label version=1.4 -o web-1/

docs/EXPORT.md says what each format is for, and how to open it.")]
pub(crate) struct ExportArgs {
    /// The database
    pub database: PathBuf,
    /// What to write
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    pub format: ExportFormat,
    /// The file to write, of several tables the directory; `-`, or without it, stdout
    #[arg(short, long, value_name = "FILE|DIR")]
    pub output: Option<PathBuf>,
    /// Replace a file that exists
    #[arg(long)]
    pub force: bool,
    /// Which blocks count; where a format holds all measures, which one is shown first
    #[arg(short, long, value_enum, default_value_t, value_name = "MEASURE")]
    pub measure: Measure,
    /// Count blocks instead of their bytes
    #[arg(long)]
    pub blocks: bool,
    /// Only blocks made at this time or later, such as 90s
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only blocks made until this time, and alive means: at this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only the backtraces, or the blocks, that a canned query answers with
    #[arg(short, long, value_name = "NAME", conflicts_with = "sql")]
    pub query: Option<String>,
    /// A parameter of the query; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", requires = "query")]
    pub param: Vec<String>,
    /// The same for a statement of your own
    #[arg(long, value_name = "SQL")]
    pub sql: Option<String>,
    /// The column of that answer with the weight of a row's backtrace `bt`
    #[arg(long, value_name = "COLUMN")]
    pub weight: Option<String>,
    /// Of csv and parquet: a table; may be repeated [default: allocations, backtraces, sites, timeline]
    #[arg(short, long, value_name = "NAME", conflicts_with_all = ["query", "sql"])]
    pub table: Vec<String>,
    /// Of csv and parquet: a column of this value in every row, beside one with the recording's id; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
}

/// `rheaper demo`
#[cfg(feature = "collector")]
#[derive(Args, Debug)]
#[command(after_help = "Where stdout is not a terminal, the report is printed instead.

Example:
  rheaper demo")]
pub(crate) struct DemoArgs {
    /// How long to record
    #[arg(long, default_value = "3s", value_name = "DURATION")]
    pub length: String,
}

/// `rheaper completions`
#[derive(Args, Debug)]
#[command(after_help = "Example:
  rheaper completions bash > ~/.local/share/bash-completion/completions/rheaper")]
pub(crate) struct CompletionsArgs {
    /// Your shell
    pub shell: clap_complete::Shell,
}

/// `rheaper man`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  rheaper man | man -l -
  rheaper man --directory ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write a page for each command into this directory instead
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// How answers look.
#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// The format of answers
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
}
