#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants sentences of each kind that prose.py must report, and sees that it passes over what is not prose."""

import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import prose  # noqa: E402

LONG = "The queue " + "stores another value " * 10 + "now."
FITTING = "The queue " + "stores another value " * 7 + "now again."


class ProseTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "docs/reference/formats").mkdir(parents=True)
        (self.root / "examples").mkdir()
        (self.root / "include" / "belay" / "core" / "detail").mkdir(parents=True)

    def found(self, text, path="docs/a.md"):
        (self.root / path).write_text(text)
        wrong = prose.Prose(self.root).check()
        (self.root / path).unlink()
        return [line.split(": ")[:2] for line in wrong]

    def rules(self, text, path="docs/a.md"):
        return [rule for _, rule in self.found(text, path)]

    def test_subjects(self):
        for begin in ("Who is refused learns it.", "What is durable stays.", "Of all rules one wins.", "But for one it holds.",
                      "Whoever asks waits."):
            self.assertIn("subject", self.rules(f"# A page\n\nA queue. {begin}\n"), begin)
        self.assertEqual(self.rules("What does it cost?\n"), [])

    def test_idioms(self):
        for words in ("The observer is told.", "A client hears of it.", "Then nobody waits.", "All but for one.", "It says so.",
                      "It stands beside it.", "The room is let go and lets go."):
            self.assertIn("idiom", self.rules(words + "\n"), words)

    def test_length(self):
        self.assertEqual(self.found("A page.\n\n" + LONG + "\n"), [["docs/a.md:3", "length"]])
        self.assertEqual(self.rules(FITTING + "\n"), [])
        self.assertEqual(self.rules(f"- {LONG}\n"), ["length"])
        self.assertEqual(self.rules(f"Run:\n\n    {LONG}\n"), [])
        self.assertEqual(self.rules(f"| a | {LONG} |\n|---|---|\n"), ["length"])

    def test_comments_of_tests(self):
        (self.root / "tests" / "room").mkdir(parents=True)
        self.assertEqual(self.rules(f"// {LONG}\nint a;  // who is told\n", "tests/room/a.test.cpp"), ["idiom"])

    def test_all_folders_of_tests_except_samples(self):
        for folder in "tests/new/inner", "tests/scripts/samples":
            (self.root / folder).mkdir(parents=True)
        self.assertEqual(self.rules("// nobody waits\n", "tests/new/inner/a.hpp"), ["idiom"])
        self.assertEqual(self.rules("// nobody waits\n", "tests/scripts/samples/a.cpp"), [])

    def test_names_of_test_cases(self):
        (self.root / "tests" / "room").mkdir(parents=True)
        path = "tests/room/a.test.cpp"
        self.assertEqual(self.found('int a;\nTEST_CASE("Room: nobody waits", "[room]") {}\n', path), [[path + ":2", "idiom"]])
        self.assertEqual(self.rules('TEST_CASE("What is durable stays", "[room]") {}\n', path), ["subject"])
        self.assertEqual(self.rules('TEST_CASE(\n    "Room: a client waits, "\n    "and is told") {}\n', path), ["idiom"])
        self.assertEqual(self.rules('TEMPLATE_TEST_CASE("nobody waits", "", int) {}\n', path), ["subject", "idiom"])
        self.assertEqual(self.rules('TEST_CASE_METHOD(Rig, "Room: it says so") {}\n', path), ["idiom"])
        # The name of a section continues that of its test case.
        self.assertEqual(self.rules('SECTION("of a room") {}\nSECTION("nobody waits") {}\n', path), ["idiom"])
        self.assertEqual(self.rules('TEST_CASE("Room keeps \\"nobody\\"", "[room]") { say("nobody"); }\n', path), [])

    def test_what_is_not_read(self):
        self.assertEqual(self.rules(f"# Who is told\n\n> {LONG}\n\n```cpp\n// {LONG}\n```\n"), [])
        self.assertEqual(self.rules('The test `who is told` and "nobody is told" pass.\n'), [])
        self.assertEqual(self.rules(f"| a | {LONG} |\n", "docs/reference/formats/journal.md"), [])
        self.assertEqual(self.rules(f"{LONG}\n\nA room.\n", "docs/rooms.md"), ["length"])

    def test_docstrings(self):
        header = "include/belay/core/a.hpp"
        self.assertEqual(self.rules(f"/// {LONG}\nint f();\n", header), ["length"])
        self.assertEqual(self.rules("int a;  ///< who is told\n", header), ["idiom"])
        self.assertEqual(self.rules(f"/// {LONG}\n", "include/belay/core/detail/a.hpp"), ["length"])

    def test_comments(self):
        half = "stores another value " * 5
        for header in "include/belay/core/a.hpp", "include/belay/core/detail/a.hpp", "examples/a.cpp":
            self.assertEqual(self.found(f"int f();\n// {LONG}\nint g();  // nobody waits\n", header),
                             [[header + ":2", "length"], [header + ":3", "idiom"]])
            self.assertEqual(self.rules(f"// It {half}\n// and {half}\n", header), ["length"])
            self.assertEqual(self.rules(f"int f();  // It {half}\n          // and {half}\n", header), ["length"])
            self.assertEqual(self.rules(f"int f();  // It {half}\n// It {half}\n", header), [])
            self.assertEqual(self.rules(f"int f();  // It {half}\nint g();  // and {half}\n", header), [])
            self.assertEqual(self.rules(f"// - it {half}\n// - and {half}\n//\n// it {half}\n", header), [])
            self.assertEqual(self.rules(f"// - it {half}\n//   and {half}\n", header), ["length"])
            self.assertEqual(self.rules(f"// It {half} poll(\n// 2) and {half}\n", header), ["length"])
            self.assertEqual(self.rules(f"// It {half} to\n// 4999. It {half}\n", header), [])
            self.assertEqual(self.rules(f"// 1. It {half}\n//    it\n// 2. It {half}\n", header), [])
            self.assertEqual(self.rules(f"// It.\n//   {LONG}\nput(\"http://{LONG}\");\n", header), [])
            self.assertEqual(self.rules(f"// prose: a citation\n// {LONG}\n", header), [])

    def test_messages(self):
        for header in "include/belay/core/a.hpp", "include/belay/core/detail/a.hpp":
            for call in ('static_assert(Is<T>(), "Part: {}");', 'BELAY_PRECONDITION(n != 0 && f(")"),\n"Part::f: "\n  "{}");',
                         'BELAY_INVARIANT(n, "{}");', '#  error "a.hpp: {}"', '#error \\\n    "{}"'):
                self.assertEqual(self.rules(call.format("what many use is a variable"), header), ["subject"], call)
                self.assertEqual(self.rules(call.format("the observer hears of it"), header), ["idiom"], call)
                self.assertEqual(self.rules(call.format(LONG), header), ["length"], call)
                self.assertEqual(self.rules(call.format(FITTING), header), [], call)
                self.assertEqual(self.rules(call.format("T's a must be 'void hears(" + "int, " * 40 + ")'"), header), [], call)
        self.assertEqual(self.rules(f'static_assert(Is<T>());\nput("{LONG}");\n'), [])
        self.assertEqual(self.found('int a;\nstatic_assert(a,\n"it is told");', "include/belay/core/a.hpp"),
                         [["include/belay/core/a.hpp:2", "idiom"]])

    def test_excuses(self):
        excused = f"<!-- prose: a citation -->\n{LONG}\n"
        self.assertEqual(self.rules(excused), [])
        self.assertEqual(self.rules(f"// prose: a citation\n/// {LONG}\n", "include/belay/core/a.hpp"), [])
        self.assertEqual(self.rules(excused + "\n" + LONG + "\n"), ["length"])
        self.assertEqual(self.rules((excused + "\n") * (prose.EXCUSES_MAX + 1)), ["excuses"])

    def test_commit_subjects(self):
        git = ["git", "-C", str(self.root), "-c", "user.name=a", "-c", "user.email=a@example.org"]
        commit = git + ["commit", "-q", "--allow-empty", "-m"]
        subprocess.run(git + ["init", "-q"], check=True)
        subprocess.run(commit + ["Who came first may be as long as it likes, since it is older than the rule of seventy-two"], check=True)
        first = subprocess.run(git + ["rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        with mock.patch.object(prose, "FIRST_COMMIT", first):
            subprocess.run(commit + ["Bound the memory held for a slow client"], check=True)
            self.assertEqual(prose.Prose(self.root).check(), [])
            subprocess.run(commit + ["Bound the memory held for a slow client of a room that many other clients edit"], check=True)
            subprocess.run(commit + ["Who is slow is closed"], check=True)
            self.assertEqual([line.split(": ")[1] for line in prose.Prose(self.root).check()], ["commit-subject"] * 2)


if __name__ == "__main__":
    unittest.main()
