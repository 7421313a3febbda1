#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names the test files that a build with a sanitizer has only in part, <folder>/<file>.test.cpp, a line each.

These are the files from which an include leads to tests/support/sanitizer.hpp: by it a file leaves out cases, or does less.
"""

import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s*"(support/[^"]+)"', re.MULTILINE)
SWITCH = "support/sanitizer.hpp"


def unsanitized_tests(tests):
    @functools.cache
    def leads_there(path):
        names = INCLUDE.findall(path.read_text(encoding="utf-8"))
        return SWITCH in names or any(leads_there(tests / name) for name in names)

    return [str(path.relative_to(tests)) for path in sorted(tests.glob("*/*.test.cpp")) if leads_there(path)]


if __name__ == "__main__":
    print("\n".join(unsanitized_tests(ROOT / "tests")))
