//! `rheaper report`: prints one page about a database.

use std::io::{self, BufWriter, Write};

use crate::cli::args::ReportArgs;
use crate::cli::commands::open;
use crate::cli::exit::Failure;
use crate::database::CancelToken;
use crate::present::report::{self, ReportFormat};

/// `rheaper report`
pub(crate) fn report(args: &ReportArgs, cancel: &CancelToken) -> Result<(), Failure> {
    let database = open::database(&args.database)?;
    let format = match (args.markdown, args.json) {
        (true, _) => ReportFormat::Markdown,
        (_, true) => ReportFormat::Json,
        _ => ReportFormat::Text,
    };
    let report = report::gather(&database, args.top, cancel)?;
    let mut out = BufWriter::new(io::stdout().lock());
    report::write(&report, format, &mut out)?;
    Ok(out.flush()?)
}
