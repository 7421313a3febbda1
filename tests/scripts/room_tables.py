#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the tables of states of a room, its clients and its connections (header, docs/design.md and the exhaustive test), and
the table of reasons of room_errc.hpp with those of docs/reference/room-clients.md.

    room_tables.py [--root DIR]     prints each difference, and exits with 1 if there is one

- The header and the page have the same rows.
- Each row with plain events is in the rows of the test, which static_asserts compare with the code, and the reverse.
- The arrays of states and events in the test have all enumerators of the header, in their order. The state `over` has no row. So has the
  array of events in the model of a client of the exploration, in any order.
- A row with a condition ("tick, when ...") has a test below a comment "// row: " and the row, without an empty action.
- The comment "This part calls" of a part of the manager names the members of other parts that the code uses.
- Each error of RoomErrc has a row of its name in RoomReasons, and its limit is a member of RoomOptions.
- The page's table of reasons has each reason with a close code, in this order, with its code, what it ends, and its limit.
- A reason in the page's table of checks has its close code.
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
    "include/belay/room/detail/connection_core.hpp": (
        "tests/room/connection_core.static.cpp", ("accepted", "opening", "open")),
    "include/belay/room/room_core.hpp": (
        "tests/room/room_core.static.cpp",
        ("clean", "due", "due_optional", "saving", "saving_changed", "saving_optional")),
}
EXPLORATION = "tests/room/exploration.test.cpp"
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
            conditional.append(" | ".join(filter(None, (state, event, to, actions))))
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


def enumerators(text, name):
    """The enumerators of the first enum of this name."""
    body = re.search(rf"enum class {name} : std::uint8_t {{(.*?)}};", text, re.S)
    return re.findall(r"\w+", re.sub(r"//.*", "", body[1])) if body else []


def missing_in_arrays(root):
    for header, (test, _) in CORES.items():
        code = (root / header).read_text(encoding="utf-8")
        text = (root / test).read_text(encoding="utf-8")
        for name in ("State", "Event"):
            array = re.search(rf"constexpr {name} (\w+)\[\] = {{(.*?)}};", text, re.S)
            listed = re.findall(rf"{name}::(\w+)", array[2]) if array else []
            expected = [one for one in enumerators(code, name) if one != "over"]
            if listed != expected:
                yield f"{test}: {array[1] if array else 'an array'} must have all of {name} of {header}: {', '.join(expected)}"
    code = (root / next(iter(CORES))).read_text(encoding="utf-8")
    array = re.search(r"struct ClientModel .*?Event events\[\] = {(.*?)};", (root / EXPLORATION).read_text(encoding="utf-8"), re.S)
    for event in enumerators(code, "Event"):
        if array is None or f"Event::{event}," not in array[1] + ",":
            yield f"{EXPLORATION}: ClientModel::step must have Event::{event} in its events"


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


REASONS = "include/belay/room/room_errc.hpp"
OPTIONS = "include/belay/room/room_options.hpp"
CLIENTS_PAGE = "docs/reference/room-clients.md"
REASON = re.compile(r'\{E(?:::(\w+)|\{\d\}),\s*Cause::\w+,\s*C::(\w+),\s*"(\w+)",\s*"[^"]*"(?:\s*"[^"]*")*'
                    r'(?:,\s*(?:"(\w+)"|nullptr))?(?:,\s*W::(\w+))?(?:,\s*S::\w+)?\}')


def page_rows(text, head):
    """The rows of the page's table with this head."""
    found, inside = [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells == head:
            inside = True
        elif inside and not set(line) <= set("|- "):
            found.append(cells)
    return found


def reason_differences(root):
    header = (root / REASONS).read_text(encoding="utf-8")
    options = (root / OPTIONS).read_text(encoding="utf-8")
    page = (root / CLIENTS_PAGE).read_text(encoding="utf-8")
    errors = re.findall(r"^    (\w+) = \d+,?", header, re.M)
    codes = dict(re.findall(r"^        (\w+) = (\d{4})", header, re.M))
    reasons = [row for row in REASON.findall(header) if row[0]]
    if [row[0] for row in reasons] != errors:
        yield f"{REASONS}: RoomReasons must have a row for each error of RoomErrc, in their order"
    shown = {}
    for error, close, word, limit, ends in reasons:
        if word != error:
            yield f"{REASONS}: the word of {error} is '{word}'"
        if limit and not re.search(rf"^    [\w:]+ {limit} = ", options, re.M):
            yield f"{REASONS}: RoomOptions has no member {limit}, the limit of {error}"
        shown[f"`{error}`"] = (codes.get(close, "none"), ends or "connection", f"`{limit}`" if limit else "")
    rows = page_rows(page, ["reason", "close code", "ends", "option"])
    expected = [name for name, (code, _, _) in shown.items() if code != "none"]
    if [row[0] for row in rows if row[1] != "none"] != expected:
        yield f"{CLIENTS_PAGE}: the table of reasons must have each reason with a close code, in the order of RoomErrc"
    for name, code, ends, option in rows:
        if name not in shown or (code, ends) != shown[name][:2] or shown[name][2] not in option:
            yield f"{CLIENTS_PAGE}: the row of {name} in the table of reasons differs from {REASONS}: {shown.get(name)}"
    checks = page_rows(page, ["check", "reason", "close code"])
    if not checks:
        yield f"{CLIENTS_PAGE}: it has no table with the columns check, reason and close code"
    for check, names, code in checks:
        listed = sorted({shown.get(name, ("an unknown reason",))[0] for name in names.split(", ")})
        if not code.startswith("none") and listed != sorted(set(code.split(", "))):
            yield f"{CLIENTS_PAGE}: the check '{check}' closes with {code}, but {REASONS} has {', '.join(listed)}"


DETAIL = "include/belay/room/detail"
LIST = re.compile(r"This part calls\n(.*?)\n///\n", re.S)


def part_differences(root):
    """A comment "This part calls" lists, after the name of each other part in `parts_`, the members that the code uses of it."""
    for header in sorted((root / DETAIL).glob("*.hpp")):
        text = header.read_text(encoding="utf-8")
        for comment in LIST.finditer(text):
            code = re.sub(r"//.*", "", LIST.split(text[comment.end():])[0])
            listed = {}
            for part, names in re.findall(r"- `(\w+)`:(.*?)(?=\n/// - |\Z)", comment[1], re.S):
                listed[part] = set(re.findall(r"`(\w+)`", names))
            used = {part: set() for part in listed}
            for part, name in re.findall(r"\bparts_\.(\w+)\.(?:template )?(\w+)", code):
                used.setdefault(part, set()).add(name)
            for part in sorted(used.keys() - {"answers"}):
                for name in sorted(used[part] ^ listed.get(part, set())):
                    yield f"{DETAIL}/{header.name}: 'This part calls' {'lacks' if name in used[part] else 'has, and the code has not,'} `{name}` of `{part}`"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[2])
    root = parser.parse_args().root
    found = [*differences(root), *missing_in_arrays(root), *reason_differences(root), *part_differences(root)]
    for difference in found:
        print(difference)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
