#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants untrue and unchecked statements in a small tree, and sees absent.py find them."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import absent  # noqa: E402

PAGE = """# A page

It says that belay has no
teapot: buy one. And belay has neither
`cup` nor *saucer*.

| other | here |
| --- | --- |
| It has sugar. | belay has no sugar |
"""
ABSENT = {"teapot": ["kitchen/*teapot*", "*.kettle"], "cup nor saucer": ["Cup"], "sugar": ["kitchen/cook.hpp: sugar"]}


class AbsentTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        self.write("README.md", "# belay\n")
        self.write("docs/page.md", PAGE)
        self.write("include/belay/kitchen/cook.hpp", "struct Cook {};  // without a Cup, and without sugar\n")
        self.addCleanup(setattr, absent, "ABSENT", absent.ABSENT)
        absent.ABSENT = dict(ABSENT)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def expect(self, line, text):
        found = list(absent.Absent(self.root).complaints())
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{line}: "), found)
        self.assertIn(text, found[0])

    def test_true_statements_pass(self):
        self.assertEqual(list(absent.Absent(self.root).complaints()), [])

    def test_a_header_that_appears(self):
        self.write("include/belay/kitchen/big_teapot.hpp", "")
        self.expect("docs/page.md:3", "kitchen/big_teapot.hpp fits kitchen/*teapot*")

    def test_a_file_outside_the_headers_that_appears(self):
        self.write("src/belay.kettle", "")
        self.expect("docs/page.md:3", "src/belay.kettle")

    def test_a_name_that_appears(self):
        self.write("include/belay/hall/dish.hpp", "class Cup;\n")
        self.expect("docs/page.md:4", "hall/dish.hpp fits Cup")

    def test_a_name_that_appears_in_one_header(self):
        self.write("include/belay/hall/dish.hpp", "int sugar;\n")
        self.assertEqual(list(absent.Absent(self.root).complaints()), [])
        self.write("include/belay/kitchen/cook.hpp", "int sugar;\n")
        self.expect("docs/page.md:9", "kitchen/cook.hpp")

    def test_what_is_internal_does_not_count(self):
        self.write("include/belay/kitchen/detail/teapot.hpp", "class Cup;\n")
        self.assertEqual(list(absent.Absent(self.root).complaints()), [])

    def test_a_statement_that_nothing_checks(self):
        self.write("README.md", "# belay\n\nBelay has no **spoon**, and no fork (yet).\n")
        self.expect("README.md:3", '"belay has no spoon, and no fork" is checked by nothing')

    def test_an_entry_without_a_statement(self):
        absent.ABSENT["spoon"] = ["Spoon"]
        self.expect("tests/scripts/absent.py:1", "spoon")


if __name__ == "__main__":
    unittest.main()
