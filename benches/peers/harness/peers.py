"""The main comparison: what each recorder adds to each workload, all alternating in one run."""

from . import measure
from .recorders import COUNTING, by_name
from .tables import Table, median, number, spread

# Iterations of a plain run: about half a second each, some millions of events.
ITERATIONS = {
    "flat": 10_000_000,
    "deepvar": 10_000_000,
    "json": 60,
    "btree": 60,
    "qsort": 200,
    "server": 20_000,
    "search": 60,
}
# A round must not depend on one iteration.
LEAST = {"flat": 100_000, "deepvar": 100_000, "json": 2, "btree": 2, "qsort": 10, "server": 1_000, "search": 2}


def iterations(workload, recorder, scale):
    return max(LEAST[workload], int(ITERATIONS[workload] * scale / recorder.divisor))


def count(workloads, scale):
    """Events before the measured part and events per iteration, counted for each workload."""
    counts = {}
    for workload in workloads:
        times = iterations(workload, COUNTING, scale / 10)
        runs = [measure.start(COUNTING, "run", workload, str(times), "DIR", "MODE") for _ in range(2)]
        each = [sum(run[kind] for kind in ("allocs", "frees", "reallocs")) / times for run in runs]
        if each[0] != each[1] and workload != "server":
            print(f"{workload}: {each[0]:.3f} and {each[1]:.3f} events per iteration in two runs")
        counts[workload] = {"before": runs[0]["before"], "each": sum(each) / 2, **shares(runs[0])}
    return counts


def shares(run):
    total = run["allocs"] + run["frees"] + run["reallocs"]
    return {"realloc_share": run["reallocs"] / total if total else 0}


def measure_all(recorders, workloads, rounds, scale, counts, say):
    """One row for each process that ran. Each round starts with another recorder, so that none
    always has the same neighbour."""
    rows = []
    for turn in range(rounds):
        for workload in workloads:
            first = turn % len(recorders)
            for recorder in recorders[first:] + recorders[:first]:
                times = iterations(workload, recorder, scale)
                say(f"round {turn + 1}/{rounds}  {workload}  {recorder.name}")
                outcome = measure.start(recorder, "run", workload, str(times), "DIR", "MODE")
                outcome["events"] = round(counts[workload]["each"] * times)
                rows.append({"round": turn + 1, "workload": workload, "recorder": recorder.name, **outcome})
    return rows


class Results:
    """Figures derived from the rows; an added cost is the difference to the baseline's run of the
    same round, since the machine's pace drifts from round to round."""

    def __init__(self, rows, counts):
        self.counts = counts
        self.rows = {(row["recorder"], row["workload"], row["round"]): row for row in rows}
        self.rounds = sorted({row["round"] for row in rows})

    def each_round(self, name, workload, figure):
        """`figure(row, row of the baseline)` of each round in which both ran."""
        baseline = by_name(name).baseline or name
        values = []
        for turn in self.rounds:
            row = self.rows.get((name, workload, turn))
            base = self.rows.get((baseline, workload, turn))
            if row and base and "elapsed_ns" in row and "elapsed_ns" in base:
                values.append(figure(row, base))
        return values

    def added_ns(self, name, workload):
        def figure(row, base):
            return row["elapsed_ns"] / row["events"] - base["elapsed_ns"] / base["events"]

        return self.each_round(name, workload, figure)

    def added_cpu(self, name, workload):
        """With the recorder's threads and processes, and with ending the recording. What the plain
        run's process does outside the measured part is taken off."""

        def figure(row, base):
            outside = base["tree_cpu_ns"] - base["cpu_ns"]
            inside = base["cpu_ns"] / base["events"] * row["events"]
            return (row["tree_cpu_ns"] - outside - inside) / row["events"]

        return self.each_round(name, workload, figure)

    def added_mib(self, name, workload, key):
        return self.each_round(name, workload, lambda row, base: (row.get(key, 0) - base.get(key, 0)) / 1024)

    def bytes_an_event(self, name, workload):
        before = self.counts[workload]["before"] if by_name(name).whole_process else 0
        return self.each_round(name, workload, lambda row, _: row["bytes"] / (row["events"] + before))

    def plain_ns(self, name, workload):
        return self.each_round(name, workload, lambda row, _: row["elapsed_ns"] / row["events"])


def tables(results, recorders, workloads):
    """All tables of the comparison."""
    recorded = [recorder for recorder in recorders if recorder.baseline]
    made = [added_table(results, recorded, workloads)]
    if any(recorder.name == "rheaper" for recorder in recorded):
        made.append(ratio_table(results, recorded, workloads))
    made.append(simple(
        "Bytes per event on disk", "Only recorders that log every event.",
        [recorder for recorder in recorded if recorder.log], workloads,
        lambda name, workload: number(median(results.bytes_an_event(name, workload))),
    ))
    made.append(simple(
        "Peak memory added, MiB", "While recording / with ending the recording, where some resolve names.",
        recorded, workloads,
        lambda name, workload: " / ".join(
            number(median(results.added_mib(name, workload, key)), 1) for key in ("rss_kib", "peak_rss_kib")
        ),
    ))
    made.append(simple(
        "Added processor time per event, ns",
        "Of all threads and helper processes, ending the recording included. Short runs of slow peers"
        " carry more of what ending costs.",
        recorded, workloads,
        lambda name, workload: number(median(results.added_cpu(name, workload))),
    ))
    made.append(workload_table(results, workloads))
    return made


def simple(title, about, recorders, workloads, cell):
    table = Table(title, about, ["recorder", *workloads])
    for recorder in recorders:
        table.add(recorder.name, *(cell(recorder.name, workload) for workload in workloads))
    return table


def added_table(results, recorders, workloads):
    def cell(name, workload):
        values = results.added_ns(name, workload)
        wandering = spread(values)
        return number(median(values)) + (f" ±{wandering:.0%}" if wandering is not None else "")

    about = "Median over the rounds of the time over the baseline's; ± is half the distance of the quartiles."
    return simple("Added time per event, ns", about, recorders, workloads, cell)


def ratio_table(results, recorders, workloads):
    def cell(name, workload):
        ours = median(results.added_ns("rheaper", workload))
        theirs = median(results.added_ns(name, workload))
        return number(theirs / ours) if ours and theirs is not None and ours > 0 else "–"

    others = [recorder for recorder in recorders if recorder.name != "rheaper"]
    return simple(
        "Added time as a multiple of rheaper's", "Above 1, rheaper adds less.", others, workloads, cell
    )


def workload_table(results, workloads):
    table = Table(
        "The workloads", "An event is one call of the program to its allocator.",
        ["workload", "events per iteration", "of them reallocs", "plain time per event, ns"],
    )
    for workload in workloads:
        counts = results.counts[workload]
        plain = median(results.plain_ns("plain", workload))
        table.add(workload, number(counts["each"], 0), f"{counts['realloc_share']:.1%}", number(plain, 1))
    return table

