//! Unwind rules: derives from framehop how to get from a frame's (pc, sp, fp) to its caller's.
//!
//! Reads: registers, this thread's stack, the modules' unwind tables.
//!
//! A [`Rule`] describes nearly all code: the caller's stack pointer is sp or fp plus a constant, the
//! return address lies below it, and the caller's fp is either unchanged or in one stack slot.
//! framehop does not report which rule it used, so [`probe`] finds out: it unwinds the pc twice from
//! invented registers, on an invented stack whose words are unique tokens, and accepts a rule only if
//! the rule gives all results of both runs. All other code is [`RuleKind::Exact`]: framehop unwinds
//! each frame on the real stack.
//!
//! Invariants:
//! - A rule is for code of a module that is never unloaded. Code of any other module is [`RuleKind::Late`]: its
//!   module's identity is checked each time.
//! - No allocation: modules are added by the enabling thread and the flusher, never here.

use framehop::{
    ExplicitModuleSectionInfo, FrameAddress, MustNotAllocateDuringUnwind, Unwinder as _,
    x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64},
};

use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::platform::sys::HeldSignals;
use crate::collector::unwind::alt_stack;
use crate::collector::unwind::eh_frame_hdr::{Table, covers};
use crate::collector::unwind::modules::{Identity, LateModule, Lifetime, Module};
use crate::recording::{Address, ModuleId};
use crate::safeguards::{self, Safeguard};

/// The registers that unwinding is a function of, together with the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Registers {
    pub(crate) pc: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
}

/// How to unwind a frame at one pc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// The pc, less one if it is a return address; 0: empty slot.
    key: u64,
    /// The caller's sp minus the base register.
    cfa: i32,
    /// Stack slot of the caller's fp, in words from the caller's sp; 0: fp is unchanged.
    fp_slot: i16,
    kind: RuleKind,
}

/// The form of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum RuleKind {
    /// The caller's sp is sp plus a constant.
    FromSp,
    /// The caller's sp is fp plus a constant.
    FromFp,
    /// This is the outermost frame.
    End,
    /// framehop unwinds each frame.
    Exact,
    /// In no module that is never unloaded: [`dlopen`](crate::collector::unwind::dlopen) unwinds it.
    Late,
    /// Where a signal handler returns to: [`step_signal`].
    Signal,
    /// There is no unwind information, so the caller can't be found.
    NoUnwindInfo,
    /// The deriver was locked for too long; not to be cached.
    Unknown,
}

/// The outcome of unwinding one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The caller.
    Caller(Registers),
    /// The frame that a signal interrupted; its pc is not a return address.
    Interrupted(Registers),
    /// There is no caller: this is the outermost frame.
    End,
    /// The caller can't be found.
    Failed,
}

impl Rule {
    pub(crate) const EMPTY: Self = Self { key: 0, cfa: 0, fp_slot: 0, kind: RuleKind::Unknown };

    const fn special(key: u64, kind: RuleKind) -> Self {
        Self { key, kind, ..Self::EMPTY }
    }

    pub(crate) fn key(&self) -> u64 {
        self.key
    }

    pub(crate) fn kind(&self) -> RuleKind {
        self.kind
    }

    /// The caller's sp, by a rule of the two simple kinds.
    #[inline(always)]
    pub(crate) fn caller_sp(&self, registers: &Registers) -> u64 {
        let base = if self.kind == RuleKind::FromFp { registers.fp } else { registers.sp };
        base.wrapping_add_signed(i64::from(self.cfa))
    }

    /// The address of the caller's fp, if this rule reads one.
    #[inline(always)]
    pub(crate) fn fp_address(&self, caller_sp: u64) -> Option<u64> {
        (self.fp_slot != 0)
            .then(|| caller_sp.wrapping_add_signed(i64::from(self.fp_slot).wrapping_mul(8)))
    }
}

type Unwinder = UnwinderX86_64<&'static [u8], MustNotAllocateDuringUnwind>;
type Cache = CacheX86_64<MustNotAllocateDuringUnwind>;

/// framehop and the modules that it may unwind; one per process, because deriving is rare.
struct RuleDeriver {
    unwinder: Unwinder,
    cache: Cache,
    /// Modules that are never unloaded, sorted by address.
    fixed: Vec<Fixed>,
    late: Vec<(Identity, ModuleId)>,
}

/// A module that is never unloaded: its code addresses and unwind tables.
struct Fixed {
    text: (u64, u64),
    table: Table<'static>,
    frames: Table<'static>,
}

static DERIVER: SpinLock<Option<RuleDeriver>> = SpinLock::new(None);

/// Replaces the deriver by one for `modules`. Allocates, so only the enabling thread may call it.
pub(crate) fn prepare(modules: &[Module]) {
    alt_stack::prepare();
    let mut unwinder = Unwinder::new();
    let mut fixed = Vec::new();
    for module in modules.iter().filter(|module| module.lifetime == Lifetime::Fixed) {
        if let Some((table, frames)) = module.unwind_tables() {
            unwinder.add_module(module_from_tables(module.text, module.bias, table, frames));
            fixed.push(Fixed { text: (module.text.0.0, module.text.1.0), table, frames });
        }
    }
    fixed.sort_unstable_by_key(|module| module.text);
    let deriver = RuleDeriver { unwinder, cache: Cache::new_in(), fixed, late: Vec::new() };
    // The old deriver is freed outside the lock.
    let before = DERIVER.lock().map(|mut place| place.replace(deriver));
    drop(before);
}

/// Adds a module that was loaded while recording. Allocates, so only the flusher may call it.
pub(crate) fn add_late(module: &LateModule, id: ModuleId) {
    let known = module
        .unwind_tables()
        .map(|(table, frames)| module_from_tables(module.text(), module.bias(), table, frames));
    // A copy is changed and swapped in, so that nothing is allocated under the lock.
    let Some((mut unwinder, mut late)) =
        DERIVER.lock().and_then(|place| place.as_ref().map(RuleDeriver::copy))
    else {
        return;
    };
    // The module replaces any earlier one at these addresses.
    unwinder.remove_module(module.text().0.0);
    if let Some(known) = known {
        unwinder.add_module(known);
    }
    late.retain(|(identity, _)| !identity.overlaps(module.identity()));
    late.push((*module.identity(), id));
    let before = DERIVER.lock().and_then(|mut place| {
        let deriver = place.as_mut()?;
        Some((
            std::mem::replace(&mut deriver.unwinder, unwinder),
            std::mem::replace(&mut deriver.late, late),
        ))
    });
    drop(before);
}

/// The module's id, if the deriver has it.
pub(crate) fn late_module(identity: &Identity) -> Option<ModuleId> {
    DERIVER.lock().and_then(|place| place.as_ref()?.late_module(identity))
}

/// The rule for a frame at `pc`.
pub(crate) fn derive(pc: u64, is_return_address: bool, signals: &mut HeldSignals) -> Rule {
    let key = pc.wrapping_sub(u64::from(is_return_address));
    let Some(address) = frame_address(pc, is_return_address) else {
        return Rule::special(key, RuleKind::Unknown);
    };
    let Some(mut place) = DERIVER.lock() else {
        return Rule::special(key, RuleKind::Unknown);
    };
    let Some(deriver) = place.as_mut() else {
        return Rule::special(key, RuleKind::Unknown);
    };
    if is_return_address
        && deriver.is_signal_return(pc)
        && !safeguards::is_disabled(Safeguard::SignalFrames)
    {
        return Rule::special(key, RuleKind::Signal);
    }
    match deriver.covers(key) {
        Some(true) => deriver.probe(key, address, signals),
        Some(false) => Rule::special(key, RuleKind::NoUnwindInfo),
        None => Rule::special(key, RuleKind::Late),
    }
}

/// The rule for a frame of a module that may be unloaded and that the deriver has.
pub(crate) fn derive_late(pc: u64, is_return_address: bool, signals: &mut HeldSignals) -> Rule {
    let key = pc.wrapping_sub(u64::from(is_return_address));
    let unknown = Rule::special(key, RuleKind::Unknown);
    let Some(address) = frame_address(pc, is_return_address) else { return unknown };
    let Some(mut place) = DERIVER.lock() else { return unknown };
    place.as_mut().map_or(unknown, |deriver| deriver.probe(key, address, signals))
}

/// Unwinds one frame with framehop on the real stack, which `read` reads.
pub(crate) fn unwind_with_framehop(
    registers: &Registers,
    is_return_address: bool,
    read: &mut dyn FnMut(u64) -> Result<u64, ()>,
    signals: &mut HeldSignals,
) -> Step {
    let Some(address) = frame_address(registers.pc, is_return_address) else {
        return Step::Failed;
    };
    let Some(mut place) = DERIVER.lock() else {
        return Step::Failed;
    };
    let Some(deriver) = place.as_mut() else {
        return Step::Failed;
    };
    let mut regs = UnwindRegsX86_64::new(registers.pc, registers.sp, registers.fp);
    let mut read = read;
    let mut caller = Ok(None);
    alt_stack::run(signals, &mut || {
        caller = deriver.unwinder.unwind_frame(address, &mut regs, &mut deriver.cache, &mut read);
    });
    match caller {
        Ok(Some(pc)) => Step::Caller(Registers { pc, sp: regs.sp(), fp: regs.bp() }),
        Ok(None) => Step::End,
        Err(_) => Step::Failed,
    }
}

/// `mov $15, %rax; syscall`, the code to which signal handlers return. Debuggers recognise it by these
/// bytes, too.
const SIGNAL_RETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];

/// Offsets from sp of the registers in the signal frame (`struct rt_sigframe`) that the kernel pushes.
const SAVED_FP: u64 = 120;
const SAVED_SP: u64 = 160;
const SAVED_PC: u64 = 168;

/// Unwinds a signal frame to the interrupted one. framehop would end the stack there.
pub(crate) fn step_signal(
    registers: &Registers,
    read: &mut dyn FnMut(u64) -> Result<u64, ()>,
) -> Step {
    let mut saved = |offset: u64| read(registers.sp.wrapping_add(offset));
    match (saved(SAVED_PC), saved(SAVED_SP), saved(SAVED_FP)) {
        (Ok(pc), Ok(sp), Ok(fp)) => Step::Interrupted(Registers { pc, sp, fp }),
        _ => Step::Failed,
    }
}

/// Whether signal handlers return to this address.
#[cfg(rheaper_testing)]
pub(crate) fn is_signal_return(pc: u64) -> bool {
    DERIVER.lock().is_some_and(|place| place.as_ref().is_some_and(|it| it.is_signal_return(pc)))
}

/// Whether there is unwind information for this address.
#[cfg(all(rheaper_testing, target_env = "musl"))]
pub(crate) fn is_covered(address: u64) -> bool {
    DERIVER
        .lock()
        .is_some_and(|place| place.as_ref().is_some_and(|it| it.covers(address) == Some(true)))
}

/// After `fork`, in the child: releases the lock that another thread of the parent may have held.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which called `fork` and so does not hold the lock.
    unsafe { DERIVER.reset_after_fork() };
    alt_stack::reset_after_fork();
}

impl RuleDeriver {
    fn copy(&self) -> (Unwinder, Vec<(Identity, ModuleId)>) {
        (self.unwinder.clone(), self.late.clone())
    }

    fn fixed_module(&self, address: u64) -> Option<&Fixed> {
        let behind = self.fixed.partition_point(|module| module.text.0 <= address);
        let before = behind.checked_sub(1).and_then(|at| self.fixed.get(at));
        before.filter(|module| address < module.text.1)
    }

    fn is_fixed(&self, address: u64) -> bool {
        self.fixed_module(address).is_some()
    }

    /// Whether there is unwind information for an address; `None` if no fixed module contains it.
    fn covers(&self, address: u64) -> Option<bool> {
        let module = self.fixed_module(address)?;
        Some(covers(module.table, module.frames, address))
    }

    fn is_signal_return(&self, pc: u64) -> bool {
        let last = pc.wrapping_add(SIGNAL_RETURN.len() as u64).wrapping_sub(1);
        // SAFETY: called only for addresses of fixed modules, whose code is mapped and readable: `is_fixed`
        // is evaluated first.
        let at = |offset| unsafe { (pc as *const u8).add(offset).read() };
        self.is_fixed(pc)
            && self.is_fixed(last)
            && SIGNAL_RETURN.iter().enumerate().all(|(offset, byte)| at(offset) == *byte)
    }

    /// Derives the rule for a frame at an address with unwind information, on the recorder's own stack.
    fn probe(&mut self, key: u64, address: FrameAddress, signals: &mut HeldSignals) -> Rule {
        let mut rule = Rule::special(key, RuleKind::Unknown);
        alt_stack::run(signals, &mut || rule = probe(&self.unwinder, &mut self.cache, address));
        rule
    }

    fn late_module(&self, identity: &Identity) -> Option<ModuleId> {
        self.late.iter().find(|(known, _)| known == identity).map(|(_, id)| *id)
    }
}

fn frame_address(pc: u64, is_return_address: bool) -> Option<FrameAddress> {
    if is_return_address {
        FrameAddress::from_return_address(pc)
    } else {
        Some(FrameAddress::from_instruction_pointer(pc))
    }
}

fn module_from_tables(
    text: (Address, Address),
    bias: u64,
    table: (Address, &'static [u8]),
    frames: (Address, &'static [u8]),
) -> framehop::Module<&'static [u8]> {
    let in_file = |(address, bytes): (Address, &[u8])| {
        let start = address.0.wrapping_sub(bias);
        start..start.wrapping_add(bytes.len() as u64)
    };
    let text_in_file = text.0.0.wrapping_sub(bias)..text.1.0.wrapping_sub(bias);
    framehop::Module::new(
        String::new(),
        text.0.0..text.1.0,
        bias,
        ExplicitModuleSectionInfo {
            base_svma: 0,
            text_svma: Some(text_in_file),
            eh_frame_svma: Some(in_file(frames)),
            eh_frame: Some(frames.1),
            eh_frame_hdr_svma: Some(in_file(table)),
            eh_frame_hdr: Some(table.1),
            ..ExplicitModuleSectionInfo::default()
        },
    )
}

/// One run of framehop on invented registers and stack: its reads and its result.
struct ProbeRun {
    start: Registers,
    reads: [u64; 4],
    count: usize,
    token: u64,
    end: Option<Registers>,
}

impl ProbeRun {
    fn run(
        unwinder: &Unwinder,
        cache: &mut Cache,
        address: FrameAddress,
        start: Registers,
    ) -> Self {
        // Any non-zero number that no address has: the n-th read answers token + n.
        let token = 0x0000_7777_0000_0000 ^ start.sp;
        let mut run = Self { start, reads: [0; 4], count: 0, token, end: None };
        let mut regs = UnwindRegsX86_64::new(start.pc, start.sp, start.fp);
        let (reads, count) = (&mut run.reads, &mut run.count);
        let mut read = |at: u64| {
            let slot = reads.get_mut(*count).ok_or(())?;
            *slot = at;
            *count = count.saturating_add(1);
            Ok(token.wrapping_add(*count as u64))
        };
        if let Ok(Some(pc)) = unwinder.unwind_frame(address, &mut regs, cache, &mut read) {
            run.end = Some(Registers { pc, sp: regs.sp(), fp: regs.bp() });
        }
        run
    }

    /// The token that the read of `address` returned.
    fn token_at(&self, address: u64) -> Option<u64> {
        let reads = self.reads.get(..self.count)?;
        let at = reads.iter().position(|read| *read == address)?;
        Some(self.token.wrapping_add(at as u64).wrapping_add(1))
    }

    /// Whether `rule` gives the same reads and the same result.
    fn agrees_with(&self, rule: &Rule) -> bool {
        let Some(end) = self.end else { return false };
        let caller_sp = rule.caller_sp(&self.start);
        let fp_address = rule.fp_address(caller_sp);
        let fp = fp_address.map_or(Some(self.start.fp), |at| self.token_at(at));
        let reads = if fp_address.is_some() { 2 } else { 1 };
        end.sp == caller_sp
            && self.count == reads
            && self.token_at(caller_sp.wrapping_sub(8)) == Some(end.pc)
            && fp == Some(end.fp)
    }
}

/// Derives a rule and verifies it: the candidate comes from the first run, and the second one, with
/// unrelated registers, must agree with it. (framehop also ends the stack at fp = 0 in code that
/// follows frame pointers; a walk calls framehop in that case.)
fn probe(unwinder: &Unwinder, cache: &mut Cache, address: FrameAddress) -> Rule {
    let key = address.address_for_lookup();
    let pc = address.address();
    // The distance of fp and sp exceeds any frame, so that the result shows which one is the base.
    let first = Registers { pc, sp: 0x10_0000_0000, fp: 0x20_0000_0000 };
    let second = Registers { pc, sp: 0x31_0000_1230, fp: 0x45_0000_4560 };
    let run = ProbeRun::run(unwinder, cache, address, first);
    let Some(end) = run.end else {
        // There is no caller for any stack: the outermost frame, if nothing was read.
        let kind = if run.count == 0 { RuleKind::End } else { RuleKind::Exact };
        return Rule::special(key, kind);
    };
    let Some(candidate) = candidate(key, &run, end) else {
        return Rule::special(key, RuleKind::Exact);
    };
    let confirmed = run.agrees_with(&candidate)
        && ProbeRun::run(unwinder, cache, address, second).agrees_with(&candidate);
    if confirmed { candidate } else { Rule::special(key, RuleKind::Exact) }
}

fn candidate(key: u64, run: &ProbeRun, end: Registers) -> Option<Rule> {
    let from_sp = end.sp.wrapping_sub(run.start.sp).cast_signed();
    let from_fp = end.sp.wrapping_sub(run.start.fp).cast_signed();
    let (kind, cfa) = match (i32::try_from(from_sp), i32::try_from(from_fp)) {
        (Ok(cfa), _) => (RuleKind::FromSp, cfa),
        (_, Ok(cfa)) => (RuleKind::FromFp, cfa),
        _ => return None,
    };
    let fp_slot = if end.fp == run.start.fp {
        0
    } else {
        let reads = run.reads.get(..run.count)?;
        let at = reads.iter().find(|at| run.token_at(**at) == Some(end.fp))?;
        let distance = at.wrapping_sub(end.sp).cast_signed();
        if distance & 7 != 0 {
            return None;
        }
        i16::try_from(distance >> 3).ok().filter(|slot| *slot != 0)?
    };
    Some(Rule { key, cfa, fp_slot, kind })
}

const _: () = assert!(size_of::<Rule>() == 16);
