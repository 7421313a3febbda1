#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that belay builds where pointers and sizes have 32 bits, without a warning, and writes the same files.

    word_size.py --compiler g++ [--all]     exits with 1 if it does not

Compiles every umbrella, what they leave out, and the static tests that speak of sizes, for 32-bit ARM; then does with
it what byte_order.py does with a big-endian machine: files and programs under emulation (QEMU).
Without the cross compiler and the emulator it says "SKIP: ...".
"""

import subprocess
import sys

import byte_order
import layout

CROSS_COMPILER = "arm-linux-gnueabihf-g++"
EMULATOR = "qemu-arm"
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Werror"]


def compiles(source, what):
    command = [CROSS_COMPILER, "-std=c++20", "-fsyntax-only", *WARNINGS, "-I", byte_order.INCLUDE, "-I", byte_order.TESTS]
    finished = subprocess.run([*command, "-x", "c++", "-"], input=source, text=True, check=False)
    print(f"{what}: {'compiled' if finished.returncode == 0 else 'does NOT compile'} with 32 bits")
    return finished.returncode == 0


def headers():
    names = [layout.MOST, *layout.UMBRELLAS, *layout.LEFT_OUT]
    here = [name for name in names if (byte_order.INCLUDE / "belay" / name).is_file()]
    return "".join(f"#include <belay/{name}>\n" for name in here)


def static_tests():
    """Of each component, those that speak of sizes: as in the build, files of one component may be compiled together."""
    components = {}
    for path in sorted(byte_order.TESTS.glob("*/*.static.cpp")):
        if "sizeof(" in path.read_text():
            components.setdefault(path.parent.name, []).append(f'#include "{path.relative_to(byte_order.TESTS)}"\n')
    return {component: "".join(lines) for component, lines in components.items()}


def main():
    options = byte_order.options_if_installed(CROSS_COMPILER, EMULATOR)
    if options is None:
        return 0
    ok = compiles("static_assert(sizeof(void*) == 4);\n" + headers(), "every header")
    for component, source in static_tests().items():
        ok = compiles(source, f"{component}: static tests of sizes") and ok
    # By default a system of 32 bits knows neither large files nor the numbers that file systems give to files today.
    ok = byte_order.same_on(CROSS_COMPILER, EMULATOR, options, "-D_FILE_OFFSET_BITS=64") and ok
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
