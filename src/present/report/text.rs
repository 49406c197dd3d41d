//! A report as text for a terminal, about 60 lines of 80 columns.
//!
//! Invariant: all text of the database is sanitized here.

use std::io::{self, Write};

use crate::database::text::{sanitize, units};
use crate::present::report::holders::{Holder, Ranking};
use crate::present::report::{Memory, Report, sparkline};

/// Width of the report in columns.
const WIDTH: usize = 80;
/// Width of the live curve in characters.
const CURVE_WIDTH: usize = 60;
/// Number of suspects that are shown with frames, and number of these frames.
const EXPLAINED: usize = 3;
const FRAMES: usize = 3;

pub(super) fn write(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "rheaper report: {}\n", sanitize::line(&report.file))?;
    wrap(out, 0, 0, &report.finding())?;
    if let Some(warning) = report.warning() {
        wrap(out, 0, 2, &warning)?;
    }
    writeln!(out)?;
    let lines = summary(report);
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    for (name, value) in lines {
        wrap(out, 0, width, &format!("{name:width$}{value}"))?;
    }
    if report.growing().next().is_some() {
        writeln!(out, "\nWhat grows; most suspicious first")?;
    }
    for (nth, suspect) in report.growing().enumerate() {
        wrap(out, 2, 4, &suspect.finding())?;
        for frame in suspect.frames.iter().take(if nth < EXPLAINED { FRAMES } else { 0 }) {
            writeln!(out, "{}", cut(&format!("      {}", sanitize::line(frame)), WIDTH))?;
        }
    }
    for (title, ranking) in rankings(report) {
        writeln!(out)?;
        wrap(out, 0, 2, &title)?;
        for holder in &ranking.holders {
            writeln!(out, "{}", cut(&row(holder), WIDTH))?;
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
            (counted(temporary.blocks, "block"), sanitize::line(&temporary.function));
        writeln!(
            out,
            "{}",
            cut(&format!("  {count}, {share} of the allocations of {function}"), WIDTH)
        )?;
    }
    if report.printed_losses().next().is_some() {
        writeln!(out, "\nLosses")?;
    }
    for loss in report.printed_losses() {
        wrap(out, 2, 4, &format!("{} {}: {}", units::count(loss.count), loss.name, loss.meaning))?;
    }
    if !report.not_recorded.is_empty() {
        writeln!(out, "\nNot recorded")?;
    }
    for sentence in &report.not_recorded {
        wrap(out, 2, 4, sentence)?;
    }
    Ok(())
}

/// The rankings of functions, each with its title.
pub(super) fn rankings(report: &Report) -> Vec<(String, &Ranking)> {
    let bytes = |bytes: i64| units::bytes(bytes as f64);
    let listed = |ranking: &Ranking| {
        let share = units::share(ranking.listed_share());
        let all = usize::try_from(ranking.functions).unwrap_or(usize::MAX);
        match ranking.holders.len() {
            1 if all == 1 => format!("one function, {share}"),
            listed if listed >= all => format!("all {listed} functions, {share}"),
            listed => format!("the first {listed} of {} functions, {share}", ranking.functions),
        }
    };
    let peak = units::duration(report.peak_ns as f64);
    let all = [
        (format!("Held {}", report.judged_moment()), &report.held),
        (format!("Held at the peak, at {peak}"), &report.at_peak),
        ("Allocated in all".to_owned(), &report.allocated),
    ];
    all.into_iter()
        .filter(|(_, ranking)| !ranking.holders.is_empty())
        // Not again if the functions at the peak are those of the first ranking.
        .filter(|(_, ranking)| {
            !std::ptr::eq(*ranking, &raw const report.at_peak)
                || report.at_peak.holders != report.held.holders
        })
        .map(|(title, ranking)| {
            (format!("{title}: {}; {}", bytes(ranking.bytes), listed(ranking)), ranking)
        })
        .collect()
}

/// A line of a ranking.
fn row(holder: &Holder) -> String {
    let place = holder.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    format!(
        "  {:>6}  {:>10}  {}{}, {}",
        units::share(holder.share),
        units::bytes(holder.bytes as f64),
        sanitize::line(&holder.function),
        sanitize::line(&place),
        counted(holder.blocks, "block"),
    )
}

/// "1 block", "1,024 blocks".
pub(super) fn counted(count: i64, one: &str) -> String {
    format!("{} {one}{}", units::count(count), if count == 1 { "" } else { "s" })
}

/// Writes text in lines of at most [`WIDTH`] columns; `first` and `others` are their indents.
fn wrap(out: &mut dyn Write, first: usize, others: usize, text: &str) -> io::Result<()> {
    let text = sanitize::line(text);
    let mut line = " ".repeat(first);
    let mut columns = first;
    let mut is_begun = false;
    for word in text.split_inclusive(' ') {
        let word_columns = word.trim_end().chars().count();
        if is_begun && columns + word_columns > WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line = " ".repeat(others);
            columns = others;
        }
        line.push_str(word);
        columns += word.chars().count();
        is_begun = true;
    }
    writeln!(out, "{}", line.trim_end())
}

/// A line cut to a width.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.to_owned();
    }
    let kept: String = line.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// Names and values of the summary, also for Markdown.
pub(super) fn summary(report: &Report) -> Vec<(&'static str, String)> {
    let bytes = |bytes: i64| units::bytes(bytes as f64);
    let time = |ns: i64| units::duration(ns as f64);
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
                counted(report.sites, "backtrace"),
                units::count(report.frees),
            ),
        ),
        ("peak", format!("{about}{} at {}", bytes(report.peak_bytes), time(report.peak_ns))),
        (
            "at the end",
            format!(
                "{about}{} in {}",
                bytes(report.live_bytes),
                counted(report.live_blocks, "block")
            ),
        ),
        ("live bytes", sparkline(&report.curve, CURVE_WIDTH)),
    ];
    if let Some(memory) = &report.memory {
        lines.push(("memory", of_process(memory)));
    }
    if let Some(growth) = report.growth {
        let sign = if growth.bytes >= 0.0 { "+" } else { "" };
        let (rate, fit) = (units::bytes(growth.bytes.round()), growth.fit);
        let until = report.shutdown_ns.map_or("", |_| " until the shutdown");
        lines.push((
            "growth",
            format!("{sign}{rate} {} in the second half{until} (R² {fit:.2})", growth.unit),
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
        "RSS {} at the end, {} at most; ",
        bytes(memory.rss_bytes),
        bytes(memory.rss_max_bytes),
    );
    if memory.live_bytes > memory.rss_bytes {
        let live = bytes(memory.live_bytes);
        let untouched = bytes(memory.live_bytes - memory.rss_bytes);
        text.push_str(&format!(
            "live blocks are {live}, of which at least {untouched} were never touched"
        ));
    } else {
        text.push_str(&format!("live blocks are {} of it", units::share(memory.explained())));
    }
    if memory.recorder_bytes > 0 {
        text.push_str(&format!(
            "; the recorder mapped at most {}, touched or not",
            bytes(memory.recorder_bytes)
        ));
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
