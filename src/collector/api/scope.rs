//! The scopes of a program: what its allocations are for.
//!
//! Reads: names. Writes: this thread's scope, which its stream of events tells before the next
//! event.
//!
//! Invariants: nothing here allocates; leaving a scope leaves those that were entered inside it.

use std::marker::PhantomData;

use crate::collector::event_path::scope_table::{self, ScopePosition};
use crate::collector::event_path::thread_guard;
use crate::recording::ScopeId;

/// Says what the allocations of this thread are for, until the answer is dropped: each keeps the
/// innermost scope that it is made in.
///
/// Scopes nest: the same name inside another scope is another one, and a scope directly inside one
/// of its own name is that one. They need no recording: one that begins later knows them. At most
/// 16,384 are told apart, and of a name the first 64 bytes; what does not fit belongs to the scope
/// around it and is counted. Entering costs about 30 ns, whether or not something is recorded, and
/// never allocates.
///
/// A scope is the thread's: hold it across no `.await` (the compiler says so where a task may
/// move). For async code there is a layer for `tracing`, see `ScopeLayer`.
///
/// ```
/// let _scope = rheaper::scope("load users");
/// let users: Vec<u32> = (0..100).collect();
/// # assert_eq!(users.len(), 100);
/// ```
pub fn scope(name: &str) -> Scope {
    let before = scope_table::current();
    enter(scope_table::intern(before.scope, name), before)
}

/// Ends what [`scope`] began when it is dropped.
#[derive(Debug)]
#[must_use = "the scope ends when this is dropped: bind it to a name"]
pub struct Scope {
    before: ScopePosition,
    /// It is this thread's.
    not_send: PhantomData<*const ()>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        // It may have been left already, by leaving one that is further out.
        if scope_table::current().depth > self.before.depth {
            set_current(self.before);
        }
    }
}

/// Enters a scope that has a number.
pub(crate) fn enter(scope: ScopeId, before: ScopePosition) -> Scope {
    set_current(ScopePosition { scope, depth: before.depth.wrapping_add(1) });
    Scope { before, not_send: PhantomData }
}

/// Moves this thread, and lets its stream tell so before the next event.
pub(crate) fn set_current(place: ScopePosition) {
    let before = scope_table::current();
    scope_table::set_current(place);
    if before.scope != place.scope {
        thread_guard::scope_changed();
    }
}
