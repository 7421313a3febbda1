#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants examples and programs of pages with warnings, and sees user_build.py report them."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("user_build.py")
RIGHT = "#include <belay/three.hpp>\nint main() { return three() - 3; }\n"
# Only the optimizer finds what it warns of.
WRONG = """#include <cstring>
#include <string>
int main(int count, char**) {
    char text[4];
    if (count > 0) std::strcpy(text, "too long for it");
    return text[0];
}
"""


class UserBuildTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(suffix=" with a space")
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        self.write("include/belay/three.hpp", "#pragma once\ninline int three() { return 3; }\n")
        self.write("examples/right.cpp", RIGHT)
        self.write("README.md", "# belay\n")
        self.write("docs/page.md", f"# A page\n\n```cpp\n{RIGHT}```\n")

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def expect(self, code, last, *texts, options=()):
        run = subprocess.run([sys.executable, SCRIPT, "--root", self.root, *options], capture_output=True, text=True,
                             check=False)
        self.assertEqual(run.returncode, code, run.stdout + run.stderr)
        self.assertEqual((run.stdout.splitlines() or [""])[-1], last)
        for text in texts:
            self.assertIn(text, run.stdout + run.stderr)

    def test_sources_without_warnings_pass(self):
        self.expect(0, "2 passed, 0 failed, 0 skipped")

    def test_a_warning_in_an_example(self):
        self.write("examples/folder/wrong.cpp", WRONG)
        self.expect(1, "2 passed, 1 failed, 0 skipped", "failed: examples/folder/wrong.cpp: ", "-Werror=")

    def test_a_warning_in_a_program_of_a_page(self):
        self.write("docs/page.md", f"# A page\n\n```cpp\n{WRONG}```\n")
        self.expect(1, "1 passed, 1 failed, 0 skipped", "failed: pages/page.cpp: ", "-Werror=")

    def test_a_warning_in_a_header(self):
        self.write("include/belay/three.hpp", "#pragma once\ninline int three(int unused = 1) { return 3; }\n")
        self.expect(1, "0 passed, 2 failed, 0 skipped", "-Werror=unused-parameter")

    def test_the_flags_of_the_user(self):
        self.write("examples/right.cpp", "#ifndef NDEBUG\n#error\n#endif\n" + RIGHT)
        self.expect(1, "1 passed, 1 failed, 0 skipped", "failed: examples/right.cpp: ")
        self.expect(0, "2 passed, 0 failed, 0 skipped", options=["--flags=-O1 -DNDEBUG"])

    def test_a_library_that_is_not_installed(self):
        self.write("examples/needs.cpp", "#include <no_such/library.h>\n" + RIGHT)
        self.expect(0, "2 passed, 0 failed, 1 skipped", "skipped: examples/needs.cpp: no no_such/library.h")

    def test_a_header_of_belay_that_does_not_exist(self):
        self.write("examples/needs.cpp", "#include <belay/four.hpp>\n" + RIGHT)
        self.expect(1, "2 passed, 1 failed, 0 skipped", "failed: examples/needs.cpp: ")

    def test_a_filter(self):
        self.write("examples/wrong.cpp", WRONG)
        self.expect(0, "1 passed, 0 failed, 0 skipped", options=["--filter=^examples/r"])
        self.expect(2, "", "no source matches nothing", options=["--filter=nothing"])


if __name__ == "__main__":
    unittest.main()
