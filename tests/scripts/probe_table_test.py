#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants rows that are old, and a page without a table, and sees probe_table.py find them."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import probe_table  # noqa: E402

ROW = "| a probe | `0` | `1` | A reason. |\n"


class ProbeTableTest(unittest.TestCase):
    def run_on(self, page, *arguments):
        """The code of a run, and the page after it."""
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            for path, text in ((probe_table.PAGE, page), (probe_table.ROWS, ROW)):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text)
            with contextlib.redirect_stdout(io.StringIO()):
                code = probe_table.main([*arguments, "--root", directory])
            return code, (root / probe_table.PAGE).read_text()

    def test_a_table_is_written_and_then_current(self):
        old = "text\n\n" + probe_table.HEAD + "| old | `0` | `1` | . |\n\n## More\n"
        self.assertEqual(self.run_on(old, "--check"), (1, old))
        new = "text\n\n" + probe_table.HEAD + ROW + "\n## More\n"
        self.assertEqual(self.run_on(old), (0, new))
        self.assertEqual(self.run_on(new, "--check"), (0, new))

    def test_a_page_without_the_table_fails(self):
        self.assertEqual(self.run_on("text\n")[0], 1)


if __name__ == "__main__":
    unittest.main()
