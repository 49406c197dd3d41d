//! A `tracing` layer that uses the current span as the scope of a thread's allocations.
//!
//! Invariants:
//! - The scope of a span is its name within its parent's scope, on whatever thread it is entered: a
//!   task polled by another thread belongs to the request that spawned it.
//! - Entering and leaving allocate nothing and need not be nested.

use std::cell::Cell;

use tracing_core::span::{Attributes, Id};
use tracing_core::{LevelFilter, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

use crate::collector::api::scope;
use crate::collector::event_path::scope_table::{self, ScopePosition};
use crate::recording::ScopeId;

/// Maximum number of spans that a thread may be in at once; deeper ones belong to the innermost of
/// these.
const ENTERED_MAX: usize = 64;

/// A span that this thread has entered, and the thread's position before.
#[derive(Clone, Copy)]
struct EnteredSpan {
    span: u64,
    before: ScopePosition,
}

const NO_SPAN: EnteredSpan =
    EnteredSpan { span: 0, before: ScopePosition { scope: ScopeId::NONE, depth: 0 } };

thread_local! {
    // Constant and without a destructor, so that it is usable at any moment of a thread's life.
    static ENTERED: [Cell<EnteredSpan>; ENTERED_MAX] = const { [const { Cell::new(NO_SPAN) }; ENTERED_MAX] };
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// The scope of a span, stored in its extensions.
struct SpanScope(ScopeId);

/// A `tracing_subscriber` layer that attributes each allocation to the current span, as
/// [`scope`](crate::scope()) does: an async task is in its span whenever it is polled, on any thread.
/// `rheaper query DB leaks_by_scope` then shows which span leaks.
///
/// Spans are distinguished by their names and those of their parents, not by their fields.
///
/// ```no_run
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(rheaper::ScopeLayer::default());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ScopeLayer {
    level: LevelFilter,
}

impl Default for ScopeLayer {
    /// Spans of every level.
    fn default() -> Self {
        Self::new(LevelFilter::TRACE)
    }
}

impl ScopeLayer {
    /// Includes spans up to a level; the allocations of others belong to the enclosing span.
    pub fn new(level: LevelFilter) -> Self {
        Self { level }
    }
}

impl<S> Layer<S> for ScopeLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let parent = span.parent().and_then(|parent| {
            parent.extensions().get::<SpanScope>().map(|SpanScope(scope)| *scope)
        });
        // A root span is inside the scope that the program has entered.
        let parent = parent.unwrap_or_else(|| match span.parent() {
            Some(_) => ScopeId::NONE,
            None => outside_of_spans(),
        });
        let metadata = attributes.metadata();
        let is_chosen = *metadata.level() <= self.level;
        let scope = if is_chosen { scope_table::intern(parent, metadata.name()) } else { parent };
        span.extensions_mut().replace(SpanScope(scope));
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let scope = span.extensions().get::<SpanScope>().map(|SpanScope(scope)| *scope);
        let Some(scope) = scope else { return };
        let count = COUNT.get();
        let before = scope_table::current();
        let entered = EnteredSpan { span: id.into_u64(), before };
        ENTERED.with(|places| {
            if let Some(place) = places.get(count) {
                place.set(entered);
                COUNT.set(count.saturating_add(1));
                scope::set_current(ScopePosition { scope, depth: before.depth });
            }
        });
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        let count = COUNT.get();
        let id = id.into_u64();
        ENTERED.with(|places| {
            let entered = places.get(..count).unwrap_or_default();
            let Some(at) = entered.iter().rposition(|place| place.get().span == id) else {
                return;
            };
            let Some(exited) = entered.get(at) else { return };
            let before = exited.get().before;
            // Spans entered later stay entered; the next one now starts from this span's previous
            // position.
            let later = entered.get(at.saturating_add(1)..).unwrap_or_default();
            let mut place = exited;
            let mut first = Some(before);
            for next in later {
                let moved = next.get();
                let before = first.take().unwrap_or(moved.before);
                place.set(EnteredSpan { span: moved.span, before });
                place = next;
            }
            COUNT.set(count.saturating_sub(1));
            if later.is_empty() {
                scope::set_current(before);
            }
        });
    }
}

/// The scope that the program entered outside of all spans of this thread.
fn outside_of_spans() -> ScopeId {
    if COUNT.get() == 0 {
        return scope_table::current().scope;
    }
    ENTERED.with(|places| places.first().map_or(ScopeId::NONE, |place| place.get().before.scope))
}
