#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that every umbrella, and what they leave out, compiles without a warning by compilers that build nothing else.

    other_compilers.py     exits with 1 if one warns

These are Clang 19 as C++20, C++23 and C++26, and GCC for 64-bit RISC-V. A compiler that is not installed is named; where
none is, it says "SKIP: ...".
"""

import shutil
import subprocess
import sys

import byte_order
import word_size

COMPILERS = (
    ("clang++-19", "c++20"),
    ("clang++-19", "c++23"),
    ("clang++-19", "c++26"),
    ("riscv64-linux-gnu-g++", "c++20"),
)


def compiles(compiler, standard):
    command = [compiler, f"-std={standard}", "-fsyntax-only", *word_size.WARNINGS, "-I", byte_order.INCLUDE]
    finished = subprocess.run([*command, "-x", "c++", "-"], input=word_size.headers(), text=True, check=False)
    print(f"{compiler} -std={standard}: {'compiled' if finished.returncode == 0 else 'does NOT compile'}")
    return finished.returncode == 0


def main():
    missing = sorted({compiler for compiler, _ in COMPILERS if shutil.which(compiler) is None})
    for compiler in missing:
        print(f"{compiler} is not installed")
    here = [(compiler, standard) for compiler, standard in COMPILERS if compiler not in missing]
    if not here:
        print("SKIP: none of these compilers is installed: " + ", ".join(missing))
        return 0
    return 0 if all([compiles(compiler, standard) for compiler, standard in here]) else 1


if __name__ == "__main__":
    sys.exit(main())
