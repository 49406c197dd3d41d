//! Compares two recordings, or two moments of one: new, grown, shrunk and gone sites.
//!
//! Sites are matched by the names of their own frames, because addresses, lines and the call paths
//! inside libraries change between builds. Sites of one side with equal names are summed.
//!
//! Invariants:
//! - `compare(a, a)` has no rows; the rows of `compare(b, a)` are those of `compare(a, b)` with
//!   the sides exchanged, in the same order.
//! - Memory grows with distinct stacks, not with blocks: rows are streamed.

pub mod side;
pub mod comparison;
pub mod stacks;
pub mod window;
pub mod metrics;

pub use crate::database::compare::comparison::{Comparison, Row, State, Total};
pub use crate::database::compare::metrics::{Metrics, Normalization, Ratio};
pub use crate::database::compare::side::Side;
pub use crate::database::compare::stacks::{Name, NameId, StackId, Stacks};
pub use crate::database::compare::window::{Moment, Span, Window};
pub use crate::database::measure::Measure;

use crate::database::compare::comparison::StackMetrics;
use crate::database::{CancelToken, QueryError};

/// Compares `before` with `after`; a positive difference means that `after` has more.
///
/// # Errors
/// If a query fails, or a mark does not exist.
pub fn compare(
    before: &Side<'_>,
    after: &Side<'_>,
    per: &Normalization,
    cancel: &CancelToken,
) -> Result<Comparison, QueryError> {
    let mut stacks = Stacks::default();
    let mut metrics_by_stack = StackMetrics::default();
    let totals = [
        side::read_side(before, per, &mut stacks, &mut metrics_by_stack, 0, cancel)?,
        side::read_side(after, per, &mut stacks, &mut metrics_by_stack, 1, cancel)?,
    ];
    Ok(Comparison::new(stacks, metrics_by_stack, totals, per.clone()))
}
