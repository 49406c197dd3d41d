//! Safeguards that a mutation test can disable at run time.
//!
//! A build with `RHEAPER_TEST_GUARDS` in its environment reads `RHEAPER_TEST_WITHOUT` once: the
//! [name](Safeguard::name) of the safeguard to disable. In every other build [`is_disabled`] is a
//! constant, and the compiler removes the branch.

/// A safeguard, named by its purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "builds with fewer features have fewer safeguards")]
pub(crate) enum Safeguard {
    /// A free is stamped before the allocator may hand out the address again.
    TimestampBeforeFree,
    /// A signal handler does not record while its thread records.
    BusyFlag,
    /// A forked child does not write to its parent's recording.
    PidCheck,
    /// Recording leaves `errno` unchanged.
    PreserveErrno,
    /// Unwinding passes through signal frames.
    SignalFrames,
    /// A thread takes no signal while it is on the recorder's own stack.
    HeldSignals,
    /// A descriptor that the program has reused for another file is not written to.
    OwnFile,
    /// Unwind rules are derived on a stack of the recorder's own.
    AltStack,
    /// The recorder's threads block all signals.
    BlockSignals,
    /// Thread-local destructors that run after the recorder's are recorded as well.
    ExitRounds,
    /// The number of thread recorders is bounded.
    ThreadRecorderLimit,
    /// The sample table keeps a slot locked while its block is reallocated.
    LockDuringRealloc,
    /// A block that one recording sampled is unknown to the next one.
    SampleEpochs,
    /// A recording never exceeds its quota.
    Quota,
    /// A write beyond the file size limit is an error and not a `SIGXFSZ`.
    BlockSizeSignal,
    /// A failed recording ends with its counters and the reason.
    FailureTrailer,
    /// The recording's file is never one that exists already.
    ExclusiveCreate,
    /// The recording's descriptor is none of the standard streams.
    HighDescriptor,
    /// Environment variables do not control a program with more privileges than its caller.
    PrivilegedEnvironment,
    /// The recording's file is readable by its owner alone.
    FileMode,
    /// A block of a recording must match its checksum.
    BlockChecksum,
    /// A forked child starts behind the bytes that its parent's flusher reads.
    ForkedRingTail,
    /// A file that is not a rheaper database is never replaced.
    ForeignOutput,
    /// Symbols come from an executable with the same build id.
    BuildId,
    /// Statements that write or leave the database are refused.
    Authorizer,
    /// SQL values have a maximum length.
    LengthLimit,
    /// SQLite's memory is bounded.
    HeapLimit,
    /// A query ends at its deadline.
    Deadline,
    /// Control characters are escaped in output.
    Sanitizer,
}

impl Safeguard {
    /// The value of `RHEAPER_TEST_WITHOUT` that disables this safeguard.
    #[allow(dead_code, reason = "for the mutation test and its build")]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::TimestampBeforeFree => "timestamp-before-free",
            Self::BusyFlag => "busy-flag",
            Self::PidCheck => "pid-check",
            Self::PreserveErrno => "preserve-errno",
            Self::SignalFrames => "signal-frames",
            Self::HeldSignals => "held-signals",
            Self::OwnFile => "own-file",
            Self::AltStack => "alt-stack",
            Self::BlockSignals => "block-signals",
            Self::ExitRounds => "exit-rounds",
            Self::ThreadRecorderLimit => "thread-recorder-limit",
            Self::LockDuringRealloc => "lock-during-realloc",
            Self::SampleEpochs => "sample-epochs",
            Self::Quota => "quota",
            Self::BlockSizeSignal => "block-size-signal",
            Self::FailureTrailer => "failure-trailer",
            Self::ExclusiveCreate => "exclusive-create",
            Self::HighDescriptor => "high-descriptor",
            Self::PrivilegedEnvironment => "privileged-environment",
            Self::FileMode => "file-mode",
            Self::BlockChecksum => "block-checksum",
            Self::ForkedRingTail => "forked-ring-tail",
            Self::ForeignOutput => "foreign-output",
            Self::BuildId => "build-id",
            Self::Authorizer => "authorizer",
            Self::LengthLimit => "length-limit",
            Self::HeapLimit => "heap-limit",
            Self::Deadline => "deadline",
            Self::Sanitizer => "sanitizer",
        }
    }
}

/// Whether a mutation test has disabled this safeguard.
#[cfg(not(rheaper_guards))]
#[inline(always)]
pub(crate) const fn is_disabled(_safeguard: Safeguard) -> bool {
    false
}

/// Whether a mutation test has disabled this safeguard. Safe to call inside the allocator.
#[cfg(rheaper_guards)]
pub(crate) fn is_disabled(safeguard: Safeguard) -> bool {
    use std::ffi::{CStr, c_char};
    use std::sync::atomic::{AtomicPtr, Ordering};
    static DISABLED: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());
    let mut name = DISABLED.load(Ordering::Acquire);
    if name.is_null() {
        // SAFETY: the programs of the mutation test never change their environment, so the string
        // that is returned stays valid.
        name = unsafe { libc::getenv(c"RHEAPER_TEST_WITHOUT".as_ptr()) };
        if name.is_null() {
            name = c"".as_ptr().cast_mut();
        }
        DISABLED.store(name, Ordering::Release);
    }
    // SAFETY: a C string of the environment, or the empty literal; both live as long as the process.
    unsafe { CStr::from_ptr(name) }.to_bytes() == safeguard.name().as_bytes()
}
