#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the tables of options of the pages with the structs in the headers.

    option_tables.py [--root DIR]     prints each difference, and exits with 1 if there is one

Each field of a struct of TABLES is in the first column of a table of its page, and with its default if that is a plain number
or bool, a duration ("30 s", "5 min") or a number of bytes ("16 MiB"). A first column has fields in the form `name`, `name` = default, `name` (default), or `name` = `an enumerator`. The first cell of the table's head begins with the
name of the struct. The functions of a struct of CHECKED name each of its durations and numbers. The generated reference has the tables
of all other options.
"""

import argparse
import pathlib
import re
import sys

# (header, struct): page
TABLES = {
    ("include/belay/postgres/rooms_options.hpp", "RoomsOptions"): "docs/reference/bindings/postgres.md",
    ("include/belay/journal/journal_options.hpp", "JournalOptions"): "docs/reference/journal.md",
    ("include/belay/link/supervisor_core.hpp", "SupervisorCoreOptions"): "docs/reference/links.md",
    ("include/belay/link/supervisor_core.hpp", "SupervisorOptions"): "docs/reference/links.md",
}
FIELD = re.compile(r"^    (?! |using |friend |static |typedef |return )([\w:<>,*& ]+) (\w+)(?: = ([^;]+)|\{([^;]*)\})?;", re.M)
# Structs whose member functions must read each duration and each number, because all of them must be > 0.
CHECKED = (("include/belay/room/room_options.hpp", "RoomOptions"),)
CELL = re.compile(r"`(\w+)`(?: (?:= |\()((?:[\w.]|,(?=\d))+(?: (?:ms|s|min|h|KiB|MiB))?))?")
UNITS = {"milliseconds": "ms", "seconds": "s", "minutes": "min", "hours": "h", "10": "KiB", "20": "MiB"}
DURATION = re.compile(r"std::chrono::(\w+)\{(\d+)\}")
BYTES = re.compile(r"std::size_t\{(\d+)\} << (10|20)")


def default_of(text):
    """A default as a page has it, or None if it is none of the known forms."""
    plain = text.replace("'", "")
    if re.fullmatch(r"\d+|true|false", plain):
        return plain
    if found := DURATION.fullmatch(plain):
        return f"{found[2]} {UNITS[found[1]]}" if found[1] in UNITS else None
    if found := BYTES.fullmatch(plain):
        return f"{found[1]} {UNITS[found[2]]}"
    return None


def fields_of(text, struct):
    """The fields of a struct, each with its default, or None."""
    body = re.search(rf"^struct {struct} {{\n(.*?)^}};", text, re.M | re.S)
    if body is None:
        return {}
    # A duration may have its default in braces.
    return {name: default_of(default or f"{kind}{{{braced}}}".replace("'", ""))
            for kind, name, default, braced in FIELD.findall(body.group(1))}


def rows_of(text, struct):
    """The fields in the tables of a struct, each with the default that the page has, or None."""
    rows = {}
    inside = False
    for line in text.splitlines():
        cells = line.strip().strip("|").split("|")
        if not line.startswith("|"):
            inside = False
        elif cells[0].strip() == f"`{struct}`":
            inside = True
        elif inside and not set(line) <= set("|- "):
            for name, default in CELL.findall(re.sub(r" = `\w+`", "", cells[0])):
                rows[name] = default.replace(",", "") or None
    return rows


def unchecked(text, struct):
    """The durations and numbers of a struct that no function in it names."""
    body = re.search(rf"^struct {struct} {{\n(.*?)^}};", text, re.M | re.S)
    code = "" if body is None else re.sub(r"//.*|\"[^\"\n]*\"", "", body[1])
    functions = FIELD.sub("", code)
    return [found[2] for found in FIELD.finditer(code)
            if re.fullmatch(r"Duration|unsigned|std::size_t|std::uint\d+_t", found[1])
            and not re.search(rf"\b{found[2]}\b", functions)]


def differences(root):
    for header, struct in CHECKED:
        for name in unchecked((root / header).read_text(), struct):
            yield f"{header}: {struct}::check() does not check `{name}`"
    for (header, struct), page in TABLES.items():
        fields = fields_of((root / header).read_text(), struct)
        rows = rows_of((root / page).read_text(), struct)
        if not fields:
            yield f"{header}: no fields of {struct} found"
        for name, default in fields.items():
            if name not in rows:
                yield f"{page}: the table of {struct} lacks `{name}`"
            elif default is not None and rows[name] != default:
                yield f"{page}: `{name}` of {struct} = {rows[name]}, but the header has {default}"
        for name in rows.keys() - fields.keys():
            yield f"{page}: {struct} has no field `{name}`"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    found = sorted(differences(parser.parse_args().root))
    print("\n".join(found) if found else f"{len(TABLES)} structs agree with their tables")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
