#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs tests/run in a small project, whose path has a space: what it prints, and how it ends, also by Ctrl-C in each phase."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COPIED = ("tests/run", "tests/limits.cmake", "tests/support/run_limited.cpp", "tests/scripts/install.sh",
          "tests/scripts/progress.py", "tests/scripts/targets_of_tests.py")
PROJECT = """cmake_minimum_required(VERSION 3.23)
project(small LANGUAGES NONE)
enable_testing()
include(tests/limits.cmake)
set(script ${CMAKE_SOURCE_DIR}/script.sh)
execute_process(COMMAND sh ${script} configuring)
foreach(name IN ITEMS one two)
    add_custom_command(OUTPUT ${name} COMMAND sh ${script} building COMMAND touch ${CMAKE_BINARY_DIR}/${name} VERBATIM)
    add_custom_target(make_${name} ALL DEPENDS ${name})
    belay_add_test(NAME core/${name} COMMAND sh ${script} testing ${CMAKE_BINARY_DIR}/${name})
endforeach()
add_custom_command(OUTPUT three COMMAND sh ${script} building COMMAND touch ${CMAKE_BINARY_DIR}/three VERBATIM)
add_custom_target(make_three ALL DEPENDS three)
belay_add_test(NAME core/three COMMAND sh ${script} testing ${CMAKE_BINARY_DIR}/three)
set_tests_properties(core/three PROPERTIES LABELS gate)
belay_add_test(NAME core/skipped COMMAND echo "SKIP: a reason")
set_tests_properties(core/skipped PROPERTIES SKIP_REGULAR_EXPRESSION "SKIP: ")
"""
PRESETS = {"version": 6, "configurePresets": [
    {"name": "clang", "generator": "Ninja", "binaryDir": "${sourceDir}/build/${presetName}"}]}
# In the phase HANG_IN it does not end, and holds the pipe open; in a test, so does a process in a session of its own.
SCRIPT = """phase=$1
[ "$phase" = "$LACK_SPACE_IN" ] && { cat /bin/sh >/dev/full; exit; }
[ "$phase" = "$FAIL_IN" ] && exit 1
[ "$phase" = "$HANG_IN" ] || exit 0
exec 3>"$HANG_PIPE"
[ "$phase" != testing ] || setsid sleep 1000 &
exec sleep 1000
"""
# Nothing is installed, or loaded.
PROGRAMS = {"apt-get": '[ -z "$APT_LOCK" ] || ! rm "$APT_LOCK" 2>/dev/null || { echo "E: Could not get lock" >&2; exit 100; }\n'
                       'exec sh "$HANG_SCRIPT" "installing packages"\n',
            "sleep": '[ "$1" = 10 ] || exec /bin/sleep "$@"\n',
            "sudo": '[ "$1" != -n ] || shift\nexec "$@"\n',
            "npm": 'mkdir -p node_modules\nexec sh "$HANG_SCRIPT" "loading packages"\n'}


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.root = pathlib.Path(cls.folder.name, "a clone")
        for name in COPIED:
            (cls.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, cls.root / name)
        for folder in ("tests/node/yjs", "tests/node/ws", "tests/node/mcp", "tests/node/browser", "examples/whiteboard/web"):
            (cls.root / folder).mkdir(parents=True)
            (cls.root / folder / "package-lock.json").touch()
        (cls.root / "CMakeLists.txt").write_text(PROJECT, encoding="utf-8")
        (cls.root / "CMakePresets.json").write_text(json.dumps(PRESETS), encoding="utf-8")
        (cls.root / "script.sh").write_text(SCRIPT, encoding="utf-8")
        cls.bin = cls.root / "bin"
        cls.bin.mkdir()
        for name, text in PROGRAMS.items():
            (cls.bin / name).write_text("#!/bin/sh\n" + text, encoding="utf-8")
            (cls.bin / name).chmod(0o755)

    def environment(self, path=None, **values):
        path = path or f"{self.bin}:{os.environ['PATH']}"
        own = {name: value for name, value in os.environ.items() if not name.startswith("BELAY_")}
        return {**own, "PATH": path, "HANG_SCRIPT": str(self.root / "script.sh"), "HANG_IN": "", "FAIL_IN": "", "APT_LOCK": "",
                "LACK_SPACE_IN": "", **values}

    @contextlib.contextmanager
    def path_without(self, *names):
        """All programs of this machine except these."""
        with tempfile.TemporaryDirectory() as name:
            for folder in [str(self.bin), *os.environ["PATH"].split(":")]:
                for program in os.listdir(folder) if os.path.isdir(folder) else ():
                    with contextlib.suppress(FileExistsError):
                        if program not in names:
                            os.symlink(os.path.join(folder, program), os.path.join(name, program))
            yield name

    def forget(self, *names):
        """What the phases have made, so that they have to make it again."""
        for name in names:
            for path in self.root.glob(name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def lines(self, *options, **values):
        """The exit code and the lines that are printed."""
        done = subprocess.run([self.root / "tests/run", *options], env=self.environment(**values), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout.splitlines()

    def test_it_builds_and_runs_what_was_chosen(self):
        self.forget("build")
        code, lines = self.lines()
        self.assertEqual((code, lines[-1]), (0, "2 passed, 0 failed, 1 skipped"), lines)
        self.assertIn("not run: 1 tests of the repository itself and of the gate: add --all", lines)
        self.assertIn("skipped: a reason", lines)
        self.assertIn("== test: clang, 50 seeds for each simulated property", lines)
        self.assertFalse((self.root / "build/clang/three").exists())
        code, lines = self.lines("--all", BELAY_SEEDS="7")
        self.assertEqual((code, lines[-1]), (0, "3 passed, 0 failed, 1 skipped"), lines)
        self.assertIn("== test: clang, 7 seeds for each simulated property", lines)
        self.forget("build/clang/one", "build/clang/two")
        code, lines = self.lines("--filter", "^core/one$")
        self.assertEqual((code, lines[-1]), (0, "1 passed, 0 failed"), lines)
        self.assertFalse((self.root / "build/clang/two").exists())

    def test_failures_count(self):
        code, lines = self.lines(FAIL_IN="testing")
        self.assertEqual((code, lines[-1]), (1, "0 passed, 2 failed, 1 skipped"), lines)
        code, lines = self.lines(FAIL_IN="configuring")
        self.assertEqual(code, 0, lines)  # the project goes on
        self.forget("build/clang/one", "build/clang/two")
        # The tests that have their programs run nevertheless. Here, the programs are no part of the commands.
        code, lines = self.lines(FAIL_IN="building")
        self.assertEqual((code, lines[-1]), (1, "2 passed, 1 failed, 1 skipped"), lines)

    def test_a_filter_that_matches_nothing_is_an_error(self):
        code, lines = self.lines("--filter", "^croe/")
        self.assertEqual((code, lines[-1]), (2, "tests/run: no test matches --filter ^croe/"), lines)
        code, lines = self.lines("--filter", "three")
        self.assertEqual((code, lines[-2:]), (2, ["tests/run: no test matches --filter three", "without --all; with it some do"]), lines)
        code, lines = self.lines("--filter", "three", "--all")
        self.assertEqual((code, lines[-1]), (0, "1 passed, 0 failed"), lines)

    def test_a_lack_of_space_is_named_at_the_end(self):
        self.forget("build/clang/one", "build/clang/two")
        code, lines = self.lines(LACK_SPACE_IN="building")
        self.assertEqual(code, 1, lines)
        self.assertEqual(lines[-2:], ["not run: everything, because no space is left for build/clang: free some, and run it again",
                                      "0 passed, 1 failed"])

    def test_a_missing_compiler_is_named(self):
        with self.path_without("g++", "apt-get") as path:
            code, lines = self.lines(path=path)
        self.assertEqual(code, 2)
        self.assertRegex("\n".join(lines), r"^missing here:\n  g\+\+ +the compiler\n")
        self.assertIn("this machine has no apt-get", lines[-1])
        with self.path_without("g++") as path:
            code, lines = self.lines(path=path, FAIL_IN="installing packages")
        self.assertEqual((code, lines[-1]), (2, "could not install: g++"), lines)

    def test_it_waits_for_another_apt(self):
        lock = self.root / "lock"
        lock.touch()
        with self.path_without("g++") as path:
            _, lines = self.lines("--filter", "core/one", path=path, APT_LOCK=str(lock))
        self.assertFalse(lock.exists())
        self.assertIn("installed: g++", lines)

    def test_ctrl_c_ends_all_in_each_phase(self):
        pipe = self.root / "pipe"
        os.mkfifo(pipe)
        with self.path_without("g++") as without_compiler:
            for phase, made, path in (("installing packages", (), without_compiler), ("loading packages", ("*/node/*/node_modules",), None),
                                      ("configuring", ("build",), None), ("building", ("build/clang/one",), None),
                                      ("testing", (), None)):
                with self.subTest(phase):
                    self.forget(*made)
                    with subprocess.Popen([self.root / "tests/run", "--filter", "core/one"], start_new_session=True,
                                          env=self.environment(path, HANG_IN=phase, HANG_PIPE=str(pipe)), stdin=subprocess.DEVNULL,
                                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
                        with open(pipe, encoding="utf-8") as all_processes:
                            os.killpg(process.pid, signal.SIGINT)
                            self.assertEqual(all_processes.read(), "")
                        lines = process.stdout.read().splitlines()
                    self.assertEqual((process.returncode, lines[-1]), (130, f"tests/run: interrupted while {phase}"), lines)


if __name__ == "__main__":
    unittest.main()
