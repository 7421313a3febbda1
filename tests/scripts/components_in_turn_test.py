#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each component is tested at each commit, and has its turn in each build."""

import contextlib
import io
import re
import unittest
from unittest import mock

import components_in_turn as turn

COMPONENTS = {name for group in turn.quarters(turn.ROOT) for name in group}


def printed(commit, *arguments):
    out = io.StringIO()
    with mock.patch.object(turn.mutants, "head", lambda _: commit), mock.patch.object(turn.sys, "argv", ["", *arguments]), \
            contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        turn.main()
    return re.compile(out.getvalue().strip())


def tests_of(commit, build):
    regex = printed(commit, "tests", build)
    return {name for name in COMPONENTS if regex.search(f"{name}/any")}


class ComponentsInTurn(unittest.TestCase):
    def test_every_component_is_in_one_quarter(self):
        folders = {path.parent.name for path in (turn.ROOT / "tests").glob("*/*.test.cpp")}
        self.assertEqual(COMPONENTS, (folders | {"examples", "pages", "e2e"}) - set(turn.ALWAYS))
        self.assertEqual(sum(len(group) for group in turn.quarters(turn.ROOT)), len(COMPONENTS))

    def test_quarters_take_about_as_long(self):
        costs = [sum(turn.cost(turn.ROOT, name) for name in group) for group in turn.quarters(turn.ROOT)]
        self.assertLess(max(costs), 1.3 * min(costs))

    def test_each_component_has_its_turn_in_each_build(self):
        for build in turn.BUILDS:
            seen = [tests_of(str(commit), build) for commit in range(20)]
            self.assertEqual(set().union(*seen), COMPONENTS)
            for now in seen:
                self.assertLess(len(now), len(COMPONENTS))

    def test_each_commit_tests_each_component(self):
        for commit in range(20):
            gcc, clang, asan = (tests_of(str(commit), build) for build in ("gcc", "clang", "asan"))
            self.assertEqual(gcc | clang, COMPONENTS)
            self.assertFalse(gcc & clang)
            # Clang has what a sanitizer leaves out of them: unsanitized_tests_test.py.
            self.assertLessEqual(asan, clang)
            self.assertEqual(set(printed(str(commit), "folders", "asan").pattern.split(";")), asan)

    def test_each_build_has_its_turn(self):
        self.assertEqual({printed(str(commit), "build").pattern for commit in range(20)}, set(turn.BUILDS_IN_TURN))

    def test_what_only_gcc_builds_is_there_always(self):
        for commit in range(20):
            regex = printed(str(commit), "tests", "gcc")
            for name in ("scripts/layout", "consumer/conan", "windows/rejected", "google_test"):
                self.assertTrue(regex.search(name), name)

    def test_each_program_without_exceptions_is_in_one_build_and_with_the_components_of_it(self):
        programs = [turn.PROGRAM.format(number) for number in range(turn.PARTS)]
        for commit in range(20):
            gcc, clang, asan = (printed(str(commit), "tests", build) for build in ("gcc", "clang", "asan"))
            for program, components in zip(programs, turn.quarters(turn.ROOT)):
                self.assertNotEqual(bool(gcc.search(program)), bool(clang.search(program)), program)
                self.assertFalse(asan.search(program))
                self.assertEqual(bool(gcc.search(program)), components[0] in tests_of(str(commit), "gcc"))

    def test_headers_of_a_component_are_its_folder_and_its_umbrella(self):
        for commit in range(20):
            regex = printed(str(commit), "headers", "gcc")
            for name in tests_of(str(commit), "gcc"):
                self.assertTrue(regex.search(f"belay/{name}/detail/part.hpp"))
                self.assertTrue(regex.search(f"belay/{name}.hpp"))
                self.assertFalse(regex.search(f"belay/other_{name}/part.hpp"))


if __name__ == "__main__":
    unittest.main()
