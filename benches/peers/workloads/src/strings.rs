//! `flat` and `deepvar`: the cheapest allocation there is, at one depth and at many. They show
//! what recording one event costs when the program does next to nothing else. One iteration is
//! one string, which is two events.

use std::hint::black_box;

use crate::Work;

/// Strings made below one dive of `deepvar`.
const AT_A_TIME: u64 = 20;

/// Creates and drops strings in a loop, at a constant depth.
pub(crate) fn flat() -> Work {
    Box::new(|iterations| strings(0, iterations))
}

/// The same strings, 20 at a time, below a recursion whose depth cycles through 10 to 49: no two
/// dives in a row have the same stack.
pub(crate) fn deepvar() -> Work {
    Box::new(|iterations| {
        for dive_number in 0..iterations.div_ceil(AT_A_TIME) {
            let depth = 10 + dive_number % 40;
            black_box(dive(depth, dive_number * AT_A_TIME));
        }
    })
}

/// Recurses `depth` frames down and makes the strings there. What follows the inner call keeps it
/// from becoming a loop, which would have no frames to walk.
#[inline(never)]
fn dive(depth: u64, first: u64) -> u64 {
    if depth == 0 {
        strings(first, AT_A_TIME);
        return first;
    }
    let below = dive(black_box(depth - 1), first);
    black_box(below) + 1
}

/// `count` strings of 100 to 227 bytes, each dropped before the next is made.
#[inline(never)]
fn strings(first: u64, count: u64) {
    for i in first..first + count {
        let capacity = 100 + usize::try_from(i & 127).unwrap_or(0);
        drop(black_box(String::with_capacity(capacity)));
    }
}
