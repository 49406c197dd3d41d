//! A report as Markdown, for an issue.
//!
//! Invariant: no text of the database can end a cell or begin markup: names are in code spans.

use std::io::{self, Write};

use crate::database::text::{sanitize, units};
use crate::present::report::{Report, text};

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## rheaper report: {}\n\n| | |\n|---|---|", code(&report.file))?;
    for (name, value) in text::summary(report) {
        writeln!(out, "| {name} | {} |", plain(&value))?;
    }
    writeln!(out, "\n{}", plain(&report.finding()))?;
    if let Some(warning) = report.warning() {
        writeln!(out, "\n**{}**", plain(&warning))?;
    }
    if report.growing().next().is_some() {
        writeln!(out, "\n### What grows\n")?;
    }
    for suspect in report.growing() {
        writeln!(out, "* {}", plain(&suspect.finding()))?;
        for frame in &suspect.frames {
            writeln!(out, "  * {}", code(frame))?;
        }
    }
    for (title, ranking) in text::rankings(report) {
        writeln!(out, "\n### {}\n", plain(&title))?;
        writeln!(out, "| share | bytes | blocks | function | place |\n|---:|---:|---:|---|---|")?;
        for holder in &ranking.holders {
            writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                units::share(holder.share),
                units::bytes(holder.bytes as f64),
                units::count(holder.blocks),
                code(&holder.function),
                holder.place.as_ref().map(|place| code(place)).unwrap_or_default(),
            )?;
        }
    }
    if !report.temporaries.is_empty() {
        writeln!(out, "\n### Temporaries\n\n| blocks | share | function |\n|---:|---:|---|")?;
    }
    for temporary in &report.temporaries {
        let share = units::share(temporary.share);
        writeln!(
            out,
            "| {} | {share} | {} |",
            units::count(temporary.blocks),
            code(&temporary.function)
        )?;
    }
    if report.printed_losses().next().is_some() {
        writeln!(out, "\n### Losses\n")?;
    }
    for loss in report.printed_losses() {
        writeln!(
            out,
            "* {} {}: {}",
            units::count(loss.count),
            code(&loss.name),
            plain(&loss.meaning)
        )?;
    }
    if !report.not_recorded.is_empty() {
        writeln!(out, "\n### Not recorded\n")?;
    }
    for sentence in &report.not_recorded {
        writeln!(out, "* {}", plain(sentence))?;
    }
    Ok(())
}

/// Text with all markup escaped.
fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in sanitize::line(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '|' | '[' | ']' | '@' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// A code span, without backticks, which would end it, and bars, which would end a cell.
fn code(text: &str) -> String {
    format!("`{}`", sanitize::line(text).replace('`', "'").replace('|', "¦"))
}
