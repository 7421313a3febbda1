#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what the durable benchmarks measured: throughput against threads, and against durability.

    chart.py RUNS.json CHART.svg     RUNS.json: written by report.py --json

Medians of all runs, on a logarithmic scale: what differs by ten thousand times must fit. No library is needed.
"""

import json
import math
import re
import sys
from xml.sax.saxutils import escape

import report

WIDE, HIGH, LEFT, RIGHT, TOP, BOTTOM = 430, 330, 56, 92, 66, 52
LABEL_STEP = 13
COLOURS = {"belay": "#cf222e", "raw": "#59636e", "sqlite": "#0969da", "leveldb": "#1a7f37", "rocksdb": "#8250df",
           "lmdb": "#bc4c00"}
STYLE = """<style>svg { font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 11px; }
.paper { fill: #ffffff; } .ink { fill: #1f2328; } .soft { fill: #59636e; }
.grid { stroke: #d1d9e0; } .line { fill: none; stroke-width: 1.6; } .head { font-weight: 600; font-size: 13px; }
@media (prefers-color-scheme: dark) { .paper { fill: #0d1117; } .ink { fill: #e6edf3; }
.soft { fill: #9198a1; } .grid { stroke: #2a313c; } }</style>"""
# What a column of the second chart is, from the least durable on.
MODES = [("append_buffered", "flushed some time"), ("append_by_hundreds", "a flush for 100"),
         ("append_one_by_one", "a flush for each")]


def by_threads(results):
    """(columns, {implementation: {column: operations per second}})"""
    series, columns = {}, set()
    for (operation, arguments), by_name in results.items():
        threads = re.fullmatch(r"/threads:(\d+)", arguments)
        if operation != "journal/journal/group_commit" or not threads:
            continue
        columns.add(int(threads[1]))
        for name, result in by_name.items():
            series.setdefault(name, {})[int(threads[1])] = result.speed
    return [(n, str(n)) for n in sorted(columns)], series


def by_mode(results):
    series, columns = {}, []
    for operation, label in MODES:
        by_name = results.get((f"journal/journal/{operation}", ""), {})
        if by_name:
            columns.append((operation, label))
        for name, result in by_name.items():
            series.setdefault(name, {})[operation] = result.speed
    return columns, series


def chart(title, x_label, columns, series):
    """One chart as lines of SVG, from (0, 0) to (WIDE, HIGH)."""
    speeds = [speed for points in series.values() for speed in points.values()]
    least = math.floor(math.log10(min(speeds)))
    most = max(math.ceil(math.log10(max(speeds))), least + 1)

    def x(i):
        return LEFT + (WIDE - LEFT - RIGHT) * (i / (len(columns) - 1) if len(columns) > 1 else 0.5)

    def y(speed):
        return HIGH - BOTTOM - (HIGH - TOP - BOTTOM) * (math.log10(speed) - least) / (most - least)

    lines = [f'<text class="ink head" x="{LEFT}" y="22">{escape(title)}</text>',
             f'<text class="soft" x="{LEFT}" y="40">operations of 256 bytes per second</text>',
             f'<text class="soft" x="{(LEFT + WIDE - RIGHT) / 2:.1f}" y="{HIGH - 12}" text-anchor="middle">'
             f'{escape(x_label)}</text>']
    for power in range(least, most + 1):
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y(10.0**power):.1f}" '
                     f'y2="{y(10.0**power):.1f}"/>')
        lines.append(f'<text class="soft" x="{LEFT - 6}" y="{y(10.0**power) + 4:.1f}" text-anchor="end">'
                     f'{report.human(10.0**power)}</text>')
    for i, (_, label) in enumerate(columns):
        lines.append(f'<text class="soft" x="{x(i):.1f}" y="{HIGH - BOTTOM + 18}" text-anchor="middle">'
                     f'{escape(label)}</text>')
    labels = []
    for name, points in series.items():
        colour = COLOURS.get(name, "#9a6700")
        drawn = [(x(i), y(points[key])) for i, (key, _) in enumerate(columns) if key in points]
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in drawn)
        lines.append(f'<polyline class="line" stroke="{colour}" points="{path}"/>')
        lines += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.6" fill="{colour}"/>' for px, py in drawn]
        labels.append((drawn[-1][1], name, colour))
    labels.sort()
    # Names that would lie upon each other move down, but not into the names of the columns.
    places, next_place = [], 0.0
    for at, _, _ in labels:
        places.append(max(at + 4, next_place))
        next_place = places[-1] + LABEL_STEP
    limit = HIGH - BOTTOM + 4
    for i in reversed(range(len(places))):
        places[i] = min(places[i], limit)
        limit = places[i] - LABEL_STEP
    for place, (_, name, colour) in zip(places, labels):
        lines.append(f'<text x="{WIDE - RIGHT + 8}" y="{place:.1f}" fill="{colour}">{escape(name)}</text>')
    return lines


def draw(runs):
    """The picture as text; None if nothing of it was measured."""
    results = report.medians(runs)
    wanted = [("One flush for all that wait", "threads that append and wait", *by_threads(results)),
              ("What durability costs", "one thread", *by_mode(results))]
    charts = [chart(*one) for one in wanted if one[2] and one[3]]
    if not charts:
        return None
    width = WIDE * len(charts)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HIGH}" viewBox="0 0 {width} {HIGH}">',
             STYLE, f'<rect class="paper" width="{width}" height="{HIGH}"/>']
    for i, drawn in enumerate(charts):
        lines += [f'<g transform="translate({i * WIDE} 0)">', *drawn, "</g>"]
    return "\n".join([*lines, "</svg>", ""])


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        picture = draw(json.load(file))
    if picture is None:
        print(f"{sys.argv[1]} has no runs of journal/journal/group_commit or append_...", file=sys.stderr)
        return 1
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
