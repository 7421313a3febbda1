#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants what mutants.py must refuse, in a small tree whose test writes Catch2's report itself, and sees it refused.
Also checks that the table of mutants fits the tree as it is."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import mutants
from mutants import Change, Mutant, Test

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = "#pragma once\ninline int answer() { return 42; }\ninline int other() { return 1; }\n"
# What Catch2 prints with "-r xml", for a program that fails unless answer() is 42.
TEST = r"""
#include <belay/a.hpp>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>
int main() {
    const int a = answer();
    std::puts("<Catch name=\"t\"><Group name=\"t\"><TestCase name=\"t\" filename=\"a.test.cpp\" line=\"1\">");
    std::fflush(stdout);
    if (a == 7) std::abort();
    while (a == 8) {}
    while (a == 6) pause();
    if (a == 9) std::puts("<Exception filename=\"a.test.cpp\" line=\"2\">thrown</Exception>");
    if (a == 10) return 1;
    if (a == 11) {
        std::puts("<OverallResults successes=\"0\" failures=\"0\" expectedFailures=\"0\"/></Catch>");
        return 0;
    }
    if (a < 7 || a > 42) {
        std::puts("<Expression success=\"false\" type=\"CHECK\" filename=\"a.test.cpp\" line=\"3\"><Original>answer() == 42"
                  "</Original><Expanded>wrong == 42</Expanded></Expression>");
    }
    const bool good = a == 42;
    std::printf("</TestCase><OverallResults successes=\"1\" failures=\"%d\" expectedFailures=\"0\"/></Group></Catch>\n", !good);
    return good ? 0 : 1;
}
"""
CASE = Test("tests/a.test.cpp", "t")
NEW_FORM = """<?xml version="1.0" encoding="UTF-8"?>
<Catch2TestRun name="t" rng-seed="1" xml-format-version="3" catch2-version="3.4.0">
  <TestCase name="t" tags="[a]" filename="t.cpp" line="3">
    <Info>
      two connections: start; opened
    </Info>
    <Expression success="false" type="CHECK" filename="/x/t.cpp" line="5">
      <Original>
        fault.empty()
      </Original>
      <Expanded>
        false
      </Expanded>
    </Expression>
    <OverallResult success="false" skips="0"/>
  </TestCase>
  <OverallResults successes="2" failures="1" expectedFailures="0" skips="0"/>
  <OverallResultsCases successes="0" failures="1" expectedFailures="0" skips="0"/>
</Catch2TestRun>
"""


def mutant(replacement, text="return 42;", test=CASE, name="m", property=""):
    return Mutant(name, (Change("belay/a.hpp", text, replacement),), test, property)


def run(table, *arguments, header=HEADER, run_seconds=20):
    """The exit code and the output of mutants.py with this table in the small tree."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in (("include/belay/a.hpp", header), ("tests/a.test.cpp", TEST), ("tests/support/main.cpp", "")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = mutants.main([*arguments, "--root", folder], table, run_seconds)
        return code, output.getvalue()


class MutantsTest(unittest.TestCase):
    def refuses(self, table, *words, code=1, **others):
        got, output = run(table, "--all", **others)
        self.assertEqual(got, code, output)
        for word in words:
            self.assertIn(word, output)
        return output

    def test_a_fault_that_a_check_finds_passes(self):
        code, output = run([mutant("return 43;"), mutant("return 44;", name="n")], "--all")
        self.assertEqual(code, 0, output)
        self.assertTrue(output.endswith("2 passed, 0 failed\n"), output)
        self.assertIn("a.test.cpp:3: CHECK: wrong == 42", output)

    def test_a_property_that_does_not_hold_passes(self):
        code, output = run([mutant("return 43;", property="wrong == 42")], "--all")
        self.assertEqual(code, 0, output)

    def test_a_mutant_that_fails_by_another_property(self):
        self.refuses([mutant("return 43;", property='always "right"')],
                     'fails, but not by always "right": a.test.cpp:3: CHECK: wrong == 42', "0 passed, 1 failed")

    def test_a_text_that_occurs_twice(self):
        header = HEADER + "inline int third() { return 42; }\n"
        self.refuses([mutant("return 43;")], "m: include/belay/a.hpp", "occurs 2 times: return 42;", header=header)

    def test_a_text_that_is_missing(self):
        self.refuses([mutant("return 43;", "return 17;")], "m: include/belay/a.hpp", "occurs 0 times: return 17;")

    def test_a_file_that_is_missing(self):
        self.refuses([Mutant("m", (Change("belay/b.hpp", "x", "y"),), CASE)], "include/belay/b.hpp: there is no such file")

    def test_two_changes_of_the_same_text(self):
        changes = (Change("belay/a.hpp", "return 42;", "return 43;"), Change("belay/a.hpp", "{ return 42", "{ return 44"))
        self.refuses([Mutant("m", changes, CASE)], "touch the same text")

    def test_texts_of_mutants_that_do_not_run_are_checked(self):
        code, output = run([mutant("return 43;"), mutant("", "return 17;", name="stale")], "--only", "m")
        self.assertEqual(code, 1)
        self.assertIn("stale: include/belay/a.hpp", output)

    def test_a_mutant_that_does_not_compile(self):
        self.refuses([mutant("return forty_three;")], "does not compile", "forty_three", "0 passed, 1 failed")

    def test_a_mutant_that_survives(self):
        self.refuses([mutant("return 41 + 1;")], "SURVIVED")

    def test_a_mutant_that_crashes(self):
        self.refuses([mutant("return 7;")], "crashes")

    def test_a_mutant_that_does_not_end(self):
        self.refuses([mutant("return 8;")], "does not end in 2 s of processor time", run_seconds=2)

    def test_a_mutant_that_waits_for_ever(self):
        with mock.patch.object(mutants, "WAIT_FACTOR", 2):
            self.refuses([mutant("return 6;")], "does not end in 4 s", run_seconds=2)

    def test_a_mutant_that_fails_by_an_exception(self):
        self.refuses([mutant("return 9;")], "by no CHECK or REQUIRE")

    def test_a_mutant_that_leaves_without_a_report(self):
        self.refuses([mutant("return 10;")], "without a complete report")

    def test_a_test_that_fails_unchanged(self):
        header = HEADER.replace("42", "43")
        self.refuses([mutant("return 44;", "return 43;")], "fails with the headers as they are: a.test.cpp:3", header=header)

    def test_a_test_case_that_does_not_exist(self):
        header = HEADER.replace("42", "11")
        self.refuses([mutant("return 44;", "return 11;")], "checks nothing", header=header)

    def test_one_of_two_fails(self):
        output = self.refuses([mutant("return 43;"), mutant("return 41 + 1;", name="n")], "1 passed, 1 failed")
        self.assertIn("found  m", output)
        self.assertIn("WRONG  n", output)

    def chosen(self, table, files, former=(), most=10, everything=False):
        changed = mock.Mock(files=set(files), everything=everything)
        chosen, count = mutants.chosen(table, changed, {m.name: m for m in former}, most)
        return [m.name for m in chosen], count

    def test_what_changed_chooses(self):
        def of(name, file, test="tests/a/t.test.cpp"):
            return Mutant(name, (Change(f"belay/{file}", "x", "y"),), Test(test, "t"), "")
        table = [of("component", "a/one.hpp"), of("file", "a/two.hpp"), of("test", "b/one.hpp", "tests/b/t.test.cpp"),
                 of("other", "c/one.hpp"), of("new", "d/one.hpp"), of("edited", "d/one.hpp")]
        former = [*table[:4], of("edited", "d/two.hpp")]
        files = ("include/belay/a/two.hpp", "tests/b/t.test.cpp")
        self.assertEqual(self.chosen(table, files, former), (["new", "edited", "file", "test", "component"], 5))
        self.assertEqual(self.chosen(table, files, former, 2), (["new", "edited"], 5))
        self.assertEqual(self.chosen(table, ("tests/support/c/rig.hpp",), table), (["other"], 1))
        self.assertEqual(self.chosen(table, ("docs/a.md",), table), ([], 0))

    def test_without_a_commit_each_component_has_its_first_mutants(self):
        table = [mutant("return 43;", name=f"m{i}")._replace(changes=(Change(f"belay/{c}/a.hpp", "x", "y"),))
                 for i, c in enumerate("aaabbc")]
        self.assertEqual(self.chosen(table, (), most=4, everything=True), (["m0", "m3", "m5", "m1"], 6))

    def test_at_most_so_many_run(self):
        code, output = run([mutant("return 43;", name=f"m{i}") for i in range(4)], "--most", "1")
        self.assertEqual(code, 0, output)
        self.assertIn("1 of 4 mutants", output)
        self.assertTrue(output.endswith("1 passed, 0 failed\n"), output)

    def test_names(self):
        self.assertEqual(run([mutant("return 43;")], "--only", "n")[0], 2)
        self.assertIn("tests/a.test.cpp: t (belay/a.hpp)", run([mutant("return 43;")], "--list")[1])

    def test_writes_a_copy(self):
        with tempfile.TemporaryDirectory() as folder:
            to = pathlib.Path(folder) / "copy"
            self.assertEqual(run([mutant("return 43;")], "--write", "m", str(to))[0], 0)
            self.assertEqual((to / "belay/a.hpp").read_text(), HEADER.replace("42", "43"))
            code, output = run([mutant("return 43;", "return 17;")], "--write", "m", str(to))
            self.assertEqual(code, 1)
            self.assertIn("occurs 0 times", output)

    def test_reports_of_both_versions_are_read(self):
        self.assertEqual(mutants.judge_mutant(1, NEW_FORM), "t.cpp:5: CHECK: two connections: start; opened")
        self.assertEqual(mutants.judge_mutant(1, NEW_FORM, "opened"), "t.cpp:5: CHECK: two connections: start; opened")
        with self.assertRaisesRegex(mutants.Refused, "not by closed: t.cpp:5"):
            mutants.judge_mutant(1, NEW_FORM, "closed")
        with self.assertRaisesRegex(mutants.Refused, "crashes"):
            mutants.judge_mutant(1, NEW_FORM + '<FatalErrorCondition filename="t.cpp" line="5">SIGABRT')
        with self.assertRaisesRegex(mutants.Refused, "as they are: t.cpp:5"):
            mutants.judge_sound(1, NEW_FORM)

    def test_each_property_of_a_world_has_a_mutant(self):
        self.assertEqual(mutants.properties_without_mutant(ROOT, mutants.MUTANTS), set(mutants.UNPLANTED))
        for reason in mutants.UNPLANTED.values():
            self.assertGreater(len(reason.split()), 5)

    def test_a_property_without_a_mutant_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "tests/worlds").mkdir(parents=True)
            (root / "tests/worlds/a.test.cpp").write_text(
                'world.always("a", f);\nworld.require(\n    "b", f());\nworld.eventually(name, 1s, f);\n'
                'TEST_CASE("one", "[a]") {}\nTEST_CASE(\n    "two", "[a]") {}\n')
            table = [mutant("", test=Test("tests/worlds/a.test.cpp", "*"), property='always "a"'),
                     mutant("", test=Test("tests/worlds/a.test.cpp", "two"), property='require "b"'),
                     mutant("", test=Test("tests/worlds/b.test.cpp", "*"), property='require "b"')]
            self.assertEqual(mutants.properties_without_mutant(root, table), {("one", "b"), ("one", ""), ("two", "")})

    def test_the_table_fits_the_tree(self):
        self.assertEqual(len({m.name for m in mutants.MUTANTS}), len(mutants.MUTANTS))
        for m in mutants.MUTANTS:
            with self.subTest(m.name):
                changed = mutants.mutated(ROOT / "include", m)
                self.assertEqual(set(changed), {change.file for change in m.changes})
                source = (ROOT / m.test.source).read_text(encoding="utf-8")
                if m.test.cases != "*":
                    self.assertIn(f'"{m.test.cases.split(" - ")[0]}"', source)
                if m.property:
                    self.assertIn(f'"{m.property.split(chr(34))[1]}"', source)


if __name__ == "__main__":
    unittest.main()
