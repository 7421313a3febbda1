#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants test files that look for a sanitizer. Compares the builds: one with a sanitizer and what it leaves out are all tests."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import components_in_turn
import unsanitized_tests

ROOT = unsanitized_tests.ROOT
FILES = {
    "support/sanitizer.hpp": "",
    "support/core/explorer.hpp": '#include "support/sanitizer.hpp"\n',
    "support/core/quiet.hpp": "#include <vector>\n",
    "core/itself.test.cpp": '#  include "support/sanitizer.hpp"\n',
    "core/support.test.cpp": '#include "support/core/quiet.hpp"\n#include "support/core/explorer.hpp"\n',
    "core/quiet.test.cpp": '#include "support/core/quiet.hpp"\n// #include "support/sanitizer.hpp"\n',
}


def tests_of(preset, build, *options):
    subprocess.run(["cmake", "--preset", preset, "-S", str(ROOT), "-B", str(build), *options], cwd=ROOT, check=True,
                   capture_output=True)
    listed = subprocess.run(["ctest", "--test-dir", str(build), "-N", "-LE", "^project$"], check=True, capture_output=True,
                            text=True)
    return set(re.findall(r"^ +Test +#\d+: (\S+)", listed.stdout, re.MULTILINE))


class UnsanitizedTests(unittest.TestCase):
    def test_each_way_to_look_for_a_sanitizer_is_seen(self):
        with tempfile.TemporaryDirectory() as name:
            tests = pathlib.Path(name)
            for path, text in FILES.items():
                (tests / path).parent.mkdir(parents=True, exist_ok=True)
                (tests / path).write_text(text, encoding="utf-8")
            self.assertEqual(unsanitized_tests.unsanitized_tests(tests), ["core/itself.test.cpp", "core/support.test.cpp"])

    def test_no_other_file_looks_for_one(self):
        looks = re.compile(r"__SANITIZE_|__has_feature\(\w+_sanitizer\)")
        found = [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("tests/**/*.?pp"))
                 if looks.search(path.read_text(encoding="utf-8"))]
        self.assertEqual(found, [f"tests/{unsanitized_tests.SWITCH}"])

    def test_a_build_with_a_sanitizer_and_what_it_leaves_out_are_all_tests(self):
        if not shutil.which("clang++"):
            self.skipTest("clang++ is not installed")
        folders = {name for group in components_in_turn.quarters(ROOT) for name in group}
        partly = {name.removesuffix(".test.cpp") for name in unsanitized_tests.unsanitized_tests(ROOT / "tests")}
        with tempfile.TemporaryDirectory() as name:
            every = tests_of("clang", f"{name}/clang")
            with_sanitizer = tests_of("asan", f"{name}/asan")
            left = tests_of("clang", f"{name}/clang", f"-DBELAY_SANITIZED_FOLDERS={';'.join(folders)}")
        self.assertEqual(left | with_sanitizer, every)
        self.assertEqual(partly - left, set())
        # These have no test file: they compile in a second, or have no turn with Clang.
        others = ("beast/with", "backoff/golden", "no_exceptions", "scripts/", "windows/")
        self.assertEqual({name for name in left & with_sanitizer if not name.startswith(others)}, partly & with_sanitizer)


if __name__ == "__main__":
    unittest.main()
