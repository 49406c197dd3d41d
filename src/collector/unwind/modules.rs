//! The loaded modules (executable and shared libraries): addresses, unwind tables, path and build id.
//!
//! Reads: the dynamic loader's list (`dl_iterate_phdr`, never on the event path) and, for modules
//! that were loaded later, `_dl_find_object`, which takes no lock.
//!
//! Invariant: a module that can't be unloaded while this code runs is [`Lifetime::Fixed`];
//! the identity of any other one is checked whenever a frame of it is unwound.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::recording::Address;

/// Whether a module may be unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// Never unloaded: the executable, the module with this code, and their dependencies.
    Fixed,
    /// May be unloaded, and another module loaded at its addresses.
    Late,
}

/// A loaded module.
#[derive(Clone, Debug)]
pub(crate) struct Module {
    pub(crate) path: Vec<u8>,
    pub(crate) build_id: Vec<u8>,
    /// Address in the process minus address in the file.
    pub(crate) bias: u64,
    /// Executable addresses: the first, and the one behind the last.
    pub(crate) text: (Address, Address),
    pub(crate) is_main: bool,
    pub(crate) lifetime: Lifetime,
    layout: Layout,
    /// DT_SONAME and the DT_NEEDED entries of the dynamic section.
    soname: Vec<u8>,
    needed: Vec<Vec<u8>>,
}

/// Address and length of a memory range.
type Range = (u64, usize);

/// An unwind table: its address, and its bytes in memory.
type Table = (Address, &'static [u8]);

/// Maximum number of note segments; linkers write one or two.
const NOTES_MAX: usize = 4;

/// Addresses of a module's parts, from its program headers.
#[derive(Clone, Copy, Debug, Default)]
struct Layout {
    text: (u64, u64),
    mapping: (u64, u64),
    /// `.eh_frame_hdr`, and `.eh_frame` up to the end of its segment.
    unwind: Option<(Range, Range)>,
    notes: [Range; NOTES_MAX],
    dynamic: Option<Range>,
}

impl Layout {
    fn of(bias: u64, headers: &[libc::Elf64_Phdr]) -> Option<Self> {
        let mut layout = Self { text: (u64::MAX, 0), mapping: (u64::MAX, 0), ..Self::default() };
        let mut table = None;
        for header in headers {
            let start = bias.wrapping_add(header.p_vaddr);
            let range = (start, usize::try_from(header.p_memsz).unwrap_or(0));
            match header.p_type {
                libc::PT_LOAD => {
                    let end = start.wrapping_add(header.p_memsz);
                    let wider = |(low, high): (u64, u64)| (low.min(start), high.max(end));
                    layout.mapping = wider(layout.mapping);
                    if header.p_flags & libc::PF_X != 0 {
                        layout.text = wider(layout.text);
                    }
                }
                libc::PT_GNU_EH_FRAME => table = Some(range),
                libc::PT_NOTE => {
                    if let Some(free) = layout.notes.iter_mut().find(|(at, _)| *at == 0) {
                        *free = range;
                    }
                }
                libc::PT_DYNAMIC => layout.dynamic = Some(range),
                _ => {}
            }
        }
        if layout.text.0 >= layout.text.1 {
            return None;
        }
        layout.unwind = table.and_then(|table| {
            let frames = unwind_frames_address(table)?;
            let segment = headers.iter().find(|header| {
                let start = bias.wrapping_add(header.p_vaddr);
                let end = start.wrapping_add(header.p_memsz);
                header.p_type == libc::PT_LOAD && start <= frames && frames < end
            })?;
            let end = bias.wrapping_add(segment.p_vaddr).wrapping_add(segment.p_memsz);
            Some((table, (frames, usize::try_from(end.wrapping_sub(frames)).ok()?)))
        });
        Some(layout)
    }

    /// The linker's build id; empty if there is none.
    fn build_id(&self) -> &'static [u8] {
        let notes = self.notes.iter().filter(|(at, _)| *at != 0);
        // SAFETY: a note segment is a part of the module's loaded, readable memory.
        let mut bytes =
            notes.map(|(at, len)| unsafe { std::slice::from_raw_parts(*at as *const u8, *len) });
        bytes.find_map(build_id).unwrap_or_default()
    }

    /// The unwind tables as slices of the object's memory.
    fn unwind_tables(&self) -> Option<(Table, Table)> {
        let ((table, table_len), (frames, frames_len)) = self.unwind?;
        // SAFETY: both are parts of loaded, read-only segments. Those of a fixed module are never
        // unmapped; those of another one are read only while a frame of it is on a thread's stack.
        let slice = |at: u64, len| unsafe { std::slice::from_raw_parts(at as *const u8, len) };
        Some((
            (Address(table), slice(table, table_len)),
            (Address(frames), slice(frames, frames_len)),
        ))
    }
}

/// Where `.eh_frame` is, from the head of `.eh_frame_hdr` (LSB core specification: version 1,
/// three encodings, then the pointer; all linkers write it relative to itself, four bytes).
fn unwind_frames_address((table, len): Range) -> Option<u64> {
    const RELATIVE_FOUR_BYTES: u8 = 0x1b;
    if len < 8 {
        return None;
    }
    // SAFETY: the table is a part of a loaded segment and has at least these bytes.
    let head = unsafe { *(table as *const [u8; 8]) };
    let [version, encoding, _, _, a, b, c, d] = head;
    let distance = i32::from_ne_bytes([a, b, c, d]);
    (version == 1 && encoding == RELATIVE_FOUR_BYTES)
        .then(|| table.wrapping_add(4).wrapping_add_signed(i64::from(distance)))
}

impl Module {
    /// `.eh_frame_hdr` and `.eh_frame`; `None`: the module can't be unwound.
    pub(crate) fn unwind_tables(&self) -> Option<(Table, Table)> {
        self.layout.unwind_tables()
    }
}

/// Maximum length of the path and build id of a late module; longer ones are cut.
const LATE_PATH_BYTES: usize = 1024;
const LATE_BUILD_ID_BYTES: usize = 64;

/// A module that was loaded while recording, described without allocating.
#[derive(Clone)]
pub(crate) struct LateModule {
    identity: Identity,
    bias: u64,
    layout: Layout,
    build_id: [u8; LATE_BUILD_ID_BYTES],
    build_id_len: usize,
    path: [u8; LATE_PATH_BYTES],
    path_len: usize,
}

/// The public fields of the dynamic loader's `struct link_map` (link.h).
#[repr(C)]
struct LinkMap {
    bias: u64,
    name: *const c_char,
}

impl LateModule {
    /// Describes the module of a frame on the calling thread's stack; the frame keeps it loaded.
    pub(crate) fn describe(identity: &Identity) -> Option<Self> {
        // SAFETY: the loader's entry lives as long as the module, which is not unloaded while
        // a frame of it is on this stack.
        let link_map = unsafe { &*(identity.link_map as *const LinkMap) };
        // SAFETY: a module's mapping starts with its ELF header, and a frame keeps it mapped.
        let header = unsafe { &*(identity.map_start as *const libc::Elf64_Ehdr) };
        let table = identity.map_start.wrapping_add(header.e_phoff);
        if !header.e_ident.starts_with(b"\x7fELF") || table & 7 != 0 {
            return None;
        }
        // SAFETY: the dynamic loader reads the program headers at the same address, and a frame keeps the
        // module mapped.
        let headers = unsafe {
            std::slice::from_raw_parts(
                table as *const libc::Elf64_Phdr,
                usize::from(header.e_phnum),
            )
        };
        let layout = Layout::of(link_map.bias, headers)?;
        let mut module = Self {
            identity: *identity,
            bias: link_map.bias,
            layout,
            build_id: [0; LATE_BUILD_ID_BYTES],
            build_id_len: 0,
            path: [0; LATE_PATH_BYTES],
            path_len: 0,
        };
        module.build_id_len = copy(&mut module.build_id, layout.build_id());
        if !link_map.name.is_null() {
            // SAFETY: the name is a C string that lives as long as the loader's entry.
            let path = unsafe { CStr::from_ptr(link_map.name) }.to_bytes();
            module.path_len = copy(&mut module.path, path);
        }
        Some(module)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(crate) fn bias(&self) -> u64 {
        self.bias
    }

    pub(crate) fn text(&self) -> (Address, Address) {
        (Address(self.layout.text.0), Address(self.layout.text.1))
    }

    pub(crate) fn unwind_tables(&self) -> Option<(Table, Table)> {
        self.layout.unwind_tables()
    }

    pub(crate) fn build_id(&self) -> &[u8] {
        self.build_id.get(..self.build_id_len).unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &[u8] {
        self.path.get(..self.path_len).unwrap_or_default()
    }
}

fn copy(into: &mut [u8], from: &[u8]) -> usize {
    let len = into.len().min(from.len());
    for (to, byte) in into.iter_mut().zip(from) {
        *to = *byte;
    }
    len
}

/// The result of `_dl_find_object` (`struct dl_find_object` of glibc 2.35).
#[repr(C)]
struct FoundObject {
    flags: u64,
    map_start: *mut c_void,
    map_end: *mut c_void,
    link_map: *mut c_void,
    eh_frame: *mut c_void,
    reserved: [u64; 7],
}

/// Identifies one loading of one module: equal identities are the same loaded module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    map_start: u64,
    map_end: u64,
    link_map: u64,
    eh_frame: u64,
    /// Checksum of the ELF header, the program headers and the notes behind them, which include the
    /// build id: a library that is loaded again may get the same addresses.
    head: u32,
}

impl Identity {
    /// Whether both can't be loaded at the same time.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.map_start < other.map_end && other.map_start < self.map_end
    }
}

/// Bytes of a module's start that [`Identity`] checksums.
const HEAD_BYTES: usize = 1024;

static FIND_OBJECT: AtomicUsize = AtomicUsize::new(0);

/// Looks up glibc's lock-free `_dl_find_object`. Called while enabling.
pub(crate) fn prepare() {
    // SAFETY: the name is a C string; `dlsym` has no other requirement.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"_dl_find_object".as_ptr()) };
    FIND_OBJECT.store(found as usize, Ordering::Release);
}

/// The identity of the module with `pc`, without a lock. `None` if there is none, or if the C library
/// has no `_dl_find_object`.
pub(crate) fn identify(pc: Address) -> Option<Identity> {
    let function = FIND_OBJECT.load(Ordering::Acquire);
    if function == 0 {
        return None;
    }
    // SAFETY: `prepare` stored the address of glibc's `_dl_find_object`, whose interface has
    // been fixed since 2.35.
    let find = unsafe {
        std::mem::transmute::<usize, unsafe extern "C" fn(*mut c_void, *mut FoundObject) -> c_int>(
            function,
        )
    };
    let mut found = std::mem::MaybeUninit::<FoundObject>::zeroed();
    // SAFETY: `found` has the size of the result; the function takes any address, and is documented to
    // be async-signal-safe.
    if unsafe { find(pc.0 as *mut c_void, found.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: all-zero is a valid value (integers and pointers), and `find` has written it.
    let found = unsafe { found.assume_init() };
    let start = found.map_start as u64;
    let len = (found.map_end as u64).saturating_sub(start).min(HEAD_BYTES as u64) as usize;
    // SAFETY: the module is mapped from `map_start` on, and stays mapped because `pc` is of a frame on
    // the calling thread's stack.
    let head = unsafe { std::slice::from_raw_parts(start as *const u8, len) };
    Some(Identity {
        map_start: start,
        map_end: found.map_end as u64,
        link_map: found.link_map as u64,
        eh_frame: found.eh_frame as u64,
        head: crc32fast::hash(head),
    })
}

/// All loaded modules. Takes the dynamic loader's lock and allocates, so never on the event path.
pub(crate) fn list() -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    // SAFETY: `visit` gets the pointer to `modules` back as its last argument, on this thread,
    // before the call returns.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut modules).cast()) };
    let own = own_address();
    mark_fixed(&mut modules, own);
    modules
}

fn own_address() -> Address {
    Address(list as fn() -> Vec<Module> as usize as u64)
}

unsafe extern "C" fn visit(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    modules: *mut c_void,
) -> c_int {
    // SAFETY: `list` passes a vector that outlives the iteration.
    let modules = unsafe { &mut *modules.cast::<Vec<Module>>() };
    // SAFETY: the loader passes a valid description and holds its lock during the call.
    let info = unsafe { &*info };
    // SAFETY: the loader's name is a C string or null, valid as long as its lock is held.
    let name = unsafe { bytes_of(info.dlpi_name) };
    // SAFETY: the loader describes its own table of program headers.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let is_main = modules.is_empty();
    if let Some(module) = describe(info.dlpi_addr, name, headers, is_main) {
        modules.push(module);
    }
    0
}

unsafe fn bytes_of(text: *const c_char) -> Vec<u8> {
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: the caller vouches for a C string.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}

fn describe(
    bias: u64,
    name: Vec<u8>,
    headers: &[libc::Elf64_Phdr],
    is_main: bool,
) -> Option<Module> {
    let layout = Layout::of(bias, headers)?;
    let mut module = Module {
        path: if is_main && !names_a_file(&name) {
            own_executable()
        } else {
            whole_path(name, Address(layout.text.0))
        },
        build_id: layout.build_id().to_vec(),
        bias,
        text: (Address(layout.text.0), Address(layout.text.1)),
        is_main,
        lifetime: Lifetime::Late,
        layout,
        soname: Vec::new(),
        needed: Vec::new(),
    };
    if let Some((start, len)) = layout.dynamic {
        // SAFETY: the loader has mapped this module's dynamic section and holds its lock.
        unsafe { read_dynamic(start, len, &mut module) };
    }
    Some(module)
}

/// Whether the C library's name of the main program is a path that is valid in other processes. glibc's
/// is empty; musl's is `argv[0]` or `/proc/self/exe`.
fn names_a_file(name: &[u8]) -> bool {
    name.starts_with(b"/") && name != b"/proc/self/exe"
}

/// A module's absolute path. The dynamic loader keeps a relative one as the program passed it, which
/// readers in another directory can't open; the kernel's list of mappings has the file. Allocates.
pub(crate) fn whole_path(path: Vec<u8>, address: Address) -> Vec<u8> {
    if !path.contains(&b'/') || path.starts_with(b"/") {
        return path;
    }
    let maps = std::fs::read("/proc/self/maps").unwrap_or_default();
    mapped_at(&maps, address).unwrap_or(path)
}

/// The path of the mapping at an address, of lines like
/// `7f1c2a000000-7f1c2a021000 r-xp 00000000 fd:01 1234   /path`.
fn mapped_at(maps: &[u8], address: Address) -> Option<Vec<u8>> {
    let number = |text: &[u8]| u64::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok();
    let holds = |range: &[u8]| {
        let mut ends = range.split(|byte| *byte == b'-');
        let (start, end) = (number(ends.next()?)?, number(ends.next()?)?);
        (start <= address.0 && address.0 < end).then_some(())
    };
    let line = maps
        .split(|byte| *byte == b'\n')
        .find(|line| line.split(|byte| *byte == b' ').next().and_then(holds).is_some())?;
    let at = line.iter().position(|byte| *byte == b'/')?;
    let path = line.get(at..)?;
    Some(path.strip_suffix(b" (deleted)").unwrap_or(path).to_vec())
}

fn own_executable() -> Vec<u8> {
    use std::os::unix::ffi::OsStringExt;
    std::env::current_exe().map_or_else(|_| Vec::new(), |path| path.into_os_string().into_vec())
}

/// The description of the note with type 3 and name `GNU` (the ELF note layout: three `u32`
/// lengths and type, then name and description, each padded to four bytes).
fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let (head, rest) = notes.split_first_chunk::<12>()?;
        let word = |at: usize| {
            let bytes = head.get(at..at.checked_add(4)?)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let (name_len, len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let padded = |len: usize| len.checked_next_multiple_of(4);
        let (name, rest) = rest.split_at_checked(padded(name_len)?)?;
        let (description, rest) = rest.split_at_checked(padded(len)?.min(rest.len()))?;
        if kind == NT_GNU_BUILD_ID && name.starts_with(b"GNU\0") {
            return description.get(..len);
        }
        notes = rest;
    }
}

/// Reads names out of the dynamic section.
///
/// # Safety
/// `start` is the dynamic section of a loaded object, `len` bytes long.
unsafe fn read_dynamic(start: u64, len: usize, module: &mut Module) {
    const DT_NEEDED: u64 = 1;
    const DT_STRTAB: u64 = 5;
    const DT_SONAME: u64 = 14;
    // SAFETY: the caller guarantees the address and the length; an entry is a pair of words.
    let entries = unsafe { std::slice::from_raw_parts(start as *const [u64; 2], len / 16) };
    let entries = || entries.iter().take_while(|[tag, _]| *tag != 0);
    let Some([_, strings]) = entries().find(|[tag, _]| *tag == DT_STRTAB).copied() else {
        return;
    };
    // glibc relocates this pointer in place; musl and the kernel's vDSO don't.
    let strings = if strings < module.bias { strings.wrapping_add(module.bias) } else { strings };
    let inside = module.layout.mapping.0..module.layout.mapping.1;
    for [tag, offset] in entries() {
        let at = strings.wrapping_add(*offset);
        if !inside.contains(&at) || (*tag != DT_NEEDED && *tag != DT_SONAME) {
            continue;
        }
        // SAFETY: inside the module's mapping, in its string table, whose strings are terminated.
        let text = unsafe { bytes_of(at as *const c_char) };
        if *tag == DT_NEEDED {
            module.needed.push(text);
        } else {
            module.soname = text;
        }
    }
}

/// Marks the modules that are never unloaded: the executable, the one with this code, and all of their
/// dependencies.
fn mark_fixed(modules: &mut [Module], own: Address) {
    let mut wanted: Vec<Vec<u8>> = Vec::new();
    for module in modules.iter_mut() {
        let has_this_code = module.text.0 <= own && own < module.text.1;
        // The kernel's vDSO has no file and is never unmapped.
        let is_vdso = module.path.starts_with(b"linux-vdso");
        if module.is_main || has_this_code || is_vdso {
            module.lifetime = Lifetime::Fixed;
            wanted.extend(module.needed.iter().cloned());
        }
    }
    while let Some(name) = wanted.pop() {
        let found = modules.iter_mut().find(|module| {
            module.lifetime == Lifetime::Late
                && (module.soname == name || module.path.ends_with(&name))
        });
        if let Some(module) = found {
            module.lifetime = Lifetime::Fixed;
            wanted.extend(module.needed.iter().cloned());
        }
    }
}
