//! Writes the tables of frames, call stacks and modules.
//!
//! Invariant: rows are inserted by ascending key, so that SQLite appends them to full pages.

use rusqlite::{Connection, Result};

use crate::loader::model::Nanos;
use crate::loader::passes::stacks::{SiteTable, StackTable};
use crate::loader::read::modules::Module;
use crate::loader::sanitize::{self, hex};
use crate::loader::symbols::site_frames::SiteFrames;
use crate::loader::symbols::{Call, ModuleSymbols, Symbols};
use crate::loader::write::insert::insert;
use crate::loader::write::row_writer::integer;

/// Writes `frames` and `backtrace_frames`.
pub(crate) fn write_frames(
    connection: &Connection,
    site_frames: &SiteFrames,
    symbols: &Symbols,
) -> Result<()> {
    insert!(connection, "frames", site_frames.rows(symbols), |(row, frame, offset)| {
        id: row.0,
        file: frame.file.as_deref(),
        line: frame.line,
        sym: &frame.sym,
        function: &frame.function,
        crate: frame.krate.as_deref(),
        kind: frame.kind.label(),
        inlined: frame.inlined,
        module: frame.module,
        offset: offset.cast_signed(),
    });
    let rows = (0..site_frames.sites()).flat_map(|site| {
        let frames = site_frames.frames(site).iter().enumerate();
        frames.map(move |(number, row)| (site as i64 + 1, number as i64, row.0))
    });
    insert!(connection, "backtrace_frames", rows, |(bt, frame_no, frame)| {
        bt: bt,
        frame_no: frame_no,
        frame: frame,
    });
    Ok(())
}

/// Writes `return_addresses`, `stacks` and `backtrace_stacks`, from which names can be resolved
/// again without the recording. Holds only calls and stacks that sites use, numbered by first
/// appearance.
pub(crate) fn write_stacks(
    connection: &Connection,
    sites: &SiteTable,
    stacks: &StackTable,
    calls: &[Call],
) -> Result<()> {
    // By location and by stack: the row, or 0.
    let mut call_rows = vec![0_u32; calls.len()];
    let mut stack_rows: Vec<u32> = Vec::new();
    let mut used_calls = Vec::new();
    let mut used_stacks: Vec<(Option<u32>, u32)> = Vec::new();
    let mut site_rows = Vec::with_capacity(sites.stacks().len());
    for stack in sites.stacks() {
        let mut unnumbered = Vec::new();
        let mut current = *stack;
        let mut parent = None;
        while let Some((caller, location)) = stacks.split(current) {
            match stack_rows.get(current.0 as usize) {
                Some(row) if *row != 0 => {
                    parent = Some(*row);
                    break;
                }
                _ => unnumbered.push((current, location)),
            }
            current = caller;
        }
        for (stack, location) in unnumbered.into_iter().rev() {
            let call = &mut call_rows[location.0 as usize];
            if *call == 0 {
                used_calls.push(calls[location.0 as usize]);
                *call = used_calls.len() as u32;
            }
            used_stacks.push((parent, *call));
            let index = stack.0 as usize;
            if stack_rows.len() <= index {
                stack_rows.resize(index + 1, 0);
            }
            stack_rows[index] = used_stacks.len() as u32;
            parent = Some(stack_rows[index]);
        }
        site_rows.push(parent);
    }
    insert!(connection, "return_addresses", (1_u32..).zip(used_calls), |(id, call)| {
        id: id,
        module: call.module,
        offset: call.offset.cast_signed(),
    });
    insert!(connection, "stacks", (1_u32..).zip(used_stacks), |(id, (parent, call))| {
        id: id,
        parent: parent,
        call: call,
    });
    insert!(connection, "backtrace_stacks", (1_u32..).zip(site_rows), |(bt, stack)| {
        bt: bt,
        stack: stack,
    });
    Ok(())
}

/// Writes `modules`; `spans` are the times of loading and unloading.
pub(crate) fn write_modules(
    connection: &Connection,
    modules: &[Module],
    symbols: &[ModuleSymbols],
    spans: &[(Nanos, Option<Nanos>)],
) -> Result<()> {
    let rows = (0_u32..).zip(modules).zip(symbols.iter().zip(spans));
    insert!(connection, "modules", rows, |((id, module), (symbols, (loaded, unloaded)))| {
        id: id,
        path: &module.shown,
        build_id: Some(hex(&module.build_id)).filter(|id| !id.is_empty()),
        main: module.main,
        start_addr: module.start.cast_signed(),
        end_addr: module.end.cast_signed(),
        bias: module.bias.cast_signed(),
        loaded_ns: integer(loaded.0),
        unloaded_ns: unloaded.map(|at| integer(at.0)),
        symbols: symbols.state.label(),
        symbol_file: symbols.file.as_ref().map(|file| sanitize::text(&file.to_string_lossy())),
    });
    Ok(())
}
