//! Reads the metadata of a database.

use crate::database::estimate::SamplingRate;
use crate::database::text::units;
use crate::database::{Database, Params, Table};
use crate::present::export::error::ExportError;
use crate::present::export::request::Request;

/// The rows of `meta`.
#[derive(Debug)]
pub(crate) struct Metadata(Table);

impl Metadata {
    /// Reads all keys.
    pub(crate) fn read(database: &Database, request: &Request<'_>) -> Result<Self, ExportError> {
        let sql = "SELECT key, value FROM meta";
        Ok(Self(database.query(sql, &Params::none(), &request.limits())?))
    }

    /// A number; 0 if the key is missing.
    pub(crate) fn number(&self, name: &str) -> i64 {
        let row = self.0.rows.iter().find(|row| row[0].as_str() == Some(name));
        row.and_then(|row| row[1].as_i64()).unwrap_or(0)
    }

    /// The sampling rate of a sampled recording.
    pub(crate) fn rate(&self) -> Option<SamplingRate> {
        SamplingRate::new(self.number("sample_bytes").max(0).unsigned_abs())
    }

    /// A text; empty if the key is missing.
    pub(crate) fn text(&self, name: &str) -> String {
        let row = self.0.rows.iter().find(|row| row[0].as_str() == Some(name));
        row.map(|row| units::raw(&row[1])).unwrap_or_default()
    }
}
