//! A report as text for a terminal.
//!
//! Invariant: all text of the database is sanitized here.

use std::io::{self, Write};

use crate::database::text::{sanitize, units};
use crate::present::report::{Memory, Report, sparkline};

/// Width of the live curve in characters.
const CURVE_WIDTH: usize = 60;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let lines = summary(report);
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    writeln!(out, "rheaper report: {}\n", sanitize::line(&report.file))?;
    for (name, value) in lines {
        writeln!(out, "{name:width$}  {}", sanitize::line(&value))?;
    }
    if report.suspects.is_empty() {
        writeln!(out, "\nSuspects\n  none: no block is live at the end of the recording")?;
    } else {
        writeln!(out, "\nSuspects, live at the end; most suspicious first")?;
    }
    for suspect in &report.suspects {
        writeln!(out, "  {}", sanitize::line(&suspect.finding()))?;
        for frame in &suspect.frames {
            writeln!(out, "      {}", sanitize::line(frame))?;
        }
    }
    if !report.temporaries.is_empty() {
        writeln!(
            out,
            "\nTemporaries, freed by their own thread after at most one other allocation"
        )?;
    }
    for temporary in &report.temporaries {
        let share = units::share(temporary.share);
        let (count, function) =
            (units::count(temporary.blocks), sanitize::line(&temporary.function));
        writeln!(out, "  {count} blocks, {share} of the allocations of {function}")?;
    }
    writeln!(out, "\nLost")?;
    if report.losses.is_empty() {
        writeln!(out, "  nothing")?;
    }
    for loss in &report.losses {
        let (name, meaning) = (sanitize::line(&loss.name), sanitize::line(&loss.meaning));
        writeln!(out, "  {} {name}: {meaning}", units::count(loss.count))?;
    }
    if !report.not_recorded.is_empty() {
        writeln!(out, "\nNot recorded")?;
    }
    for sentence in &report.not_recorded {
        writeln!(out, "  {}", sanitize::line(sentence))?;
    }
    Ok(())
}

/// Names and values of the summary, also for Markdown.
pub(super) fn summary(report: &Report) -> Vec<(&'static str, String)> {
    let bytes = |bytes: i64| units::bytes(bytes as f64);
    let time = |ns: i64| units::duration(ns as f64);
    let counted = |count: i64, one: &str| {
        format!("{} {one}{}", units::count(count), if count == 1 { "" } else { "s" })
    };
    let threads = report.threads.map(|threads| format!(" and {}", counted(threads, "thread")));
    let threads = threads.unwrap_or_default();
    let about = if report.sampled.is_some() { "about " } else { "" };
    let mut lines = vec![
        ("duration", time(report.duration_ns)),
        (
            "allocated",
            format!(
                "{about}{} in {} from {}{threads}; {} freed",
                bytes(report.allocated_bytes),
                counted(report.allocations, "block"),
                counted(report.sites, "site"),
                units::count(report.frees),
            ),
        ),
        ("peak", format!("{about}{} at {}", bytes(report.peak_bytes), time(report.peak_ns))),
        (
            "at the end",
            format!(
                "{about}{} in {} blocks",
                bytes(report.live_bytes),
                units::count(report.live_blocks)
            ),
        ),
        ("live bytes", sparkline(&report.curve, CURVE_WIDTH)),
    ];
    if let Some(memory) = &report.memory {
        lines.push(("memory", of_process(memory)));
    }
    if let Some(growth) = report.growth {
        let sign = if growth.bytes_per_hour >= 0.0 { "+" } else { "" };
        let rate = units::bytes(growth.bytes_per_hour.round());
        lines.push((
            "growth",
            format!("{sign}{rate} per hour in the second half (R² {:.2})", growth.fit),
        ));
    }
    if let Some(sampled) = &report.sampled {
        lines.push(("estimates", sampled.sentence()));
    }
    if let Some(profiler) = &report.imported_from {
        lines.push(("recorded by", profiler.clone()));
    }
    match report.ending.as_deref() {
        None | Some("sealed") => {}
        Some(ending) => lines.push(("ending", format!("{ending}: the recording is not whole"))),
    }
    lines
}

/// Memory of the process, and the share that live blocks explain.
fn of_process(memory: &Memory) -> String {
    let bytes = |bytes: i64| units::bytes(bytes as f64);
    let mut text = format!(
        "RSS {} at the end, {} at most; live blocks are {} of it",
        bytes(memory.rss_bytes),
        bytes(memory.rss_max_bytes),
        units::share(memory.explained()),
    );
    if memory.recorder_bytes > 0 {
        text.push_str(&format!(", the recorder at most {}", bytes(memory.recorder_bytes)));
    }
    match (memory.cgroup_bytes, memory.cgroup_limit_bytes) {
        (Some(charged), Some(limit)) => {
            text.push_str(&format!("; control group {} of {}", bytes(charged), bytes(limit)));
        }
        (Some(charged), None) => {
            text.push_str(&format!("; control group {}", bytes(charged)));
        }
        (None, _) => {}
    }
    text
}
