#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the filter of tests/run that .ci/run gives to the build by GCC: a regular expression of names of tests.

Clang builds the tests of every component, with sanitizers, in each run of .ci/run. GCC takes some 50 minutes of a processor
to compile them, and finds little that Clang does not. So its build has the components that the last commits changed, and a
third of the others, which the hash of the commit chooses. The components of ALWAYS are in each run, because no other build has
some of their tests, and so is what must not compile. Tests that count allocations run in the turn of their component only.
tests/run --preset release --all runs all.
"""

import hashlib
import pathlib
import re
import subprocess
import sys

import mutants

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALWAYS = {"adapter", "consumer", "e2e", "examples", "pages", "room", "scripts", "windows"}
WITHOUT_FOLDER = ("google_test", "no_exceptions")
PARTS = 3
COMMITS = 25
FOLDER = re.compile(r"^(?:include/belay|tests/support|tests)/(\w+)/")


def components(root):
    """The folders whose tests have their turn."""
    return {path.parent.name for path in (root / "tests").glob("*/*.test.cpp")} - ALWAYS


def changed(root):
    """The folders that the last commits changed."""
    command = ["git", "-c", "safe.directory=*", "-C", str(root), "log", f"-{COMMITS}", "--format=", "--name-only"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    return {match[1] for line in listed.stdout.splitlines() if (match := FOLDER.match(line))}


def in_turn(component, commit):
    return hashlib.sha256(f"{commit} {component}".encode()).digest()[0] % PARTS == 0


def chosen(root, commit):
    recent = changed(root)
    return ALWAYS | {one for one in components(root) if one in recent or in_turn(one, commit)}


def main():
    folders = sorted(chosen(ROOT, mutants.head(ROOT)))
    left = sorted(components(ROOT) - set(folders))
    print("in the turn of other commits:", *left, file=sys.stderr)
    print(f"^({'|'.join(folders)})/|^({'|'.join(WITHOUT_FOLDER)})$|[.]fail$")


if __name__ == "__main__":
    main()
