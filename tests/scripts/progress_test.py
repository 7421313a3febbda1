#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gives progress.py the lines of a small build and of ctest: each keeps its text, and gets an estimate when it can."""

import contextlib
import io
import pathlib
import re
import sys
import tempfile
import unittest
from unittest import mock

import progress


def printed(run, lines, seconds):
    """What `run` prints for these lines, of which each comes so many seconds after the one before it."""
    clock = iter(range(0, 10**6, seconds))
    out = io.StringIO()
    with mock.patch.object(progress.time, "monotonic", lambda: next(clock)), \
            mock.patch.object(sys, "stdin", io.StringIO("".join(line + "\n" for line in lines))), \
            contextlib.redirect_stdout(out):
        run()
    return out.getvalue().splitlines()


class Progress(unittest.TestCase):
    def test_tests_get_the_time_left(self):
        lines = [f"{i}/4 Test #{i}: core/t{i} ...   Passed    0.10 sec" for i in range(1, 5)]
        shown = printed(progress.test, lines, 10)
        self.assertEqual([re.sub(r", [^,]* left$", "", line) for line in shown], lines)
        self.assertEqual([re.search(r", (.*) left$", line)[1] for line in shown],
                         ["about 30 s", "about 20 s", "about 10 s", "about 0 s"])

    def test_no_estimate_before_enough_is_known(self):
        shown = printed(progress.test, ["1/100 Test #1: core/a ...   Passed    0.10 sec"], 1)
        self.assertTrue(shown[0].endswith(", ... left"))

    def test_other_lines_stay_and_noise_goes(self):
        lines = ["Test project x", "Looked in the following places:", "/b/tests/tests_core", "100% tests passed"]
        self.assertEqual(printed(progress.test, lines, 1), [lines[0], lines[3]])

    def test_steps_of_a_build_count_by_their_weight(self):
        made = ["Building CXX object tests/CMakeFiles/tests_room.dir/Unity/unity_0_cxx.cxx.o", "Linking CXX program x"]
        with mock.patch.object(progress, "steps", lambda *_: made):
            lines = [f"[{i + 1}/2] {text}" for i, text in enumerate(made)]
            shown = printed(lambda: progress.build("build", []), [*lines, "ninja: done"], 10)
        self.assertEqual(shown, ["[1/2, about 0 s left] " + made[0], "[2/2, about 0 s left] " + made[1], "ninja: done"])
        self.assertGreater(progress.weight(made[0]), 50 * progress.weight(made[1]))

    def test_only_what_is_missing_counts(self):
        with tempfile.TemporaryDirectory() as name:
            (pathlib.Path(name) / "there.o").touch()
            commands = ["c++ -o there.o -c there.cpp", "c++ -o absent.o -c absent.cpp", "c++ -o program absent.o"]
            listed = mock.Mock(stdout="\n".join(commands) + "\n")
            with mock.patch.object(progress.subprocess, "run", return_value=listed):
                self.assertEqual(progress.steps(name, []), ["Building absent.o", "Linking program"])


if __name__ == "__main__":
    unittest.main()
