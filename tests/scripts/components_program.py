#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints one program that runs tests/<component>/no_exceptions.cpp of each component, one main() after the other.

One program compiles in a third of the time of one for each component. Each build compiles it. Of the machines under
emulation, one does so at each commit, which the commit's hash chooses: it takes a minute and a half of a processor.
"""

import hashlib
import pathlib

import mutants

TESTS = pathlib.Path(__file__).resolve().parent.parent
MACHINES = ("aarch64", "arm", "s390x")


def components():
    return [path.parent.name for path in sorted(TESTS.glob("*/no_exceptions.cpp"))]


def machine_of(commit):
    """Which of the machines runs the program at this commit."""
    return MACHINES[hashlib.sha256(commit.encode()).digest()[0] % len(MACHINES)]


def has_turn(machine):
    assert machine in MACHINES, machine
    return machine_of(mutants.head(TESTS.parent)) == machine


def source():
    parts = ["#include <cstdio>\n"]
    for component in components():
        parts.append(f'#define main main_of_{component}\n#include "{component}/no_exceptions.cpp"\n#undef main\n')
    parts.append("int main() {\n    int failed = 0;\n")
    for component in components():
        parts.append(f'    if (main_of_{component}() != 0) failed = (std::printf("{component} failed\\n"), 1);\n')
    parts.append("    return failed;\n}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(source(), end="")
