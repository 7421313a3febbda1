#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants headers that are too heavy, or do not compile, and sees that include_weight.py says so."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import include_weight  # noqa: E402


class IncludeWeightTest(unittest.TestCase):
    def test_memory_of_a_report(self):
        report = " phase parsing   :   0.28 ( 97%)    48M ( 77%)\n TOTAL            :   0.43          0.54          0.99           63M\n"
        self.assertEqual(include_weight.kilobytes(report), 63 * 1024)
        self.assertEqual(include_weight.kilobytes(report.replace("63M", "900k")), 900)
        self.assertIsNone(include_weight.kilobytes("error: unknown option\n"))

    def test_a_budget_is_kept_within_two_percent(self):
        budgets = {"a.hpp": 1.1}
        for weight, wrong in ((1100, 0), (1122, 0), (1123, 1)):
            lines, found = include_weight.judge({"<chrono>": (1000, 0.1), "a.hpp": (weight, 0.1)}, budgets)
            self.assertEqual((found, "TOO HEAVY" in lines[-1]), (wrong, bool(wrong)), weight)

    def test_what_does_not_compile_is_wrong(self):
        self.assertEqual(include_weight.judge({"<chrono>": (1000, 0.1), "a.hpp": None}, {})[1], 1)

    def test_a_planted_include_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "include").mkdir()
            (root / "include" / "light.hpp").write_text("#include <chrono>\n")
            (root / "include" / "heavy.hpp").write_text("#include <chrono>\n#include <regex>\n#include <future>\n")
            (root / "include" / "broken.hpp").write_text("error here;\n")
            names = ("light.hpp", "heavy.hpp", "broken.hpp")
            cases = {"<chrono>": ["chrono"]} | {name: [name] for name in names}
            measured = include_weight.measure(cases, "g++", root, 1)
        self.assertIsNone(measured.pop("broken.hpp"))
        lines, wrong = include_weight.judge(measured, dict.fromkeys(names, 1.1))
        self.assertEqual([line.split()[0] for line in lines if "TOO HEAVY" in line], ["heavy.hpp"])
        self.assertEqual(wrong, 1)


if __name__ == "__main__":
    unittest.main()
