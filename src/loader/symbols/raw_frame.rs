//! A frame as a symbol file tells it.
//!
//! Reads: what addr2line finds. Writes: [`RawFrame`]s, names still mangled.

use addr2line::{FrameIter, gimli};

/// A frame as the symbol file tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawFrame {
    /// Name of the function, mangled.
    pub(crate) function: Option<String>,
    /// Whether it is compiled from Rust, whatever its name looks like.
    pub(crate) is_rust: bool,
    /// Source file.
    pub(crate) file: Option<String>,
    /// Line in it.
    pub(crate) line: Option<u32>,
    /// Lines and inlined functions are in a file that was not found.
    pub(crate) is_split_off: bool,
}

/// What addr2line found.
pub(crate) fn raw_frames<R: gimli::Reader>(mut found: FrameIter<'_, R>) -> Vec<RawFrame> {
    let mut frames = Vec::new();
    while let Ok(Some(frame)) = found.next() {
        let function = frame
            .function
            .as_ref()
            .and_then(|function| function.raw_name().ok())
            .map(std::borrow::Cow::into_owned);
        let location = frame.location.as_ref();
        frames.push(RawFrame {
            function,
            is_rust: frame
                .function
                .as_ref()
                .is_some_and(|function| function.language == Some(gimli::DW_LANG_Rust)),
            file: location.and_then(|location| location.file).map(str::to_owned),
            line: location.and_then(|location| location.line).filter(|line| *line > 0),
            is_split_off: false,
        });
    }
    frames
}
