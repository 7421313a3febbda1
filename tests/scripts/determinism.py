#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that what a simulated world may reach gives the same history for a seed on each machine.

    determinism.py [--root DIR]     prints "path:line: what: what to do"; exits with 1 if it printed any

It reads every header of include/belay, except those of components that wait for the real world (OUTSIDE), without comments
and texts. EXCUSED has the lines that stay, each with the reason.

It does not find a hashed container that one header declares as a member, and another header iterates over.
"""

import argparse
import pathlib
import re
import sys

import layout

# A world reaches no header of these folders.
OUTSIDE = ("drive", *(binding for binding in layout.LIBRARIES["bindings"] if not binding.endswith("_sim")))

POINTER = r"[^<>,;]*\*(?:\s*const)?\s*"
RULES = {
    "real clock": (
        re.compile(r"\w*clock(?:_type)?::now\s*\(|\b(?:clock_gettime|gettimeofday|timespec_get|ftime)\s*\("
                   r"|\bstd::(?:time|clock)\s*\(|(?<![\w.>:])::time\s*\("),
        "take a ClockLike or the time of the turn"),
    "random device": (
        re.compile(r"\bstd::random_device\b|\b(?:getrandom|getentropy|arc4random\w*|rand_r|[ds]rand48|srand|rand)\s*\("
                   r"|\bstd::(?:mt19937\w*|default_random_engine)\s+\w+\s*(?:;|\{\s*\})"),
        "draw from a Random whose seed comes from the Waker or the World"),
    "distribution": (
        re.compile(r"\bstd::(?:\w+_distribution|generate_canonical|shuffle|sample|random_shuffle|ranges::(?:shuffle|sample))\b"),
        "its draws differ between standard libraries; use uniform_upto"),
    "address order": (
        re.compile(rf"\bstd::(?:multi)?set<{POINTER}>|\bstd::(?:multi)?map<{POINTER},[^<>,;]*>"
                   rf"|\bstd::(?:less|greater|hash)<{POINTER}>|\b(?:std::)?uintptr_t\b|\bstd::owner_less\b"),
        "order by a number or a name; addresses differ from run to run"),
    "floating point": (
        re.compile(r"\b(?:float|double)\b|(?<![\w.'])\d[\d']*(?:\.\d*(?:[eE][+-]?\d+)?|[eE][+-]?\d+)[fFlL]?(?![\w.'])"
                   r"|\bstd::(?:exp2?|expm1|log(?:2|10|1p)?|pow|sqrt|cbrt|hypot|sin|cos|tan|l?l?round|floor|ceil)\s*\("),
        "compute with integers; rounding may differ between CPUs and compilers"),
}
HASHED_ADVICE = "its order differs between standard libraries; iterate over a vector or a std::map"

# "path: rule": why the hits of a rule in a header do no harm.
EXCUSED = {
    "libc_sim/detail/calls.hpp: random device": "defines these functions for a world, over the bits of its host",
    "libc_sim/detail/state.hpp: random device": "the numbers of rand() of one program, which begin with its seed",
    "libc_sim/detail/symbols.hpp: floating point": "drand48() of the C library, which computes it from integers",
    "libc_sim/detail/symbols.hpp: random device": "defines drand48() for a world, over the state of a program",
    "libc_sim/detail/calls.hpp: real clock": "defines these functions for a world, over its clocks",
    "backoff/growths.hpp: floating point": "reads the bits of a factor that the user wrote, and computes with integers",
    "breaker/circuit_breaker.hpp: address order": "which line a thread counts in; the sum is the same",
    "budget/detail/rate_state.hpp: floating point": "products and quotients alone, which IEEE 754 defines to the last bit",
    "call/retry_outcome.hpp: floating point": "a type in a concept; nothing is computed",
    "call/policies.hpp: floating point": "a factor of Exponential, which reads its bits",
    "core/detail/arguments.hpp: floating point": "converts a duration that the user wrote; one product and one sum of halves",
    "core/random.hpp: address order": "entropy(), which no seeded generator calls",
    "core/random.hpp: random device": "entropy(), which no seeded generator calls",
    "core/random.hpp: real clock": "entropy(), which no seeded generator calls",
    "core/clocks.hpp: real clock": "SteadyClock and SystemClock themselves; a world passes sim::Clock and sim::WallClock",
    "metrics/metric.hpp: floating point": "a number for people; no decision depends on it",
    "room/detail/account.hpp: floating point": "a product and a quotient, which IEEE 754 defines to the last bit",
    "sim/detail/child.hpp: real clock": "how long an exploration waits for its processes, outside of its worlds",
    "sim/detail/explorer.hpp: real clock": "the budget of an exploration, outside of its worlds",
    "sync/detail/replica_edits.hpp: hashed iteration": "Replica::for_each promises no order; order() puts each element alone in order",
    "yjs/detail/yjs_merge.hpp: floating point": "a product and a quotient, which IEEE 754 defines to the last bit",
}

TEXT = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'(?!\w)', re.DOTALL)
HASHED = re.compile(r"\b(?:std::)?unordered_(?:multi)?(?:map|set)\s*<")
NAME_BEHIND = re.compile(r"\s*[&*]?\s*(?:const\s*)?(\w+)\s*(?:[;={(,)]|\n)")
ALIAS_BEFORE = re.compile(r"using\s+(\w+)\s*=\s*$")


def without_texts(source):
    """The code; comments and texts are blank, and the lines stay."""
    return TEXT.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), source)


def end_of_template(code, at):
    """The place behind the > that closes the < before `at`."""
    depth = 1
    while at < len(code) and depth:
        depth += {"<": 1, ">": -1}.get(code[at], 0)
        at += 1
    return at


def hashed_names(code):
    """The names of hashed containers that the code declares, also through an alias."""
    names, aliases = set(), set()
    for m in HASHED.finditer(code):
        alias = ALIAS_BEFORE.search(code[:m.start()].rstrip("\n"))
        end = end_of_template(code, m.end())
        if alias:
            aliases.add(alias.group(1))
        elif behind := NAME_BEHIND.match(code, end):
            names.add(behind.group(1))
    for alias in aliases:
        for m in re.finditer(rf"\b{alias}\b(?=[\s<&])", code):
            end = m.end()
            if code[end:end + 1] == "<":
                end = end_of_template(code, end + 1)
            if behind := NAME_BEHIND.match(code, end):
                names.add(behind.group(1))
    return names


def hits(code):
    """(line, rule, text, advice) of each hit."""
    for rule, (pattern, advice) in RULES.items():
        for m in pattern.finditer(code):
            yield code.count("\n", 0, m.start()) + 1, rule, m.group().strip(), advice
    for name in sorted(hashed_names(code)):
        walk = re.compile(rf"\bfor\s*\([^;()]*:\s*[\w.>()-]*\b{name}\s*\)|\b{name}\s*(?:\.|->)\s*c?begin\s*\(")
        for m in walk.finditer(code):
            yield code.count("\n", 0, m.start()) + 1, "hashed iteration", m.group().strip(), HASHED_ADVICE


def reached(path):
    """Whether a world may reach this header; `path` is relative to include/belay."""
    return path.split("/")[0] not in OUTSIDE


def complaints(root, excused=None):
    excused = EXCUSED if excused is None else excused
    used = set()
    files = sorted((root / "include" / "belay").rglob("*.hpp"))
    if not files:
        yield "include/belay:1: there is no header"
    for file in files:
        path = file.relative_to(root / "include" / "belay").as_posix()
        if not reached(path):
            continue
        for line, rule, text, advice in hits(without_texts(file.read_text(encoding="utf-8"))):
            key = f"{path}: {rule}"
            used.add(key)
            if key not in excused:
                yield f"include/belay/{path}:{line}: {rule} \"{text}\": {advice}"
    for key in sorted(set(excused) - used):
        yield f"tests/scripts/determinism.py:1: EXCUSED has \"{key}\", which is not there any more: remove it"


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = parser.parse_args(arguments).root
    found = list(complaints(root))
    print("\n".join(found) if found else f"{len(EXCUSED)} excuses, 0 violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
