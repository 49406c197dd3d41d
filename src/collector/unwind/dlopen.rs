//! Modules that were loaded while recording (`dlopen`): requests of recording threads to add one, and
//! the unwinding of their frames.
//!
//! Reads: the module's own memory, while a frame of it is on the calling thread's stack.
//! Writes: one request, which the flusher takes, a notification for the waiting threads, and a cache of
//! rules.
//!
//! Invariants:
//! - The recording thread neither allocates nor takes the dynamic loader's lock, and its wait is bounded,
//!   because the flusher may be inside a slow `write`.
//! - A rule is cached for a module's id, which no other module of the process has. The module that is at
//!   the frame's address now is identified each time.

use std::time::Duration;

use crate::collector::platform::event_count::{self, FutexEvent};
use crate::collector::platform::spin_lock::SpinLock;
use crate::collector::platform::sys::HeldSignals;
use crate::collector::unwind::modules::{self, Identity, LateModule};
use crate::collector::unwind::rules::{self, Registers, Rule, RuleKind, Step};
use crate::recording::{Address, ModuleId};

static REQUEST: SpinLock<Option<LateModule>> = SpinLock::new(None);
static ANSWERS: FutexEvent = FutexEvent::new();

/// Waits of 10 ms after which a walk gives up.
const WAITS_MAX: u32 = 25;

/// Process-wide cache of rules, by pc; direct-mapped.
static RULES: SpinLock<[LateRule; RULES_LEN]> = SpinLock::new([LateRule::EMPTY; RULES_LEN]);

/// Rules that the cache holds; a power of two for `rule`.
const RULES_LEN: usize = 512;

/// A rule for one pc of a module that may be unloaded.
#[derive(Clone, Copy)]
struct LateRule {
    module: ModuleId,
    is_return_address: bool,
    rule: Rule,
}

impl LateRule {
    const EMPTY: Self = Self { module: ModuleId(0), is_return_address: false, rule: Rule::EMPTY };
}

/// Unwinds a frame of a module that may be unloaded; returns the tag of its pc, too.
pub(crate) fn unwind_late(
    registers: &Registers,
    is_return_address: bool,
    read: &mut dyn FnMut(u64) -> Result<u64, ()>,
    signals: &mut HeldSignals,
) -> (u16, Step) {
    let key = registers.pc.wrapping_sub(u64::from(is_return_address));
    for _ in 0..2 {
        // A pc in no module: generated code, or an invalid address.
        let Some(identity) = modules::identify(Address(key)) else { break };
        if let Some(module) = rules::late_module(&identity) {
            // The tag has 16 bits; modules from 65,535 on have none and are found by their
            // addresses alone.
            let tag = u16::try_from(module.0.wrapping_add(1)).unwrap_or(0);
            let rule = rule(module, registers.pc, is_return_address, signals);
            let step = unwind_by_rule(&rule, registers, read).unwrap_or_else(|| {
                rules::unwind_with_framehop(registers, is_return_address, read, signals)
            });
            return (tag, step);
        }
        if !make_known(&identity) {
            break;
        }
    }
    (0, Step::Failed)
}

/// The rule for a frame of a module that the deriver has: the cached one, or a new one.
fn rule(module: ModuleId, pc: u64, is_return_address: bool, signals: &mut HeldSignals) -> Rule {
    let key = pc.wrapping_sub(u64::from(is_return_address));
    let slot = ((key ^ (key >> 9)) as usize) & (RULES_LEN - 1);
    let cached = RULES.lock().and_then(|rules| rules.get(slot).copied());
    if let Some(cached) = cached
        && (cached.module, cached.is_return_address) == (module, is_return_address)
        && cached.rule.key() == key
    {
        return cached.rule;
    }
    let rule = rules::derive_late(pc, is_return_address, signals);
    if rule.kind() != RuleKind::Unknown
        && let Some(mut rules) = RULES.lock()
        && let Some(place) = rules.get_mut(slot)
    {
        *place = LateRule { module, is_return_address, rule };
    }
    rule
}

/// Unwinds a frame by a rule of the two simple kinds. `None` if framehop must unwind it.
fn unwind_by_rule(
    rule: &Rule,
    registers: &Registers,
    read: &mut dyn FnMut(u64) -> Result<u64, ()>,
) -> Option<Step> {
    let is_simple = match rule.kind() {
        RuleKind::FromSp => true,
        // With fp = 0, framehop ends the stack in code that follows frame pointers.
        RuleKind::FromFp => registers.fp != 0,
        _ => false,
    };
    let sp = rule.caller_sp(registers);
    if !is_simple || sp <= registers.sp {
        return None;
    }
    let pc = read(sp.wrapping_sub(8)).ok()?;
    let fp = rule.fp_address(sp).map_or(Ok(registers.fp), read).ok()?;
    let caller = Registers { pc, sp, fp };
    Some(if pc == 0 { Step::End } else { Step::Caller(caller) })
}

/// Requests that the module is added to the deriver, waits, and returns whether it was.
#[cold]
fn make_known(identity: &Identity) -> bool {
    let _errno = crate::collector::platform::sys::PreservedErrno::new();
    for _ in 0..WAITS_MAX {
        let answers = ANSWERS.ticket();
        if rules::late_module(identity).is_some() {
            return true;
        }
        if !request(identity) {
            return false;
        }
        event_count::wake_flusher();
        ANSWERS.wait(answers, Duration::from_millis(10));
    }
    rules::late_module(identity).is_some()
}

/// Stores a request unless there is an earlier one, which must be answered first. `false` if the module
/// can't be described.
fn request(identity: &Identity) -> bool {
    let Some(mut place) = REQUEST.lock() else {
        return false;
    };
    if place.is_none() {
        *place = LateModule::describe(identity);
        return place.is_some();
    }
    true
}

/// Takes the pending request. Called by the flusher.
pub(crate) fn take() -> Option<LateModule> {
    REQUEST.lock()?.take()
}

/// Wakes the waiting threads after a request was answered.
pub(crate) fn answered() {
    ANSWERS.notify();
}

/// After `fork`, in the child: drops a request of another thread of the parent, and releases the locks.
pub(crate) fn reset_after_fork() {
    // SAFETY: the child has one thread, which called `fork` and so does not hold either lock.
    unsafe {
        REQUEST.reset_after_fork();
        RULES.reset_after_fork();
    }
    let _ = take();
}
