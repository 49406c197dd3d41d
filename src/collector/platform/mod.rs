//! Operating system calls and the primitives built on them: clock, memory, locks, threads.

pub(crate) mod inline_str;
pub(crate) mod clock;
pub(crate) mod event_count;
pub(crate) mod mmap_vec;
pub(crate) mod queue;
pub(crate) mod spin_lock;
pub(crate) mod counter;
#[cfg_attr(
    not(walks_with_framehop),
    expect(dead_code, reason = "only the framehop walker reads foreign stacks")
)]
pub(crate) mod sys;
