//! Unwinds a stack that is not the thread's own: a coroutine's, or an alternate signal stack.
//!
//! Reads: memory through a system call, because the bounds of such a stack are unknown. Writes: the
//! new frames of one walk.
//!
//! Invariants:
//! - Every word is read by the kernel, which returns an error for unmapped addresses.
//! - Every frame is a barrier: none is reused by a later walk.

use crate::collector::platform::sys::{self, HeldSignals};
use crate::collector::unwind::dlopen;
use crate::collector::unwind::rules::{self, Registers, RuleKind, Step};
use crate::collector::unwind::walker::step::{NewFrame, NewFrames, PcKind};
use crate::recording::NodeId;

/// Unwinds a stack to its end, or until it has more than `frames_max` frames. Returns its root and the
/// number of new frames.
pub(crate) fn unwind(
    start: Registers,
    frames_max: usize,
    frames: &mut NewFrames,
) -> (NodeId, usize) {
    let mut window = Window { start: 0, len: 0, bytes: [0; Window::BYTES] };
    let mut read = |at: u64| window.word(at).ok_or(());
    let mut signals = HeldSignals::none();
    let (mut registers, mut pc) = (start, PcKind::First);
    let mut fresh_len = 0;
    let root = loop {
        if fresh_len > frames_max {
            break NodeId::TRUNCATED;
        }
        let is_return_address = pc == PcKind::ReturnAddress;
        let (tag, step) = leave_foreign(&registers, is_return_address, &mut read, &mut signals);
        let fresh = NewFrame {
            registers,
            return_at: 0,
            fp_at: 0,
            uses_fp: true,
            barrier: true,
            is_interrupted: pc == PcKind::Interrupted,
            module_tag: tag,
        };
        frames.set(fresh_len, fresh);
        fresh_len = fresh_len.wrapping_add(1);
        match step {
            Step::Caller(caller) if caller.sp > registers.sp => {
                (registers, pc) = (caller, PcKind::ReturnAddress);
            }
            // The interrupted frame may be on another stack, with any sp.
            Step::Interrupted(frame) => (registers, pc) = (frame, PcKind::Interrupted),
            Step::End => break NodeId::ROOT,
            _ => break NodeId::FAILED,
        }
    };
    (root, fresh_len)
}

fn leave_foreign(
    registers: &Registers,
    is_return_address: bool,
    read: &mut dyn FnMut(u64) -> Result<u64, ()>,
    signals: &mut HeldSignals,
) -> (u16, Step) {
    match rules::derive(registers.pc, is_return_address, signals).kind() {
        RuleKind::Late => dlopen::unwind_late(registers, is_return_address, read, signals),
        RuleKind::End => (0, Step::End),
        RuleKind::Unknown | RuleKind::NoUnwindInfo => (0, Step::Failed),
        RuleKind::Signal => (0, rules::step_signal(registers, read)),
        _ => (0, rules::unwind_with_framehop(registers, is_return_address, read, signals)),
    }
}

/// A copy of a part of the stack, made by the kernel.
struct Window {
    start: u64,
    len: usize,
    bytes: [u8; Window::BYTES],
}

impl Window {
    const BYTES: usize = 512;

    fn word(&mut self, at: u64) -> Option<u64> {
        let covered = |window: &Self| {
            let from = usize::try_from(at.checked_sub(window.start)?).ok()?;
            let bytes = window.bytes.get(..window.len)?.get(from..)?.first_chunk::<8>()?;
            Some(u64::from_ne_bytes(*bytes))
        };
        covered(self).or_else(|| {
            self.start = at;
            self.len = sys::read_memory(at, &mut self.bytes);
            if self.len == 0 {
                // The window extends into an unmapped page; the word itself may be mapped.
                self.len = self.bytes.get_mut(..8).map_or(0, |word| sys::read_memory(at, word));
            }
            covered(self)
        })
    }
}
