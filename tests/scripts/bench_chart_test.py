#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Feeds bench/chart.py runs with known numbers, and looks at the picture as XML."""

import pathlib
import sys
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import chart  # noqa: E402

SVG = "{http://www.w3.org/2000/svg}"


def run(name, items):
    return {"run_name": name, "run_type": "iteration", "real_time": 10.0, "time_unit": "ns", "items_per_second": items}


def group(name, threads, items):
    return run(f"journal/journal/group_commit/{name}/real_time/threads:{threads}", items)


class ChartTest(unittest.TestCase):
    def picture(self, runs):
        return xml.etree.ElementTree.fromstring(chart.draw(runs))

    def test_nothing_of_it_was_measured(self):
        self.assertIsNone(chart.draw([]))
        self.assertIsNone(chart.draw([run("queue/ring/push_pop/belay", 1e8)]))

    def test_a_line_has_the_medians_in_the_order_of_threads(self):
        runs = [group("belay", threads, speed) for threads, speed in ((16, 1e4), (1, 1e2), (2, 1e3))]
        runs += [group("belay", 1, 1e9), group("belay", 1, 1.0)]
        lines = list(self.picture(runs).iter(SVG + "polyline"))
        self.assertEqual(len(lines), 1)
        points = [tuple(map(float, point.split(","))) for point in lines[0].get("points").split()]
        self.assertEqual([x for x, _ in points], sorted(x for x, _ in points))
        self.assertEqual(points[0][1] - points[1][1], points[1][1] - points[2][1])
        self.assertGreater(points[0][1], points[2][1])

    def test_both_charts_and_every_implementation(self):
        runs = [group(name, threads, 100.0 * threads) for name in ("belay", "a<b") for threads in (1, 2)]
        for mode in ("append_one_by_one", "append_by_hundreds", "append_buffered"):
            runs += [run(f"journal/journal/{mode}/{name}/real_time", 1e3) for name in ("raw", "belay")]
        picture = self.picture(runs)
        self.assertEqual(len(list(picture.iter(SVG + "g"))), 2)
        self.assertEqual(len(list(picture.iter(SVG + "polyline"))), 4)
        texts = [text.text for text in picture.iter(SVG + "text")]
        for wanted in ("a<b", "raw", "belay", "a flush for each", "1", "2"):
            self.assertIn(wanted, texts)

    def test_what_was_not_measured_for_one_is_left_out(self):
        runs = [group("belay", 1, 10.0), group("belay", 2, 20.0), group("sqlite", 2, 5.0)]
        circles = list(self.picture(runs).iter(SVG + "circle"))
        self.assertEqual(len(circles), 3)

    def test_names_do_not_lie_upon_each_other(self):
        runs = [group(name, threads, 100.0) for name in ("a", "b", "c") for threads in (1, 2)]
        places = [float(text.get("y")) for text in self.picture(runs).iter(SVG + "text") if text.text in "abc"]
        self.assertEqual(len(places), 3)
        self.assertGreaterEqual(min(b - a for a, b in zip(sorted(places), sorted(places)[1:])), 12)
        # Nor upon the names of the columns, below the chart.
        self.assertLessEqual(max(places), chart.HIGH - chart.BOTTOM + 4)


if __name__ == "__main__":
    unittest.main()
