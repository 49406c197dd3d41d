//! `qsort`: libc's sort calls back into Rust code that formats strings. The walk has to pass through
//! frames of a C library, which need not keep frame pointers. One iteration is one sort.

use std::cmp::Ordering;
use std::ffi::{c_int, c_void};
use std::hint::black_box;

use crate::{Scatter, Work};

const ELEMENTS: usize = 1_000;

pub(crate) fn through_libc() -> Work {
    let mut scatter = Scatter::new(3);
    let numbers: Vec<u64> = (0..ELEMENTS).map(|_| scatter.below(1_000_000)).collect();
    let mut scratch = numbers.clone();
    Box::new(move |iterations| {
        for _ in 0..iterations {
            scratch.copy_from_slice(&numbers);
            // SAFETY: the array has `ELEMENTS` elements of the stated size, and `by_text` reads
            // its two arguments as what they are and does not unwind.
            unsafe {
                libc::qsort(
                    scratch.as_mut_ptr().cast(),
                    ELEMENTS,
                    size_of::<u64>(),
                    Some(by_text),
                );
            }
            black_box(&mut scratch);
        }
    })
}

/// Orders two numbers as texts.
extern "C" fn by_text(left: *const c_void, right: *const c_void) -> c_int {
    // SAFETY: `qsort` passes pointers to two elements of the array, which are `u64`.
    let (left, right) = unsafe { (*left.cast::<u64>(), *right.cast::<u64>()) };
    let (left, right) = (format!("key {left}"), format!("key {right}"));
    match black_box(left).cmp(&black_box(right)) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}
