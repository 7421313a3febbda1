#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says what a build of .ci/run has of the components: each commit has a quarter of them, by its hash.

    components_in_turn.py tests gcc|asan     prints the regular expression of their tests, as tests/run --filter has it
    components_in_turn.py headers gcc        prints one of paths below include/: their headers

Clang builds and runs the tests of every component in each run of .ci/run, as tests/run does. GCC finds little that Clang does
not, and sanitizers take several times as long. So each of these two builds has another quarter of the components. The quarters
take about as long to compile. ALWAYS is in each build by GCC, because no other build has these tests. tests/run --preset release --all and
tests/run --preset asan run all.
"""

import functools
import hashlib
import pathlib
import sys

import mutants

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = 4
BUILDS = {"gcc": 0, "asan": 2}
ALWAYS = ("consumer", "scripts", "windows")
# Tests without a folder.
ALONE = ("google_test", "no_exceptions")
# How much longer than others their lines take to compile: they include asio and Beast, or nest templates.
FACTORS = {"adapter": 2, "call": 2}
# Where the code of tests that are not in tests/<component> is.
ELSEWHERE = {"examples": "examples", "pages": "docs"}


def cost(root, name):
    """The lines of the tests of a component, weighted."""
    folder = root / ELSEWHERE.get(name, f"tests/{name}")
    files = [*folder.rglob("*.?pp"), *folder.glob("*.md")]
    return FACTORS.get(name, 1) * sum(path.read_bytes().count(b"\n") for path in files)


@functools.cache
def quarters(root):
    """The components in groups that take about as long."""
    names = {path.parent.name for path in (root / "tests").glob("*/*.test.cpp")} | {*ELSEWHERE, "e2e"}
    costs = {name: cost(root, name) for name in names if name not in ALWAYS}
    groups = [[] for _ in range(PARTS)]
    for name in sorted(costs, key=lambda name: (-costs[name], name)):
        min(groups, key=lambda group: sum(costs[one] for one in group)).append(name)
    return groups


def chosen(root, build, commit):
    first = hashlib.sha256(commit.encode()).digest()[0]
    return sorted(quarters(root)[(first + BUILDS[build]) % PARTS])


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
