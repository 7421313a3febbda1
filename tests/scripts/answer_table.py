#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the table of results in docs/reference/retry.md with its test, and the table of usual names with the header.

    answer_table.py [--root DIR]        prints each difference, and exits with 1 if there is one
"""

import argparse
import pathlib
import re
import sys

PAGE = "docs/reference/retry.md"
TEST = "tests/call/answer_traits.static.cpp"
HEADER = "include/belay/call/retry_outcome.hpp"


def first_cells(page, head):
    """The first cells of the table whose first cell is `head`."""
    lines = page.split("\n")
    begins = [i for i, line in enumerate(lines) if line.startswith(f"| {head} |")]
    if not begins:
        return []
    cells = []
    for line in lines[begins[0] + 2:]:
        if not line.startswith("| "):
            break
        cells.append(line.split(" | ")[0].removeprefix("| "))
    return cells


def differences(root):
    page = (root / PAGE).read_text(encoding="utf-8")
    rows = first_cells(page, "`fn` returns")
    tested = re.findall(r"^// row: (.+)$", (root / TEST).read_text(encoding="utf-8"), re.M)
    for row in rows:
        if row not in tested:
            yield f"{TEST}: there is no row '{row}' of {PAGE}: write its static_asserts below '// row: {row}'"
    for row in tested:
        if row not in rows:
            yield f"{PAGE}: the table has no row '{row}' of {TEST}: write it, or correct the test"
    listed = re.findall(r"`(\w+)`", " ".join(first_cells(page, "a member of a usual name")))
    header = re.sub(r"^#.*", "", (root / HEADER).read_text(encoding="utf-8"), flags=re.M)
    looked_for = re.findall(r"BELAY_DETAIL_(?:NAMED|NUMBERED)\((\w+)\)", header)
    for name in looked_for:
        if name not in listed:
            yield f"{PAGE}: the table of usual names lacks `{name}` of {HEADER}"
    for name in listed:
        if name not in looked_for:
            yield f"{HEADER}: it does not look for `{name}` of {PAGE}"
    if not rows or not listed:
        yield f"{PAGE}: a table is missing"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    found = list(differences(parser.parse_args().root))
    for difference in found:
        print(difference)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
