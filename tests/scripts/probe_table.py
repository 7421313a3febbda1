#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the table of differences from Linux in docs/reference/simulated-programs.md.

    probe_table.py [--root DIR]              writes the table
    probe_table.py --check [--root DIR]      prints whether the table is out of date, and exits with 1 if it is

The rows are those of tests/libc_sim/probes/differences.txt, which tests/libc_sim/as_on_linux.test.cpp checks, and writes if
BELAY_RECORD_PROBES is set.
"""

import argparse
import pathlib
import sys

PAGE = "docs/reference/simulated-programs.md"
ROWS = "tests/libc_sim/probes/differences.txt"
HEAD = "| probe | Linux | a world | reason |\n| --- | --- | --- | --- |\n"


def with_table(page, rows):
    """The page with these rows, or None if it has no such table."""
    before, head, after = page.partition(HEAD)
    lines = after.split("\n")
    kept = next((i for i, line in enumerate(lines) if not line.startswith("| ")), len(lines))
    return before + head + rows + "\n".join(lines[kept:]) if head else None


def main(arguments=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    options = parser.parse_args(arguments)
    path = options.root / PAGE
    page = path.read_text(encoding="utf-8")
    wanted = with_table(page, (options.root / ROWS).read_text(encoding="utf-8"))
    if wanted is None or (options.check and wanted != page):
        print(f"{PAGE}: the table of probes is missing or out of date: run tests/scripts/probe_table.py")
        return 1
    if not options.check:
        path.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
