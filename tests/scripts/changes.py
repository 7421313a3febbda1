#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Says what changed since the last commit whose gate was green, and what these changes reach through includes.

    changes.py since                prints that commit, or on a machine without one the commit at which the matrix ran the
                                    sanitizers (docs/contributing/platforms.md); nothing if there is none: everything counts as changed
    changes.py folders [COMMIT]     prints the folders of tests that changes since COMMIT reach, at most LINES_MAX lines of tests
    changes.py headers [COMMIT]     prints the headers below include/ that they reach, at most HEADERS_MAX
    changes.py record               HEAD is green, with the compilers of this machine

.ci/run leaves out what no change reaches: GCC and sanitizers for a folder of tests, and single headers. If a change reaches more than the
gate has time for, those come first of which most has changed, and the others, printed as an error, are left to the matrix. What is
not committed counts as changed. A file that is no source reaches what REACHES says of it, or else everything.
"""

import collections
import functools
import hashlib
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREES = ("include", "tests", "examples", "bench")
SOURCE = re.compile(r"\.(?:hpp|cpp|inc)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)
# What a file that is no source reaches: a folder of tests, or nothing that may be left out.
REACHES = (
    (r"(?:docs|packaging|bench|tests/consumer|tests/pages|tests/programs|examples/\w+/web)/", None),
    (r"tests/scripts/mutants\.py$", "e2e"),  # plants faults in the outage demo
    (r"tests/scripts/(?!install\.sh|compile$|threaded_tests\.py)", None),
    (r"(?:[A-Z]+\.md|LICENSE|conanfile\.py|\.gitignore|\.editorconfig|\.clang-format|\.clang-tidy)$|\.ctags\.d/|\.ci/", None),
    (r"tests/support/(\w+)/", 1),
    (r"tests/(?!node/|support/|scripts/)(\w+)/", 1),
)
# Sources outside its folder that a test runs as programs.
PROGRAMS = {"e2e": ("examples/outage/", "examples/journal_inspect.cpp")}
COMPILERS = ("g++", "clang++", "clang-tidy-16")
RECORDS_MAX = 200
# GCC and the sanitizers together take about 50 s of two processors for a thousand lines of tests.
LINES_MAX = 50_000
HEADERS_MAX = 100


def git(root, *arguments):
    done = subprocess.run(["git", "-c", "safe.directory=*", "-C", str(root), *arguments], capture_output=True, text=True,
                          check=True)
    return done.stdout


def names(output):
    return {name for name in output.split("\0") if name}


class Changes:
    """The files that changed since a commit; everything if the commit is empty."""

    def __init__(self, root, since):
        self.root = root
        self.sources = {str(path.relative_to(root)): path for tree in TREES for path in sorted((root / tree).rglob("*"))
                        if SOURCE.search(path.name) and "node_modules" not in path.parts}
        self.files = set(self.sources)
        self.reached_folders = set()
        self.everything = not since
        if since:
            self.files = names(git(root, "diff", "-z", "--no-renames", "--name-only", since)) | \
                names(git(root, "ls-files", "-z", "--others", "--exclude-standard"))
            for name in self.files:
                self.look_at(name)

    def look_at(self, name):
        """Notes what a file reaches that no include tells."""
        if SOURCE.search(name) and name.startswith(TREES):
            return
        for form, folder in REACHES:
            found = re.match(form, name)
            if found:
                self.reached_folders |= {found[folder] if folder == 1 else folder} - {None}
                return
        self.everything = True

    @functools.cached_property
    def includers(self):
        """By file: the files that include it."""
        found = {}
        for name, path in self.sources.items():
            for included in INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
                beside = os.path.normpath(os.path.join(os.path.dirname(name), included))
                for candidate in (beside, *(f"{tree}/{included}" for tree in TREES)):
                    if candidate in self.sources or candidate in self.files:
                        found.setdefault(candidate, set()).add(name)
        return found

    @functools.cached_property
    def reached(self):
        """The sources that changed, and those that include one of them, by others too."""
        if self.everything:
            return set(self.sources)
        reached, pending = set(), [name for name in self.files if SOURCE.search(name)]
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending.extend(self.includers.get(name, ()))
        return reached & set(self.sources)

    def folders(self):
        tests = {name.split("/")[1] for name in self.sources if re.search(r"^tests/\w+/.*\.(?:test|static)\.cpp$", name)}
        reached = {name.split("/")[1] for name in self.reached if name.startswith("tests/")} | self.reached_folders
        reached |= {folder for folder, programs in PROGRAMS.items()
                    if any(name.startswith(programs) for name in self.reached)}
        return sorted(tests if self.everything else tests & reached)

    def nearest_folders(self):
        """The folders within LINES_MAX, those with most changed files first, and the others. If all count as changed: the
        smallest first, so that most of them fit.
        """
        changed, lines = collections.Counter(), collections.Counter()
        for name, path in self.sources.items():
            own = re.match(r"(?:tests|include/belay)/(\w+)/", name)
            if own:
                changed[own[1]] += name in self.files
            if own and name.startswith("tests/"):
                lines[own[1]] += path.read_bytes().count(b"\n")
        chosen, left, total = [], [], 0
        for folder in sorted(self.folders(), key=lambda folder: (lines[folder] if self.everything else -changed[folder], folder)):
            fits = total + lines[folder] <= LINES_MAX or not chosen
            (chosen if fits else left).append(folder)
            total += lines[folder] if fits else 0
        return sorted(chosen), sorted(left)

    def nearest_headers(self):
        """The headers within HEADERS_MAX, those that changed first, and the others."""
        headers = [name.removeprefix("include/") for name in sorted(self.reached, key=lambda name: (name not in self.files, name))
                   if name.startswith("include/")]
        return sorted(headers[:HEADERS_MAX]), sorted(headers[HEADERS_MAX:])


def record_file():
    cache = os.environ.get("XDG_CACHE_HOME") or str(pathlib.Path.home() / ".cache")
    return pathlib.Path(cache) / "belay" / "gate-green"


def compilers():
    """What another compiler would change."""
    versions = []
    for name in COMPILERS:
        try:
            versions.append(subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout)
        except FileNotFoundError:
            versions.append("")
    return hashlib.sha256("".join(versions).encode()).hexdigest()[:16]


def records(file):
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def is_clean(root):
    return not git(root, "status", "--porcelain").strip()


def last_green(root, file):
    """The last green commit before the tree as it is. HEAD itself does not count: a second run has the same tests."""
    green = {line.split(" ")[0] for line in records(file) if line.endswith(f" {compilers()}")}
    commits = git(root, "rev-list", "HEAD").split()
    return next((commit for commit in commits[1 if is_clean(root) else 0:] if commit in green), "")


def of_the_matrix(root):
    """The commit before HEAD whose sanitizers the matrix has run, by its table."""
    found = re.search(r"^\| `asan` \|[^|]*\| `(\w+)` \|[^|]*\| green", git(root, "show", "HEAD:docs/contributing/platforms.md"), re.MULTILINE)
    commits = git(root, "rev-list", "HEAD").split()[1 if is_clean(root) else 0:]
    return next((commit for commit in commits if found and commit.startswith(found[1])), "")


def record(root, file):
    if not is_clean(root):
        return False
    line = f"{git(root, 'rev-parse', 'HEAD').strip()} {compilers()}"
    lines = [*(other for other in records(file) if other != line), line][-RECORDS_MAX:]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return True


def main():
    what, *since = sys.argv[1:]
    if what == "since":
        print(last_green(ROOT, record_file()) or of_the_matrix(ROOT))
    elif what == "record":
        print("recorded as green" if record(ROOT, record_file()) else "not recorded: the tree has changes without a commit")
    else:
        changes = Changes(ROOT, "".join(since))
        chosen, left = {"folders": changes.nearest_folders, "headers": changes.nearest_headers}[what]()
        print("\n".join(chosen))
        if left:
            print(f"left to the matrix: {len(left)} {what}:", *left[:30], file=sys.stderr)


if __name__ == "__main__":
    main()
