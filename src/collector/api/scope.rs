//! Scopes: named regions of the program's work, to which its allocations are attributed.
//!
//! Sets this thread's scope; its event stream gets the change before the next event.
//!
//! Invariants: nothing here allocates; leaving a scope also leaves the scopes entered inside it.

use std::marker::PhantomData;

use crate::collector::event_path::scope_table::{self, ScopePosition};
use crate::collector::event_path::thread_guard;
use crate::recording::ScopeId;

/// Attributes the allocations of this thread to the scope `name` until the returned value is dropped.
/// An allocation belongs to the innermost scope.
///
/// Scopes nest: the same name inside a different scope is a different scope, and a scope directly
/// inside a scope of the same name is the same scope. Scopes work without a recording: one that starts
/// later includes them. At most 16,384 scopes are distinguished, by the first 64 bytes of their names;
/// further ones are merged into their parent and counted. Entering a scope takes about 30 ns, with or
/// without a recording, and never allocates.
///
/// A scope belongs to its thread: do not hold it across an `.await` (the compiler rejects it where a
/// task may move to another thread). For async code use the `tracing` layer, see `ScopeLayer`.
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

/// Guard of a scope entered with [`scope`]; leaves it when dropped.
#[derive(Debug)]
#[must_use = "the scope ends when this is dropped: bind it to a name"]
pub struct Scope {
    before: ScopePosition,
    /// Not `Send`: the scope belongs to this thread.
    not_send: PhantomData<*const ()>,
}

impl Drop for Scope {
    fn drop(&mut self) {
        // An enclosing scope that was left first has already left this one.
        if scope_table::current().depth > self.before.depth {
            set_current(self.before);
        }
    }
}

/// Enters a scope by id.
pub(crate) fn enter(scope: ScopeId, before: ScopePosition) -> Scope {
    set_current(ScopePosition { scope, depth: before.depth.wrapping_add(1) });
    Scope { before, not_send: PhantomData }
}

/// Sets this thread's scope and schedules the change for its event stream.
pub(crate) fn set_current(place: ScopePosition) {
    let before = scope_table::current();
    scope_table::set_current(place);
    if before.scope != place.scope {
        thread_guard::scope_changed();
    }
}
