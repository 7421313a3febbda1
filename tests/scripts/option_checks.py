#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the functions of a struct of options name each of its durations and numbers, because all of them must be > 0.

    option_checks.py [--root DIR]     prints each member that no function names, and exits with 1 if there is one
"""

import argparse
import pathlib
import re
import sys

# (header, struct)
CHECKED = (("include/belay/room/room_options.hpp", "RoomOptions"),)
FIELD = re.compile(r"^    (?! |using |friend |static |typedef |return )([\w:<>,*& ]+) (\w+)(?: = ([^;]+)|\{([^;]*)\})?;", re.M)


def unchecked(text, struct):
    """The durations and numbers of a struct that no function in it names; None if there is no such struct."""
    body = re.search(rf"^struct {struct} {{\n(.*?)^}};", text, re.M | re.S)
    if body is None:
        return None
    code = re.sub(r"//.*|\"[^\"\n]*\"", "", body[1])
    functions = FIELD.sub("", code)
    return [found[2] for found in FIELD.finditer(code)
            if re.fullmatch(r"Duration|unsigned|std::size_t|std::uint\d+_t", found[1])
            and not re.search(rf"\b{found[2]}\b", functions)]


def differences(root):
    for header, struct in CHECKED:
        found = unchecked((root / header).read_text(), struct)
        if found is None:
            yield f"{header}: there is no struct {struct}"
        for name in found or ():
            yield f"{header}: {struct}::check() does not check `{name}`"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    found = sorted(differences(parser.parse_args().root))
    print("\n".join(found) if found else f"{len(CHECKED)} structs check all their numbers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
