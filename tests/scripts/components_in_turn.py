#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says what .ci/run builds at a commit, by its hash.

    components_in_turn.py tests gcc|clang|asan     prints a regular expression of tests, as tests/run --filter has it
    components_in_turn.py folders asan             prints the components, as tests/run --sanitized has them
    components_in_turn.py headers gcc              prints one of paths below include/: headers
    components_in_turn.py build                    prints one of BUILDS_IN_TURN

Every run of .ci/run tests each component. GCC has a quarter of them, and Clang the others: another quarter of them with sanitizers.
What a sanitizer leaves out of that quarter, Clang tests without one (tests/run --sanitized). The quarters take about as long to
compile. ALWAYS is in each build by GCC, because no other build has these tests. Of the builds that test few things, each commit has
one. tests/run --preset NAME runs any of them whole.
"""

import functools
import hashlib
import pathlib
import sys

import mutants

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = 4
BUILDS = {"gcc": 0, "asan": 2}
BUILDS_IN_TURN = ("tsan", "mingw", "bench", "libcxx", "headers")
ALWAYS = ("consumer", "scripts", "windows")
# Tests without a folder: one that only GCC builds, and the program of the components of each quarter (components_program.py).
ALONE = "google_test"
PROGRAM = "no_exceptions_{}"
# How much longer than others their lines take to compile: they include asio and Beast, or nest templates.
FACTORS = {"beast": 2, "call": 2}
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


def chosen_quarters(build, commit):
    """The numbers of the quarters that a build has; those of "clang" include that of "asan"."""
    first = hashlib.sha256(commit.encode()).digest()[0] % PARTS
    if build == "clang":
        return [number for number in range(PARTS) if number != first]
    return [(first + BUILDS[build]) % PARTS]


def chosen(root, build, commit):
    """The components that a build has."""
    return sorted(name for number in chosen_quarters(build, commit) for name in quarters(root)[number])


def main():
    what, *build = sys.argv[1:]
    commit = mutants.head(ROOT)
    if what == "build":
        print(BUILDS_IN_TURN[hashlib.sha256(commit.encode()).digest()[1] % len(BUILDS_IN_TURN)])
        return
    build, = build
    names = chosen(ROOT, build, commit)
    if what == "folders":
        print(";".join(names))
        return
    if what == "headers":
        print(f"belay/({'|'.join(['belay', *names])})[./]")
        return
    print(f"{build} has in this turn:", *names, file=sys.stderr)
    folders = f"^({'|'.join([*names, *(ALWAYS if build == 'gcc' else ())])})/"
    # A sanitizer finds nothing there that it does not find in the tests.
    programs = [PROGRAM.format(number) for number in chosen_quarters(build, commit) if build != "asan"]
    print("|".join([folders, *(f"^{name}$" for name in [*programs, *([ALONE] if build == "gcc" else [])])]))


if __name__ == "__main__":
    main()
