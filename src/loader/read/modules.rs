//! Tracks the executable and the shared libraries of the recorded process as they are loaded and
//! unloaded, and finds the module of an address.
//!
//! Invariant: at most one loaded module contains an address: the one that was loaded last.

use std::collections::HashMap;

use crate::loader::sanitize;
use crate::recording::{Address, ModuleDef, ModuleId, ModuleStatus, Ticks};

/// An executable or a shared library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// Id in the recording.
    pub(crate) id: ModuleId,
    /// Path as recorded, for opening the file.
    pub(crate) path: Vec<u8>,
    /// Path sanitized for display.
    pub(crate) shown: String,
    /// The linker's build id; empty if there is none.
    pub(crate) build_id: Vec<u8>,
    /// Whether it is the executable itself.
    pub(crate) main: bool,
    /// First executable address.
    pub(crate) start: u64,
    /// End of the executable addresses, exclusive.
    pub(crate) end: u64,
    /// Address in the process minus address in the file.
    pub(crate) bias: u64,
    /// When the recorder first saw it.
    pub(crate) loaded: Ticks,
    /// When the recorder missed it; `None`: loaded at the end.
    pub(crate) unloaded: Option<Ticks>,
}

/// All modules of a recording, and the ones that are loaded at the current place in the file.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    list: Vec<Module>,
    /// By id: the index into `list` of the loaded module that has it.
    by_id: HashMap<u32, usize>,
    /// Loaded modules as (start, end, index), sorted by start, not overlapping.
    ranges: Vec<(u64, u64, u32)>,
}

impl Modules {
    /// Applies a definition: a module was loaded or unloaded.
    pub(crate) fn apply(&mut self, definition: &ModuleDef<'_>) {
        match definition.status {
            ModuleStatus::Loaded => self.load(definition),
            ModuleStatus::Unloaded => {
                if let Some(index) = self.by_id.remove(&definition.id.0) {
                    self.list[index].unloaded = Some(definition.at);
                    self.ranges.retain(|range| range.2 as usize != index);
                }
            }
        }
    }

    fn load(&mut self, definition: &ModuleDef<'_>) {
        let path = String::from_utf8_lossy(definition.path);
        let module = Module {
            id: definition.id,
            path: definition.path.to_vec(),
            shown: sanitize::text(&path),
            build_id: definition.build_id.to_vec(),
            main: definition.main,
            start: definition.start.0,
            end: definition.end.0.max(definition.start.0),
            bias: definition.bias,
            loaded: definition.at,
            unloaded: None,
        };
        if let Some(index) = self.by_id.get(&definition.id.0) {
            let known = &self.list[*index];
            if (known.start, known.end, known.bias) == (module.start, module.end, module.bias)
                && known.path == module.path
            {
                return;
            }
        }
        let index = self.list.len();
        let (start, end) = (module.start, module.end);
        self.ranges.retain(|range| range.1 <= start || end <= range.0);
        let index_in_ranges = self.ranges.partition_point(|range| range.0 < start);
        self.ranges.insert(index_in_ranges, (start, end, index as u32));
        self.by_id.insert(definition.id.0, index);
        self.list.push(module);
    }

    /// The module that has an id, or had it last.
    pub(crate) fn by_id(&self, id: ModuleId) -> Option<u32> {
        let loaded = self.by_id.get(&id.0).copied();
        let found = loaded.or_else(|| self.list.iter().rposition(|module| module.id == id));
        found.map(|index| index as u32)
    }

    /// The path of the module at an index.
    pub(crate) fn path(&self, index: u32) -> Option<&[u8]> {
        self.list.get(index as usize).map(|module| module.path.as_slice())
    }

    /// The module that contains the call before a return address.
    pub(crate) fn containing(&self, address: Address) -> Option<u32> {
        let call = address.0.checked_sub(1)?;
        let next = self.ranges.partition_point(|range| range.0 <= call);
        let range = self.ranges.get(next.checked_sub(1)?)?;
        (call < range.1).then_some(range.2)
    }

    /// All modules, unloaded ones included, in the order of the file.
    pub(crate) fn into_list(self) -> Vec<Module> {
        self.list
    }
}
