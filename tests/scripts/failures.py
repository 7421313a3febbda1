#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the lines that matter of the logs of failed steps: the test, the file and line, and the assertion.

    failures.py [--most N] NAME LOG [NAME LOG...]     at most N lines (ten), of each log about as many

Finds what failed of Catch2 by way of ctest, of compilers and clang-tidy, of sanitizers, of unittest, and of the scripts that print
"path:line: what is wrong". Of a log in which it finds nothing, it prints the last line.
"""

import argparse
import pathlib
import re

WIDTH = 240
TEST = re.compile(r"\s*\d+/\d+ Test +#\d+: (\S+) [. ]*(?:\*\*\*(\w.*?))?(?: +[\d.]+ sec.*)?$")
# An assertion of Catch2; what it says follows in the next lines.
ASSERTION = re.compile(r"(\S.*?):(\d+): FAILED:")
COMPILER = re.compile(r"(\S.*?:\d+):\d+: (?:fatal )?((?:error|warning|runtime error): .*)")
SANITIZER = re.compile(r"SUMMARY: (\w+Sanitizer: .*)")
UNITTEST = re.compile(r"(?:FAIL|ERROR): (\w+) \(")
FRAME = re.compile(r'  File "(.+?)", line (\d+), in test_')
RAISED = re.compile(r"(\w*(?:Error|Exception)(?:: .*)?)$")
OTHER = re.compile(r"((?!\d)\S+:\d+: \S.*|WRONG  .*|\S+: .*(?:ninja: error|CMake Error|No space left).*|.*No space left on device.*)$")
CLOSING = re.compile(r"\d+ passed, \d+ failed|not run: (?!the time)|built in |=== ")


def short(path):
    """The path from the root of the tree."""
    path = re.sub(r"^(?:\.\./)+", "", path)
    root = str(pathlib.Path(__file__).resolve().parents[2])
    return path.removeprefix(root + "/")


def assertion(lines, at):
    """What the lines after the one that says FAILED say of it, in one."""
    said = []
    for line in lines[at:at + 12]:
        if not line.strip() or line.startswith(("---", "===", "...")) or TEST.match(line):
            break
        if line.strip() != "with expansion:":
            said.append(line.strip().removesuffix(":"))
    return ": ".join(said)


def found(lines):
    """What failed, in order: pairs of a test, which may be empty, and a text."""
    test, unittest, frame = "", "", ""
    for number, line in enumerate(lines):
        if match := TEST.match(line):
            test = match[1]
        elif match := ASSERTION.match(line):
            yield test, f"{short(match[1])}:{match[2]}: {assertion(lines, number + 1)}"
        elif match := COMPILER.match(line):
            yield test, f"{short(match[1])}: {match[2]}"
        elif match := SANITIZER.match(line):
            yield test, match[1]
        elif match := UNITTEST.match(line):
            unittest, frame = match[1], ""
        elif match := FRAME.match(line):
            frame = f"{short(match[1])}:{match[2]}: "
        elif unittest and (match := RAISED.match(line)):
            yield test, f"{frame}{unittest}: {match[1]}"
            unittest = ""
        elif match := OTHER.match(line):
            yield test, short(match[1])


def failed_tests(lines):
    """The tests that failed, as ctest says it, and how; with the last line that each printed."""
    failed, said, test = {}, {}, ""
    for line in lines:
        if match := TEST.match(line):
            test = match[1]
            if match[2] and not match[2].startswith("Skipped"):
                failed[test] = match[2].strip()
        elif re.match(r"\d+% tests passed", line):
            test = ""
        elif match := re.match(r"\s+\d+ - (\S+) \((?!Skipped|Disabled)(.*)\)", line):
            failed.setdefault(match[1], match[2])
        elif test and line.strip():
            said[test] = line.strip()
    return [(name, f"{how}: {said[name]}" if name in said else how) for name, how in failed.items()]


def of_log(lines):
    """Lines for a log, without repetition; the first of each test first."""
    seen, first, more = set(), [], []
    for test, text in found(lines):
        line = f"{test}: {text}" if test else text
        if line not in seen:
            (more if test and any(one[0] == test for one in first) else first).append((test, line))
            seen.add(line)
    unexplained = [f"{name}: {text}" for name, text in failed_tests(lines) if all(name != one[0] for one in first)]
    all_lines = [line for _, line in first] + unexplained + [line for _, line in more]
    rest = [line for line in lines if line.strip() and not CLOSING.match(line)]
    return all_lines or rest[-1:] or ["it printed nothing"]


def lines_that_matter(logs, most):
    """Of the logs (name, lines) at most so many lines, of each about as many."""
    queues = [(name, of_log(lines)) for name, lines in logs]
    share = {name: [] for name, _ in queues}
    while sum(map(len, share.values())) < most and any(queue for _, queue in queues):
        for name, queue in queues:
            if queue and sum(map(len, share.values())) < most:
                share[name].append(f"{name}: {queue.pop(0)}"[:WIDTH])
    return [line for lines in share.values() for line in lines]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--most", type=int, default=10)
    parser.add_argument("logs", nargs="+")
    options = parser.parse_args()
    pairs = zip(options.logs[::2], options.logs[1::2])
    logs = [(name, pathlib.Path(log).read_text(encoding="utf-8", errors="replace").splitlines()) for name, log in pairs]
    print("\n".join(lines_that_matter(logs, options.most)))


if __name__ == "__main__":
    main()
