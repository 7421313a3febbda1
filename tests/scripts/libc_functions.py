#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that tests/libc_sim/functions.txt has each function of the C library, in one class.

    libc_functions.py [--library FILE]     prints what is wrong; exits with 1 if it printed any

The classes are "replaced" and "refused", which belay/libc_sim defines, and "harmless", with a reason. FILE is a libc.so.6;
the default is that of the compiler `cc`. The list may have functions that this version of glibc lacks: it holds for several.
A function of a later glibc that the list lacks is an error, because a simulated program would call the real one.
Without a glibc of x86-64, or without nm, it says "SKIP: ...".
"""

import argparse
import pathlib
import platform
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = "tests/libc_sim/functions.txt"
HEADERS = ("include/belay/libc_sim/detail/symbols.hpp", "include/belay/libc_sim/detail/locks.hpp")

NAME = r"[A-Za-z_]\w*"
REFUSED = re.compile(r"^BELAY_DETAIL_REFUSE\(([\w\s,]*)\)", re.MULTILINE)
REPLACED = re.compile(r"^BELAY_DETAIL_REPLACE(?:_BY)?\([\w:]+,([\w\s,]*)\)", re.MULTILINE)
ALONE = re.compile(rf"^(?:BELAY_DETAIL_(?:ROUTE|LOCK)\(({NAME}),|BELAY_DETAIL_SYMBOL[^;]*?asm\(\s*\"({NAME})\"\);)",
                   re.MULTILINE)
# Written out, because they have a list of arguments or return twice, and refused like the functions that they call.
REFUSED_BY_HAND = {"execl", "execlp", "execle", "vfork", "__vfork", "syscall"}


def classes_of(text):
    """The classes of the list: (class, reason) and the names, in the order of the list."""
    classes = []
    for line in text.splitlines():
        if line.startswith("["):
            head, _, reason = line[1:].partition("]")
            classes.append(((head, reason.strip()), []))
        elif line and not line.startswith("#"):
            classes[-1][1].extend(line.split())
    return classes


def defined(headers):
    """The names that the headers define: replaced, and refused."""
    text = "\n".join(headers)
    lists = {which: {name for found in pattern.findall(text) for name in re.findall(NAME, found)}
             for which, pattern in (("refused", REFUSED), ("replaced", REPLACED))}
    alone = {one or other for one, other in ALONE.findall(text)}
    refused = lists["refused"] | ((alone | lists["replaced"]) & REFUSED_BY_HAND)
    return (lists["replaced"] | alone) - refused, refused


def functions_of(library):
    """The names of the functions that a shared library exports, in any version."""
    shown = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    found = (line.split() for line in shown.splitlines())
    return {words[2].partition("@")[0] for words in found if len(words) == 3 and words[1] in "TWi"}


def violations(classes, replaced, refused, functions):
    known = {}
    for (which, reason), names in classes:
        if which not in ("replaced", "refused", "harmless"):
            yield f"[{which}]: there is no such class"
        if which == "harmless" and not reason:
            yield "[harmless]: a reason is missing"
        for name in names:
            if name in known:
                yield f"{name}: it is {known[name]} and {which}"
            known[name] = which
    for name in sorted(functions - known.keys()):
        yield f"{name}: a simulated program calls the real one; replace it, refuse it, or list it as harmless with a reason"
    for which, names in (("replaced", replaced), ("refused", refused)):
        for name in sorted(names | {n for n, w in known.items() if w == which}):
            if known.get(name) != which or name not in names:
                yield f"{name}: it is {known.get(name, 'not there')} in the list, and " + \
                      (f"{which} in the header" if name in names else f"not {which} in the header")


def library_of_compiler():
    if platform.machine() != "x86_64" or shutil.which("nm") is None or shutil.which("cc") is None:
        return None
    path = subprocess.run(["cc", "-print-file-name=libc.so.6"], capture_output=True, text=True, check=False).stdout.strip()
    return path if pathlib.Path(path).is_file() else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--library", default=library_of_compiler())
    library = parser.parse_args().library
    if library is None:
        print("SKIP: no libc.so.6 of glibc for x86-64, or no nm")
        return 0
    replaced, refused = defined([(ROOT / header).read_text() for header in HEADERS])
    classes = classes_of((ROOT / LIST).read_text())
    functions = functions_of(library)
    found = list(violations(classes, replaced, refused, functions))
    for violation in found:
        print(f"{LIST}: {violation}")
    print(f"{len(functions)} functions, {len(replaced)} replaced, {len(refused)} refused, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
