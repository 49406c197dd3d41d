//! Which frames of a suspect are shown, so that no two suspects show the same.
//!
//! Reads: suspects and their frames. Writes: the rows of `suspect_frames`.
//!
//! The named frame and the frames of its kind outwards are shown. Suspects that would show the same
//! get the first frame inwards in which they differ, and further ones outwards.

use std::collections::HashMap;

use crate::loader::analyze::suspects::Suspect;
use crate::loader::symbols::frame_names::{FrameRow, Named, Names};
use crate::loader::symbols::{Kind, Symbols};

/// Frames that are shown where that is enough.
const FRAMES: usize = 5;
/// Frames that are shown at most.
const FRAMES_MAX: usize = 40;
/// Suspects behind these are never looked at one by one.
const SUSPECTS_MAX: usize = 2_000;

/// By suspect: the places of its frames in its heaviest backtrace, innermost first.
pub(crate) fn outline(suspects: &[Suspect], names: &Names, symbols: &Symbols) -> Vec<Vec<usize>> {
    let looks = looks(names, symbols);
    let first = &suspects[..suspects.len().min(SUSPECTS_MAX)];
    let mut outlines: Vec<Vec<usize>> =
        first.iter().map(|suspect| frames(suspect, names, symbols, 0, FRAMES)).collect();
    for extra in 1..FRAMES_MAX {
        let mut same: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
        for (index, (suspect, outline)) in first.iter().zip(&outlines).enumerate() {
            let site = suspect.sums.site.0 as usize - 1;
            let rows = names.frames(site);
            let shown = outline.iter().map(|at| looks[rows[*at].0 as usize - 1]).collect();
            same.entry(shown).or_default().push(index);
        }
        let alike: Vec<usize> =
            same.into_values().filter(|group| group.len() > 1).flatten().collect();
        if alike.is_empty() {
            break;
        }
        for index in alike {
            outlines[index] = frames(&first[index], names, symbols, extra, FRAMES + extra);
        }
    }
    outlines
}

/// The frame that is so many frames inwards of the named one, the named one, and frames of its kind
/// outwards.
fn frames(
    suspect: &Suspect,
    names: &Names,
    symbols: &Symbols,
    inwards: usize,
    outwards: usize,
) -> Vec<usize> {
    let site = suspect.sums.site.0 as usize - 1;
    let rows = names.frames(site);
    let Some(Named { frame, .. }) = names.named(site) else { return Vec::new() };
    // A cause that is named by a caller begins there.
    let named = suspect.frame.unwrap_or(frame);
    let index = rows.iter().position(|row| *row == named).unwrap_or(0);
    let kind = |at: usize| names.frame(rows[at], symbols).kind;
    let outer = (index..rows.len()).filter(|at| kind(*at) == kind(index));
    // A library's frames say more than the language's own.
    let libraries = (0..index).rev().filter(|at| kind(*at) == Kind::Dependency);
    let others = (0..index).rev().filter(|at| kind(*at) != Kind::Dependency);
    let inner = inwards.checked_sub(1).and_then(|at| libraries.chain(others).nth(at));
    let mut shown: Vec<usize> = inner.into_iter().chain(outer.take(outwards)).collect();
    // A recursion's frames look the same.
    shown.dedup_by_key(|at| rows[*at]);
    shown
}

/// By row of `frames`: a number for how it is printed.
fn looks(names: &Names, symbols: &Symbols) -> Vec<u32> {
    let mut known: HashMap<(&str, Option<&str>, Option<u32>), u32> = HashMap::new();
    let rows = names.rows(symbols).map(|(FrameRow(row), frame, _)| {
        let look = (frame.function.as_str(), frame.file.as_deref(), frame.line);
        *known.entry(look).or_insert(row)
    });
    rows.collect()
}
