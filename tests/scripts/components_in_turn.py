#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says what a build of .ci/run has of the components: each commit has a third of them, by its hash.

    components_in_turn.py tests gcc|asan     prints the regular expression of their tests, as tests/run --filter has it
    components_in_turn.py headers gcc        prints one of paths below include/: their headers

Clang builds and runs the tests of every component in each run of .ci/run, as tests/run does. GCC finds little that Clang does
not, and sanitizers take several times as long. So each of these two builds has another third of the components. The thirds have
about as many lines. ALWAYS is in each build by GCC, because no other build has these tests. tests/run --preset release --all and
tests/run --preset asan run all.
"""

import functools
import hashlib
import pathlib
import sys

import mutants

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = 3
BUILDS = {"gcc": 0, "asan": 1}
ALWAYS = ("consumer", "scripts", "windows")
# Tests without a folder.
ALONE = ("google_test", "no_exceptions")
# Where the code of tests that are not in tests/<component> is.
ELSEWHERE = {"examples": "examples", "pages": "docs"}


def lines(folder):
    return sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.?pp")) + \
        sum(path.read_bytes().count(b"\n") for path in folder.glob("*.md"))


@functools.cache
def thirds(root):
    """The components in groups of about as many lines."""
    sizes = {path.parent.name: 0 for path in (root / "tests").glob("*/*.test.cpp")} | dict.fromkeys(ELSEWHERE, 0) | {"e2e": 0}
    sizes = {name: lines(root / ELSEWHERE.get(name, f"tests/{name}")) for name in sizes if name not in ALWAYS}
    groups = [[] for _ in range(PARTS)]
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        min(groups, key=lambda group: sum(sizes[one] for one in group)).append(name)
    return groups


def chosen(root, build, commit):
    first = hashlib.sha256(commit.encode()).digest()[0]
    return sorted(thirds(root)[(first + BUILDS[build]) % PARTS])


def main():
    what, build = sys.argv[1:]
    names = chosen(ROOT, build, mutants.head(ROOT))
    if what == "headers":
        print(f"belay/({'|'.join(['belay', *names])})[./]")
        return
    print(f"{build} has in this turn:", *names, file=sys.stderr)
    folders = f"^({'|'.join([*names, *(ALWAYS if build == 'gcc' else ())])})/"
    print("|".join([folders, *(f"^{name}$" for name in ALONE if build == "gcc")]))


if __name__ == "__main__":
    main()
