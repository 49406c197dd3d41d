//! The SQL prompt.
use crate::cli::failure::Failure;
use crate::database::{CancelToken, Database};
use crate::output::Style;
pub(crate) fn run(
    _database: &Database,
    _style: Style,
    _cancel: &CancelToken,
) -> Result<(), Failure> {
    Err(Failure::question("later"))
}
