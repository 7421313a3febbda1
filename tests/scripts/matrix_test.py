#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs rows in a small repository: the table has their verdicts, and a change of a file that a row reads makes its verdict old."""

import contextlib
import io
import pathlib
import tempfile
import unittest

import changes
import matrix

PAGE = f"# Platforms\n\nText.\n\n{matrix.BEGIN}\n{matrix.HEAD}{matrix.END}\n\nMore text.\n"


def shell(text):
    return ("sh", "-c", text)


ROWS = (
    matrix.Row("good", "passes", shell("echo 3 passed, 0 failed"), ("include/",)),
    matrix.Row("bad", "fails", shell("echo 2 passed, 1 failed; exit 1"), ("tests/",)),
    matrix.Row("pages", "reads the pages", shell("echo done"), ("docs/",)),
    matrix.Row("no_tool", "has no tool", shell("echo 'installs: no apt-get' >&2; exit 2"), ("include/",)),
    matrix.Row("future", "needs a script that is not here", shell("exit 1"), (), ("tests/scripts/future.py",)),
)


class MatrixTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        self.git("init", "-q")
        for name in ("include/a.hpp", "tests/a.cpp", "docs/b.md"):
            self.write(name, "one\n")
        self.write(".gitignore", "/build/\n")
        self.write(matrix.PAGE, PAGE)
        self.commit()

    def git(self, *arguments):
        return changes.git(self.root, "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "m")
        return self.git("rev-parse", "--short=12", "HEAD").strip()

    def run_matrix(self, *arguments, rows=ROWS):
        output = io.StringIO()
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            code = matrix.main(arguments, self.root, rows)
        return code, output.getvalue()

    def page(self):
        return (self.root / matrix.PAGE).read_text(encoding="utf-8")

    def check(self, *names):
        return self.run_matrix("--check", *names)

    def test_the_table_has_a_line_for_each_row(self):
        commit = self.git("rev-parse", "--short=12", "HEAD").strip()
        self.assertEqual(self.run_matrix()[0], 1)
        self.assertRegex(self.page(), rf"\| `good` \| passes \| `{commit}` \| \d{{4}}-\d\d-\d\d \| green, 3 passed, 0 failed \| 0\.\d \|\n")
        self.assertRegex(self.page(), r"\| `bad` \|.*\| FAILED, 2 passed, 1 failed \|")
        self.assertRegex(self.page(), r"\| `pages` \|.*\| green \|")
        self.assertRegex(self.page(), r"\| `no_tool` \|.*\| cannot run here: installs: no apt-get \|")
        self.assertNotIn("future", self.page())
        self.assertEqual(matrix.without_table(self.page()), matrix.without_table(PAGE))

    def test_some_rows_leave_the_others_as_they_are(self):
        self.assertEqual(self.run_matrix("pages"), (0, self.run_matrix("pages")[1]))
        self.assertRegex(self.page(), r"\| `good` \| passes \|  \|  \| never run \|  \|\n")
        before = matrix.read_table(self.page())["pages"]
        self.commit()
        self.run_matrix("good")
        self.assertEqual(matrix.read_table(self.page())["pages"], before)

    def test_check_names_what_is_not_green(self):
        self.assertEqual(self.check("good"), (1, "good: never run\n"))
        self.run_matrix()
        code, output = self.check()
        self.assertEqual((code, output.count("\n")), (1, 1), output)
        self.assertTrue(output.startswith("bad: FAILED, 2 passed, 1 failed, at "), output)
        self.assertEqual(self.check("good", "pages", "no_tool"), (0, "every row is green\n"))

    def test_a_change_of_what_a_row_reads_makes_it_old(self):
        self.run_matrix("good", "pages")
        commit = self.commit()  # of the table, which does not count
        self.assertEqual(self.check("good", "pages"), (0, "every row is green\n"))
        self.write("include/a.hpp", "two\n")
        self.assertRegex(self.check("good", "pages")[1], r"^good: since \w{12} changed include/a.hpp\n$")
        self.commit()
        self.assertRegex(self.check("good", "pages")[1], r"^good: since \w{12} changed include/a.hpp\n$")
        self.run_matrix("good")
        self.assertEqual(self.check("good", "pages")[0], 0)
        self.write("include/new.hpp", "")
        self.assertRegex(self.check("good")[1], r"changed include/new.hpp\n$")
        self.assertNotIn(commit, self.page())

    def test_the_text_of_the_page_of_the_table_counts(self):
        self.run_matrix("pages")
        self.write(matrix.PAGE, self.page().replace("More text", "Other text"))
        self.assertRegex(self.check("pages")[1], r"changed docs/contributing/platforms.md\n$")

    def test_a_commit_that_is_gone(self):
        self.run_matrix("good")
        text = self.page()
        commit = matrix.read_table(text)["good"].commit
        self.write(matrix.PAGE, text.replace(commit, "0123456789ab"))
        self.assertEqual(self.check("good"), (1, "good: there is no commit 0123456789ab\n"))

    def test_a_verdict_is_that_of_a_commit(self):
        self.write("include/a.hpp", "two\n")
        code, output = self.run_matrix("good")
        self.assertEqual((code, output), (2, "commit first, a verdict is that of a commit: include/a.hpp\n"))
        self.assertEqual(self.page(), PAGE)

    def test_names(self):
        self.assertEqual(self.run_matrix("none"), (2, "none: there is no such row; --help lists them\n"))
        self.assertEqual(self.check("future")[0], 2)
        self.write(matrix.PAGE, "no table\n")
        with self.assertRaises(ValueError):
            self.run_matrix("good")

    def test_verdicts(self):
        self.assertEqual(matrix.judge(0, ["x", "5 passed, 0 failed, 2 skipped", ""]), "green, 5 passed, 0 failed, 2 skipped")
        self.assertEqual(matrix.judge(0, ["0 passed, 0 failed, 4 skipped"]), "cannot run here: 4 skipped")
        self.assertEqual(matrix.judge(2, ["SKIP: no wine64", "stopped"]), "cannot run here: no wine64")
        self.assertEqual(matrix.judge(3, ["killed"]), "FAILED, exit code 3")

    def test_the_rows_of_the_tree_read_what_is_there(self):
        names = [row.name for row in matrix.ROWS]
        self.assertEqual(len(names), len(set(names)))
        for row in matrix.ROWS:
            self.assertGreater(len(row.reads), 1)
            for path in {*row.reads} - {*row.needs}:
                self.assertTrue((changes.ROOT / path).exists(), f"{row.name} reads {path}")
        self.assertIn(matrix.BEGIN, (changes.ROOT / matrix.PAGE).read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
