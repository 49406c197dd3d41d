//! Looks up in `.eh_frame_hdr` whether a module has unwind information for an address.
//!
//! Reads: `.eh_frame_hdr`, whose search table points to the entries of `.eh_frame` (LSB core
//! specification, "Exception Frames").
//!
//! For code without unwind information, framehop assumes a frame pointer and trusts the register's
//! value. The system's unwinder ends the stack there, and so does the walker: a C library without unwind
//! information, such as musl's default build, would otherwise put invalid addresses into call paths.
//!
//! Invariant: a table in an unknown encoding counts as covering every address.

use crate::recording::Address;

/// A table in memory: its address and its bytes.
pub(crate) type Table<'a> = (Address, &'a [u8]);

/// Version 1; four-byte pc-relative pointer to `.eh_frame`; four-byte count; entries of two four-byte
/// offsets relative to the table. All linkers write this encoding.
const HEAD: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
const COUNT_AT: usize = 8;
const ENTRIES_AT: usize = 12;

/// Offsets in an entry (FDE) of `.eh_frame`, behind its length and the pointer to its CIE.
const BEGIN_AT: u64 = 8;
const RANGE_AT: u64 = 12;

/// Whether there is an entry for `address`. `table` is `.eh_frame_hdr`, `frames` is `.eh_frame`.
pub(crate) fn covers(table: Table<'_>, frames: Table<'_>, address: u64) -> bool {
    find_entry(table, frames, address).unwrap_or(true)
}

/// Like [`covers`]; `None` if the tables have another encoding.
fn find_entry(table: Table<'_>, frames: Table<'_>, address: u64) -> Option<bool> {
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
    // If the entry has another address, its pointers have another encoding.
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

    /// Tables of functions with these addresses and lengths.
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
    fn addresses_between_entries_are_not_covered() {
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
    fn tables_of_unknown_encoding_cover_everything() {
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
