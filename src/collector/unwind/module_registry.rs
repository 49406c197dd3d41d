//! The modules that recordings name: numbered once in the process, told to each recording.
//!
//! Reads: the loader's list while enabling, late modules from the flusher. Writes: module
//! definitions for the file.
//!
//! Invariants: an id is never used for another loading of a module, since nodes, which outlive
//! recordings, carry it. Allocates: for the enabling thread and the flusher only.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::collector::unwind::modules::{self, LateModule, Module};
use crate::recording::{Address, ByteWriter, ModuleDef, ModuleId, ModuleStatus, Ticks};

struct Known {
    path: Vec<u8>,
    build_id: Vec<u8>,
    bias: u64,
    text: (Address, Address),
    is_main: bool,
    seen: Ticks,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What [`hold`] answers: nobody else reads or changes the list while it lives.
pub(crate) struct KnownGuard {
    _guard: MutexGuard<'static, Vec<Known>>,
}

/// Takes the list's lock across a fork. It is held for microseconds by others.
pub(crate) fn hold() -> KnownGuard {
    KnownGuard { _guard: known() }
}

/// Learns what is loaded now. Called while enabling; takes the loader's lock.
pub(crate) fn refresh(now: Ticks) -> Vec<Module> {
    let loaded = modules::list();
    let mut known = known();
    for module in &loaded {
        let is_known = known.iter().any(|old| {
            old.bias == module.bias && old.path == module.path && old.build_id == module.build_id
        });
        if !is_known {
            known.push(Known {
                path: module.path.clone(),
                build_id: module.build_id.clone(),
                bias: module.bias,
                text: module.text,
                is_main: module.is_main,
                seen: now,
            });
        }
    }
    loaded
}

/// Numbers a module that appeared while recording and makes the unwinder know it.
pub(crate) fn add_late(module: &LateModule) {
    let id = {
        let mut known = known();
        known.push(Known {
            path: module.path().to_vec(),
            build_id: module.build_id().to_vec(),
            bias: module.bias(),
            text: module.text(),
            is_main: false,
            seen: crate::collector::platform::clock::now(),
        });
        ModuleId(known.len().saturating_sub(1) as u32)
    };
    #[cfg(walks_with_framehop)]
    crate::collector::unwind::rules::add_late(module, id);
    #[cfg(not(walks_with_framehop))]
    let _ = id;
}

/// Bytes that the definition of the module with this index needs; `None` if there is none.
pub(crate) fn definition_bytes(index: usize) -> Option<usize> {
    let known = known();
    let module = known.get(index)?;
    Some(module.path.len().saturating_add(module.build_id.len()).saturating_add(64))
}

/// Appends the definition of the module with this index.
pub(crate) fn write_definition(index: usize, out: &mut ByteWriter<'_>) {
    let known = known();
    let Some(module) = known.get(index) else {
        return;
    };
    ModuleDef {
        status: ModuleStatus::Loaded,
        id: ModuleId(index as u32),
        at: module.seen,
        bias: module.bias,
        start: module.text.0,
        end: module.text.1,
        main: module.is_main,
        build_id: &module.build_id,
        path: &module.path,
    }
    .write(out);
}
