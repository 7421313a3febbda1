#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints one program of the rooms' programs without framework: tests/<room>/no_exceptions.cpp, each run by its main().

Together they are compiled in a third of the time, for each build and each machine under emulation.
"""

import pathlib

TESTS = pathlib.Path(__file__).resolve().parent.parent


def rooms():
    return [path.parent.name for path in sorted(TESTS.glob("*/no_exceptions.cpp"))]


def source():
    parts = ["#include <cstdio>\n"]
    for room in rooms():
        parts.append(f'#define main main_of_{room}\n#include "{room}/no_exceptions.cpp"\n#undef main\n')
    parts.append("int main() {\n    int failed = 0;\n")
    for room in rooms():
        parts.append(f'    if (main_of_{room}() != 0) failed = (std::printf("{room} failed\\n"), 1);\n')
    parts.append("    return failed;\n}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(source(), end="")
