#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks the size of functions, and parameters that a caller could swap, by clang-tidy and .clang-tidy.

    tidy.py [--since COMMIT] [--root DIR] [--tidy PROGRAM] [--jobs N]     exits with 1 if anything was found

Every header is judged once, in one translation unit that includes all but those of ALONE (templates as they are written, so none
has to be instantiated), except those of windows, which no other system compiles; every program of examples/ with the headers beside it,
the files of TOGETHER in one translation unit for each folder. With --since, only what changes since that commit reach
(changes.py). tidy_test.py plants what must be found.
"""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import changes

FLAGS = ("-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow",
         "-isystem/usr/include/postgresql")  # where Debian has libpq-fe.h
# What examples/CMakeLists.txt defines.
DEFINITIONS = ('-DOUTAGE_HEADERS="include"', '-DOUTAGE_DIR="outage.d"')
# Judged alone: the standalone asio and Boost's cannot be included together.
ALONE = ("belay/asio/standalone.hpp",)
# Judged only where the compiler finds this header of a library, which Debian 12 does not have.
NEEDS = {"belay/redis/tls.hpp": "hiredis/hiredis_ssl.h"}
# In the build, too, the files of such a folder are one translation unit, its main.cpp apart.
TOGETHER = ("examples/bugs", "examples/bugs/programs", "examples/outage")
# A change of these reaches everything.
OWN_FILES = (".clang-tidy", "tests/scripts/tidy.py")
EXCEPTION = re.compile(r"NOLINT(?!END)")
EXCEPTION_WITH_REASON = re.compile(r"// NOLINT(?:NEXTLINE|BEGIN)?\([\w,-]+\): \S")


def findings(output):
    """What clang-tidy found: each finding with its notes, in its own lines."""
    found, seen = [], None
    for line in output.splitlines():
        if re.match(r"\S.*: (?:warning|error): ", line) or line.startswith("error: "):
            seen = [line]
            found.append(seen)
        elif seen is not None:
            seen.append(line)
    return ["\n".join(lines) for lines in found]


def is_found(header):
    folders = (pathlib.Path("/usr/include"), pathlib.Path("/usr/local/include"))
    return header is None or any((folder / header).exists() for folder in folders)


class Tidy:
    def __init__(self, root, tidy, jobs, since=""):
        self.root = root
        self.since = since
        self.tidy = tidy
        self.jobs = jobs
        self.found = {}
        self.done = 0

    def judge(self, source, judged, *flags):
        """Runs clang-tidy over one source; its own findings are those in headers below `judged`, and in itself."""
        command = [self.tidy, "--quiet", f"--config-file={self.root / '.clang-tidy'}",
                   f"--header-filter=^{re.escape(str(self.root / judged))}/", str(source), "--",
                   *FLAGS, f"-I{self.root / 'include'}", *flags]
        begin = time.monotonic()
        run = subprocess.run(command, cwd=self.root, capture_output=True, text=True)
        found = findings(run.stdout)
        if run.returncode != 0 and not found:
            found = [f"{source}:1:1: error: {self.tidy}: exit code {run.returncode}\n{run.stderr.strip()}"]
        return found, time.monotonic() - begin

    def check(self):
        self.check_exceptions()
        headers = self.reached(sorted(path for path in (self.root / "include" / "belay").rglob("*.hpp")
                                      if path.relative_to(self.root).parts[2] != "windows"))
        examples = self.reached(sorted((self.root / "examples").rglob("*.cpp")))
        folders = {name: [path for path in examples if path.parent == self.root / name and path.name != "main.cpp"]
                   for name in TOGETHER}
        alone = [path for path in examples if all(path not in group for group in folders.values())]
        with tempfile.TemporaryDirectory() as folder, \
                concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            names = [str(header.relative_to(self.root / "include")) for header in headers]
            names = [name for name in names if is_found(NEEDS.get(name))]
            together = [name for name in names if name not in ALONE]
            runs = {}
            groups = [together] * bool(together) + [[name] for name in names if name in ALONE]
            for number, group in enumerate(groups):
                source = pathlib.Path(folder) / f"headers_{number}.cpp"
                source.write_text("".join(f"#include <{name}>\n" for name in group))
                runs[pool.submit(self.judge, source, "include/belay")] = f"{len(group)} headers"
            for name, group in folders.items():
                if group:
                    source = pathlib.Path(folder) / f"{pathlib.Path(name).name}.cpp"
                    source.write_text("".join(f'#include "{path}"\n' for path in group))
                    runs[pool.submit(self.judge, source, "examples", *DEFINITIONS)] = f"{len(group)} files of {name}"
            for source in alone:
                runs[pool.submit(self.judge, source, "examples", *DEFINITIONS)] = source.relative_to(self.root)
            for run in concurrent.futures.as_completed(runs):
                self.report(runs[run], len(runs), *run.result())
        return len(headers), len(alone) + sum(len(group) for group in folders.values())

    def reached(self, paths):
        """Those of the paths that a change reaches."""
        if not self.since:
            return paths
        changed = changes.Changes(self.root, self.since)
        if changed.everything or changed.files & set(OWN_FILES):
            return paths
        return [path for path in paths if str(path.relative_to(self.root)) in changed.reached]

    def check_exceptions(self):
        for folder in ("include", "examples"):
            for path in sorted((self.root / folder).rglob("*.?pp")):
                for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                    if EXCEPTION.search(line) and not EXCEPTION_WITH_REASON.search(line):
                        text = f"{path}:{number}:1: error: NOLINT must name its check, and say why: (check): reason"
                        self.found[text] = None
                        print(text, flush=True)

    def report(self, name, count, found, seconds):
        self.done += 1
        print(f"[{self.done}/{count}] {name}, {seconds:.1f} s", flush=True)
        for text in found:
            # A header beside the examples is judged with each that includes it.
            if text not in self.found:
                self.found[text] = None
                print(text, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--tidy", default="clang-tidy-16")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--since", default="", help="a commit; empty: judge everything")
    arguments = parser.parse_args()
    tidy = Tidy(arguments.root.resolve(), arguments.tidy, arguments.jobs, arguments.since)
    try:
        headers, examples = tidy.check()
    except FileNotFoundError as error:
        print(f"tidy.py: {error}", file=sys.stderr)
        return 2
    print(f"{headers} headers, {examples} programs of the examples, {len(tidy.found)} findings")
    return 1 if tidy.found or headers == 0 and not arguments.since else 0


if __name__ == "__main__":
    sys.exit(main())
