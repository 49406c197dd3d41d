//! Errors of the format decoders.

use std::fmt;

/// Why bytes are not a valid recording. The caller knows the file offset and adds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FormatError {
    /// The file does not begin with the magic bytes.
    NotARecording,
    /// The format is newer than this reader.
    Version(u16),
    /// The checksum of the header does not match.
    HeaderDamaged,
    /// A field has a value that the format does not allow; the string names the field.
    Invalid(&'static str),
    /// The input ends inside the named structure.
    Truncated(&'static str),
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotARecording => f.write_str("not a rheaper recording (the first bytes differ)"),
            Self::Version(version) => write!(
                f,
                "recording format {version} is newer than this rheaper supports ({})",
                crate::recording::VERSION
            ),
            Self::HeaderDamaged => f.write_str("the recording's header is damaged"),
            Self::Invalid(what) => write!(f, "{what} has a value that the format does not allow"),
            Self::Truncated(what) => write!(f, "the bytes end inside {what}"),
        }
    }
}

impl std::error::Error for FormatError {}
