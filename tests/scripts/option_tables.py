#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the tables of options of the pages with the structs in the headers.

    option_tables.py [--root DIR]     prints each difference, and exits with 1 if there is one

Each field of a struct of TABLES is in the first column of a table of its page, and with its default if that is a plain number
or bool. A first column has fields in the form `name`, `name` = default, or `name` = `an enumerator`. The first cell of the table's head begins with the
name of the struct.
"""

import argparse
import pathlib
import re
import sys

# (header, struct): page
TABLES = {
    ("include/belay/journal/journal_options.hpp", "JournalOptions"): "docs/journal.md",
    ("include/belay/link/supervisor_core_options.hpp", "SupervisorCoreOptions"): "docs/link.md",
    ("include/belay/link/supervisor_options.hpp", "SupervisorOptions"): "docs/link.md",
    ("include/belay/sim/scenario.hpp", "ScenarioOptions"): "docs/sim.md",
    ("include/belay/sim/report.hpp", "ExploreOptions"): "docs/explore.md",
    ("include/belay/sim/crash_points.hpp", "CrashPointsOptions"): "docs/sim.md",
    ("include/belay/sim/exhaust.hpp", "ExhaustOptions"): "docs/explore.md",
    ("include/belay/sync/replica_options.hpp", "ReplicaOptions"): "docs/replica.md",
    ("include/belay/sync/replica_link.hpp", "ReplicaLinkOptions"): "docs/replica.md",
}
FIELD = re.compile(r"^    (?!using |friend |static |typedef |return )[\w:<>,*& ]+ (\w+)(?: = ([^;]+)|\{[^;]*\})?;", re.M)
CELL = re.compile(r"`(\w+)`(?: = ((?:[\w.]|,(?=\d))+))?")


def fields_of(text, struct):
    """The fields of a struct, each with its default, or None if that is no plain number or bool."""
    body = re.search(rf"^struct {struct} {{\n(.*?)^}};", text, re.M | re.S)
    if body is None:
        return {}
    fields = {}
    for name, default in FIELD.findall(body.group(1)):
        plain = default.replace("'", "")
        fields[name] = plain if re.fullmatch(r"\d+|true|false", plain) else None
    return fields


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


def differences(root):
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
