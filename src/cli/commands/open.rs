//! Opens a database for a command, and says what to do if the file is something else.

use std::path::Path;

use crate::cli::commands::load;
use crate::cli::exit::Failure;
use crate::database::Database;

/// The database in the file.
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
