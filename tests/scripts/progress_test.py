#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gives progress.py the lines of small builds and of ctest: each keeps its text, and gets an estimate when it can."""

import contextlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import progress

# Prints a file as ctest prints what happens, and with -N the names of the tests in it. With --waits it does not end by itself.
CTEST = r"""import re, sys
lines = open("{0}/lines").read()
if "-N" in sys.argv:
    for number, name in re.findall(r"Test +#(\d+): (\S+)", lines):
        print(f"  Test #{{number}}: {{name}}")
    sys.exit()
print(lines, end="", flush=True)
if "--waits" in sys.argv:
    open("{0}/pipe").read()
"""
WALL = "ended by the limit of wall time, 900 s: it has used 0.1 s of processor time in 903.0 s"
NINJA = """rule touch
  command = touch $out
  description = Building $out
build first: touch
build second: touch
"""


def result(number, count, name, seconds=0.1, outcome="  Passed "):
    return f" {number}/{count} Test  #{number}: {name} .......{outcome}   {seconds:.2f} sec"


def estimates(lines):
    """Of each line that has a test or a step: the time left, if there is one."""
    return [(re.search(r", (about .*) left", line) or [None, ""])[1] for line in lines if re.match(r" \d+/|\[", line)]


class Progress(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def file(self, name):
        return (self.folder / name).read_text(encoding="utf-8")

    @contextlib.contextmanager
    def printed(self, seconds=10):
        """Gives the lines that are printed, while each look at the clock takes so long."""
        now, out, lines = iter(range(0, 10**6, seconds)), io.StringIO(), []
        with mock.patch.object(progress.time, "monotonic", lambda: next(now)), contextlib.redirect_stdout(out):
            yield lines
        lines += out.getvalue().splitlines()

    def run_ctest(self, lines, *arguments):
        """The exit code, and what is printed when ctest prints these lines."""
        (self.folder / "ctest.py").write_text(CTEST.format(self.folder), encoding="utf-8")
        (self.folder / "lines").write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        with self.printed() as output:
            code = progress.test(self.folder, [sys.executable, str(self.folder / "ctest.py"), *arguments])
        return code, output

    def build(self, made, log=""):
        """What is printed when ninja makes these files."""
        (self.folder / ".ninja_log").write_text("# ninja log v5\n" + log, encoding="utf-8")
        lines = "".join(f"[{i + 1}/{len(made)}] Building {name}\n" for i, name in enumerate(made))
        with mock.patch.object(progress, "steps", lambda *_: made), self.printed() as output, \
                mock.patch.object(sys, "stdin", io.StringIO(lines + "ninja: done\n")):
            self.assertEqual(progress.build(self.folder, []), 0)
        self.assertEqual([re.sub(r", about .* left", "", line) for line in output], (lines + "ninja: done").split("\n"))
        return estimates(output)

    def test_unknown_tests_count_the_same_after_a_fifth(self):
        lines = [result(i, 10, f"core/t{i}") for i in range(1, 11)]
        code, output = self.run_ctest(lines)
        self.assertEqual(code, 0)
        self.assertEqual([line.split(", about")[0] for line in output], lines)
        left = ["1 min 20 s", "1 min 10 s", "1 min 00 s", "50 s", "40 s", "30 s", "20 s", "10 s", "0 s"]
        self.assertEqual(estimates(output), ["", *(f"about {time}" for time in left)])

    def test_known_tests_count_as_long_as_they_took(self):
        self.run_ctest([result(1, 3, "core/a", 30), result(2, 3, "core/b", 10), result(3, 3, "core/c", 20)])
        self.assertEqual(self.file("test_seconds"), "core/a 30.0\ncore/b 10.0\ncore/c 20.0\n")
        # Of a test that runs counts what it has run.
        lines = ["    Start 2: core/b", "    Start 1: core/a", result(2, 3, "core/b"), "    Start 3: core/c",
                 result(1, 3, "core/a"), result(3, 3, "core/c")]
        # After 30 s: 10 of b, and 10 of a. After 50 s: 40, and 10 of c.
        self.assertEqual(estimates(self.run_ctest(lines)[1]), ["about 1 min 00 s", "about 10 s", "about 0 s"])

    def test_results_are_counted(self):
        lines = [result(1, 7, "a"), result(2, 7, "b", outcome="***Failed "), result(3, 7, "c", outcome="***Skipped"),
                 result(4, 7, "d", outcome="***Not Run "), result(5, 7, "e", outcome="***Exception: SegFault"),
                 result(6, 7, "f", outcome="***Failed  Required regular expression not found. Regex=[x\ny"),
                 # With --repeat, the last time decides.
                 result(7, 7, "g", outcome="***Timeout"), result(7, 7, "g")]
        self.run_ctest(lines)
        self.assertEqual(self.file("test_counts"), "2 4 1\n")

    def test_three_tests_ended_by_wall_time_stop_the_run(self):
        os.mkfifo(self.folder / "pipe")
        lines = []
        for i, name in enumerate("abc"):
            lines += [result(i + 1, 9, name, 903, "***Exception: Other"), "words of the test", WALL]
        code, output = self.run_ctest([*lines, "later"], "--waits")
        self.assertNotEqual(code, 0)
        self.assertEqual([line.split(", about")[0] for line in output if line in lines], [line for line in lines if line in output])
        self.assertEqual(output[-1], "stopped: 3 tests were ended by the limit of wall time, the others are not run")
        self.assertEqual(self.file("test_counts"), "0 3 0\n")

    def test_two_of_them_do_not(self):
        lines = [result(1, 2, "a", 903, "***Exception: Other"), WALL, result(2, 2, "b", 903, "***Exception: Other"), WALL, "end"]
        code, output = self.run_ctest(lines)
        self.assertEqual((code, output[-1]), (0, "end"))

    def test_other_lines_stay_and_noise_goes(self):
        lines = ["Test project x", "Looked in the following places:", "/b/run_limited", "100% tests passed"]
        self.assertEqual(self.run_ctest(lines)[1], [lines[0], lines[3]])

    def test_unknown_steps_count_the_same_after_a_fifth(self):
        self.assertEqual(self.build(list("abcdef")), ["", "about 40 s", "about 30 s", "about 20 s", "about 10 s", "about 0 s"])

    def test_known_steps_count_as_long_as_they_took(self):
        # The last line of a step holds, and an unknown one counts as the others on average.
        log = "0\t9000\t1\ta\taa\n0\t40000\t1\ta\taa\n40000\t60000\t1\tb\tbb\ncut off"
        self.assertEqual(self.build(list("abc"), log), ["about 13 s", "about 10 s", "about 0 s"])

    def test_a_lack_of_space_is_reported(self):
        line = "/usr/bin/ld: final link failed: No space left on device\n"
        with mock.patch.object(progress, "steps", lambda *_: []), mock.patch.object(sys, "stdin", io.StringIO(line)), self.printed():
            self.assertEqual(progress.build(self.folder, []), progress.NO_SPACE)

    def test_steps_are_those_that_ninja_will_make(self):
        (self.folder / "build.ninja").write_text(NINJA, encoding="utf-8")
        self.assertEqual(sorted(progress.steps(self.folder, [])), ["first", "second"])
        subprocess.run(["ninja", "-C", self.folder, "first"], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(progress.steps(self.folder, []), ["second"])
        self.assertEqual(progress.steps(self.folder, ["first"]), [])
        self.assertFalse((self.folder / "second").exists())
        self.assertEqual(list(progress.seconds_of_steps(self.folder)), ["first"])


if __name__ == "__main__":
    unittest.main()
