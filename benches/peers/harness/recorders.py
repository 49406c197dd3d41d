"""The recorders: which binary each is, how it is started, and what it is compared with."""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
HEAPTRACK_LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")


@dataclass(frozen=True)
class Recorder:
    """One row of the tables."""

    name: str
    package: str
    # The run whose time is subtracted: the same allocator and build, not recording.
    baseline: str | None = "plain"
    # "" is the usual build, "fp" one with frame pointers, which mod-alloc needs.
    build: str = ""
    # A program that records `package`'s binary from outside.
    wrapper: str | None = None
    mode: str = "on"
    environment: dict = field(default_factory=dict)
    # The workload is done 1/divisor times: a slow peer would take minutes else.
    divisor: int = 1
    # Whether it writes every event (and not sums), so that bytes per event mean something.
    log: bool = False
    # Whether it records from the start of the process, preparation included.
    whole_process: bool = False
    note: str = ""

    def binary(self):
        return target_dir(self.build) / "release" / f"peer-{self.package}"

    def start(self, arguments, out):
        """The command line and environment that run it, recording into `out`."""
        environment = dict(os.environ, **self.environment)
        command = [str(self.binary()), *map(str, arguments)]
        if self.wrapper == "heaptrack":
            command = ["heaptrack", "-o", str(out / "heaptrack"), *command]
        if self.wrapper == "heaptrack-raw":
            environment["LD_PRELOAD"] = str(heaptrack_library())
            environment["DUMP_HEAPTRACK_OUTPUT"] = str(out / "heaptrack.raw")
        return command, environment


RECORDERS = [
    Recorder("plain", "plain", baseline=None),
    Recorder("plain-fp", "plain", baseline=None, build="fp"),
    Recorder(
        "jemalloc", "jemalloc-prof", baseline=None, mode="never",
        environment={"_RJEM_MALLOC_CONF": "prof:false"},
    ),
    Recorder("rheaper", "rheaper", log=True, note="this package"),
    Recorder(
        "rheaper-sampled", "rheaper", environment={"SAMPLE_BYTES": str(512 << 10)},
        note="a sample, one byte in 512 KiB",
    ),
    Recorder("rheaper-never", "rheaper", mode="never", note="in the program, never enabled"),
    Recorder("rheaper-stopped", "rheaper", mode="stopped", note="enabled and disabled before"),
    Recorder(
        "published", "rheaper-published", divisor=40, log=True,
        note="rheaper 0.2.1, the last release",
    ),
    Recorder(
        "heaptrack", "plain", wrapper="heaptrack", divisor=5, log=True, whole_process=True,
        note="as its users run it: interpreted and compressed by two more processes",
    ),
    Recorder(
        "heaptrack-raw", "plain", wrapper="heaptrack-raw", divisor=5, log=True, whole_process=True,
        note="its library alone, straight into a file, neither interpreted nor compressed",
    ),
    Recorder("dhat", "dhat", divisor=40, note="totals per stack, no event log"),
    Recorder(
        "jemalloc-prof", "jemalloc-prof", baseline="jemalloc", divisor=40,
        environment={"_RJEM_MALLOC_CONF": "prof:true,prof_active:false,lg_prof_sample:0"},
        note="every allocation; totals per stack, no event log; compared with jemalloc",
    ),
    Recorder(
        "mod-alloc", "mod-alloc", baseline="plain-fp", build="fp", whole_process=True,
        note="8 frames by frame pointers, totals in a table of 4,096 sites, no event log",
    ),
]
DEFAULT = ["rheaper", "published", "heaptrack", "heaptrack-raw", "dhat", "jemalloc-prof", "mod-alloc"]
COUNTING = Recorder("counting", "counting", baseline=None)


def by_name(name):
    found = [recorder for recorder in RECORDERS if recorder.name == name]
    if not found:
        known = ", ".join(recorder.name for recorder in RECORDERS)
        raise SystemExit(f"no recorder {name!r}; there are: {known}")
    return found[0]


def with_baselines(names):
    """The recorders of these names, each baseline that they need in front."""
    wanted = [by_name(name) for name in names]
    needed = {recorder.baseline for recorder in wanted} | {recorder.name for recorder in wanted}
    return [recorder for recorder in RECORDERS if recorder.name in needed]


def target_dir(build):
    return ROOT / "target" / build if build else ROOT / "target"


def heaptrack_library():
    places = (Path(place) / "heaptrack" / "libheaptrack_preload.so" for place in HEAPTRACK_LIBRARIES)
    return next((place for place in places if place.exists()), None)


def build(recorders):
    """Builds what the recorders need; returns those that can run, and why the others cannot."""
    failures = {}
    for package, kind in sorted({(recorder.package, recorder.build) for recorder in recorders}):
        error = build_one(package, kind)
        if error:
            failures[package, kind] = error
    usable, missing = [], {}
    for recorder in recorders:
        reason = failures.get((recorder.package, recorder.build)) or absent(recorder)
        if reason:
            missing[recorder.name] = reason
        else:
            usable.append(recorder)
    return usable, missing


def build_one(package, kind):
    environment = dict(os.environ)
    if kind == "fp":
        environment["RUSTFLAGS"] = "-C force-frame-pointers=yes"
    command = ["cargo", "build", "--release", "--quiet", "-p", f"peer-{package}", "--target-dir", target_dir(kind)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    errors = [line for line in done.stderr.splitlines() if line.startswith("error")]
    return f"peer-{package} does not build: {errors[0] if errors else done.stderr.strip()[-200:]}"


def absent(recorder):
    if recorder.wrapper == "heaptrack" and not shutil.which("heaptrack"):
        return "heaptrack is not installed"
    if recorder.wrapper == "heaptrack-raw" and not heaptrack_library():
        return "heaptrack's library is not installed"
    return None
