#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants a configured build: targets_of_tests.py prints what the chosen tests run, and nothing else."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

import targets_of_tests

LISTED = "Test project x\n  Test #1: core/clock\n  Test #12: room/real\n\nTotal Tests: 2\n"
TARGETS = "tests/tests_core: CXX_EXECUTABLE_LINKER\ntests/tests_room: CXX\ntests/room_server: CXX\ntests/other: CXX\n" \
    "tests/demo: CXX\ntests/tool: CXX\n"
CTEST = """add_test([=[core/clock]=] "{0}/tests/tests_core" "-#" "[#clock.test]")
set_tests_properties([=[core/clock]=] PROPERTIES ENVIRONMENT "A={0}/tests/demo;B={0}/tests/tool" TIMEOUT 60)
add_test(room/real "/usr/bin/node" "script.mjs" "{0}/tests/room_server")
add_test([=[core/other]=] "{0}/tests/other")
add_test([=[room/clock]=] "{0}/tests/tests_room")
"""


class TargetsOfTests(unittest.TestCase):
    def test_the_programs_of_the_chosen_tests(self):
        with tempfile.TemporaryDirectory() as name:
            build = pathlib.Path(name).resolve()
            (build / "tests").mkdir()
            (build / "tests/CTestTestfile.cmake").write_text(CTEST.format(build), encoding="utf-8")
            answers = {"ctest": LISTED, "ninja": TARGETS}
            out = io.StringIO()
            with mock.patch.object(targets_of_tests.subprocess, "run",
                                   lambda command, **_: mock.Mock(stdout=answers[command[0]])), \
                    mock.patch.object(sys, "argv", ["targets_of_tests.py", str(build), "-R", "clock|real"]), \
                    contextlib.redirect_stdout(out):
                targets_of_tests.main()
        self.assertEqual(out.getvalue().split(), ["tests/demo", "tests/room_server", "tests/tests_core", "tests/tool"])


if __name__ == "__main__":
    unittest.main()
