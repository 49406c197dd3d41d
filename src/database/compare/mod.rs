//! Compares two recordings, or two moments of one: what grew, what shrank, what is new, what gone.
//!
//! Reads: the sites of two [`Side`]s and the frames of their backtraces. Writes: a [`Comparison`].
//!
//! Sites are matched by the names of their own frames, as addresses and lines change from one
//! build to the next, and as libraries get to the allocator on other ways. Sites of one side with
//! equal names are summed.
//!
//! Invariants:
//! - `compare(a, a)` has no rows; the rows of `compare(b, a)` are those of `compare(a, b)` with
//!   the sides exchanged, in the same order.
//! - Memory grows with distinct stacks, never with blocks: no answer is kept.

pub mod side;
pub mod comparison;
pub mod stacks;
pub mod window;
pub mod figures;

pub use crate::database::compare::comparison::{Comparison, Row, State, Total};
pub use crate::database::compare::figures::{Measure, Metrics, Normalization, Rate};
pub use crate::database::compare::side::Side;
pub use crate::database::compare::stacks::{Name, NameId, StackId, Stacks};
pub use crate::database::compare::window::{Moment, Span, Window};

use crate::database::compare::comparison::Gathered;
use crate::database::{CancelToken, QueryError};

/// Compares `before` with `after`; positive differences mean that `after` has more.
///
/// # Errors
/// If a side can't be asked, a mark is not there, or a rate would be of nothing.
pub fn compare(
    before: &Side<'_>,
    after: &Side<'_>,
    per: &Normalization,
    cancel: &CancelToken,
) -> Result<Comparison, QueryError> {
    let mut stacks = Stacks::default();
    let mut gathered = Gathered::default();
    let totals = [
        side::gather(before, per, &mut stacks, &mut gathered, 0, cancel)?,
        side::gather(after, per, &mut stacks, &mut gathered, 1, cancel)?,
    ];
    Ok(Comparison::new(stacks, gathered, totals, per.clone()))
}
