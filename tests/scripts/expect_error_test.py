#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles files of near-misses that are right, and files of each way of being wrong, and sees each judged."""

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import expect_error  # noqa: E402

COMPILERS = [path for path in map(shutil.which, ("g++", "clang++")) if path]
BROKEN = 'static_assert(false, "Sample: the promise is broken");'
ANOTHER = 'static_assert(false, "Sample: another promise is broken");'
CASE = "// expect-error: Sample: the promise\n"
RIGHT = f"{CASE}#ifndef BELAY_CONTROL\n{BROKEN}\n#endif\n"
IN_TEMPLATES = """template <class T>
struct Promise {
    static_assert(sizeof(T) != 1, "Sample: the promise is broken");
};
template <class T>
void promise(T) {
    static_assert(sizeof(T) != 1, "Sample: the promise is broken");
}
// expect-error: Sample: the promise
struct Near {
#ifdef BELAY_CONTROL
    int more;
#endif
};
Promise<Near> near;
// expect-error: Sample: the promise
void use() {
#ifdef BELAY_CONTROL
    promise(1);
#else
    promise([] {});
#endif
}
"""


class ExpectErrorTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name) / "a folder"
        self.root.mkdir()
        self.source, self.messages = self.root / "near.fail.cpp", self.root / "near.messages"

    def compile(self, text, compiler):
        self.source.write_text(text, encoding="utf-8")
        expect_error.compile_source(self.messages, self.source, [compiler, "-std=c++20", f"-I{self.root}"])

    def judged(self):
        """The exit code, and what is printed."""
        words = ["expect_error.py", "--judge", str(self.messages), str(self.source)]
        with mock.patch.object(sys, "argv", words), contextlib.redirect_stdout(io.StringIO()) as out:
            return expect_error.main(), out.getvalue()

    def right(self, text):
        for compiler in COMPILERS:
            self.compile(text, compiler)
            self.assertEqual(self.judged(), (0, ""), compiler)

    def wrong(self, text, complaint):
        for compiler in COMPILERS:
            self.compile(text, compiler)
            code, out = self.judged()
            self.assertEqual(code, 1, compiler)
            self.assertIn(complaint, out, compiler)

    def test_a_case_with_its_message_is_right(self):
        self.right(RIGHT)

    def test_cases_whose_errors_stand_in_one_template_are_right(self):
        self.right(IN_TEMPLATES)

    def test_a_case_that_compiles_is_found(self):
        self.wrong(CASE + BROKEN.replace("false", "true"), "near.fail.cpp:1: this case compiles, and must not")

    def test_a_case_that_compiles_beside_a_right_one_is_found(self):
        self.wrong(RIGHT + CASE + BROKEN.replace("false", "true"), "near.fail.cpp:5: this case compiles, and must not")

    def test_a_case_with_another_message_is_found(self):
        self.wrong(RIGHT.replace(BROKEN, ANOTHER), 'near.fail.cpp:1: no error of this case has "Sample: the promise"')

    def test_the_message_of_another_case_does_not_count(self):
        self.wrong(RIGHT.replace(BROKEN, ANOTHER) + RIGHT.replace("the promise\n", "another promise\n"),
                   "near.fail.cpp:1: no error of this case has")

    def test_a_control_that_does_not_compile_is_found(self):
        self.wrong(CASE + BROKEN, "the control does not compile")

    def test_a_file_without_cases_is_found(self):
        self.wrong("static_assert(true);\n", "no line '// expect-error: <message>'")

    def test_a_misspelt_case_is_found(self):
        self.wrong(RIGHT + CASE.replace("-", " "), "near.fail.cpp:5: it must be '// expect-error: <message>'")

    def test_what_was_not_compiled_is_found(self):
        self.source.write_text(RIGHT, encoding="utf-8")
        code, out = self.judged()
        self.assertEqual(code, 1)
        self.assertIn("it was not compiled: build ", out)

    def test_a_file_that_changed_since_it_was_compiled_is_found(self):
        header = self.root / "its header.hpp"
        header.write_text("", encoding="utf-8")
        for change in (lambda: os.utime(self.source, ns=(2**62, 2**62)), lambda: os.utime(header, ns=(2**62, 2**62)),
                       header.unlink):
            for compiler in COMPILERS:
                header.write_text("", encoding="utf-8")
                self.compile('#include "its header.hpp"\n' + RIGHT, compiler)
                self.assertEqual(self.judged(), (0, ""), compiler)
                change()
                code, out = self.judged()
                self.assertEqual(code, 1, compiler)
                self.assertIn("it was compiled before the last change", out, compiler)

    def test_messages_of_another_file_do_not_count(self):
        self.compile(RIGHT, COMPILERS[0])
        self.source = self.source.rename(self.root / "other.fail.cpp")
        self.assertIn("it was compiled before the last change", self.judged()[1])

    def test_a_compiler_that_does_not_run_leaves_no_messages(self):
        self.compile(RIGHT, COMPILERS[0])
        program = self.root / "g++"
        program.write_text("#!/bin/sh\nkill -KILL $$\n", encoding="utf-8")
        program.chmod(0o755)
        for compiler, failure in ((str(self.root / "missing"), OSError), (str(program), SystemExit)):
            with self.assertRaises(failure):
                self.compile(RIGHT, compiler)
            self.assertIn("it was not compiled", self.judged()[1])

    def test_ninja_gets_each_file_that_was_read(self):
        (self.root / "its header.hpp").write_text("", encoding="utf-8")
        for compiler in COMPILERS:
            self.compile(RIGHT + '#ifdef BELAY_CONTROL\n#include "its header.hpp"\n#endif\n', compiler)
            depfile = pathlib.Path(f"{self.messages}.d").read_text(encoding="utf-8")
            escaped = str(self.root).replace(" ", "\\ ")
            self.assertTrue(depfile.startswith(f"{escaped}/near.messages: "), depfile)
            self.assertIn(f" {escaped}/its\\ header.hpp", depfile)
            self.assertIn(f" {escaped}/near.fail.cpp", depfile)

    def test_the_command_line_compiles_and_judges(self):
        self.source.write_text(RIGHT, encoding="utf-8")
        script = [sys.executable, expect_error.__file__]
        files = [str(self.messages), str(self.source)]
        for mode in ([*script, "--compile", *files, "--", COMPILERS[0], "-std=c++20"], [*script, "--judge", *files]):
            self.assertEqual(subprocess.run(mode, check=False).returncode, 0)


if __name__ == "__main__":
    unittest.main()
