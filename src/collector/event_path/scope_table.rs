//! The scope table: one id per (parent scope, name) for the life of the process, and the current
//! scope of each thread.
//!
//! The table is static and is read without a lock.
//!
//! Invariants:
//! - Nothing here allocates. The table is bounded: a scope that does not fit is merged into its
//!   parent and counted.
//! - A parent has a smaller id. A thread that reads an id also sees its definition and a [`count`]
//!   that includes it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::collector::platform::inline_str::{InlineStr, SharedInlineStr};
use crate::collector::platform::spin_lock::SpinLock;
use crate::recording::ScopeId;

/// Maximum number of scopes.
pub(crate) const SCOPES_MAX: usize = 1 << 14;

/// Slots of the hash index: a power of two, at most half of them used.
const INDEX_SLOTS: usize = SCOPES_MAX * 2;

struct Entry {
    name: SharedInlineStr,
    parent: AtomicU32,
}

/// Scope n is entry n − 1.
static ENTRIES: [Entry; SCOPES_MAX] =
    [const { Entry { name: SharedInlineStr::new(), parent: AtomicU32::new(0) } }; SCOPES_MAX];
/// Scope ids by the hash of parent and name; 0: free.
static INDEX: [AtomicU32; INDEX_SLOTS] = [const { AtomicU32::new(0) }; INDEX_SLOTS];
static COUNT: AtomicU32 = AtomicU32::new(0);
static INSERT_LOCK: SpinLock<()> = SpinLock::new(());

/// Scopes entered in this session that did not fit the table.
pub(crate) static OVERFLOWS: AtomicU64 = AtomicU64::new(0);

/// The current scope of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopePosition {
    pub(crate) scope: ScopeId,
    /// Number of scopes entered and not left.
    pub(crate) depth: u32,
}

thread_local! {
    // Constant and without a destructor, so that it is usable at any moment of a thread's life.
    static CURRENT: Cell<ScopePosition> = const { Cell::new(ScopePosition { scope: ScopeId::NONE, depth: 0 }) };
}

/// The current scope of this thread.
pub(crate) fn current() -> ScopePosition {
    CURRENT.get()
}

/// Sets the current scope of this thread.
pub(crate) fn set_current(place: ScopePosition) {
    CURRENT.set(place);
}

/// Number of scopes; their ids are 1 to this.
pub(crate) fn count() -> u32 {
    COUNT.load(Ordering::Acquire)
}

/// Parent and name of a scope.
pub(crate) fn definition(scope: ScopeId) -> Option<(ScopeId, InlineStr)> {
    let entry = entry(scope)?;
    Some((ScopeId(entry.parent.load(Ordering::Relaxed)), entry.name.load()))
}

/// The scope `name` within `parent`. It is `parent` itself if that has this name, so that a
/// recursion is one scope, and if the table is full.
pub(crate) fn intern(parent: ScopeId, name: &str) -> ScopeId {
    let name = InlineStr::new(name);
    if entry(parent).is_some_and(|entry| entry.name.equals(&name)) {
        return parent;
    }
    match find(parent, &name) {
        Ok(scope) => scope,
        Err(_) => add(parent, name).unwrap_or_else(|| {
            OVERFLOWS.fetch_add(1, Ordering::Relaxed);
            parent
        }),
    }
}

fn entry(scope: ScopeId) -> Option<&'static Entry> {
    ENTRIES.get(scope.0.checked_sub(1)? as usize)
}

/// The id of a scope, or the free slot for it.
fn find(parent: ScopeId, name: &InlineStr) -> Result<ScopeId, usize> {
    let mut slot = name.hash(parent.0) as usize & (INDEX_SLOTS - 1);
    // Half of the slots are free, so that the loop ends; the bound proves it to the compiler.
    for _ in 0..INDEX_SLOTS {
        let scope = INDEX.get(slot).map_or(0, |slot| slot.load(Ordering::Acquire));
        let Some(entry) = entry(ScopeId(scope)) else {
            return Err(slot);
        };
        if entry.parent.load(Ordering::Relaxed) == parent.0 && entry.name.equals(name) {
            return Ok(ScopeId(scope));
        }
        slot = slot.wrapping_add(1) & (INDEX_SLOTS - 1);
    }
    Err(INDEX_SLOTS)
}

#[cold]
fn add(parent: ScopeId, name: InlineStr) -> Option<ScopeId> {
    let _guard = INSERT_LOCK.lock()?;
    // Another thread may have added the scope in the meantime.
    let slot = match find(parent, &name) {
        Ok(scope) => return Some(scope),
        Err(slot) => INDEX.get(slot)?,
    };
    let scope = ScopeId(COUNT.load(Ordering::Relaxed).wrapping_add(1));
    let entry = entry(scope)?;
    entry.name.store(name);
    entry.parent.store(parent.0, Ordering::Relaxed);
    COUNT.store(scope.0, Ordering::Release);
    slot.store(scope.0, Ordering::Release);
    Some(scope)
}

/// Unlocks the table in a forked child, where the thread that held the lock does not exist.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which called `fork` and so does not hold the lock.
    unsafe { INSERT_LOCK.reset_after_fork() };
}
