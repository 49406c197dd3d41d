//! The command-line arguments, parsed by clap. Help, completions and manual pages are generated from
//! these types.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};

use crate::cli::argument_values::{COMPARED, ExportMeasure, ThemeName, names};
use crate::database::Measure;
use crate::present::diff::DiffFormat;
use crate::present::export::request::Format as ExportFormat;
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
  rheaper tui heap.db                  explore it in the terminal
  rheaper report heap.db               print one page of text
  rheaper query heap.db never_freed_older_than --age 10m
  rheaper sql heap.db                  open an SQL prompt

Results go to stdout, progress and messages to stderr. Exit codes: 0 success, 1 a query or check
failed, 2 wrong usage, 3 a file can't be read or written, 130 interrupted.")]
pub(crate) struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The short form of `load`.
    #[command(flatten)]
    pub short: ShortLoad,
}

/// `rheaper RECORDING [DB]`
#[derive(Args, Debug)]
pub(crate) struct ShortLoad {
    /// The recording (`rip-…`) to load
    #[arg(value_name = "RECORDING")]
    pub recording: Option<PathBuf>,
    /// The database to write [default: the recording's name with .db]
    #[arg(value_name = "DB")]
    pub database: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load a recording into a database
    Load(LoadArgs),
    /// Resolve symbols again in a database that was written without the binaries
    Symbolize(SymbolizeArgs),
    /// Load a recording of heaptrack or bytehound into a database
    Import(ImportArgs),
    /// Explore a database or a recording in the terminal
    Tui(TuiArgs),
    /// Run SQL statements: at a prompt, or from -c, -f or stdin
    Sql(SqlArgs),
    /// Run a built-in query; without a name, list all queries
    Query(QueryArgs),
    /// Print one page: totals, peak, growth, suspects, losses
    Report(ReportArgs),
    /// Fail if a built-in query finds more than allowed: for CI
    Check(CheckArgs),
    /// Compare two databases, or two moments of one
    Diff(DiffArgs),
    /// Print the contents and losses of a recording
    Info(InfoArgs),
    /// Write a flamegraph, a profile, or tables for other tools
    Export(ExportArgs),
    /// Record a small leaky service in this binary, load it, and explore it
    #[cfg(feature = "collector")]
    Demo(DemoArgs),
    /// Print shell completions
    Completions(CompletionsArgs),
    /// Print the manual page, or write all manual pages
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
    /// File with rules that set the kind of frames: lines such as `dependency my_fork`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub kinds: Vec<PathBuf>,
    /// Replace a database that was loaded from another recording
    #[arg(long)]
    pub force: bool,
}

/// `rheaper symbolize`
#[derive(Args, Debug)]
#[command(
    after_help = "The recording is not needed. Symbols are read only from files with the recorded build id; known symbols
are kept if no better ones are found.

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
#[command(
    after_help = "Data that the other profiler does not record is NULL in the database; the command lists it.

Examples:
  heaptrack ./server; rheaper import heaptrack.server.4711.zst
  rheaper import memory-profiling_server_4711.dat -o heap.db --symbols ./server"
)]
pub(crate) struct ImportArgs {
    /// The recording: heaptrack's (.zst, .gz or plain; interpreted or raw) or bytehound's (.dat)
    pub recording: PathBuf,
    /// The database to write [default: the recording's name with .db]
    #[arg(short, long, value_name = "DB")]
    pub output: Option<PathBuf>,
    /// A file with symbols, or a directory to search by build id; may be repeated
    #[arg(long, value_name = "DIR|FILE")]
    pub symbols: Vec<PathBuf>,
    /// File with rules that set the kind of frames: lines such as `dependency my_fork`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub kinds: Vec<PathBuf>,
    /// Replace a database that was loaded from another recording
    #[arg(long)]
    pub force: bool,
}

/// `rheaper tui`
#[derive(Args, Debug, Default)]
#[command(
    after_help = "A recording is first loaded into a database in the same directory. If stdout is not a terminal, the
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
    /// The database or recording to compare it with
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// The colour theme [default: that of theme.txt in the configuration directory, else auto]
    #[arg(long, value_name = "THEME")]
    pub theme: Option<ThemeName>,
    /// First replay the keys in this file
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// Write the pressed keys to this new file
    #[arg(long, value_name = "FILE")]
    pub record_keys: Option<PathBuf>,
    /// Print all key bindings in the format of keys.txt in the configuration directory, and exit
    #[arg(long)]
    pub list_keys: bool,
}

/// `rheaper sql`
#[derive(Args, Debug)]
#[command(after_help = "The database is read-only: no statement can change or create anything.

Examples:
  rheaper sql heap.db
  rheaper sql heap.db -c 'SELECT bt, sum(size) FROM allocations GROUP BY bt' --format csv
  echo 'SELECT count(*) FROM allocations;' | rheaper sql heap.db")]
pub(crate) struct SqlArgs {
    /// The database
    pub database: PathBuf,
    /// Run these statements and exit; may be repeated
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    pub command: Vec<String>,
    /// Run the statements of this file and exit
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The output format
    #[command(flatten)]
    pub output: OutputArgs,
    /// Continue after a failed statement
    #[arg(long)]
    pub keep_going: bool,
    /// Omit the column names
    #[arg(long)]
    pub no_headers: bool,
}

/// `rheaper query`
#[derive(Args, Debug)]
#[command(
    after_help = "To add queries, put .sql files into the `queries` directory of the configuration directory
($RHEAPER_CONFIG, else ~/.config/rheaper).

Examples:
  rheaper query heap.db
  rheaper query heap.db never_freed_older_than --describe
  rheaper query heap.db never_freed_older_than --age 10m --format csv"
)]
pub(crate) struct QueryArgs {
    /// The database
    pub database: PathBuf,
    /// The query; without it, all queries are listed
    pub name: Option<String>,
    /// The parameters of the query as --NAME VALUE; also --describe, --format FORMAT, --sql
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
    /// Print Markdown, for an issue
    #[arg(long, conflicts_with = "json")]
    pub markdown: bool,
    /// Print JSON, for a program
    #[arg(long)]
    pub json: bool,
    /// Maximum number of suspects
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub top: usize,
}

/// `rheaper check`
#[derive(Args, Debug)]
#[command(
    after_help = "Compares all rows of the query unless --param limit=N is given. Prints the rows and exits with 1 if
there are more rows or bytes than allowed.

Examples:
  rheaper check heap.db --query never_freed_older_than --param age=30s --max-rows 0
  rheaper check heap.db --query never_freed --max-bytes 16MiB"
)]
pub(crate) struct CheckArgs {
    /// The database
    pub database: PathBuf,
    /// The built-in query
    #[arg(short, long, value_name = "NAME")]
    pub query: String,
    /// A parameter of the query; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub param: Vec<String>,
    /// Maximum number of rows [default: 0 without --max-bytes]
    #[arg(long, value_name = "N")]
    pub max_rows: Option<u64>,
    /// Maximum sum of bytes over all rows
    #[arg(long, value_name = "BYTES")]
    pub max_bytes: Option<String>,
    /// The column that --max-bytes sums [default: the first column in bytes]
    #[arg(long, value_name = "NAME", requires = "max_bytes")]
    pub column: Option<String>,
    /// The output format
    #[command(flatten)]
    pub output: OutputArgs,
}

/// `rheaper diff`
#[derive(Args, Debug)]
#[command(
    after_help = "Sites are matched by the names of their own functions, so that two builds can be compared.
Without differences nothing is printed.

A MOMENT is a time since the start such as 5m, or start, peak, end, or @MARK for the last mark of
that name, @MARK#2 for the second.

Examples:
  rheaper diff before.db after.db
  rheaper diff before.db after.db --per hour
  rheaper diff before.db after.db --fail-if-grown 64K
  rheaper diff heap.db --between 5m..end
  rheaper diff before.db after.db --format folded --include-unchanged | inferno-flamegraph > diff.svg"
)]
pub(crate) struct DiffArgs {
    /// The first database
    pub before: PathBuf,
    /// The second database
    #[arg(required_unless_present = "between")]
    pub after: Option<PathBuf>,
    /// Compare two moments of one recording
    #[arg(long, value_name = "MOMENT..MOMENT", conflicts_with_all = ["after", "from", "to"])]
    pub between: Option<String>,
    /// Only blocks allocated after this moment of each recording
    #[arg(long, value_name = "MOMENT")]
    pub from: Option<String>,
    /// Compare each recording at this moment instead of its end
    #[arg(long, value_name = "MOMENT")]
    pub to: Option<String>,
    /// Normalize per second, minute, hour, day, duration, or @MARK
    #[arg(long, value_name = "UNIT")]
    pub per: Option<String>,
    /// The compared measure
    #[arg(long, value_parser = names(COMPARED), default_value = "live-bytes", value_name = "MEASURE")]
    pub measure: Measure,
    /// Omit smaller differences
    #[arg(long, value_name = "AMOUNT")]
    pub min: Option<String>,
    /// Maximum number of rows (0 = unlimited) [default: 30 for text and markdown, else unlimited]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// The output format
    #[arg(long, value_parser = names(DiffFormat::NAMES), default_value = "text", value_name = "FORMAT")]
    pub format: DiffFormat,
    /// Include unchanged sites in folded stacks, for a flamegraph in proportion
    #[arg(long)]
    pub include_unchanged: bool,
    /// If sites grew by more than this, print only those and exit with 1
    #[arg(long, value_name = "BYTES", conflicts_with = "include_unchanged")]
    pub fail_if_grown: Option<String>,
}

impl DiffArgs {
    /// A comparison without options.
    pub(crate) fn of(before: PathBuf, after: PathBuf) -> Self {
        Self {
            before,
            after: Some(after),
            between: None,
            from: None,
            to: None,
            per: None,
            measure: Measure::default(),
            min: None,
            limit: None,
            format: DiffFormat::default(),
            include_unchanged: false,
            fail_if_grown: None,
        }
    }
}
/// `rheaper info`
#[derive(Args, Debug)]
#[command(after_help = "Example:
  rheaper info rip-1767225600")]
pub(crate) struct InfoArgs {
    /// The recording
    pub recording: PathBuf,
}

/// `rheaper export`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  rheaper export heap.db --format svg -o leaks.svg           a flamegraph of live bytes
  rheaper export heap.db --format pprof -o heap.pb.gz        go tool pprof -http : heap.pb.gz
  rheaper export heap.db --format folded --measure allocated --blocks
  rheaper export heap.db --format svg --from 10m --to 20m --measure leaked -o window.svg
  rheaper export heap.db --format svg --query never_freed_older_than --param age=10m -o old.svg
  rheaper export heap.db --format folded --sql 'SELECT bt, temporary FROM sites' --weight temporary
  rheaper export heap.db --format csv --table timeline       one table to stdout
  rheaper export heap.db --format parquet --label host=web-1 --label version=1.4 -o web-1/

docs/guide/EXPORT.md describes the formats and the tools that open them.")]
pub(crate) struct ExportArgs {
    /// The database
    pub database: PathBuf,
    /// The output format
    #[arg(short, long, value_parser = export_formats(), value_name = "FORMAT")]
    pub format: ExportFormat,
    /// The file to write, or the directory for several tables [default: stdout, also `-`]
    #[arg(short, long, value_name = "FILE|DIR")]
    pub output: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// The blocks to count; in formats that hold all measures, the one shown first
    #[arg(short, long, value_enum, default_value_t, value_name = "MEASURE")]
    pub measure: ExportMeasure,
    /// Count blocks instead of their bytes
    #[arg(long)]
    pub blocks: bool,
    /// Replace consecutive frames of the standard library and the runtime by the outermost of them
    #[arg(long)]
    pub collapse: bool,
    /// Only blocks allocated at or after this time, such as 90s
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Only blocks allocated until this time; live blocks are those live at this time
    #[arg(long, value_name = "TIME")]
    pub to: Option<String>,
    /// Only the backtraces or blocks in the result of a built-in query
    #[arg(short, long, value_name = "NAME", conflicts_with = "sql")]
    pub query: Option<String>,
    /// A parameter of the query; may be repeated
    #[arg(short, long, value_name = "NAME=VALUE", requires = "query")]
    pub param: Vec<String>,
    /// Only the backtraces or blocks in the result of a statement
    #[arg(long, value_name = "SQL")]
    pub sql: Option<String>,
    /// The column of that result with the weight of the row's backtrace `bt`
    #[arg(long, value_name = "COLUMN")]
    pub weight: Option<String>,
    /// For csv and parquet: a table; may be repeated [default: allocations, backtraces, sites, timeline]
    #[arg(short, long, value_name = "NAME", conflicts_with_all = ["query", "sql"])]
    pub table: Vec<String>,
    /// For csv and parquet: add a column with this value, and one with the recording's id; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub label: Vec<String>,
}

/// A parser of export formats. Formats that this build can't write are hidden, but accepted, because the
/// export's error message names the missing feature.
fn export_formats() -> impl TypedValueParser<Value = ExportFormat> {
    let values = ExportFormat::NAMES.iter().map(|(format, name, help)| {
        PossibleValue::new(*name).help(*help).hide(!format.is_supported())
    });
    PossibleValuesParser::new(values).try_map(|typed| {
        let found = ExportFormat::NAMES.iter().find(|(_, name, _)| *name == typed);
        found.map(|(format, ..)| *format).ok_or("no such name")
    })
}

/// `rheaper demo`
#[cfg(feature = "collector")]
#[derive(Args, Debug)]
#[command(after_help = "If stdout is not a terminal, the report is printed instead.

Example:
  rheaper demo")]
pub(crate) struct DemoArgs {
    /// The duration of the recording
    #[arg(long, default_value = "3s", value_name = "DURATION")]
    pub duration: String,
    /// Keep the recording and its database, which are removed otherwise when the explorer exits
    #[arg(long)]
    pub keep: bool,
}

/// `rheaper completions`
#[derive(Args, Debug)]
#[command(after_help = "Example:
  rheaper completions bash > ~/.local/share/bash-completion/completions/rheaper")]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `rheaper man`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  rheaper man | man -l -
  rheaper man --directory ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write a page per command to this directory
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// The output format.
#[derive(Args, Debug)]
pub(crate) struct OutputArgs {
    /// The output format
    #[arg(long, value_parser = names(Format::NAMES), default_value = "table", value_name = "FORMAT")]
    pub format: Format,
}
