"""Reads what callgrind writes: how many instructions each function executed itself, by source file."""

import re
from collections import Counter

# Lines that name a source file: of a function, or of code inlined into it, and back.
FILES = ("fl=", "fi=", "fe=")
# The standard library's code, inlined everywhere. It belongs to what it was inlined into.
STANDARD = re.compile(r"/rustc/|/library/(core|alloc|std)/")


def read(path):
    """Instructions by (source file, function), without those of called functions. Code without a
    known source file is named by its object file. Costs come in the order of addresses, so inlined
    code of the standard library is counted to the source file before it in the same function: right
    for almost all of it, and wrong where the compiler has moved code about."""
    costs = Counter()
    unit = source = function = ""
    after_call = False
    with open(path, errors="replace") as lines:
        for line in lines:
            if line.startswith("ob="):
                unit = line[3:].strip()
            elif line.startswith("fn="):
                function = line[3:].strip()
            elif line.startswith(FILES):
                named = line[3:].strip()
                starts_function = line.startswith("fl=")
                if starts_function or not STANDARD.search(named):
                    source = unit if named == "???" else named
            elif line.startswith("calls="):
                # The next line is what the call cost, which is counted in the called function.
                after_call = True
            elif line[0].isdigit() or line[0] in "+-*":
                if not after_call:
                    costs[source, function] += int(line.split()[1])
                after_call = False
    return costs
