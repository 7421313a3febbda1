#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants differences between a page, its test and its header, and sees answer_table.py find them."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import answer_table  # noqa: E402

PAGE = """| `fn` returns | it has failed if |
| --- | --- |
| `bool` | it is false |
| `void` | it throws |

| a member of a usual name | counts |
| --- | --- |
| `ec` `err` | public |
| `code` | public |
"""
TEST = "// row: `bool`\nstatic_assert(true);\n// row: `void`\n"
HEADER = ("#define BELAY_DETAIL_NAMED(name) x\nBELAY_DETAIL_NAMED(ec) || BELAY_DETAIL_NAMED(err);\n"
          "BELAY_DETAIL_NUMBERED(code);\n")


class AnswerTableTest(unittest.TestCase):
    def found(self, page=PAGE, test=TEST, header=HEADER):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for path, text in ((answer_table.PAGE, page), (answer_table.TEST, test), (answer_table.HEADER, header)):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            return list(answer_table.differences(root))

    def test_finds_nothing_where_all_agree(self):
        self.assertEqual(self.found(), [])

    def test_finds_rows_of_one_side_only(self):
        self.assertIn("no row '`void`'", self.found(test="// row: `bool`\n")[0])
        self.assertIn("no row '`int`'", self.found(test=TEST + "// row: `int`\n")[0])

    def test_finds_names_of_one_side_only(self):
        self.assertIn("lacks `code`", self.found(page=PAGE.replace("| `code` | public |\n", ""))[0])
        self.assertIn("look for `err`", self.found(header=HEADER.replace(" || BELAY_DETAIL_NAMED(err)", ""))[0])

    def test_finds_a_missing_table(self):
        self.assertTrue(any("a table is missing" in line for line in self.found(page="", test="")))


if __name__ == "__main__":
    unittest.main()
