#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles a file of near-misses twice: with -DBELAY_CONTROL it must compile; without, each of its
cases must not, with the message that it names.

A case begins with a line "// expect-error: <regular expression>" and ends before the next one. One
run of the compiler judges all of them, or a few runs, so they must not stand in each other's way:
each has its own names, say in a namespace. An error belongs to the cases whose lines the compiler names with it: its
own place, or, where it is in a header, what asked for that. So an error counts for the case that
made it and for no other, and each case must have one with its own message.
"""
import argparse
import os
import re
import shlex
import subprocess
import sys

CASE = re.compile(r"// expect-error: (.+)")
MISSPELT = re.compile(r"\s*//\s*expect.{0,3}err\w*\s*:", re.IGNORECASE)


def cases_of(lines):
    """The first line, the last line and the message of each case."""
    starts = [(i + 1, match[1]) for i, line in enumerate(lines) if (match := CASE.fullmatch(line))]
    ends = [start - 1 for start, _ in starts[1:]] + [len(lines)]
    return [(start, end, message) for (start, message), end in zip(starts, ends)]


def errors_of(output, name):
    """For each error its line of text, and the lines of the source that are named with it.

    GCC says before an error what required it, Clang after it, in notes. Either may name a line by
    a lambda that stands there.
    """
    errors, required = [], set()
    named = re.compile(re.escape(name) + r":(\d+)\b")
    for line in output.splitlines():
        numbers = {int(number) for number in named.findall(line)}
        if re.search(r"^[^ ].*: (fatal )?error: ", line):
            errors.append((line, required | numbers))
            required = set()
        elif re.search(r": (note|warning): ", line):
            required = set()
            if errors and re.search(r": note: (in instantiation|while|in |during)", line):
                errors[-1][1].update(numbers)
        elif re.search(r":   (recursively )?required (from|by)|: In instantiation of|"
                       r":   in .constexpr. expansion of|"
                       r"^(In file included |\s+)from ", line):
            required |= numbers
    return errors


# As large_pages of install.sh.
ENVIRONMENT = {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}


def compile_text(command, text):
    run = subprocess.run(command + ["-x", "c++", "-"], input=text, capture_output=True, text=True,
                         errors="replace", check=False, env=ENVIRONMENT)
    return run.returncode, run.stderr


def with_controls(lines, cases, controls):
    """The text in which some cases are their own controls. All lines stay where they are."""
    lines = list(lines)
    for case in cases:
        lines[case[0] - 1] = ("#define" if case in controls else "#undef") + " BELAY_CONTROL"
    return "\n".join(lines) + "\n"


def judge(cases, errors):
    """The cases that have their message, and what is to be said of the others."""
    right, complaints = set(), []
    for case in cases:
        start, end, message = case
        own = [text for text, lines in errors if any(start <= n <= end for n in lines)]
        if any(re.search("error: .*" + message, text) for text in own):
            right.add(case)
        elif own:
            complaints.append((start, f"no error of this case has \"{message}\":\n" +
                               "\n".join(own)))
        else:
            complaints.append((start, f"this case compiles, and must not: {message}"))
    return right, complaints


def complaints_about(command, source):
    with open(source, encoding="utf-8") as file:
        lines = file.read().splitlines()
    # Such a case would be a part of the one before it.
    misspelt = [i + 1 for i, line in enumerate(lines)
                if MISSPELT.match(line) and not CASE.fullmatch(line)]
    if misspelt:
        return [f"{source}:{misspelt[0]}: it must be '// expect-error: <message>'"]
    cases = cases_of(lines)
    if not cases:
        return [f"{source}: no line '// expect-error: <message>'"]
    result, output = compile_text(command, with_controls(lines, cases, cases))
    if result != 0:
        return [f"{source}: the control does not compile:\n{output}"]
    right = set()
    while True:
        result, output = compile_text(command, with_controls(lines, cases, right))
        left = [case for case in cases if case not in right]
        found, complaints = judge(left, errors_of(output, "<stdin>") if result != 0 else [])
        right |= found
        if not complaints:
            return []
        # After the errors of some, Clang does not look into the functions that others call: once
        # more without those that are known to be right.
        if not found:
            return [f"{source}:{line}: {text}" for line, text in complaints] + [output]


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--compiler", required=True)
    arguments.add_argument("--flags", default="", help="of the build, as one word")
    arguments.add_argument("--include", action="append", default=[])
    arguments.add_argument("sources", nargs="+")
    given = arguments.parse_args()
    command = [given.compiler, *shlex.split(given.flags), "-std=c++20", "-fsyntax-only",
               "-ftemplate-backtrace-limit=0", *(f"-I{i}" for i in given.include)]
    # GCC reports all errors unless it is told otherwise.
    version = subprocess.run([given.compiler, "--version"], capture_output=True, text=True,
                             check=True)
    if "clang" in version.stdout:
        command.append("-ferror-limit=0")
    failed = False
    for source in given.sources:
        for complaint in complaints_about(command, source):
            print(complaint)
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
