//! Call stacks: the walker, its caches, unwind rules, loaded modules, and the stack table.

#[cfg(walks_with_framehop)]
pub(crate) mod walker;
#[cfg(not(walks_with_framehop))]
#[path = "backtrace_fallback.rs"]
pub(crate) mod walker;
#[cfg(walks_with_framehop)]
pub(crate) mod recent_stacks;
#[cfg_attr(
    not(walks_with_framehop),
    expect(
        dead_code,
        reason = "only the walker over framehop needs modules that are loaded later"
    )
)]
pub(crate) mod module_registry;
#[cfg(walks_with_framehop)]
pub(crate) mod dlopen;
#[cfg(walks_with_framehop)]
pub(crate) mod rules;
#[cfg(walks_with_framehop)]
pub(crate) mod eh_frame_hdr;
#[cfg(walks_with_framehop)]
pub(crate) mod alt_stack;
#[cfg(walks_with_framehop)]
pub(crate) mod stack_word;
#[cfg_attr(
    not(walks_with_framehop),
    expect(
        dead_code,
        reason = "only the walker over framehop needs modules that are loaded later"
    )
)]
pub(crate) mod modules;
pub(crate) mod stack_table;
