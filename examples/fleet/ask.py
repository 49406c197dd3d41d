"""ask.py DIR [--write]: asks DuckDB every question of docs/guide/FLEET.md, over DIR/fleet.

A question is a ```sql block; its answer is the ```text block behind it, which --write replaces.
"""
import os
import re
import sys

import duckdb

document = os.path.join(os.path.dirname(__file__), "../../docs/guide/FLEET.md")
text = open(document, encoding="utf-8").read()
document = os.path.abspath(document)
os.chdir(sys.argv[1])


def cell(value):
    if value is None:
        return ""
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def answer(sql):
    """The rows, in columns."""
    asked = duckdb.connect().execute(sql)
    names = [column[0] for column in asked.description]
    rows = [[cell(value) for value in row] for row in asked.fetchall()]
    lines = [names] + rows
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    right = [all(re.fullmatch(r"-?[\d,.]*", row[i]) for row in rows) for i in range(len(names))]
    def show(line):
        cells = zip(line, widths, right)
        return "  ".join(t.rjust(w) if r else t.ljust(w) for t, w, r in cells).rstrip()
    return "\n".join([show(names), "  ".join("-" * w for w in widths)] + [show(row) for row in rows])


def replace(block):
    found = answer(block.group(1))
    print(block.group(1) + found + "\n")
    return f"```sql\n{block.group(1)}```\n\n```text\n{found}\n```\n"


text = re.sub(r"```sql\n(.*?)```\n\n```text\n.*?```\n", replace, text, flags=re.S)
if "--write" in sys.argv:
    open(document, "w", encoding="utf-8").write(text)
