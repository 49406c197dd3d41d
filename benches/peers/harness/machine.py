"""What a result must say about the machine and the sources it was measured on."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path

from .recorders import ROOT


def facts():
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "processor": processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "libc": " ".join(platform.libc_ver()),
        "rustc": said("rustc", "--version"),
        "heaptrack": said("heaptrack", "--version"),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def said(*command):
    """The first line that a command prints, or that there is none."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return "none"
    return (done.stdout.splitlines() or ["none"])[0] if done.returncode == 0 else "none"


def commit():
    changed = said("git", "status", "--porcelain", "--untracked-files=no") != "none"
    return said("git", "rev-parse", "--short=12", "HEAD") + (" with changes" if changed else "")


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'unknown'} ({platform.machine()})"
