#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Changes the version in one copy at a time, in a copy of this tree, and sees that version.py reports it. Compiles
belay as C++17."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import version  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


class VersionTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for path in ["include/belay/version.hpp", *version.COPIES]:
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, self.root / path)

    def reported(self):
        return [line.split(":")[0] for line in version.differences(self.root)]

    def test_the_tree_agrees(self):
        self.assertEqual(self.reported(), [])

    def test_each_copy(self):
        wanted = version.home(self.root)
        for path in version.COPIES:
            file = self.root / path
            text = file.read_text()
            self.assertIn(wanted, text)
            file.write_text(text.replace(wanted, "9.9.9"))
            self.assertEqual(self.reported(), [path])
            file.unlink()
            self.assertEqual(self.reported(), [path])
            file.write_text(text)

    def test_the_home(self):
        file = self.root / "include/belay/version.hpp"
        file.write_text(file.read_text().replace("VERSION_PATCH 0", "VERSION_PATCH 7"))
        self.assertEqual(self.reported(), list(version.COPIES))

    def test_an_older_standard_meets_its_error_first(self):
        for compiler in filter(shutil.which, ("g++", "clang++")):
            for header in ("belay.hpp", "call.hpp"):
                done = subprocess.run([compiler, "-std=c++17", "-fsyntax-only", f"-I{ROOT / 'include'}", "-x", "c++", "-"],
                                      input=f"#include <belay/{header}>\n", capture_output=True, text=True)
                first = next(line for line in done.stderr.splitlines() if "error:" in line)
                self.assertIn("compile with -std=c++20", first, compiler)


if __name__ == "__main__":
    unittest.main()
