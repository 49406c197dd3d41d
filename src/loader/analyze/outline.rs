//! Chooses the frames that are printed for each suspect, so that no two suspects print the same.
//!
//! These are the naming frame and the frames of its kind outwards. Suspects that would print the same
//! get a frame further inwards, and more frames outwards, until they differ.

use std::collections::HashMap;

use crate::loader::analyze::suspects::Suspect;
use crate::loader::symbols::site_frames::{FrameRow, NamedFrame, SiteFrames};
use crate::loader::symbols::{Kind, Symbols};

/// Number of frames if these are unique.
const FRAMES: usize = 5;
/// Limit on the frames.
const FRAMES_MAX: usize = 40;
/// Later suspects have no rows.
const SUSPECTS_MAX: usize = 2_000;

/// By suspect: the positions of its frames in its heaviest backtrace, innermost first.
pub(crate) fn outline(
    suspects: &[Suspect],
    site_frames: &SiteFrames,
    symbols: &Symbols,
) -> Vec<Vec<usize>> {
    let looks = looks(site_frames, symbols);
    let first = &suspects[..suspects.len().min(SUSPECTS_MAX)];
    let mut outlines: Vec<Vec<usize>> =
        first.iter().map(|suspect| frames(suspect, site_frames, symbols, 0, FRAMES)).collect();
    for extra in 1..FRAMES_MAX {
        let mut same: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
        for (index, (suspect, outline)) in first.iter().zip(&outlines).enumerate() {
            let site = suspect.sums.site.0 as usize - 1;
            let rows = site_frames.frames(site);
            let shown = outline.iter().map(|at| looks[rows[*at].0 as usize - 1]).collect();
            same.entry(shown).or_default().push(index);
        }
        let alike: Vec<usize> =
            same.into_values().filter(|group| group.len() > 1).flatten().collect();
        if alike.is_empty() {
            break;
        }
        for index in alike {
            outlines[index] = frames(&first[index], site_frames, symbols, extra, FRAMES + extra);
        }
    }
    outlines
}

/// The naming frame, frames of its kind outwards, and the frame `inwards` frames further inwards.
fn frames(
    suspect: &Suspect,
    site_frames: &SiteFrames,
    symbols: &Symbols,
    inwards: usize,
    outwards: usize,
) -> Vec<usize> {
    let site = suspect.sums.site.0 as usize - 1;
    let rows = site_frames.frames(site);
    let Some(NamedFrame { frame, .. }) = site_frames.named(site) else { return Vec::new() };
    // A cause that is named by a caller begins at the caller.
    let named = suspect.frame.unwrap_or(frame);
    let index = rows.iter().position(|row| *row == named).unwrap_or(0);
    let kind = |at: usize| site_frames.frame(rows[at], symbols).kind;
    let outer = (index..rows.len()).filter(|at| kind(*at) == kind(index));
    // Frames of libraries are more specific than those of `std`.
    let libraries = (0..index).rev().filter(|at| kind(*at) == Kind::Dependency);
    let others = (0..index).rev().filter(|at| kind(*at) != Kind::Dependency);
    let inner = inwards.checked_sub(1).and_then(|at| libraries.chain(others).nth(at));
    let mut shown: Vec<usize> = inner.into_iter().chain(outer.take(outwards)).collect();
    // Frames of a recursion are equal.
    shown.dedup_by_key(|at| rows[*at]);
    shown
}

/// By row of `frames`: a number that is equal for frames that print the same.
fn looks(site_frames: &SiteFrames, symbols: &Symbols) -> Vec<u32> {
    let mut known: HashMap<(&str, Option<&str>, Option<u32>), u32> = HashMap::new();
    let rows = site_frames.rows(symbols).map(|(FrameRow(row), frame, _)| {
        let look = (frame.function.as_str(), frame.file.as_deref(), frame.line);
        *known.entry(look).or_insert(row)
    });
    rows.collect()
}
