#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the tables of states of a room, its clients and its connections: header, docs/design.md and the exhaustive test.

    room_tables.py [--root DIR]     prints each difference, and exits with 1 if there is one

- The header and the page have the same rows.
- Each row with plain events is in the rows of the test, which static_asserts compare with the code, and the reverse.
- A row with a condition ("tick, when ...") has a test below a comment "// row: " and the row.
"""

import argparse
import pathlib
import re
import sys

PAGE = "docs/design.md"
# header: (test, the rows of the page's table that belongs to it, the states that `any` stands for)
CORES = {
    "include/belay/room/detail/client_core.hpp": (
        "tests/room/client_core.static.cpp", ("checking", "loading", "opening", "joined")),
    "include/belay/room/detail/connection_core.hpp": ("tests/room/connection_core.static.cpp", ()),
    "include/belay/room/room_core.hpp": (
        "tests/room/room_core.static.cpp",
        ("clean", "due", "due_optional", "saving", "saving_changed", "saving_optional")),
}
ROW = re.compile(r"\{\s*State::(\w+),\s*Event::(\w+),\s*State::(\w+)(?:,\s*\{(.*?)\})?\s*\}", re.S)


def tables(lines):
    """The tables of states: each a list of rows (state, event, next, actions)."""
    found = []
    inside = False
    for line in lines:
        line = line.strip().removeprefix("///").strip()
        cells = [" ".join(cell.split()) for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells == ["state", "event", "next", "actions"]:
            inside = True
            found.append([])
        elif inside and len(cells) == 4 and not set(line) <= set("|-"):
            found[-1].append(tuple(cells))
    return found


def expand(rows, any_state):
    """The rows with plain events, one for each state and event; and the text of those with a condition."""
    plain, conditional = set(), []
    for state, event, to, actions in rows:
        parts = event.split(", ")
        if not all(re.fullmatch(r"\w+", part) for part in parts):
            conditional.append(" | ".join((state, event, to, actions)))
            continue
        for one in any_state if state == "any" else (state,):
            for part in parts:
                plain.add((one, part, one if to == "same" else to, tuple(sorted(filter(None, actions.split(", "))))))
    return plain, conditional


def tested_rows(text):
    rows = set()
    for state, event, to, actions in ROW.findall(text):
        names = []
        for name, value in re.findall(r"\.(\w+) = ([\w:]+)", actions):
            names.append(f"{name} ({value.split('::')[-1]})" if name == "fail" else name)
        rows.add((state, event, to, tuple(sorted(names))))
    return rows


def text_of(row):
    state, event, to, actions = row
    return f"'{state} | {event} | {to} | {', '.join(actions)}'"


def differences(root):
    page = tables((root / PAGE).read_text(encoding="utf-8").splitlines())
    if len(page) != len(CORES):
        yield f"{PAGE}: it has {len(page)} tables of states, and must have {len(CORES)}"
        return
    for (header, (test, any_state)), on_page in zip(CORES.items(), page):
        in_header = sum(tables((root / header).read_text(encoding="utf-8").splitlines()), [])
        if not in_header:
            yield f"{header}: it has no table with the columns state, event, next and actions"
        for row in in_header:
            if row not in on_page:
                yield f"{PAGE}: the table lacks the row '{' | '.join(row)}' of {header}"
        for row in on_page:
            if row not in in_header:
                yield f"{header}: the table lacks the row '{' | '.join(row)}' of {PAGE}"
        text = (root / test).read_text(encoding="utf-8")
        plain, conditional = expand(in_header, any_state)
        tested = tested_rows(text)
        for row in sorted(plain - tested):
            yield f"{test}: it has no row {text_of(row)} of {header}: correct the table, or add the row to the test"
        for row in sorted(tested - plain):
            yield f"{header}: the table lacks {text_of(row)} of {test}"
        marks = re.findall(r"^// row: (.+)$", text, re.M)
        for row in conditional:
            if row not in marks:
                yield f"{test}: there is no test of the row '{row}' of {header}: write it below '// row: {row}'"
        for row in marks:
            if row not in conditional:
                yield f"{header}: the table lacks the row '{row}' of {test}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    found = list(differences(parser.parse_args().root))
    for difference in found:
        print(difference)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
