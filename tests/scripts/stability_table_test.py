#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants each mistake that stability_table.py must find in a small tree, and sees it found."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import stability_table  # noqa: E402

TABLE = "| `Backoff{FullJitter{}, Cap{1s}, 1ms}, MaxAttempts{4}` | 500 ms | 1.00 |\n| `policies::sync()` | 500 ms | 1.00 |\n"
PAGE = f"# Stability\n\n<!-- table: begin -->\n{TABLE}<!-- table: end -->\n"
EXAMPLE = """int main() {
    // Policy{NotOne{}}
    const belay::Policy calls{belay::Backoff{FullJitter{}, Cap{1s},
                                             1ms}, MaxAttempts{4}};
    retry(Policy{MaxAttempts{1}}, call);
}
"""
POLICIES = "[[nodiscard]] constexpr auto sync() noexcept {\n    return Policy{MaxAttempts{4}};\n}\n"
EXCEPTIONS = {"MaxAttempts{1}": "one attempt"}


class StabilityTableTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        for path, text in {"README.md": "# belay\n", "docs/reference/stability-table.md": PAGE, "examples/one.cpp": EXAMPLE,
                           "include/belay/call/policies.hpp": POLICIES}.items():
            self.write(path, text)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def wrong(self, table=TABLE, exceptions=EXCEPTIONS):
        return list(stability_table.check(self.root, table, exceptions))

    def test_a_tree_without_mistakes(self):
        self.assertEqual(self.wrong(), [])

    def test_a_policy_that_is_nowhere(self):
        self.write("docs/new.md", "# New\n\nconst Policy policy{Backoff{FullJitter{}, Cap{2s}, 1ms}};\n")
        self.assertEqual(len(self.wrong()), 1)
        self.assertIn("docs/new.md:3: not in the table: Backoff{FullJitter{}, Cap{2s}, 1ms}", self.wrong()[0])

    def test_a_ready_made_policy_that_is_nowhere(self):
        self.write("include/belay/call/policies.hpp", POLICIES + POLICIES.replace("sync", "other"))
        self.assertIn("not in the table: policies::other", self.wrong()[0])

    def test_a_first_program_that_breaks_a_rule(self):
        self.write("docs/new.md", "```cpp\nint f();\n```\n```cpp\nint main() {\n    retry(Policy{MaxAttempts{9}}, f);\n}\n```\n")
        row = "| `MaxAttempts{9}` | 500 ms | 9.00 | calls in the outage |  |\n|  | no bound | 9.00 | 1.00 |  |\n"
        self.write("docs/reference/stability-table.md", PAGE.replace(TABLE, TABLE + row))
        self.assertEqual(self.wrong(TABLE + row), [])
        row = row.replace("1.00 |  |", "1.00 | calls in the outage |")
        self.write("docs/reference/stability-table.md", PAGE.replace(TABLE, TABLE + row))
        self.assertIn("docs/new.md:1: its first program breaks \"calls in the outage\"", self.wrong(TABLE + row)[0])

    def test_a_policy_in_readme(self):
        self.write("README.md", "Policy{MaxAttempts{9}}")
        self.assertIn("README.md:1: not in the table: MaxAttempts{9}", self.wrong()[0])

    def test_an_exception_that_is_in_the_table(self):
        both = {**EXCEPTIONS, "Backoff{FullJitter{}, Cap{1s}, 1ms}, MaxAttempts{4}": "none"}
        self.assertIn("in the table and an exception", self.wrong(exceptions=both)[0])

    def test_an_exception_without_a_policy(self):
        old = {**EXCEPTIONS, "MaxAttempts{77}": "none"}
        self.assertIn("nowhere: MaxAttempts{77}", self.wrong(exceptions=old)[0])

    def test_old_figures(self):
        self.assertIn("docs/reference/stability-table.md:3: old figures", self.wrong(table=TABLE.replace("1.00", "1.01"))[0])

    def test_a_page_without_the_table(self):
        self.write("docs/reference/stability-table.md", "# Stability\n")
        self.assertIn("no table", self.wrong()[0])


if __name__ == "__main__":
    unittest.main()
