#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names the test files that can start a thread: those that ThreadSanitizer can say something of.

    threaded_tests.py [--root DIR]     prints <folder>/<file>.test.cpp, a line each

Without <thread>, or a header that has std::thread or std::async from there, no C++ starts one: a test is named if an
include leads to such a header, through any of the project's own files.
"""

import argparse
import pathlib
import re

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
STARTS_THREADS = {"thread", "future", "stop_token", "pthread.h"}


class Includes:
    def __init__(self, root):
        self.root = root
        self.known = {}

    def find(self, name, beside):
        """The project's own file that an include names, if it is one."""
        for directory in (beside, self.root / "tests", self.root / "include"):
            if (directory / name).is_file():
                return directory / name
        return None

    def lead_to_threads(self, path):
        if path not in self.known:
            self.known[path] = False  # of a circle: what is looked at already adds nothing
            text = path.read_text(encoding="utf-8")
            names = [name for _, name in INCLUDE.findall(text)]
            own = [found for found in (self.find(name, path.parent) for name in names) if found]
            starts = bool(STARTS_THREADS.intersection(names))
            self.known[path] = starts or any([self.lead_to_threads(p) for p in own])
        return self.known[path]


def threaded_tests(root):
    includes = Includes(root)
    tests = root / "tests"
    return [str(path.relative_to(tests)) for path in sorted(tests.glob("*/*.test.cpp")) if includes.lead_to_threads(path)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    for name in threaded_tests(parser.parse_args().root):
        print(name)


if __name__ == "__main__":
    main()
