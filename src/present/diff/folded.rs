//! A comparison as folded stacks with two values, the format of `inferno-diff-folded`.
//!
//! Invariant: one stack per line; no name contains a separator of frames or lines.

use std::io::{self, Write};

use crate::database::compare::Row;
use crate::database::text::sanitize;
use crate::present::diff::Diff;

pub(super) fn write(diff: &Diff<'_>, out: &mut dyn Write) -> io::Result<()> {
    let unchanged = if diff.include_unchanged { diff.comparison.unchanged.as_slice() } else { &[] };
    for row in diff.shown().chain(unchanged) {
        line(diff, row, out)?;
    }
    Ok(())
}

fn line(diff: &Diff<'_>, row: &Row, out: &mut dyn Write) -> io::Result<()> {
    let (before, after) = (row.before.get(diff.measure), row.after.get(diff.measure));
    if before == 0 && after == 0 {
        return Ok(());
    }
    let mut frames: Vec<String> = diff
        .comparison
        .frames(row)
        .map(|name| sanitize::line(&name.sym).replace(';', ":"))
        .collect();
    frames.reverse();
    if frames.is_empty() {
        frames.push("(no frames)".to_owned());
    }
    writeln!(out, "{} {before} {after}", frames.join(";"))
}
