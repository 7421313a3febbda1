#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that nobody pays for an observer that does not look.

    zero_cost.py --compiler g++     prints the sizes of code; exits with 1 if they differ

Compiles samples/zero_cost*.cpp without an observer and with one that has no hooks, and compares the code sections of
the object files; and, so that the comparison is known to see something, with one that counts. What hooks with empty
bodies cost is up to the optimiser, and only printed.
"""

import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SAMPLES = sorted((HERE / "samples").glob("zero_cost*.cpp"))
INCLUDE = HERE.parent.parent / "include"


def code_sizes(compiler, sample, observer, directory):
    """The sizes of all code sections: templates have one each, under names that differ."""
    made = pathlib.Path(directory) / f"observer_{observer}.o"
    subprocess.run(
        [compiler, "-std=c++20", "-O2", "-DNDEBUG", f"-DZERO_COST_OBSERVER={observer}", "-I", INCLUDE, "-c", sample,
         "-o", made],
        check=True)
    listing = subprocess.run(["size", "-A", "-d", made], check=True, capture_output=True, text=True).stdout
    sizes = collections.Counter()
    for line in listing.splitlines():
        fields = line.split()
        if len(fields) == 3 and fields[0].startswith(".text") and fields[1].isdigit() and fields[1] != "0":
            sizes[int(fields[1])] += 1
    return sizes


def check(compiler, sample):
    """What is wrong with a sample; None if nothing is."""
    with tempfile.TemporaryDirectory() as directory:
        without, blind, empty, counting = (code_sizes(compiler, sample, n, directory) for n in range(4))
    observers = (("no observer", without), ("no hooks", blind), ("empty hooks", empty), ("counting", counting))
    print(sample.stem)
    for name, sizes in observers:
        print(f"  {name:12} {sum(size * n for size, n in sizes.items()):6} bytes of code")
    if not without:
        return "found no code to compare"
    if without != blind:
        return "an observer without hooks costs code"
    if without == counting:
        return "an observer that counts costs nothing: the comparison does not see observers"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="c++")
    arguments = parser.parse_args()
    wrong = False
    for sample in SAMPLES:
        if complaint := check(arguments.compiler, sample):
            print(complaint)
            wrong = True
    return 1 if wrong or not SAMPLES else 0


if __name__ == "__main__":
    sys.exit(main())
