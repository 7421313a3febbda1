#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Feeds bench/report.py runs with known numbers, and compares its table."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import report  # noqa: E402


def run(name, items=None, **fields):
    found = {"run_name": name, "run_type": "iteration", "real_time": 10.0, "time_unit": "ns"}
    return found | ({} if items is None else {"items_per_second": items}) | fields


class ReportTest(unittest.TestCase):
    def test_names(self):
        split = report.split_name
        self.assertEqual(split("policy/backoff/next/belay"), ("policy/backoff/next", "", "belay"))
        self.assertEqual(split("a/b/c/belay/payload_bytes:256/threads:16/real_time"),
                         ("a/b/c", "/payload_bytes:256/threads:16", "belay"))
        self.assertEqual(split("a/b/c/peer/8/iterations:100"), ("a/b/c", "/8", "peer"))

    def test_medians_of_single_runs(self):
        runs = [run("a/b/c/belay", n) for n in (1.0, 900.0, 3.0)]
        runs += [run("a/b/c/belay", 7.0, run_type="aggregate"), run("a/b/c/peer", 5.0, error_occurred=True)]
        self.assertEqual(report.medians(runs), {("a/b/c", ""): {"belay": (3.0, "items", 1e-8)}})

    def test_time_where_nothing_is_counted(self):
        result = report.measured(run("a/b/c/belay", time_unit="us"))
        self.assertEqual(result.unit, "calls")
        self.assertAlmostEqual(result.speed, 1e5)

    def test_ratio_and_goals(self):
        operation = "queue/journal/append_one_by_one"
        runs = [run(f"{operation}/belay", 97.0), run(f"{operation}/raw", 100.0), run(f"{operation}/sqlite", 80.0)]
        lines = report.table(report.medians(runs))
        raw = next(line for line in lines if " raw " in line)
        sqlite = next(line for line in lines if " sqlite " in line)
        self.assertIn("0.97x  met: at least 0.95x", raw)
        self.assertIn("1.21x  NOT MET: at least 1.25x", sqlite)

    def test_a_goal_of_some_arguments_goes_before_that_of_all(self):
        operation = "queue/journal/group_commit"
        runs = [run(f"{operation}/{name}/threads:{threads}", speed)
                for threads in (2, 64) for name, speed in (("belay", 12.0), ("leveldb", 10.0))]
        lines = [line for line in report.table(report.medians(runs)) if " leveldb " in line]
        self.assertIn("1.20x  met: at least 1.00x", lines[0])
        self.assertIn("1.20x  NOT MET: at least 1.50x", lines[1])
        without = report.unmeasured(report.medians(runs[:2]))
        self.assertTrue(any("group_commit/threads:64" in line for line in without))

    def test_absolute_goal(self):
        slow = report.table(report.medians([run("sim/world/events/belay", 9e5)]))
        fast = report.table(report.medians([run("sim/world/events/belay", 1e6)]))
        self.assertIn("NOT MET", slow[-1])
        self.assertNotIn("NOT MET", fast[-1])
        self.assertIn("met", fast[-1])

    def test_goal_of_time(self):
        operation = "sim/world/hour_of_outages/belay"
        slow = report.table(report.medians([run(operation, 1e9, real_time=1.1, time_unit="s")]))
        fast = report.table(report.medians([run(operation, 1e9, real_time=0.9, time_unit="s")]))
        self.assertIn("NOT MET", slow[-1])
        self.assertIn("met: an hour", fast[-1])
        self.assertIn("900 ms", fast[-1])

    def test_arguments_are_compared_only_with_their_like(self):
        runs = [run("a/b/c/belay/8", 10.0), run("a/b/c/belay/64", 99.0), run("a/b/c/peer/8", 5.0)]
        lines = report.table(report.medians(runs))
        self.assertEqual([line for line in lines if line.endswith("x")], [lines[3]])
        self.assertIn("2.00x", lines[3])

    def test_unlike_units_have_no_ratio(self):
        runs = [run("a/b/c/belay", 10.0), run("a/b/c/peer", bytes_per_second=5.0)]
        self.assertIn("another unit", report.table(report.medians(runs))[-1])

    def test_a_goal_without_its_benchmark_is_named(self):
        self.assertEqual(len(list(report.unmeasured({}))), len(report.GOALS))
        results = report.medians([run("sim/world/events/belay", 1e6)])
        self.assertEqual(len(list(report.unmeasured(results))), len(report.GOALS) - 1)
        only_ours = report.medians([run("queue/spsc_ring/push_pop/belay", 1e6)])
        self.assertEqual(len(list(report.unmeasured(only_ours))), len(report.GOALS))


if __name__ == "__main__":
    unittest.main()
