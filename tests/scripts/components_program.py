#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints one program that runs tests/<component>/no_exceptions.cpp of some components, one main() after the other.

    components_program.py QUARTER     QUARTER is a number: of the quarters of components_in_turn.py

One program compiles in a third of the time of one for each component. There is one for each quarter of the components. At each
commit GCC compiles one of them, and Clang the others. Of the machines under emulation, one has the program of all components at
each commit, which the commit's hash chooses: it takes a minute and a half of a processor.
"""

import hashlib
import pathlib
import sys

import components_in_turn
import mutants

TESTS = pathlib.Path(__file__).resolve().parent.parent
MACHINES = ("aarch64", "arm", "s390x")


def components(quarter=None):
    """Those of a quarter, or all."""
    names = [path.parent.name for path in sorted(TESTS.glob("*/no_exceptions.cpp"))]
    return names if quarter is None else [
        name for name in names if name in components_in_turn.quarters(TESTS.parent)[quarter]]


def machine_of(commit):
    """Which of the machines runs the program at this commit."""
    return MACHINES[hashlib.sha256(commit.encode()).digest()[0] % len(MACHINES)]


def has_turn(machine):
    assert machine in MACHINES, machine
    return machine_of(mutants.head(TESTS.parent)) == machine


def source(quarter=None):
    parts = ["#include <cstdio>\n"]
    for component in components(quarter):
        parts.append(f'#define main main_of_{component}\n#include "{component}/no_exceptions.cpp"\n#undef main\n')
    parts.append("int main() {\n    int failed = 0;\n")
    for component in components(quarter):
        parts.append(f'    if (main_of_{component}() != 0) failed = (std::printf("{component} failed\\n"), 1);\n')
    parts.append("    return failed;\n}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(source(int(sys.argv[1])), end="")
