//! Opens a database for a command; for other files the error suggests the right command.

use std::path::Path;

use crate::cli::commands::load;
use crate::cli::exit::Failure;
use crate::database::Database;

/// Opens the database.
pub(crate) fn database(file: &Path) -> Result<Database, Failure> {
    if load::is_recording(file) {
        let file = file.display();
        return Err(Failure::file(format!(
            "{file}: a recording, not a database; first: rheaper load {file}"
        )));
    }
    load::refuse_foreign(file)?;
    Ok(Database::open(file)?)
}
