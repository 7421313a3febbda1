#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs rows of the matrix, and writes their verdicts into the table of docs/contributing/platforms.md.

    .ci/matrix [ROW...]            runs these rows, or all
    .ci/matrix --check [ROW...]    prints the rows that are not green, or which read a file that changed since; exits with 1 then

The gate (.ci/run) is quick; the matrix is everything, and takes hours. A row can be run alone. It needs a tree without changes
that are not committed, because its verdict is that of a commit. The table is written after each row.
"""

import argparse
import collections
import datetime
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import changes

# needs: files of the repository without which there is no such row. reads: paths that its verdict depends on.
Row = collections.namedtuple("Row", "name title command reads needs", defaults=[()])
Verdict = collections.namedtuple("Verdict", "commit date verdict minutes")

PAGE = "docs/contributing/platforms.md"
BEGIN, END = "<!-- matrix: written by .ci/matrix -->", "<!-- /matrix -->"
HEAD = "| row | what it runs | commit | date | verdict | minutes |\n|---|---|---|---|---|---|\n"

BUILD = ("include/", "CMakeLists.txt", "CMakePresets.json", "tests/CMakeLists.txt", "tests/run", "tests/scripts/install.sh")
TESTS = (*BUILD, "tests/", "examples/", "docs/", "README.md")
PROGRAMS = (*BUILD, "tests/", "examples/")
CPUS = "^scripts/(byte_order|other_cpus|word_size|other_compilers)$"
LARGE = ("env", "BELAY_LARGE=1")


def target(preset, name):
    return ("sh", "-c", f"cmake --preset {preset} && cmake --build build/{preset} --target {name} -- -k 0")


ROWS = (
    Row("clang", "Clang 14: everything, 200 seeds, large forms", (*LARGE, "RC_PARAMS=", "BELAY_SEEDS=200", "BELAY_RECORD_PROBES=1", "tests/run"), TESTS),
    Row("release", "GCC 12, Release: everything, 2,000 seeds, large forms",
        (*LARGE, "RC_PARAMS=", "BELAY_SEEDS=2000", "tests/run", "--preset", "release"), TESTS),
    Row("asan", "Clang 14 with ASan and UBSan: all tests, 50 seeds", ("env", "BELAY_SEEDS=50", "tests/run", "--preset", "asan"), PROGRAMS),
    Row("tsan", "Clang 14 with TSan: the tests that start threads, 50 seeds",
        ("env", "BELAY_SEEDS=50", "tests/run", "--preset", "tsan"), PROGRAMS),
    Row("libcxx", "Clang 16 with libc++: what needs no test framework", ("tests/run", "--preset", "libcxx"), PROGRAMS),
    Row("mingw", "Windows, by MinGW-w64 and Wine: what needs neither a test framework nor POSIX", ("tests/run", "--preset", "mingw"), PROGRAMS),
    Row("headers", "GCC 12: each header alone", target("release", "all_verify_interface_header_sets"), BUILD),
    Row("no_exceptions", "Clang 14 without exceptions and RTTI: headers and static tests alone",
        target("clang", "no_exceptions_headers"), (*BUILD, "tests/")),
    Row("scripts", "The repository's checks of itself",
        ("tests/run", "--preset", "release", "--all", "--filter", "^scripts/"), (*TESTS, "bench/", "packaging/", "CHANGELOG.md", "CONTRIBUTING.md")),
    Row("cpus", "ARM (64 and 32 bits), s390x, RISC-V, older x86-64; Clang 19 as C++23 and C++26",
        (*LARGE, "tests/run", "--preset", "release", "--all", "--filter", CPUS), (*BUILD, "tests/")),
    Row("consumers", "Programs that use belay as a package: CMake, Meson, pkg-config, Conan, vcpkg",
        ("tests/run", "--preset", "release", "--all", "--filter", "^consumer/"),
        (*BUILD, "tests/consumer/", "packaging/", "conanfile.py")),
    Row("bench", "The benchmarks compile and run", ("bench/run", "--quick"), (*BUILD, "bench/", "tests/support/", "examples/")),
    Row("mutants", "All mutants", ("python3", "tests/scripts/mutants.py", "--all"),
        ("include/", "tests/", )),
    Row("tidy", "clang-tidy: all headers and examples", ("python3", "tests/scripts/tidy.py"),
        ("include/", "examples/", ".clang-tidy", "tests/scripts/tidy.py")),
    Row("commands", "Every command of README and the pages, in a fresh clone", ("python3", "tests/scripts/page_commands.py", "--all"),
        (*TESTS, "CONTRIBUTING.md", "bench/", "packaging/", "conanfile.py"), ("tests/scripts/page_commands.py",)),
    Row("user_builds", "Examples and programs of pages as a user compiles them: GCC 12, -O2 and -O3, with and without NDEBUG",
        ("sh", "-c", "for flags in -O2 -O3 '-O3 -DNDEBUG'; do python3 tests/scripts/user_build.py --flags=\"$flags\" || failed=1; done; exit $failed"),
        ("include/", "examples/", "docs/", "README.md", "tests/scripts/user_build.py"), ("tests/scripts/user_build.py",)),
)


def without_table(text):
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", "", text, flags=re.DOTALL)


def read_table(text):
    """By name of the row: its verdict."""
    found = re.search(f"{re.escape(BEGIN)}\n(.*?){re.escape(END)}", text, re.DOTALL)
    if not found:
        raise ValueError(f"{PAGE} has no table between {BEGIN} and {END}")
    verdicts = {}
    for line in found[1].splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) == 6 and cells[3]:
            verdicts[cells[0].strip("`")] = Verdict(cells[2].strip("`"), *cells[3:])
    return verdicts


def write_table(text, rows, verdicts):
    lines = []
    for row in rows:
        verdict = verdicts.get(row.name, Verdict("", "", "never run", ""))
        commit = f"`{verdict.commit}`" if verdict.commit else ""
        lines.append(f"| `{row.name}` | {row.title} | {commit} | {verdict.date} | {verdict.verdict} | {verdict.minutes} |\n")
    table = f"{BEGIN}\n{HEAD}{''.join(lines)}{END}"
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: table, text, flags=re.DOTALL)


def judge(status, lines):
    """What the table says of a run, by its exit code and its last lines."""
    closing = next((line for line in reversed(lines) if line.strip()), "")
    counts = re.match(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$", closing)
    skips = [line.removeprefix("SKIP: ") for line in lines if line.startswith("SKIP: ")]
    if status == 0 and counts and counts[1] == "0" and counts[3]:
        return f"cannot run here: {counts[3]} skipped"
    if status == 0:
        return f"green, {closing}" if counts else "green"
    if status == 2 and not counts:
        return f"cannot run here: {(skips or [closing])[0][:80]}".replace("|", "/")
    return f"FAILED, {closing}" if counts else f"FAILED, exit code {status}"


class Matrix:
    def __init__(self, root, rows):
        self.root = root
        self.rows = [row for row in rows if all((root / name).exists() for name in row.needs)]
        self.page = root / PAGE

    def text(self):
        return self.page.read_text(encoding="utf-8")

    def only_the_table_differs(self, commit):
        try:
            then = changes.git(self.root, "show", f"{commit}:{PAGE}")
        except subprocess.CalledProcessError:
            return False
        return without_table(then) == without_table(self.text())

    def changed_since(self, commit, reads=()):
        """The files below `reads` in which the tree differs from the commit. The table does not count."""
        names = changes.names(changes.git(self.root, "diff", "-z", "--no-renames", "--name-only", commit, "--", *reads)) | \
            changes.names(changes.git(self.root, "ls-files", "-z", "--others", "--exclude-standard", "--", *reads))
        if PAGE in names and self.only_the_table_differs(commit):
            names.remove(PAGE)
        return sorted(names)

    def faults(self, names):
        """What keeps rows from being green, a line each."""
        verdicts, found = read_table(self.text()), []
        for row in self.rows:
            if names and row.name not in names:
                continue
            verdict = verdicts.get(row.name)
            if verdict is None:
                found.append(f"{row.name}: never run")
            elif verdict.verdict.startswith("FAILED"):
                found.append(f"{row.name}: {verdict.verdict}, at {verdict.commit}")
            else:
                try:
                    changed = self.changed_since(verdict.commit, row.reads)
                except subprocess.CalledProcessError:
                    found.append(f"{row.name}: there is no commit {verdict.commit}")
                    continue
                if changed:
                    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
                    found.append(f"{row.name}: since {verdict.commit} changed {changed[0]}{more}")
        return found

    def run(self, row):
        log = self.root / "build" / "matrix" / f"{row.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        print(f"\n=== {row.name}: {row.title}", flush=True)
        begin, lines = time.monotonic(), []
        process = subprocess.Popen(row.command, cwd=self.root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        try:
            with log.open("w", encoding="utf-8") as file:
                for line in process.stdout:
                    print(line, end="", flush=True)
                    file.write(line)
                    lines.append(line.rstrip("\n"))
            status = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        commit = changes.git(self.root, "rev-parse", "--short=12", "HEAD").strip()
        return Verdict(commit, datetime.date.today().isoformat(), judge(status, lines), f"{(time.monotonic() - begin) / 60:.1f}")

    def run_all(self, names):
        failed = 0
        for row in self.rows:
            if names and row.name not in names:
                continue
            verdict = self.run(row)
            failed += verdict.verdict.startswith("FAILED")
            text = self.text()
            self.page.write_text(write_table(text, self.rows, read_table(text) | {row.name: verdict}), encoding="utf-8")
            print(f"=== {row.name}: {verdict.verdict}, {verdict.minutes} min", flush=True)
        return failed


def main(arguments=None, root=changes.ROOT, rows=ROWS):
    matrix = Matrix(root, rows)
    listing = "\n".join(f"  {row.name:<14} {row.title}" for row in matrix.rows)
    parser = argparse.ArgumentParser(prog=".ci/matrix", description=__doc__, epilog=f"rows:\n{listing}",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.rows if name not in {row.name for row in matrix.rows}]
    if unknown:
        print(f"{unknown[0]}: there is no such row; --help lists them", file=sys.stderr)
        return 2
    if options.check:
        found = matrix.faults(options.rows)
        print("\n".join(found) or "every row is green")
        return 1 if found else 0
    read_table(matrix.text())
    if matrix.changed_since("HEAD"):
        print(f"commit first, a verdict is that of a commit: {matrix.changed_since('HEAD')[0]}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))
    try:
        return 1 if matrix.run_all(options.rows) else 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
