"""Starts one process of the benchmark and reads what it reports."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from .recorders import RESULTS

TIME_LIMIT = 600


def start(recorder, action, *words):
    """Runs `action` of the recorder's binary and returns what it reported: numbers by name, and
    `status`, which is "ok" or says what failed. The words `DIR` and `MODE` are filled in. The
    recording is weighed and deleted."""
    RESULTS.mkdir(exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{recorder.name}-", dir=RESULTS))
    try:
        return watched(recorder, action, words, scratch)
    finally:
        shutil.rmtree(scratch)


def watched(recorder, action, words, scratch):
    out = scratch / "out"
    out.mkdir()
    known = {"DIR": out, "MODE": recorder.mode}
    command, environment = recorder.start([action, *(known.get(word, word) for word in words)], out)
    with open(scratch / "stdout", "w+") as stdout, open(scratch / "stderr", "w+") as stderr:
        process = subprocess.Popen(
            command, env=environment, stdout=stdout, stderr=stderr, start_new_session=True
        )
        # The group that ends is the one just made, with the recorder's helpers and nobody else.
        overtime = threading.Timer(TIME_LIMIT, os.killpg, [process.pid, signal.SIGKILL])
        overtime.start()
        # This wait tells the processor time of the whole tree, helpers of the recorder included.
        _, wait_status, usage = os.wait4(process.pid, 0)
        overtime.cancel()
        process.returncode = os.waitstatus_to_exitcode(wait_status)
        stdout.seek(0)
        stderr.seek(0)
        outcome, complaints = reported(stdout), stderr.read().strip()
    outcome["tree_cpu_ns"] = int((usage.ru_utime + usage.ru_stime) * 1e9)
    outcome["bytes"] = size(out)
    outcome["status"] = "ok"
    if process.returncode != 0:
        outcome["status"] = f"exit {process.returncode}"
        what = " ".join(map(str, [recorder.name, action, *words]))
        print(f"{what}: exit {process.returncode}: {complaints[-400:]}", file=sys.stderr)
    return outcome


def reported(lines):
    """The numbers of all lines `peers: key=value ...`."""
    numbers = {}
    for line in lines:
        if line.startswith("peers: "):
            for pair in line.split()[1:]:
                key, value = pair.split("=")
                numbers[key] = int(value)
    return numbers


def size(path):
    """Bytes in the files below a directory."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
