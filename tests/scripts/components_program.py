#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints one program that runs tests/<component>/no_exceptions.cpp of each component, one main() after the other.

One program compiles in a third of the time of one for each component. Each build, and each machine under emulation,
compiles it.
"""

import pathlib

TESTS = pathlib.Path(__file__).resolve().parent.parent


def components():
    return [path.parent.name for path in sorted(TESTS.glob("*/no_exceptions.cpp"))]


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
