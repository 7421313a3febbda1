#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the targets that the chosen tests run, a line each: what a run of these tests has to build.

    targets_of_tests.py BUILD OPTION...     BUILD is configured; ctest's OPTIONs choose the tests, as -R REGEX does
"""

import pathlib
import re
import subprocess
import sys


def main():
    build, options = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2:]
    listed = subprocess.run(["ctest", "--test-dir", str(build), "-N", *options], stdout=subprocess.PIPE, text=True,
                            check=False)
    chosen = set(re.findall(r"^ +Test +#\d+: (\S+)", listed.stdout, re.MULTILINE))
    listed = subprocess.run(["ninja", "-C", str(build), "-t", "targets", "all"], capture_output=True, text=True, check=True)
    known = set(re.findall(r"^(\S+): ", listed.stdout, re.MULTILINE))
    targets = set()
    for path in build.rglob("CTestTestfile.cmake"):
        # The properties have what a test runs beside its command.
        for name, command in re.findall(r"^(?:add_test|set_tests_properties)\((\S+) (.*)\)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            if name.strip('[]="') in chosen:
                paths = re.findall(re.escape(f"{build}/") + r'([^";]+)', command)
                targets.update(target for target in paths if target in known)
    sys.stdout.writelines(f"{target}\n" for target in sorted(targets))


if __name__ == "__main__":
    main()
