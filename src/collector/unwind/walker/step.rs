//! Unwinds one frame, by the rule that the thread caches for its pc or through framehop.
//!
//! Reads: this thread's stack between the walk's lowest address and the stack's end, and unwind
//! tables through [`rules`]. Writes: the thread's table of rules, the new frames of a walk.
//!
//! Invariants:
//! - A cached rule is used for the pc from which it was derived and for no other.
//! - A frame that was unwound by a rule has the addresses of the words on which its caller depends. A
//!   frame that framehop unwound has not: it is a barrier.

use std::ptr::NonNull;

use crate::collector::platform::counter::SoloCounter;
use crate::collector::platform::sys::HeldSignals;
use crate::collector::unwind::dlopen;
use crate::collector::unwind::rules::{self, Registers, Rule, RuleKind, Step};
use crate::collector::unwind::stack_word::read_stack_word;
use crate::recording::NodeId;

/// Rules that a thread caches, 16 bytes each; a power of two for `rule_slot`.
pub(crate) const RULES: usize = 2048;

/// Bytes of the table of rules.
pub(crate) const RULES_BYTES: usize = RULES * size_of::<Rule>();

/// A frame that this walk unwound.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct NewFrame {
    pub(crate) registers: Registers,
    /// Stack address of the return address; 0: the caller was not found by a rule.
    pub(crate) return_at: u64,
    /// Stack address of the caller's fp; 0: it was not read.
    pub(crate) fp_at: u64,
    pub(crate) uses_fp: bool,
    pub(crate) barrier: bool,
    /// A signal interrupted the frame: its pc is the next instruction and not a return address.
    pub(crate) is_interrupted: bool,
    pub(crate) module_tag: u16,
}

/// Result of unwinding one frame.
pub(crate) enum UnwindOutcome {
    Caller(Registers),
    /// The frame that a signal interrupted.
    Interrupted(Registers),
    Root(NodeId),
}

/// The meaning of a frame's pc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PcKind {
    /// The pc at which the walk started.
    First,
    ReturnAddress,
    /// The instruction that a signal interrupted.
    Interrupted,
}

/// The new frames of one walk, innermost first.
pub(crate) struct NewFrames {
    frames: NonNull<NewFrame>,
    capacity: usize,
}

impl NewFrames {
    /// An array of `capacity` frames.
    ///
    /// # Safety
    /// `frames` is zeroed memory for them that lives as long as the value and is used by nothing else.
    pub(crate) unsafe fn new(frames: NonNull<NewFrame>, capacity: usize) -> Self {
        Self { frames, capacity }
    }

    /// Sets the frame at an index below the capacity.
    pub(crate) fn set(&mut self, at: usize, frame: NewFrame) {
        debug_assert!(at < self.capacity);
        // SAFETY: a walk stops one frame after the maximum depth of the cached stack, which is below
        // the capacity, `frames_max`.
        unsafe { self.frames.add(at).write(frame) };
    }

    /// The frame at an index below the capacity.
    #[inline(always)]
    pub(crate) fn get(&self, at: usize) -> NewFrame {
        debug_assert!(at < self.capacity);
        // SAFETY: the index is below the capacity; a frame that no walk has set is zeroed, and all-zero
        // is a valid frame.
        unsafe { self.frames.add(at).read() }
    }
}

/// One thread's cache of rules, by pc; direct-mapped.
pub(crate) struct Rules {
    rules: NonNull<Rule>,
}

impl Rules {
    /// An empty table.
    ///
    /// # Safety
    /// `rules` is memory for [`RULES`] rules that lives as long as the value and is used by nothing else.
    pub(crate) unsafe fn new(rules: NonNull<Rule>) -> Self {
        for at in 0..RULES {
            // SAFETY: `at` is below RULES, the length of the table.
            unsafe { rules.add(at).write(Rule::EMPTY) };
        }
        Self { rules }
    }

    /// Start of the table.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.rules.cast()
    }

    /// Unwinds one frame. `stack` is the readable range: its first address, and the one behind its last.
    /// `derived` counts the rules that were not cached; `signals` holds the thread's signals from the first
    /// use of the recorder's own stack on.
    #[inline]
    pub(crate) fn unwind_frame(
        &mut self,
        registers: Registers,
        pc: PcKind,
        stack: (u64, u64),
        (derived, signals): (&SoloCounter, &mut HeldSignals),
    ) -> (NewFrame, UnwindOutcome) {
        let is_return_address = pc == PcKind::ReturnAddress;
        let key = registers.pc.wrapping_sub(u64::from(is_return_address));
        let mut rule = *self.rule(key);
        if rule.key() != key {
            derived.add(1);
            rule = self.derive_and_cache(registers.pc, key, is_return_address, signals);
        }
        let mut frame = NewFrame {
            registers,
            return_at: 0,
            fp_at: 0,
            uses_fp: rule.kind() == RuleKind::FromFp,
            barrier: pc == PcKind::Interrupted,
            is_interrupted: pc == PcKind::Interrupted,
            module_tag: 0,
        };
        let simple = match rule.kind() {
            RuleKind::FromSp => true,
            // With fp = 0, framehop ends the stack in code that follows frame pointers.
            RuleKind::FromFp => registers.fp != 0,
            RuleKind::End => return (frame, UnwindOutcome::Root(NodeId::ROOT)),
            // No word is read, so a frame with the same pc at the same sp is a root again.
            RuleKind::NoUnwindInfo if is_first_frame(&registers, stack.1) => {
                return (frame, UnwindOutcome::Root(NodeId::ROOT));
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
            return Self::unwind_slow(frame, rule.kind(), (is_return_address, stack), signals);
        }
        frame.return_at = sp.wrapping_sub(8);
        // SAFETY: `readable` has checked that it is aligned and inside this thread's stack.
        let pc = unsafe { read_stack_word(frame.return_at) };
        let fp = match fp_at {
            None => registers.fp,
            Some(at) => {
                frame.fp_at = at;
                // SAFETY: `readable` has checked that it is aligned and inside this thread's stack.
                unsafe { read_stack_word(at) }
            }
        };
        if pc == 0 {
            return (frame, UnwindOutcome::Root(NodeId::ROOT));
        }
        (frame, UnwindOutcome::Caller(Registers { pc, sp, fp }))
    }

    /// Unwinds a frame that no cached rule describes, as a barrier.
    #[cold]
    fn unwind_slow(
        mut frame: NewFrame,
        kind: RuleKind,
        (is_return_address, (lowest, end)): (bool, (u64, u64)),
        signals: &mut HeldSignals,
    ) -> (NewFrame, UnwindOutcome) {
        frame.barrier = true;
        let mut read = |at: u64| {
            let readable = at & 7 == 0
                && lowest <= at
                && at.checked_add(8).is_some_and(|behind| behind <= end);
            if !readable {
                return Err(());
            }
            // SAFETY: aligned and inside this thread's stack, above its current sp.
            Ok(unsafe { read_stack_word(at) })
        };
        let step = if kind == RuleKind::Late {
            let (tag, step) =
                dlopen::unwind_late(&frame.registers, is_return_address, &mut read, signals);
            frame.module_tag = tag;
            step
        } else if matches!(kind, RuleKind::Unknown | RuleKind::NoUnwindInfo) {
            Step::Failed
        } else if kind == RuleKind::Signal {
            rules::step_signal(&frame.registers, &mut read)
        } else {
            rules::unwind_with_framehop(&frame.registers, is_return_address, &mut read, signals)
        };
        let outcome = match step {
            // A caller has a higher sp than its callee; anything else is a wrong walk.
            Step::Caller(caller) if caller.sp > frame.registers.sp => UnwindOutcome::Caller(caller),
            Step::Interrupted(interrupted) if interrupted.sp > frame.registers.sp => {
                UnwindOutcome::Interrupted(interrupted)
            }
            Step::End => UnwindOutcome::Root(NodeId::ROOT),
            _ => UnwindOutcome::Root(NodeId::FAILED),
        };
        (frame, outcome)
    }

    #[cold]
    fn derive_and_cache(
        &mut self,
        pc: u64,
        key: u64,
        is_return_address: bool,
        signals: &mut HeldSignals,
    ) -> Rule {
        let rule = rules::derive(pc, is_return_address, signals);
        if rule.kind() != RuleKind::Unknown {
            // SAFETY: `rule_slot` is below RULES.
            unsafe { self.rules.add(rule_slot(key)).write(rule) };
        }
        rule
    }

    fn rule(&self, key: u64) -> &Rule {
        // SAFETY: `rule_slot` is below RULES, and `new` initialised all rules.
        unsafe { self.rules.add(rule_slot(key)).as_ref() }
    }
}

/// Whether a frame without unwind information is the outermost one, because it is at the stack's end. musl
/// has no unwind information for its code before `main` and before a thread's function; glibc's marks it.
fn is_first_frame(registers: &Registers, stack_end: u64) -> bool {
    const BYTES_MAX: u64 = 512;
    cfg!(target_env = "musl") && stack_end.saturating_sub(registers.sp) <= BYTES_MAX
}

/// Folds the bits above 11 into the index, so that functions 2 KiB apart do not share a slot.
fn rule_slot(key: u64) -> usize {
    ((key ^ (key >> 11)) as usize) & (RULES - 1)
}
