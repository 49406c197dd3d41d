//! Call stacks: unwinding, cached frames, the stack table, loaded modules.

#[cfg(walks_with_framehop)]
pub(crate) mod walker;
#[cfg(not(walks_with_framehop))]
#[path = "backtrace_fallback.rs"]
pub(crate) mod walker;
#[cfg(walks_with_framehop)]
pub(crate) mod recent_stacks;
#[cfg_attr(
    not(walks_with_framehop),
    expect(dead_code, reason = "the walk over framehop alone asks for late modules")
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
#[cfg_attr(
    not(walks_with_framehop),
    expect(dead_code, reason = "the walk over framehop alone asks for late modules")
)]
pub(crate) mod modules;
pub(crate) mod stack_table;
