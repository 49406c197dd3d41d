"""How recording scales over threads, and how long it holds up a single allocation."""

from . import measure
from .recorders import by_name
from .tables import Table, median, number

# Iterations of all threads together; they share them.
SCALE_WORK = {"flat": 16_000_000, "json": 128}
THREADS = (1, 2, 64)
PAIRS = 3_000_000
PERCENTILES = ("p50", "p99", "p99.9", "p99.99", "max")


def scale_rows(recorders, rounds, scale, counts, say):
    rows = []
    for turn in range(rounds):
        for workload, work in SCALE_WORK.items():
            for threads in THREADS:
                for recorder in recorders:
                    say(f"scaling {turn + 1}/{rounds}  {workload}  {threads} threads  {recorder.name}")
                    share = max(1, int(work * scale) // threads)
                    outcome = measure.start(
                        recorder, "scale", workload, str(share), "DIR", "MODE", str(threads)
                    )
                    outcome["events"] = round(counts[workload]["each"] * share * threads)
                    rows.append({
                        "round": turn + 1, "workload": workload, "threads": threads,
                        "recorder": recorder.name, **outcome,
                    })
    return rows


def scale_table(rows, recorders):
    columns = [f"{workload}, {threads}" for workload in SCALE_WORK for threads in THREADS]
    table = Table(
        "Events per second with several threads, in millions",
        "All threads together; in brackets, the multiple of one thread's rate.", ["recorder", *columns],
    )
    for recorder in recorders:
        cells = []
        for workload in SCALE_WORK:
            rates = {threads: rate(rows, recorder.name, workload, threads) for threads in THREADS}
            for threads in THREADS:
                one, these = rates[THREADS[0]], rates[threads]
                multiple = f" ({these / one:.2f})" if one and these and threads != THREADS[0] else ""
                cells.append(number(these, 1) + multiple)
        table.add(recorder.name, *cells)
    return table


def rate(rows, name, workload, threads):
    wanted = {"recorder": name, "workload": workload, "threads": threads}
    return median(
        row["events"] / row["elapsed_ns"] * 1e3
        for row in rows
        if wanted.items() <= row.items() and "elapsed_ns" in row
    )


def tail_rows(recorders, rounds, scale, say):
    rows = []
    for turn in range(rounds):
        for flusher in ("free", "starved"):
            for recorder in recorders:
                say(f"pauses {turn + 1}/{rounds}  {flusher}  {recorder.name}")
                pairs = str(int(PAIRS * scale))
                outcome = measure.start(recorder, "tail", pairs, "DIR", "MODE", flusher)
                rows.append({"round": turn + 1, "flusher": flusher, "recorder": recorder.name, **outcome})
    return rows


def tail_table(rows, recorders):
    table = Table(
        "How long one call takes, ns",
        "Each call timed for itself, below stacks of 10 to 49 frames more; the median over the rounds of each"
        " percentile, with what reading the clock costs. Starved: the recorder's background threads share"
        " the program's core and run only when it is idle.",
        ["call", *PERCENTILES],
    )
    for flusher in ("free", "starved"):
        for call in ("alloc", "free"):
            for recorder in recorders:
                mine = [row for row in rows if row["recorder"] == recorder.name and row["flusher"] == flusher]
                cells = [median(row.get(f"{call}_{percentile}") for row in mine) for percentile in PERCENTILES]
                starved = ", starved" if flusher == "starved" else ""
                table.add(f"{call}, {recorder.name}{starved}", *(number(cell, 0) for cell in cells))
    return table


def pair(recorders):
    """The plain program and, where it can run, this package's recorder: the two that are compared."""
    names = [recorder.name for recorder in recorders]
    return [by_name(name) for name in ("plain", "rheaper") if name in names]
