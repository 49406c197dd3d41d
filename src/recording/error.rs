//! What can be wrong with bytes that should be a recording.

use std::fmt;

/// Why bytes are not what the format says. Offsets are the caller's to add: this module
/// sees slices, not files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// The file does not begin with the magic bytes.
    NotARecording,
    /// The format is newer than this reader.
    Version(u16),
    /// The header's own checksum does not agree.
    HeaderDamaged,
    /// A number has a value that the format does not allow; says which.
    Invalid(&'static str),
    /// The bytes end inside the named thing.
    Truncated(&'static str),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecording => f.write_str("not a rheaper recording (the first bytes differ)"),
            Self::Version(version) => write!(
                f,
                "recording format {version} is newer than this rheaper knows ({})",
                crate::recording::VERSION
            ),
            Self::HeaderDamaged => f.write_str("the recording's header is damaged"),
            Self::Invalid(what) => write!(f, "{what} has a value that the format does not allow"),
            Self::Truncated(what) => write!(f, "the bytes end inside {what}"),
        }
    }
}

impl std::error::Error for FormatError {}
