//! Makes [`Symbols`] of the names in another profiler's recording.
//!
//! Invariant: a frame without a name is called `module@0xaddress`, with its address in the process,
//! because its offset in the file is not recorded.

use crate::loader::read::modules::Module;
use crate::loader::symbols::raw_frame::RawFrame;
use crate::loader::symbols::{Call, Interner, Kind, ModuleSymbols, Offsets, SymbolState, Symbols};

/// A frame with its recorded names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordedFrame {
    /// The function, demangled or not.
    pub(crate) function: Option<String>,
    /// Its source file.
    pub(crate) file: Option<String>,
    /// Line in it.
    pub(crate) line: Option<u32>,
}

impl Symbols {
    /// `given` has the frames of each call, innermost first; all but the last one are inlined.
    pub(crate) fn recorded(
        calls: &[Call],
        given: Vec<Vec<RecordedFrame>>,
        modules: &[Module],
    ) -> Self {
        let raw = given.into_iter().map(|frames| frames.into_iter().map(raw).collect()).collect();
        let mut symbols = Interner::new(modules, Offsets::InProcess).intern(calls, raw);
        symbols.modules = vec![ModuleSymbols::default(); modules.len()];
        for (call, frames) in calls.iter().zip(&symbols.by_call) {
            let frames = || frames.iter().map(|id| &symbols.frames[id.0 as usize]);
            let is_named = frames().any(|frame| frame.kind != Kind::Unknown);
            symbols.summary.addresses += 1;
            symbols.summary.named += u64::from(is_named);
            symbols.summary.with_lines += u64::from(frames().any(|frame| frame.line.is_some()));
            let Some(module) = call.module else { continue };
            let state = &mut symbols.modules[module as usize].state;
            if is_named {
                *state = SymbolState::Recorded;
            } else if *state == SymbolState::Unused {
                *state = SymbolState::Missing;
            }
        }
        symbols
    }
}

fn raw(frame: RecordedFrame) -> RawFrame {
    let RecordedFrame { function, file, line } = frame;
    RawFrame { function, file, line, ..RawFrame::default() }
}
