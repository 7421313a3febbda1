#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that Universal Ctags finds every public name, so that editors and code browsers do.

    tags.py [--root DIR]     prints "path: name: what is wrong"; exits with 1 if it printed any

The public names are those that names.py finds; the tags are those of "ctags -R include", with the options in
.ctags.d. ctags finds no scope for a concept, so a concept is compared by its name alone.
"""

import argparse
import pathlib
import shutil
import subprocess
import sys

import names

# Public names that ctags cannot find, each with the reason. At most three.
EXCEPTIONS = {}
EXCEPTIONS_MAX = 3


def tags_of(root):
    """(header, scope below belay or None, name) of each tag in include/."""
    command = ["ctags", "-R", "-f", "-", "--fields=+as", "--excmd=number", "include"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    for line in listed.splitlines():
        name, header, _, kind, *fields = line.split("\t")
        scopes = [field.partition(":")[2] for field in fields if field.startswith("namespace:")]
        path = [space for scope in scopes for space in scope.split("::") if space != "BELAY_ABI"]
        if kind == "C":
            yield header, None, name
        elif path[:1] == ["belay"]:
            yield header, "::".join(path[1:]), name


def complaints(root):
    tags = set(tags_of(root))
    for (space, name), (folder, header, _) in names.Names(root).found.items():
        path = f"include/belay/{folder}/{header}"
        shown = "::".join(filter(None, (space, name)))
        found = (path, space, name) in tags or (path, None, name) in tags
        if not found and shown not in EXCEPTIONS:
            yield (f"{path}: {shown}: ctags does not find it. Declare it in the form that its neighbours have "
                   "(an initialiser with braces inside hides it), or list it in EXCEPTIONS with the reason")
        elif found and shown in EXCEPTIONS:
            yield f"tests/scripts/tags.py: {shown}: ctags finds it; remove it from EXCEPTIONS"
    if len(EXCEPTIONS) > EXCEPTIONS_MAX:
        yield f"tests/scripts/tags.py: {len(EXCEPTIONS)} exceptions, the limit is {EXCEPTIONS_MAX}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = parser.parse_args().root
    if not shutil.which("ctags"):
        print("SKIP: no ctags here; install universal-ctags")
        return 0
    wrong = list(complaints(root))
    print("\n".join(wrong + [f"{len(names.Names(root).found)} public names, {len(wrong)} that ctags does not find"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
