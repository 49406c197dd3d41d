//! The recorded process's objects: which one an address is in, as they come and go.
//!
//! Reads: module definitions in the order of the file. Writes: the list of all that ever were.
//!
//! Invariant: at most one loaded module answers for an address, the one that came last.

use std::collections::HashMap;

use crate::loader::sanitize;
use crate::recording::{Address, ModuleDef, ModuleId, ModuleStatus, Ticks};

/// A loaded object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// The file's number.
    pub(crate) id: ModuleId,
    /// Its path as bytes, to be opened.
    pub(crate) path: Vec<u8>,
    /// Its path, to be shown.
    pub(crate) shown: String,
    /// The linker's build id; empty if there is none.
    pub(crate) build_id: Vec<u8>,
    /// Whether it is the executable itself.
    pub(crate) main: bool,
    /// First executable address.
    pub(crate) start: u64,
    /// Behind the last one.
    pub(crate) end: u64,
    /// Address in the process minus address in the file.
    pub(crate) bias: u64,
    /// When it was seen.
    pub(crate) loaded: Ticks,
    /// When it was gone.
    pub(crate) unloaded: Option<Ticks>,
}

/// All modules, and which ones are loaded at this place of the file.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    list: Vec<Module>,
    /// Index into `list` of the module that carries this number now.
    by_id: HashMap<u32, usize>,
    /// Loaded ones: (start, end, index), sorted by start, not overlapping.
    ranges: Vec<(u64, u64, u32)>,
}

impl Modules {
    /// A module came or went.
    pub(crate) fn see(&mut self, definition: &ModuleDef<'_>) {
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
        let place = self.ranges.partition_point(|range| range.0 < start);
        self.ranges.insert(place, (start, end, index as u32));
        self.by_id.insert(definition.id.0, index);
        self.list.push(module);
    }

    /// The module that carries a number, or carried it last.
    pub(crate) fn numbered(&self, id: ModuleId) -> Option<u32> {
        let loaded = self.by_id.get(&id.0).copied();
        let found = loaded.or_else(|| self.list.iter().rposition(|module| module.id == id));
        found.map(|index| index as u32)
    }

    /// The path of one of them.
    pub(crate) fn path(&self, index: u32) -> Option<&[u8]> {
        self.list.get(index as usize).map(|module| module.path.as_slice())
    }

    /// The module that a return address belongs to: the one that holds the call before it.
    pub(crate) fn holding(&self, address: Address) -> Option<u32> {
        let call = address.0.checked_sub(1)?;
        let behind = self.ranges.partition_point(|range| range.0 <= call);
        let range = self.ranges.get(behind.checked_sub(1)?)?;
        (call < range.1).then_some(range.2)
    }

    /// All that ever were, in the order of the file.
    pub(crate) fn into_list(self) -> Vec<Module> {
        self.list
    }
}
