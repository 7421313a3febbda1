#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles a file of near-misses, and judges it: with -DBELAY_CONTROL it must compile; without, each of its cases must
not, with the message that it names.

    expect_error.py --compile MESSAGES SOURCE -- COMPILER [FLAG]...
        compiles SOURCE as control and as cases, and writes the compiler's messages to MESSAGES, and the files that it
        read to MESSAGES.d; exits with 0 unless the compiler does not run
    expect_error.py --judge MESSAGES SOURCE
        prints "source:line: what is wrong", and exits with 1 if it printed any

A case begins with a line "// expect-error: <regular expression>" and ends before the next one. One run of the compiler
judges all of them, or a few runs, so they must not stand in each other's way: each has its own names, say in a
namespace. An error belongs to the cases whose lines the compiler names with it: its own place, or, where it is in a
header, what asked for that. So an error counts for the case that made it and for no other, and each case must have one
with its own message.
"""
import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

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


def run(command, text, files):
    """The exit code and the messages of the compiler. The files that it read are added to files."""
    with tempfile.TemporaryDirectory() as directory:
        depfile = pathlib.Path(directory) / "read.d"
        done = subprocess.run([*command, "-MD", "-MF", str(depfile), "-MT", "it", "-x", "c++", "-"], input=text,
                              capture_output=True, text=True, errors="replace", check=False, env=ENVIRONMENT)
        read = depfile.read_text(encoding="utf-8") if depfile.is_file() else ""
    # 0: no error; 1: errors. All else is no verdict, say that it was killed.
    if done.returncode not in (0, 1):
        raise SystemExit(f"{shlex.join(command)}: ended with {done.returncode}:\n{done.stderr}")
    # A backslash stands before each space of a path.
    for path in re.findall(r"(?:\\.|\S)+", re.sub(r"^it:|\\\n", " ", read)):
        files.add(path.replace("\\ ", " "))
    return done.returncode, done.stderr


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
            complaints.append((start, f"no error of this case has \"{message}\":\n" + "\n".join(own)))
        else:
            complaints.append((start, f"this case compiles, and must not: {message}"))
    return right, complaints


def judged(cases, result, output):
    """As judge, of one run of the compiler."""
    return judge(cases, errors_of(output, "<stdin>") if result != 0 else [])


def compile_source(messages, source, command):
    """Writes MESSAGES and MESSAGES.d."""
    # What is left of an earlier run says nothing about this one.
    messages.unlink(missing_ok=True)
    lines = source.read_text(encoding="utf-8").splitlines()
    cases = left = cases_of(lines)
    command, files = [*command, "-fsyntax-only", "-ftemplate-backtrace-limit=0"], {str(source)}
    control = run(command, with_controls(lines, cases, cases), files)
    rounds, right = [], {True}
    # Where one template refuses several cases, Clang reports the first: once more without those that are right.
    while left and right:
        rounds.append(run(command, with_controls(lines, cases, [case for case in cases if case not in left]), files))
        right, _ = judged(left, *rounds[-1])
        left = [case for case in left if case not in right]
    target, *needed = (path.replace(" ", "\\ ") for path in [str(messages), *sorted(files)])
    pathlib.Path(f"{messages}.d").write_text(f"{target}: {' '.join(needed)}\n", encoding="utf-8")
    messages.write_text(json.dumps({"control": control, "rounds": rounds, "files": sorted(files)}), encoding="utf-8")


def is_stale(messages, files):
    """Whether a file that the compiler has read was changed, or removed, since then."""
    written = messages.stat().st_mtime_ns
    return any(not os.path.exists(path) or os.stat(path).st_mtime_ns > written for path in files)


def complaints_about(messages, source):
    lines = source.read_text(encoding="utf-8").splitlines()
    # Such a case would be a part of the one before it.
    misspelt = [i + 1 for i, line in enumerate(lines) if MISSPELT.match(line) and not CASE.fullmatch(line)]
    if misspelt:
        return [f"{source}:{misspelt[0]}: it must be '// expect-error: <message>'"]
    cases = cases_of(lines)
    if not cases:
        return [f"{source}: no line '// expect-error: <message>'"]
    if not messages.is_file():
        return [f"{source}: it was not compiled: build {messages}"]
    said = json.loads(messages.read_text(encoding="utf-8"))
    if str(source) not in said["files"] or is_stale(messages, said["files"]):
        return [f"{source}: it was compiled before the last change: build {messages}"]
    result, output = said["control"]
    if result != 0:
        return [f"{source}: the control does not compile:\n{output}"]
    complaints = []
    for result, output in said["rounds"]:
        right, complaints = judged(cases, result, output)
        cases = [case for case in cases if case not in right]
    return [f"{source}:{line}: {text}" for line, text in complaints] + ([output] if complaints else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--compile", type=pathlib.Path, metavar="MESSAGES")
    mode.add_argument("--judge", type=pathlib.Path, metavar="MESSAGES")
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("command", nargs="*", help="the compiler, and its flags; Clang needs -ferror-limit=0")
    given = parser.parse_args()
    if given.compile:
        compile_source(given.compile, given.source, given.command)
        return 0
    complaints = complaints_about(given.judge, given.source)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
