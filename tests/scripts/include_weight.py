#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints what including belay costs, as a ratio to including <chrono> on the same machine.

    include_weight.py [--root DIR] [--compiler NAME] [--rounds N] [--each]

Each round compiles every case once, so that a slow moment hits all of them; the median of the rounds counts,
in processor time. It prints, and never fails because of a number: machines differ. --each: every header by itself.
"""

import argparse
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile


def each(root):
    yield "<chrono>", ["chrono"], None
    include = root / "include"
    for header in sorted(str(p.relative_to(include)) for p in include.rglob("*.hpp")):
        yield header, [header], None


def cases(root):
    """Name, headers, goal as a ratio to <chrono>."""
    include = root / "include"
    lower = sorted(p.relative_to(include) for folder in ("core", "policy") for p in include.glob(f"belay/{folder}/*.hpp"))
    yield "<chrono>", ["chrono"], None
    yield "backoff.hpp", ["belay/backoff/backoff.hpp"], 1.15
    yield "core + policy", [str(p) for p in lower], 1.5
    yield "belay.hpp", ["belay/belay.hpp"], 2.2


def processor_time(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        return None, done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ""


def measure(root, cases, compiler, rounds, folder):
    """Seconds by name; None where a header does not exist or does not compile."""
    seconds = {}
    sources = {}
    for name, headers, _ in cases:
        seconds[name] = []
        source = pathlib.Path(folder) / f"case{len(sources)}.cpp"
        source.write_text("".join(f"#include <{header}>\n" for header in headers))
        sources[name] = source
    for _ in range(rounds + 1):  # the first round warms the page cache
        for name, source in sources.items():
            if seconds[name] is None:
                continue
            spent, errors = processor_time([compiler, "-std=c++20", "-fsyntax-only", f"-I{root / 'include'}", str(source)])
            if spent is None:
                print(f"{name} does not compile: {errors.splitlines()[0]}", file=sys.stderr)
                seconds[name] = None
            else:
                seconds[name].append(spent)
    return {name: statistics.median(runs[1:]) if runs else None for name, runs in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    rows = list((each if options.each else cases)(options.root))
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(options.root, rows, options.compiler, options.rounds, folder)
    base = seconds["<chrono>"]
    if base is None:
        print(f"{options.compiler} cannot compile <chrono>", file=sys.stderr)
        return 1
    width = 2 + max(len(name) for name, _, _ in rows)
    print(f"{'include':<{width}}{'seconds':>9}{'ratio':>8}{'goal':>8}")
    for name, _, goal in rows:
        if seconds[name] is None:
            print(f"{name:<{width}}{'-':>9}{'-':>8}{goal or '':>8}")
            continue
        ratio = seconds[name] / base
        shown = f"{goal:>8.2f}  {'met' if ratio <= goal else 'NOT MET'}" if goal else ""
        print(f"{name:<{width}}{seconds[name]:>9.3f}{ratio:>8.2f}{shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
