//! The named values of arguments, such as formats and measures.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::database::Measure;

/// A parser of the names of an enumeration, which are (value, name, help).
pub(crate) fn names<T: Clone + Send + Sync + 'static>(
    all: &'static [(T, &'static str, &'static str)],
) -> impl TypedValueParser<Value = T> {
    let values = all.iter().map(|(_, name, help)| PossibleValue::new(*name).help(*help));
    PossibleValuesParser::new(values).try_map(|typed| {
        let found = all.iter().find(|(_, name, _)| *name == typed);
        found.map(|(value, ..)| value.clone()).ok_or("no such name")
    })
}

/// The names of the measures that `rheaper diff` compares.
pub(crate) const COMPARED: &[(Measure, &str, &str)] = &[
    (Measure::LiveBytes, "live-bytes", "Bytes live at the end"),
    (Measure::LiveBlocks, "live-blocks", "Blocks live at the end"),
    (Measure::AllocatedBytes, "bytes", "Bytes of all allocations"),
    (Measure::Allocations, "allocations", "Number of allocations"),
];

/// The blocks that `rheaper export` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExportMeasure {
    /// Live at --to, or at the end of the recording
    #[default]
    Live,
    /// Never freed
    Leaked,
    /// All allocations, freed or not
    Allocated,
    /// Live when the recording had most live bytes
    Peak,
}

impl ExportMeasure {
    /// The measure in bytes, or in blocks.
    pub(crate) fn with_unit(self, blocks: bool) -> Measure {
        let bytes = match self {
            Self::Live => Measure::LiveBytes,
            Self::Leaked => Measure::LeakedBytes,
            Self::Allocated => Measure::AllocatedBytes,
            Self::Peak => Measure::PeakBytes,
        };
        if blocks { bytes.counterpart() } else { bytes }
    }
}

/// The colour theme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ThemeName {
    /// Light text on dark
    Dark,
    /// Dark text on light
    Light,
    /// Detect the background of the terminal, else dark
    Auto,
}
