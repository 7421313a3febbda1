#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints one program that runs tests/<component>/no_exceptions.cpp of some components, one main() after the other.

    components_program.py PART     PART is a number below PARTS: every PARTS-th component

One program compiles in a third of the time of one for each component. As one, all of them would take too much memory.
"""

import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
PARTS = 4


def components(part=None):
    """Those of a part, or all."""
    names = [path.parent.name for path in sorted(TESTS.glob("*/no_exceptions.cpp"))]
    return names if part is None else names[part::PARTS]


def source(part=None):
    parts = ["#include <cstdio>\n"]
    for component in components(part):
        parts.append(f'#define main main_of_{component}\n#include "{component}/no_exceptions.cpp"\n#undef main\n')
    parts.append("int main() {\n    int failed = 0;\n")
    for component in components(part):
        parts.append(f'    if (main_of_{component}() != 0) failed = (std::printf("{component} failed\\n"), 1);\n')
    parts.append("    return failed;\n}\n")
    return "".join(parts)


if __name__ == "__main__":
    print(source(int(sys.argv[1])), end="")
