#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What including belay costs, as a ratio to including <chrono>, by the memory that the compiler allocates.

    include_weight.py [--root DIR] [--compiler NAME] [--rounds N] [--each]

The memory is GCC's own count (TOTAL of -ftime-report, in whole megabytes): it is the same from run to run and on every
load, so each case has a budget, and exceeding one by more than 2 % is an error. The processor time is printed beside
it, the median of the rounds, and judged by nobody: machines differ. The budgets are those of GCC 12; with another
version they are shown, and not judged. --each: every header by itself, without budgets.
"""

import argparse
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile

# Headers, and what they may cost. A goal that was never met stands in docs/contributing/performance.md instead.
BUDGETS = {
    "backoff/backoff.hpp": 1.1,
    "breaker/circuit_breaker.hpp": 1.2,
    "policy.hpp backoff.hpp breaker.hpp budget.hpp": 1.75,
    "belay.hpp": 2.2,
    "journal/journal.hpp": 2.0,
    "session/session.hpp": 1.8,
}
JUDGED_BY = "12"  # the major version of the compiler
TOLERANCE = 1.02
UNITS = {"k": 1, "M": 1024, "G": 1024 * 1024}


def kilobytes(report):
    """The memory of a -ftime-report, whose TOTAL line ends with it: "63M"; None where there is none."""
    total = re.search(r"^ TOTAL .*?(\d+)([kMG])$", report, re.M)
    return int(total[1]) * UNITS[total[2]] if total else None


def compile_once(command):
    """Processor seconds, and the compiler's output; None for the seconds if it failed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent if done.returncode == 0 else None, done.stderr


def measure(cases, compiler, root, rounds):
    """Memory in KB and median seconds by name; None where a case does not compile. Each round compiles every case
    once, so that a slow moment hits all of them."""
    seconds = {name: [] for name in cases}
    memory = {}
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "case.cpp"
        command = [compiler, "-std=c++20", "-fsyntax-only", "-ftime-report", f"-I{root / 'include'}", str(source)]
        for _ in range(rounds):
            for name, headers in cases.items():
                if memory.get(name, 0) is None:
                    continue
                source.write_text("".join(f"#include <{header}>\n" for header in headers))
                spent, output = compile_once(command)
                memory[name] = kilobytes(output) if spent is not None else None
                if memory[name] is None:
                    reason = next((line for line in output.splitlines() if "error" in line), "no -ftime-report")
                    print(f"{name}: {reason}", file=sys.stderr)
                else:
                    seconds[name].append(spent)
    return {name: memory[name] and (memory[name], statistics.median(seconds[name])) for name in cases}


def judge(measured, budgets):
    """The lines of the table, and how many are wrong. The first case is the base."""
    base = next(iter(measured.values()))
    width = 2 + max(len(name) for name in measured)
    lines = [f"{'include':<{width}}{'MB':>6}{'ratio':>8}{'seconds':>9}{'budget':>8}"]
    wrong = 0
    for name, weight in measured.items():
        budget = budgets.get(name)
        if weight is None:
            lines.append(f"{name:<{width}} does not compile, or was not measured")
            wrong += 1
            continue
        ratio = weight[0] / base[0]
        line = f"{name:<{width}}{weight[0] / 1024:>6.0f}{ratio:>8.2f}{weight[1]:>9.2f}"
        if budget:
            too_heavy = ratio > budget * TOLERANCE
            wrong += too_heavy
            line += f"{budget:>8.2f}{'  TOO HEAVY' if too_heavy else ''}"
        lines.append(line)
    return lines, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    cases = {"<chrono>": ["chrono"]}
    if options.each:
        include = options.root / "include"
        cases |= {name: [name] for name in sorted(str(p.relative_to(include)) for p in include.rglob("*.hpp"))}
    else:
        cases |= {names: [f"belay/{name}" for name in names.split()] for names in BUDGETS}
    measured = measure(cases, options.compiler, options.root, options.rounds)
    if measured["<chrono>"] is None:
        print(f"{options.compiler} cannot compile <chrono>, or reports no memory (GCC does)", file=sys.stderr)
        return 1
    lines, wrong = judge(measured, {} if options.each else BUDGETS)
    print("\n".join(lines))
    version = subprocess.run([options.compiler, "-dumpversion"], capture_output=True, text=True).stdout.strip()
    if version.split(".")[0] != JUDGED_BY:
        print(f"not judged: the budgets are GCC {JUDGED_BY}'s, this is {version}")
        return 0
    if wrong:
        print(f"{wrong} over budget: see which header brings it, include_weight.py --each")
    return 1 if wrong and not options.each else 0


if __name__ == "__main__":
    sys.exit(main())
