#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the table of docs/reference/stability-table.md has each policy of pages and examples, and today's figures.

    stability_table.py [--root DIR] PROGRAM     prints "path:line: what is wrong"; exits with 1 if it printed any
    stability_table.py [--root DIR] --list      prints the policies that it finds, with the first place of each
    stability_table.py [--root DIR] --write PROGRAM   writes the tables into the page

The policies of README, of docs/programs/, and of the first program of each page, break no rule in the table, because people copy them. PROGRAM
is example_stability_table. A policy is the text between the braces of `Policy{...}` or `Policy name{...}` in
README.md, docs/ and examples/, and each function of call/policies.hpp. stability_table_test.py plants mistakes.
"""

import argparse
import pathlib
import re
import subprocess
import sys

PAGE = "docs/reference/stability-table.md"
MODEL = "docs/explanation/stability.md"  # its first program is what not to do
TABLE = re.compile(r"(<!-- table: begin -->\n).*?(<!-- table: end -->)", re.S)
START = re.compile(r"\bPolicy(?: +\w+)?\{")
READY_MADE = re.compile(r"^\[\[nodiscard\]\] constexpr auto (\w+)\(", re.M)
COMMENT = re.compile(r"//[^\n]*")

# Policies that are not in the table, each with its reason.
ONE_CLIENT = "one client, and a server in the same program or on the same machine"
OWN_RULE = "it shows how to write a rule, which only its page or example has"
EXCEPTIONS = {
    "Backoff{FullJitter{}, Cap{100ms}, 5ms}": ONE_CLIENT,
    "Backoff{FullJitter{}, Cap{100ms}, 5ms}, ResetWhenStable{1s}": ONE_CLIENT,
    "Backoff{FullJitter{}, Cap{500ms}, 10ms}, ResetWhenStable{10s}": ONE_CLIENT,
    "Backoff{FullJitter{}, Cap{1s}, 10ms}": ONE_CLIENT,
    "Backoff{FullJitter{}, Cap{1s}, 10ms}, ResetWhenStable{10s}": ONE_CLIENT,
    "Backoff{FullJitter{}, Cap{1s}, 10ms}, ResetWhenStable{1s}": ONE_CLIENT,
    "Backoff{FullJitter{}, Cap{1s}, 50ms}, ResetWhenStable{1s}, AttemptTimeout{1s}": ONE_CLIENT,
    "Backoff{FullJitter{}, Cap{5s}, 100ms}, Shared{budget}, AttemptTimeout{200ms}, MaxAttempts{5}": ONE_CLIENT,
    "Backoff{NoJitter{}, Cap{1ms}, 1ms}, Shared{breaker, FailFast{}}, MaxAttempts{4}": ONE_CLIENT,
    "Backoff{FullJitter{}, Cap{400ms}, 50ms}, MaxAttempts{options.attempts}, AttemptTimeout{1s}": ONE_CLIENT,
    "Backoff{NoJitter{}, Cap{8s}, 1s}, MaxAttempts{2}": "a proof of exact waits, by one client",
    "read, Shared{breaker, FailFast{}}": "its rules are read at run time",
    "read, Shared{budget}": "its rules are read at run time",
    'read->at("payments"), Shared{budget}': "its rules are read at run time",
    "any, Shared{breaker, FailFast{}}": "its other rules are chosen at run time",
    "StopOn{Cause::forbidden}": "it shows one rule, which ends the first attempt",
    "Backoff{FullJitter{}, Cap{30s}, 10ms}, CooldownOn{Cause::overloaded, 5s, 15s}, PauseAfterFailures{}, "
    "MaxAttempts{10}": OWN_RULE,
    "Backoff{UpToAQuarterLate{}, Cap{30s}, Squares{5s}}, AvoidMinuteStart{10s, wall}, Breaker{FailuresAhead{3}, "
    "OpenFor{40s}}, MaxAttempts{8}": OWN_RULE,
    "Backoff{FullJitter{}, Cap{30s}, 1s}, CooldownOn{Cause::overloaded, 5s, 15s}, Breaker{ConsecutiveFailures{5}, "
    "OpenFor{300s}}, MaxAttempts{10}, ResetWhenStable{10s}, StopOnCorrupt{}": OWN_RULE,
}


def rules_after(text, start):
    """The text from `start` to the brace that closes it."""
    depth = 1
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start:i]
    return text[start:]


def normal(rules):
    """Rules in one line, without qualification."""
    rules = re.sub(r"\s+", " ", rules.replace("belay::", "")).strip().rstrip(",").strip()
    return re.sub(r"\s*([{}(),])\s*", r"\1", rules).replace(",", ", ")


def listed(root):
    """(policy, path, line) of each policy, in the order of the files."""
    paths = [root / "README.md", *sorted((root / "docs").rglob("*.md")),
             *sorted(p for folder in ("docs", "examples") for p in (root / folder).rglob("*") if p.suffix in (".cpp", ".hpp"))]
    for path in paths:
        name = path.relative_to(root).as_posix()
        if name in (PAGE, MODEL, "examples/stability_table.cpp"):
            continue
        text = COMMENT.sub(lambda m: " " * len(m[0]), path.read_text(encoding="utf-8"))
        for match in START.finditer(text):
            rules = normal(rules_after(text, match.end()))
            if rules and rules != "...":
                yield rules, name, text.count("\n", 0, match.start()) + 1
    header = "include/belay/call/policies.hpp"
    text = (root / header).read_text(encoding="utf-8")
    for match in READY_MADE.finditer(text):
        yield f"policies::{match[1]}", header, text.count("\n", 0, match.start()) + 1


def played(table):
    """The policies in the rows of the table."""
    for line in table.splitlines():
        match = re.match(r"\| [^`|]*`([^`]+)` \|", line)
        if match:
            rules = normal(match[1])
            yield re.sub(r"^(policies::\w+)\(.*$", r"\1", rules)


def broken(table):
    """{policy: the rules that its rows break}."""
    found, rules = {}, ""
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|\n").split(" |")]
        if line.startswith("| ") and len(cells) > 4 and not cells[0].startswith("-"):
            match = re.match(r"[^`]*`([^`]+)`", cells[0])
            rules = normal(match[1]) if match else rules
            found.setdefault(rules, set()).update({cells[-1]} - {""})
    return found


def first_programs(root):
    """(policy, path) of each program of README and of docs/programs/, and of the first one of each page."""
    for path in sorted((root / "docs" / "programs").glob("*.cpp")):
        text = COMMENT.sub("", path.read_text(encoding="utf-8"))
        for match in START.finditer(text):
            yield normal(rules_after(text, match.end())), path.relative_to(root).as_posix()
    for path in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        name = path.relative_to(root).as_posix()
        blocks = re.findall(r"^```cpp\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)
        programs = [block for block in blocks if name == "README.md" or re.search(r"^int main\(", block, re.M)]
        if programs and name not in (PAGE, MODEL):
            text = COMMENT.sub("", "\n".join(programs) if name == "README.md" else programs[0])
            for match in START.finditer(text):
                yield normal(rules_after(text, match.end())), name


def check(root, table, exceptions):
    """What is wrong: "path:line: what"."""
    found = {}
    for rules, path, line in listed(root):
        found.setdefault(rules, (path, line))
    rows = set(played(table))
    for rules, (path, line) in found.items():
        if rules not in rows and rules not in exceptions:
            yield f"{path}:{line}: not in the table: {rules}: add it to examples/stability_table.cpp"
        if rules in rows and rules in exceptions:
            yield f"{path}:{line}: in the table and an exception: {rules}: remove the exception"
    for rules in exceptions:
        if rules not in found:
            yield f"tests/scripts/stability_table.py:1: nowhere: {rules}: remove the exception"
    breaks = broken(table)
    for rules, path in first_programs(root):
        # An exception may be for one client, or have a rule of its own.
        if breaks.get(rules):
            yield f"{path}:1: its first program breaks \"{', '.join(sorted(breaks[rules]))}\": {rules}: add a budget"
    page = (root / PAGE).read_text(encoding="utf-8")
    block = TABLE.search(page)
    if not block:
        yield f"{PAGE}:1: no table: add the lines <!-- table: begin --> and <!-- table: end -->"
    elif TABLE.sub(lambda m: m[1] + table + m[2], page) != page:
        line = page.count("\n", 0, block.start()) + 1
        yield f"{PAGE}:{line}: old figures: run stability_table.py --write PROGRAM"


def main(arguments, exceptions):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("program", nargs="?")
    options = parser.parse_args(arguments)
    if options.list:
        for rules, path, line in listed(options.root):
            print(f"{path}:{line}: {rules}")
        return 0
    if not options.program:
        parser.error("name the program, example_stability_table")
    table = subprocess.run([options.program], check=True, capture_output=True, text=True).stdout
    if options.write:
        path = options.root / PAGE
        page = path.read_text(encoding="utf-8")
        path.write_text(TABLE.sub(lambda m: m[1] + table + m[2], page), encoding="utf-8")
    wrong = list(check(options.root, table, exceptions))
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], EXCEPTIONS))
