//! How one frame is left: by its rule, which a thread remembers by pc, or through framehop.
//!
//! Reads: this thread's stack between the walk's lowest address and the stack's end, and unwind
//! tables through [`unwind`]. Writes: the thread's table of rules, the fresh frames of a walk.
//!
//! Invariants:
//! - A rule is remembered for the pc that it was derived for and no other; a pc for which none is
//!   known is asked for anew each time.
//! - A frame that is left by a rule says where each word was read that its caller depends on. One
//!   that framehop had to leave does not: it is a barrier.

use std::ptr::NonNull;

use crate::collector::platform::counter::SoloCounter;
use crate::collector::unwind::dlopen;
use crate::collector::unwind::rules::{self, LateStep, Registers, Rule, RuleKind, Step};
use crate::recording::NodeId;

/// Rules that a thread remembers.
pub(crate) const RULES: usize = 2048;

/// Bytes of their table.
pub(crate) const RULES_BYTES: usize = RULES * size_of::<Rule>();

/// A frame that was unwound in this walk, innermost first.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Fresh {
    pub(crate) registers: Registers,
    /// Where the return address was read; 0: the frame was not left.
    pub(crate) return_at: u64,
    /// Where the caller's fp was read; 0: it was not.
    pub(crate) fp_at: u64,
    pub(crate) uses_fp: bool,
    pub(crate) barrier: bool,
    /// A signal interrupted it: its pc is where it goes on, not what it is called back to.
    pub(crate) is_interrupted: bool,
    pub(crate) module_tag: u16,
}

/// How one fresh frame was left.
pub(crate) enum Left {
    To(Registers),
    /// To what a signal interrupted.
    ToInterrupted(Registers),
    Root(NodeId),
}

/// What is known of the pc of a frame that is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pc {
    /// The walk's own first one.
    First,
    ReturnAddress,
    /// Where a signal interrupted it.
    Interrupted,
}

/// The fresh frames of one walk.
pub(crate) struct NewFrames {
    frames: NonNull<Fresh>,
    room: usize,
}

impl NewFrames {
    /// Room for so many frames.
    ///
    /// # Safety
    /// There is zeroed memory for them that nobody else uses, for ever.
    pub(crate) unsafe fn new(frames: NonNull<Fresh>, room: usize) -> Self {
        Self { frames, room }
    }

    /// Fills one of the first `room` places.
    pub(crate) fn set(&mut self, at: usize, fresh: Fresh) {
        debug_assert!(at < self.room);
        // SAFETY: a walk stops at one frame more than may be kept, which is below `frames_max`.
        unsafe { self.frames.add(at).write(fresh) };
    }

    /// The frame at one of the first `room` places.
    #[inline(always)]
    pub(crate) fn get(&self, at: usize) -> Fresh {
        debug_assert!(at < self.room);
        // SAFETY: the walk filled it; what no walk has filled is zeroed.
        unsafe { self.frames.add(at).read() }
    }
}

/// One thread's rules, by pc.
pub(crate) struct Rules {
    rules: NonNull<Rule>,
}

impl Rules {
    /// An empty table.
    ///
    /// # Safety
    /// There is room for [`RULES`] rules that nobody else uses, for ever.
    pub(crate) unsafe fn new(rules: NonNull<Rule>) -> Self {
        for at in 0..RULES {
            // SAFETY: inside the table.
            unsafe { rules.add(at).write(Rule::EMPTY) };
        }
        Self { rules }
    }

    /// Where the table begins.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.rules.cast()
    }

    /// Leaves one frame: what was read, and the caller. `stack` is what may be read: its first
    /// address, and the one behind its last. Rules that had to be asked for are counted.
    #[inline]
    pub(crate) fn leave(
        &mut self,
        registers: Registers,
        pc: Pc,
        stack: (u64, u64),
        derived: &SoloCounter,
    ) -> (Fresh, Left) {
        let is_return_address = pc == Pc::ReturnAddress;
        let key = registers.pc.wrapping_sub(u64::from(is_return_address));
        let mut rule = *self.rule(key);
        if rule.key() != key {
            derived.add(1);
            rule = self.learn(registers.pc, key, is_return_address);
        }
        let mut fresh = Fresh {
            registers,
            return_at: 0,
            fp_at: 0,
            uses_fp: rule.kind() == RuleKind::FromFp,
            barrier: pc == Pc::Interrupted,
            is_interrupted: pc == Pc::Interrupted,
            module_tag: 0,
        };
        let simple = match rule.kind() {
            RuleKind::FromSp => true,
            // framehop ends the stack there if the code follows frame pointers.
            RuleKind::FromFp => registers.fp != 0,
            RuleKind::End => return (fresh, Left::Root(NodeId::ROOT)),
            // Nothing is read: a frame with the same pc in the same place ends the same way.
            RuleKind::NoUnwindInfo if is_first_frame(&registers, stack.1) => {
                return (fresh, Left::Root(NodeId::ROOT));
            }
            _ => false,
        };
        let sp = rule.caller_sp(&registers);
        let fp_at = rule.fp_address(sp);
        let readable = |at: u64| registers.sp <= at && at < stack.1 && at & 7 == 0;
        if !simple
            || sp <= registers.sp
            || !readable(sp.wrapping_sub(8))
            || !fp_at.is_none_or(readable)
        {
            return Self::unwind_slow(fresh, rule.kind(), is_return_address, stack);
        }
        fresh.return_at = sp.wrapping_sub(8);
        // SAFETY: aligned and inside this thread's stack, above its current sp: checked above.
        let pc = unsafe { read_word(fresh.return_at) };
        let fp = match fp_at {
            None => registers.fp,
            Some(at) => {
                fresh.fp_at = at;
                // SAFETY: as for the return address.
                unsafe { read_word(at) }
            }
        };
        if pc == 0 {
            return (fresh, Left::Root(NodeId::ROOT));
        }
        (fresh, Left::To(Registers { pc, sp, fp }))
    }

    /// Leaves a frame for which there is no rule: through framehop, as a barrier.
    #[cold]
    fn unwind_slow(
        mut fresh: Fresh,
        kind: RuleKind,
        is_return_address: bool,
        (lowest, end): (u64, u64),
    ) -> (Fresh, Left) {
        fresh.barrier = true;
        let mut read = |at: u64| {
            let readable = at & 7 == 0
                && lowest <= at
                && at.checked_add(8).is_some_and(|behind| behind <= end);
            // SAFETY: inside this thread's stack, above its current sp.
            if readable { Ok(unsafe { read_word(at) }) } else { Err(()) }
        };
        let step = if kind == RuleKind::Late {
            let (tag, step) = leave_late(&fresh.registers, is_return_address, &mut read);
            fresh.module_tag = tag;
            step
        } else if matches!(kind, RuleKind::Unknown | RuleKind::NoUnwindInfo) {
            Step::Failed
        } else if kind == RuleKind::Signal {
            rules::step_signal(&fresh.registers, &mut read)
        } else {
            rules::unwind_with_framehop(&fresh.registers, is_return_address, &mut read)
        };
        let left = match step {
            // A stack only grows outwards; anything else is a wild walk.
            Step::Caller(caller) if caller.sp > fresh.registers.sp => Left::To(caller),
            Step::Interrupted(frame) if frame.sp > fresh.registers.sp => Left::ToInterrupted(frame),
            Step::End => Left::Root(NodeId::ROOT),
            _ => Left::Root(NodeId::FAILED),
        };
        (fresh, left)
    }

    #[cold]
    fn learn(&mut self, pc: u64, key: u64, is_return_address: bool) -> Rule {
        let rule = rules::derive(pc, is_return_address);
        if rule.kind() != RuleKind::Unknown {
            // SAFETY: `rule_slot` is below RULES.
            unsafe { self.rules.add(rule_slot(key)).write(rule) };
        }
        rule
    }

    fn rule(&self, key: u64) -> &Rule {
        // SAFETY: `rule_slot` is below RULES, and all rules are initialised.
        unsafe { self.rules.add(rule_slot(key)).as_ref() }
    }
}

/// Whether a frame whose caller can't be found has none: it begins where the stack does. Of what musl
/// has there before `main` and a thread's function there is no unwind information; glibc's says so.
fn is_first_frame(registers: &Registers, stack_end: u64) -> bool {
    const BYTES_MAX: u64 = 512;
    cfg!(target_env = "musl") && stack_end.saturating_sub(registers.sp) <= BYTES_MAX
}

/// A word of this thread's stack.
///
/// # Safety
/// `at` is aligned and inside this thread's stack, above its current sp.
#[inline(always)]
pub(crate) unsafe fn read_word(at: u64) -> u64 {
    // SAFETY: the caller vouches for the address. Volatile, because the compiler knows other
    // owners of this memory.
    unsafe { std::ptr::read_volatile(at as *const u64) }
}

/// Leaves a frame whose code may be unloaded, and says what its pc is tagged with.
pub(crate) fn leave_late(
    registers: &Registers,
    is_return_address: bool,
    read: &mut dyn FnMut(u64) -> Result<u64, ()>,
) -> (u16, Step) {
    for _ in 0..2 {
        match rules::step_late(registers, is_return_address, read) {
            LateStep::Stepped(module, step) => {
                // 65,535 modules can be told apart; the rest have no tag and are found by
                // their addresses alone.
                let tag = u16::try_from(module.0.wrapping_add(1)).unwrap_or(0);
                return (tag, step);
            }
            LateStep::Unknown(identity) if dlopen::make_known(&identity) => {}
            LateStep::Unknown(_) | LateStep::Nowhere => break,
        }
    }
    (0, Step::Failed)
}

fn rule_slot(key: u64) -> usize {
    ((key ^ (key >> 11)) as usize) & (RULES - 1)
}
