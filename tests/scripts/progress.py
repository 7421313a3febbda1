#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Passes on what ninja or ctest prints, and adds an estimate of the time left to each line of progress.

    ninja ... | progress.py build BUILD [TARGET...]    BUILD is configured
    ctest ... | progress.py test

A step of a build counts as much as it takes on average: a translation unit of many test files takes ten times as long
as a small program. On a terminal each line of a build replaces the one before it.
"""

import pathlib
import re
import subprocess
import sys
import time

# (what the description of a step contains, how much it counts), the first that matches.
WEIGHTS = [
    (r"beast\.dir/Unity", 36), (r"tests_adapter\.dir/Unity|tests_call|tests_room\.", 20),
    (r"whiteboard|room_server|collaboration-server|Serving-WebSockets|websocket_client|no_exceptions|page_joined", 10),
    (r"tests_(?:core|backoff|breaker|budget|policy|http)\.dir/Unity|golden", 5), (r"Unity", 14),
    (r"Building .*(?:/page_|example)", 2), (r"Building", 2), (r"", 0.2),
]
WEIGHTS = [(re.compile(form), weight) for form, weight in WEIGHTS]
STEP = re.compile(r"\[(\d+)/(\d+)(?:, [\d.]+s)?\] (.*)$")
TEST = re.compile(r"\s*(\d+)/(\d+) Test +#\d+: ")
# What ctest prints of an executable that was not built: thirty places in which it has looked.
NOISE = re.compile(r"(?:Looked in the following places:|[^ ]+/(?:tests|no_exceptions)_[a-z0-9_]+)$")


def weight(description):
    return next(w for form, w in WEIGHTS if form.search(description))


def steps(build, targets):
    """What ninja has to make, as it describes it. Ninja's dry run stops where CMake looks for new files."""
    listed = subprocess.run(["ninja", "-C", build, "-t", "commands", *(targets or ["all"])], capture_output=True,
                            text=True, check=False)
    made = re.findall(r" -o (\S+)(.*)", listed.stdout)
    return [("Building " if " -c " in rest else "Linking ") + output for output, rest in made
            if not (pathlib.Path(build) / output).exists()]


def time_text(seconds):
    seconds = int(seconds + 0.5)
    return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


class Estimate:
    def __init__(self, total):
        self.total, self.done, self.begin = total, 0.0, time.monotonic()

    def left(self, more):
        """The time left, once enough is done to estimate it."""
        self.done += more
        elapsed = time.monotonic() - self.begin
        if elapsed < 5 or self.done < 0.02 * self.total or self.done > self.total:
            return "..."
        return "about " + time_text(elapsed * max(self.total - self.done, 0) / self.done)


def build(folder, targets):
    estimate = Estimate(sum(map(weight, steps(folder, targets))) or 1)
    terminal, replaces = sys.stdout.isatty(), False
    for line in sys.stdin:
        line = line.rstrip("\n")
        found = STEP.match(line)
        if found:
            line = f"[{found[1]}/{found[2]}, {estimate.left(weight(found[3]))} left] {found[3]}"
        if terminal and found:
            print("\r\033[K" + line[:110], end="", flush=True)
        else:
            print(("\n" if replaces else "") + line, flush=True)
        replaces = bool(terminal and found)
    if replaces:
        print()


def test():
    estimate = None
    for line in sys.stdin:
        line = line.rstrip("\n")
        found = TEST.match(line)
        if found:
            estimate = estimate or Estimate(int(found[2]))
            line += f", {estimate.left(1)} left"
        if not NOISE.match(line):
            print(line, flush=True)


if __name__ == "__main__":
    build(sys.argv[2], sys.argv[3:]) if sys.argv[1] == "build" else test()
