#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the targets that the tests of a filter run, a line each: what a run of these tests has to build.

    targets_of_tests.py BUILD REGEX     BUILD is configured; REGEX as in ctest -R
"""

import pathlib
import re
import subprocess
import sys


def main():
    build, regex = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    listed = subprocess.run(["ctest", "--test-dir", str(build), "-N", "-R", regex], capture_output=True, text=True,
                            check=True)
    chosen = set(re.findall(r"^ +Test +#\d+: (\S+)", listed.stdout, re.MULTILINE))
    listed = subprocess.run(["ninja", "-C", str(build), "-t", "targets", "all"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"^(\S+): ", listed.stdout, re.MULTILINE))
    targets = set()
    for path in build.rglob("CTestTestfile.cmake"):
        for name, command in re.findall(r"^add_test\((\S+) (.*)\)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            if name.strip('[]="') in chosen:
                paths = re.findall(re.escape(f"{build}/") + r'([^";]+)', command)
                targets.update(target for target in paths if target in known)
    print("\n".join(sorted(targets)))


if __name__ == "__main__":
    main()
