//! Scopes: every (scope around it, name) has one number for the life of the process; and the one
//! that each thread is in.
//!
//! Reads: names. Writes: a static table, which is read without a lock; this thread's scope.
//!
//! Invariants:
//! - Nothing here allocates. The table is bounded: what does not fit is its parent, and counted.
//! - A scope's parent has a smaller number. Whoever sees a number sees the definition and a
//!   [`count`] that includes it.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::collector::platform::inline_str::{InlineStr, SharedInlineStr};
use crate::collector::platform::spin_lock::SpinLock;
use crate::recording::ScopeId;

/// Scopes that are told apart.
pub(crate) const SCOPES_MAX: usize = 1 << 14;

/// Places of the hash index: a power of two, at most half of them taken.
const INDEX_SLOTS: usize = SCOPES_MAX * 2;

struct Entry {
    name: SharedInlineStr,
    parent: AtomicU32,
}

/// Scope n is entry n − 1.
static ENTRIES: [Entry; SCOPES_MAX] =
    [const { Entry { name: SharedInlineStr::new(), parent: AtomicU32::new(0) } }; SCOPES_MAX];
/// Numbers of scopes by the hash of parent and name; 0: free.
static INDEX: [AtomicU32; INDEX_SLOTS] = [const { AtomicU32::new(0) }; INDEX_SLOTS];
static COUNT: AtomicU32 = AtomicU32::new(0);
static INSERT_LOCK: SpinLock<()> = SpinLock::new(());

/// Scopes that were entered and had no place in the table, in this session.
pub(crate) static OVERFLOWS: AtomicU64 = AtomicU64::new(0);

/// Where a thread is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopePosition {
    pub(crate) scope: ScopeId,
    /// Scopes that were entered and not left.
    pub(crate) depth: u32,
}

thread_local! {
    // Constant and without a destructor, so that it is usable at any moment of a thread's life.
    static CURRENT: Cell<ScopePosition> = const { Cell::new(ScopePosition { scope: ScopeId::NONE, depth: 0 }) };
}

/// Where this thread is.
pub(crate) fn current() -> ScopePosition {
    CURRENT.get()
}

/// Moves this thread.
pub(crate) fn set_current(place: ScopePosition) {
    CURRENT.set(place);
}

/// Scopes that have a number: 1 to this.
pub(crate) fn count() -> u32 {
    COUNT.load(Ordering::Acquire)
}

/// The scope around one, and its name.
pub(crate) fn definition(scope: ScopeId) -> Option<(ScopeId, InlineStr)> {
    let entry = entry(scope)?;
    Some((ScopeId(entry.parent.load(Ordering::Relaxed)), entry.name.load()))
}

/// The scope of this name inside `parent`; `parent` itself where it has this name, so that a
/// recursion is one scope, and where the table is full.
pub(crate) fn intern(parent: ScopeId, name: &str) -> ScopeId {
    let label = InlineStr::new(name);
    if entry(parent).is_some_and(|entry| entry.name.is(&label)) {
        return parent;
    }
    match find(parent, &label) {
        Ok(scope) => scope,
        Err(_) => add(parent, label).unwrap_or_else(|| {
            OVERFLOWS.fetch_add(1, Ordering::Relaxed);
            parent
        }),
    }
}

fn entry(scope: ScopeId) -> Option<&'static Entry> {
    ENTRIES.get(scope.0.checked_sub(1)? as usize)
}

/// The scope's number, or the free place where it would stand.
fn find(parent: ScopeId, label: &InlineStr) -> Result<ScopeId, usize> {
    let mut place = label.hash(parent.0) as usize & (INDEX_SLOTS - 1);
    // Half of the places are free, so this ends; the bound says so to the compiler as well.
    for _ in 0..INDEX_SLOTS {
        let scope = INDEX.get(place).map_or(0, |place| place.load(Ordering::Acquire));
        let Some(entry) = entry(ScopeId(scope)) else {
            return Err(place);
        };
        if entry.parent.load(Ordering::Relaxed) == parent.0 && entry.name.is(label) {
            return Ok(ScopeId(scope));
        }
        place = place.wrapping_add(1) & (INDEX_SLOTS - 1);
    }
    Err(INDEX_SLOTS)
}

#[cold]
fn add(parent: ScopeId, label: InlineStr) -> Option<ScopeId> {
    let _growing = INSERT_LOCK.lock()?;
    // Another thread may have been faster.
    let place = match find(parent, &label) {
        Ok(scope) => return Some(scope),
        Err(place) => INDEX.get(place)?,
    };
    let scope = ScopeId(COUNT.load(Ordering::Relaxed).wrapping_add(1));
    let entry = entry(scope)?;
    entry.name.store(label);
    entry.parent.store(parent.0, Ordering::Relaxed);
    COUNT.store(scope.0, Ordering::Release);
    place.store(scope.0, Ordering::Release);
    Some(scope)
}

/// In a forked child: who held the lock is not here.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which forked and so does not hold the lock.
    unsafe { INSERT_LOCK.reset_after_fork() };
}
