#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Feeds bench/report.py runs with known numbers, and compares its table."""

import pathlib
import sys
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import report  # noqa: E402


def run(name, items=None, **fields):
    found = {"run_name": name, "run_type": "iteration", "real_time": 10.0, "time_unit": "ns"}
    return found | ({} if items is None else {"items_per_second": items}) | fields


def table(runs):
    """The lines of the table, without what only aligns them."""
    return [" ".join(line.split()) for line in report.table(report.medians(runs))]


class ReportTest(unittest.TestCase):
    def test_names(self):
        split = report.split_name
        self.assertEqual(split("backoff/backoff/next/belay"), ("backoff/backoff/next", "", "belay"))
        self.assertEqual(split("a/b/c/belay/payload_bytes:256/threads:16/real_time"),
                         ("a/b/c", "/payload_bytes:256/threads:16", "belay"))
        self.assertEqual(split("a/b/c/peer/8/iterations:100"), ("a/b/c", "/8", "peer"))

    def test_medians_of_single_runs(self):
        runs = [run("a/b/c/belay", n) for n in (1.0, 900.0, 3.0)]
        runs += [run("a/b/c/belay", 7.0, run_type="aggregate"), run("a/b/c/peer", 5.0, error_occurred=True)]
        self.assertEqual(report.medians(runs), {("a/b/c", ""): {"belay": (3.0, "items", 1e-8, (1.0, 900.0, 3.0))}})

    def test_time_where_nothing_is_counted(self):
        result = report.measured(run("a/b/c/belay", time_unit="us"))
        self.assertEqual(result.unit, "calls")
        self.assertAlmostEqual(result.speed, 1e5)

    def test_ratio_and_goals(self):
        operation = "journal/journal/append_one_by_one"
        runs = [run(f"{operation}/belay", 97.0), run(f"{operation}/raw", 100.0), run(f"{operation}/sqlite", 80.0)]
        lines = table(runs)
        raw = next(line for line in lines if line.startswith("raw "))
        sqlite = next(line for line in lines if line.startswith("sqlite "))
        self.assertIn("0.97x 0.97 to 0.97 met: at least 0.97x", raw)
        self.assertIn("1.21x 1.21 to 1.21 NOT MET: at least 1.25x", sqlite)

    def test_a_ratio_is_that_of_runs_and_not_of_their_medians(self):
        # The machine was ten times slower in the second run, and slower still while only the peer was measured.
        speeds = [("belay", 100.0), ("peer", 50.0), ("belay", 10.0), ("peer", 5.0), ("belay", 110.0), ("peer", 44.0)]
        lines = table([run(f"a/b/c/{name}", speed) for name, speed in speeds])
        self.assertIn("2.00x 2.00 to 2.25", lines[-1])
        self.assertIn("belay 100 items/s 25 %", lines[-2])

    def test_what_was_not_measured_in_every_run_is_compared_by_medians(self):
        runs = [run("a/b/c/belay", 100.0), run("a/b/c/belay", 200.0), run("a/b/c/peer", 50.0)]
        self.assertIn("3.00x 3.00 to 3.00", table(runs)[-1])

    def test_a_goal_of_some_arguments_goes_before_that_of_all(self):
        operation = "a/b/pass"
        runs = [run(f"{operation}/{name}/threads:{threads}", speed)
                for threads in (2, 64) for name, speed in (("belay", 12.0), ("peer", 10.0))]
        goals = [report.Goal(operation, "peer", 1.0, "as fast"),
                 report.Goal(f"{operation}/threads:64", "peer", 1.5, "faster with many")]
        with unittest.mock.patch.object(report, "GOALS", goals):
            lines = [line for line in table(runs) if line.startswith("peer ")]
            without = report.unmeasured(report.medians(runs[:2]))
            self.assertTrue(any("pass/threads:64" in line for line in without))
        self.assertIn("1.20x 1.20 to 1.20 met: at least 1.00x", lines[0])
        self.assertIn("1.20x 1.20 to 1.20 NOT MET: at least 1.50x", lines[1])

    def test_absolute_goal(self):
        slow = table([run("sim/world/events/belay", 9e5)])
        fast = table([run("sim/world/events/belay", 1e6)])
        self.assertIn("NOT MET", slow[-1])
        self.assertNotIn("NOT MET", fast[-1])
        self.assertIn("met", fast[-1])

    def test_goal_of_time(self):
        operation = "sim/world/hour_of_outages/belay"
        slow = table([run(operation, 1e9, real_time=1.1, time_unit="s")])
        fast = table([run(operation, 1e9, real_time=0.9, time_unit="s")])
        self.assertIn("NOT MET", slow[-1])
        self.assertIn("met: an hour", fast[-1])
        self.assertIn("900 ms", fast[-1])

    def test_what_is_counted_and_not_timed(self):
        operation = "work/key_window/in_memory"
        runs = [run(f"{operation}/belay", bytes_each=24.004), run(f"{operation}/unordered_set", bytes_each=96.016)]
        lines = table(runs)
        # No spread and no time of an iteration, and the smaller is the better.
        self.assertIn("belay 24 bytes each met: at most 24 bytes of memory", lines[-2])
        self.assertIn("unordered_set 96 bytes each 4.00x 4.00 to 4.00", lines[-1])
        more = table([run("journal/journal/disk_beyond_live/belay", segments=2.01)])
        self.assertIn("belay 2.01 segments NOT MET: at most two segments", more[-1])
        self.assertFalse(any(operation in line for line in report.unmeasured(report.medians(runs))))

    def test_arguments_are_compared_only_with_their_like(self):
        runs = [run("a/b/c/belay/8", 10.0), run("a/b/c/belay/64", 99.0), run("a/b/c/peer/8", 5.0)]
        lines = table(runs)
        self.assertEqual([line for line in lines if "x 2." in line], [lines[3]])
        self.assertIn("2.00x", lines[3])

    def test_unlike_units_have_no_ratio(self):
        runs = [run("a/b/c/belay", 10.0), run("a/b/c/peer", bytes_per_second=5.0)]
        self.assertIn("another unit", table(runs)[-1])

    def test_a_goal_without_its_benchmark_is_named(self):
        self.assertEqual(len(list(report.unmeasured({}))), len(report.GOALS))
        results = report.medians([run("sim/world/events/belay", 1e6)])
        self.assertEqual(len(list(report.unmeasured(results))), len(report.GOALS) - 1)
        only_ours = report.medians([run("queue/spsc_ring/push_pop/belay", 1e6)])
        self.assertEqual(len(list(report.unmeasured(only_ours))), len(report.GOALS))


if __name__ == "__main__":
    unittest.main()
