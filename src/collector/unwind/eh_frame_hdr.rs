//! Whether a module's unwind information covers an address at all.
//!
//! Reads: `.eh_frame_hdr`, whose search table leads to the entries of `.eh_frame` (LSB core
//! specification, "Exception Frames"). Writes: nothing.
//!
//! framehop takes code that is not covered for such as keeps a frame pointer, and whatever is in
//! that register for one. The system's unwinder ends the stack there, and so do we: a C library
//! without unwind information, as musl's is built, would else leave wild addresses in stacks.
//!
//! Invariant: tables of a form that is not known here cover everything.

use crate::recording::Address;

/// A table in memory: where it begins, and its bytes.
pub(crate) type Table<'a> = (Address, &'a [u8]);

/// Version 1; the address of `.eh_frame`, relative to itself, and the number of entries in four
/// bytes each; entries of two times four bytes, relative to the table: what all linkers write.
const HEAD: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
const COUNT_AT: usize = 8;
const ENTRIES_AT: usize = 12;

/// In an entry of `.eh_frame`, behind its length and the way to what it shares with others.
const BEGIN_AT: u64 = 8;
const RANGE_AT: u64 = 12;

/// Whether there is an entry for `address`. `frames` is `.eh_frame`, `table` what finds its entries.
pub(crate) fn covers(table: Table<'_>, frames: Table<'_>, address: u64) -> bool {
    entry_of(table, frames, address).unwrap_or(true)
}

/// `None`: the tables are of another form.
fn entry_of(table: Table<'_>, frames: Table<'_>, address: u64) -> Option<bool> {
    if *table.1.first_chunk::<4>()? != HEAD {
        return None;
    }
    let count = word(table.1, COUNT_AT)? as usize;
    let entries = table.1.get(ENTRIES_AT..)?.as_chunks::<8>().0.get(..count)?;
    let begin_of = |entry: &[u8; 8]| relative(table.0.0, word(entry, 0).unwrap_or(0));
    let behind = entries.partition_point(|entry| begin_of(entry) <= address);
    let Some(entry) = behind.checked_sub(1).and_then(|at| entries.get(at)) else {
        return Some(false);
    };
    let begin = begin_of(entry);
    let at = relative(table.0.0, word(entry, 4)?).checked_sub(frames.0.0)?;
    let field = |offset| word(frames.1, usize::try_from(at.checked_add(offset)?).ok()?);
    // Where this is not the same address, it is written in another form.
    let begin_at = frames.0.0.checked_add(at)?.checked_add(BEGIN_AT)?;
    (relative(begin_at, field(BEGIN_AT)?) == begin).then_some(())?;
    Some(address.wrapping_sub(begin) < u64::from(field(RANGE_AT)?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn relative(base: u64, distance: u32) -> u64 {
    base.wrapping_add_signed(i64::from(distance.cast_signed()))
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a test may panic")]
mod tests {
    use crate::collector::unwind::eh_frame_hdr::{HEAD, covers};
    use crate::recording::Address;

    const TABLE: Address = Address(0x5000);
    const FRAMES: Address = Address(0x6000);

    /// Tables of functions at these addresses, of these lengths.
    fn tables(functions: &[(u64, u32)]) -> (Vec<u8>, Vec<u8>) {
        let (mut table, mut frames) = (HEAD.to_vec(), vec![0; 24]);
        table.extend(((FRAMES.0 - TABLE.0 - 4) as u32).to_ne_bytes());
        table.extend((functions.len() as u32).to_ne_bytes());
        let to = |from: u64, to: u64| (to.wrapping_sub(from) as u32).to_ne_bytes();
        for (begin, len) in functions {
            let entry = FRAMES.0 + frames.len() as u64;
            table.extend(to(TABLE.0, *begin));
            table.extend(to(TABLE.0, entry));
            frames.extend(16_u32.to_ne_bytes());
            frames.extend([0; 4]);
            frames.extend(to(entry + 8, *begin));
            frames.extend(len.to_ne_bytes());
            frames.extend([0; 4]);
        }
        (table, frames)
    }

    #[test]
    fn what_no_entry_holds_is_not_covered() {
        let (table, frames) = tables(&[(0x1000, 0x10), (0x1010, 0x20), (0x2000, 1)]);
        for (address, expected) in [
            (0xfff, false),
            (0x1000, true),
            (0x100f, true),
            (0x1010, true),
            (0x102f, true),
            (0x1030, false),
            (0x1fff, false),
            (0x2000, true),
            (0x2001, false),
            (u64::MAX, false),
        ] {
            assert_eq!(
                covers((TABLE, &table), (FRAMES, &frames), address),
                expected,
                "{address:x}"
            );
        }
        assert!(!covers((TABLE, &tables(&[]).0), (FRAMES, &[]), 0x1000));
    }

    #[test]
    fn tables_of_another_form_and_cut_ones_cover_everything() {
        let (table, frames) = tables(&[(0x1000, 0x10)]);
        for at in 0..HEAD.len() {
            let mut other = table.clone();
            other[at] ^= 1;
            assert!(covers((TABLE, &other), (FRAMES, &frames), 0x1020));
        }
        let mut other = frames.clone();
        other[24 + 8] ^= 1;
        assert!(covers((TABLE, &table), (FRAMES, &other), 0x1020));
        for len in 0..table.len() {
            covers((TABLE, &table[..len]), (FRAMES, &frames), 0x1005);
        }
        for len in 0..frames.len() {
            assert!(covers((TABLE, &table), (FRAMES, &frames[..len]), 0x1005));
        }
    }
}
