//! jemalloc with its profiler: sums for each stack, of every allocation if told not to sample, written as
//! one dump when it stops. What it adds is compared with the same binary while it is not profiling, since
//! jemalloc itself is not the system's allocator.
//!
//! Whether profiling is compiled in and at which rate it samples is set by the environment, as for users.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use peers_workloads::{Recorder, drive};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static GLOBAL: Jemalloc = Jemalloc;

/// Where the dump goes.
static DUMP: Mutex<Option<PathBuf>> = Mutex::new(None);

fn start(dir: &Path) {
    *DUMP.lock().expect("no thread has failed") = Some(dir.join("heap.dump"));
    // SAFETY: `prof.active` is a bool, as is what is written.
    unsafe { tikv_jemalloc_ctl::raw::write(b"prof.active\0", true) }
        .expect("profiling can be started");
}

fn stop() {
    let Some(path) = DUMP.lock().expect("no thread has failed").take() else {
        return;
    };
    let path = CString::new(path.into_os_string().into_encoded_bytes()).expect("a path has no NUL");
    // SAFETY: `prof.dump` takes a pointer to a C string that lives during the call, and `prof.active`
    // a bool.
    unsafe {
        tikv_jemalloc_ctl::raw::write(b"prof.dump\0", path.as_ptr())
            .expect("the profile can be dumped");
        tikv_jemalloc_ctl::raw::write(b"prof.active\0", false).expect("profiling can be stopped");
    }
}

fn main() -> ExitCode {
    drive(&Recorder {
        start,
        stop,
        counts: || None,
    })
}
