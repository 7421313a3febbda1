#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs programs by run_limited: it ends them at their limits, and keeps how they end otherwise.

    run_limited_test.py RUN_LIMITED
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import unittest

RUN_LIMITED = sys.argv.pop()
TESTS = pathlib.Path(__file__).resolve().parents[1]
PYTHON = (sys.executable, "-S", "-E", "-c")
MUCH = 1000  # seconds, which no case of this test takes
BUSY = "while True: pass"
# The child of a process that has ended.
ORPHAN = "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        {orphan}\n    os._exit(0)\nos.wait()\n{test}"


class Run:
    """A program, and a pipe that ends when the last process has ended that the program started."""

    def __init__(self, command, processor=MUCH, wait=MUCH):
        end, begin = os.pipe()
        self.process = subprocess.Popen([RUN_LIMITED, str(processor), str(wait), *command], pass_fds=[begin], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.close(begin)
        self.end = os.fdopen(end)

    def finish(self):
        """How it has ended, and what it has printed; no process is left."""
        with self.end, self.process:
            output = self.process.communicate()[0]
            assert self.end.read() == ""
        return self.process.returncode, output


class RunLimited(unittest.TestCase):
    def test_output_and_exit_code_are_those_of_the_test(self):
        for code in (0, 3):
            command = (*PYTHON, f"import sys; print(sys.argv[1:]); sys.exit({code})", "a b", "")
            self.assertEqual(Run(command).finish(), (code, "['a b', '']\n"))

    def test_the_signal_is_that_of_the_test(self):
        command = (*PYTHON, "import os; os.kill(os.getpid(), 11)")
        self.assertEqual(Run(command).finish(), (-signal.SIGSEGV, ""))

    def test_a_busy_test_ends_by_processor_time(self):
        code, output = Run((*PYTHON, BUSY), processor=0.5).finish()
        self.assertEqual(code, -signal.SIGXCPU)
        self.assertRegex(output, r"^\nended by its limit of processor time, 0.5 s: it has used [0-9.]+ s in ")

    def test_children_count(self):
        child = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-E', '-c', {BUSY!r}])"
        code, output = Run((*PYTHON, child), processor=0.5).finish()
        self.assertEqual(code, -signal.SIGXCPU)
        self.assertIn("ended by its limit of processor time", output)

    def test_children_that_have_ended_count(self):
        busy_for_a_while = "import time\nwhile time.process_time() < 0.3: pass"
        child = f"import subprocess, sys\nwhile True: subprocess.run([sys.executable, '-c', {busy_for_a_while!r}])"
        self.assertEqual(Run((*PYTHON, child), processor=1).finish()[0], -signal.SIGXCPU)

    def test_a_process_counts_whose_parent_has_ended(self):
        test = ORPHAN.format(orphan=BUSY, test=f"time.sleep({MUCH})")
        self.assertEqual(Run((*PYTHON, test), processor=0.5).finish()[0], -signal.SIGXCPU)

    def test_such_a_process_counts_after_its_end(self):
        orphan = "(lambda: [0 for _ in iter(lambda: time.process_time() < 0.1, False)])()"
        test = f"while True:\n    end, begin = os.pipe()\n    exec({ORPHAN.format(orphan=orphan, test='')!r})\n" \
               "    os.close(begin)\n    os.read(end, 1)\n    os.close(end)"
        self.assertEqual(Run((*PYTHON, f"import os, time\n{test}"), processor=1).finish()[0], -signal.SIGXCPU)

    def test_a_waiting_test_ends_by_wall_time(self):
        code, output = Run(("sleep", str(MUCH)), wait=0.2).finish()
        self.assertEqual(code, -signal.SIGALRM)
        self.assertRegex(output, r"^\nended by the limit of wall time, 0.2 s: it has used ")

    def test_a_test_that_computes_may_take_longer(self):
        self.assertEqual(Run((*PYTHON, "import time\nwhile time.process_time() < 1.5: pass"), wait=1).finish(), (0, ""))

    def test_what_is_left_running_is_killed_and_named(self):
        test = ORPHAN.format(orphan=f"os.execlp('sleep', 'sleep', '{MUCH}')", test="")
        code, output = Run((*PYTHON, test)).finish()
        self.assertEqual(code, 0)
        self.assertRegex(output, r"^\nleft running, and killed: \w+ \(\d+\)\n$")

    def test_a_signal_ends_all(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            run = Run((*PYTHON, ORPHAN.format(orphan=f"time.sleep({MUCH})", test=f"print('here', flush=True)\ntime.sleep({MUCH})")))
            self.assertEqual(run.process.stdout.readline(), "here\n")
            run.process.send_signal(number)
            self.assertEqual(run.finish(), (-number, ""))

    def test_the_end_of_ctest_ends_all(self):
        ctest = f"import subprocess, sys; subprocess.run(sys.argv[1:], close_fds=False)"
        sleeping = (*PYTHON, f"import time; print('here', flush=True); time.sleep({MUCH})")
        end, begin = os.pipe()
        with subprocess.Popen([*PYTHON, ctest, RUN_LIMITED, str(MUCH), str(MUCH), *sleeping], pass_fds=[begin],
                              stdout=subprocess.PIPE, text=True) as process:
            os.close(begin)
            self.assertEqual(process.stdout.readline(), "here\n")
            process.kill()
            self.assertEqual(process.stdout.read(), "")
        with os.fdopen(end) as all_processes:
            self.assertEqual(all_processes.read(), "")

    def test_what_cannot_run_is_named(self):
        self.assertEqual(Run(("/no/such program",)).finish(),
                         (127, "run_limited: cannot run /no/such program: No such file or directory\n"))
        for bad in ("0", "-1", "x", "1x", ""):
            code, output = Run(("true",), wait=bad).finish()
            self.assertEqual((code, output), (2, f'run_limited: "{bad}" must be a number of seconds, greater than 0\n'))

    def test_all_tests_run_by_it(self):
        files = [path for name in ("CMakeLists.txt", "*.cmake") for path in TESTS.glob(f"**/{name}")]
        self.assertGreater(len(files), 5)
        without = {path.name: count for path in files
                   if (count := len(re.findall(r"^ *add_test\(", path.read_text(encoding="utf-8"), re.MULTILINE)))}
        # The server of Wine has to stay between the two others.
        self.assertEqual(without, {"limits.cmake": 1, "windows.cmake": 2})


if __name__ == "__main__":
    unittest.main()
