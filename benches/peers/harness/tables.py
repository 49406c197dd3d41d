"""Tables for people and for documents, and the place in a document where they belong."""

import csv
import statistics
from pathlib import Path

from .recorders import ROOT

DOCUMENT = ROOT.parent.parent / "docs" / "OVERHEAD.md"
RECORD = ROOT / "record"


class Table:
    """A title, a line that says what the figures are, column names, and rows of text."""

    def __init__(self, title, about, columns):
        self.title, self.about, self.columns, self.rows = title, about, columns, []

    def add(self, *cells):
        self.rows.append([str(cell) for cell in cells])

    def text(self):
        lines = [self.columns, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        drawn = ["  ".join(cell.ljust(width) if place == 0 else cell.rjust(width)
                           for place, (cell, width) in enumerate(zip(line, widths))) for line in lines]
        return "\n".join([f"\n{self.title}", self.about, "", *drawn])

    def markdown(self):
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        drawn = [f"| {' | '.join(line)} |" for line in [self.columns, rule, *self.rows]]
        return "\n".join([f"#### {self.title}", "", self.about, "", *drawn])


def number(value, digits=None):
    """A figure with about three digits that mean something, or a dash where there is none."""
    if value is None:
        return "–"
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 1 else 2
    return f"{value:,.{digits}f}"


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def spread(values):
    """Half the distance between the quartiles, as a share of the median: how much runs differ."""
    values = sorted(value for value in values if value is not None)
    if len(values) < 3 or not statistics.median(values):
        return None
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return abs((high - low) / 2 / statistics.median(values))


def machine_lines(facts):
    return [f"- {name}: {value}" for name, value in facts.items()]


def replace_section(name, body):
    """Puts `body` between the markers of this name in the document."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    text = DOCUMENT.read_text()
    if begin not in text or end not in text:
        raise SystemExit(f"{DOCUMENT.name} has no section {name!r}")
    before, rest = text.split(begin, 1)
    _, after = rest.split(end, 1)
    DOCUMENT.write_text(f"{before}{begin}\n{body}\n{end}{after}")


def save(facts, name, rows):
    """Writes every single measurement, below what is known about the machine."""
    RECORD.mkdir(exist_ok=True)
    stamp = facts["date"].removesuffix(" UTC").replace(" ", "-").replace(":", "")
    path = Path(RECORD) / f"{stamp}-{name}.csv"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with open(path, "w", newline="") as file:
        file.writelines(f"# {key}: {value}\n" for key, value in facts.items())
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path.relative_to(ROOT)
