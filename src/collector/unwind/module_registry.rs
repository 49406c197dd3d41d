//! Numbers the modules of the process and writes their definitions to each recording.
//!
//! Reads: the dynamic loader's list while enabling; modules that were loaded later from the flusher.
//!
//! Invariants: an id names one loading of one module and is never used again, because nodes outlive
//! recordings and contain it. Only the enabling thread and the flusher allocate here.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::collector::unwind::modules::{self, LateModule, Module};
use crate::recording::{Address, ByteWriter, ModuleDef, ModuleId, ModuleStatus, Ticks};

/// A module that has an id: its index in the list.
struct Known {
    path: Vec<u8>,
    build_id: Vec<u8>,
    bias: u64,
    text: (Address, Address),
    is_main: bool,
    /// When it was added to the list.
    added: Ticks,
}

static KNOWN: Mutex<Vec<Known>> = Mutex::new(Vec::new());

fn known() -> MutexGuard<'static, Vec<Known>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock on the list of modules.
pub(crate) struct KnownGuard {
    _guard: MutexGuard<'static, Vec<Known>>,
}

/// Locks the list across a fork. Other holders keep the lock for microseconds.
pub(crate) fn lock() -> KnownGuard {
    KnownGuard { _guard: known() }
}

/// Adds the modules that are loaded now. Called while enabling; takes the dynamic loader's lock.
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
                added: now,
            });
        }
    }
    loaded
}

/// Numbers a module that was loaded while recording, and adds it to the unwinder.
pub(crate) fn add_late(module: &LateModule) {
    let id = {
        let mut known = known();
        known.push(Known {
            path: modules::whole_path(module.path().to_vec(), module.text().0),
            build_id: module.build_id().to_vec(),
            bias: module.bias(),
            text: module.text(),
            is_main: false,
            added: crate::collector::platform::clock::now(),
        });
        ModuleId(known.len().saturating_sub(1) as u32)
    };
    #[cfg(walks_with_framehop)]
    crate::collector::unwind::rules::add_late(module, id);
    #[cfg(not(walks_with_framehop))]
    let _ = id;
}

/// Upper bound of the length of a module's definition; `None` if there is no module with this index.
pub(crate) fn definition_bytes(index: usize) -> Option<usize> {
    let known = known();
    let module = known.get(index)?;
    Some(module.path.len().saturating_add(module.build_id.len()).saturating_add(64))
}

/// Writes the definition of the module with this index.
pub(crate) fn write_definition(index: usize, out: &mut ByteWriter<'_>) {
    let known = known();
    let Some(module) = known.get(index) else {
        return;
    };
    ModuleDef {
        status: ModuleStatus::Loaded,
        id: ModuleId(index as u32),
        at: module.added,
        bias: module.bias,
        start: module.text.0,
        end: module.text.1,
        main: module.is_main,
        build_id: &module.build_id,
        path: &module.path,
    }
    .write(out);
}
