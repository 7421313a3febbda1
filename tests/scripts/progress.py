#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Passes on what ninja or ctest prints, and adds an estimate of the time left to each line of progress.

    ninja ... | progress.py build BUILD [TARGET...]    BUILD is configured; exits with 3 if no space is left on a device
    progress.py test BUILD COMMAND...                  runs the COMMAND, which is ctest, and exits as it does

The estimate knows how long each step took at the last time: ninja's log has it for a build, BUILD/test_seconds for tests.
Where less than half of the steps are known, each counts the same, and there is no estimate before a fifth of them is done.
BUILD/test_counts has the numbers of tests that passed, failed and were skipped. After THREE tests that were ended by the
limit of wall time, ctest is stopped. On a terminal each line of a build replaces the one before it.
"""

import pathlib
import re
import signal
import subprocess
import sys
import time

STEP = re.compile(r"\[(\d+)/(\d+)(?:, [\d.]+s)?\] (.*)$")
START = re.compile(r"\s*Start +\d+: (\S+)")
# The time is on another line if a regular expression of several lines was not found.
TEST = re.compile(r"\s*\d+/\d+ Test +#\d+: (\S+)[ .]*(?:\*\*\*)?(\w+)(?:.* ([\d.]+) sec)?")
# run_limited prints it.
ENDED_BY_WALL_LIMIT = "ended by the limit of wall time"
THREE = 3
NO_SPACE = 3  # the exit code
# What ctest prints of each test if run_limited was not built: thirty places in which it has looked.
NOISE = re.compile(r"(?:Looked in the following places:|.*/run_limited)$")


def output_of(description):
    """The file that a step makes: the last word of ninja's description, if it is one."""
    return description.split()[-1] if description else ""


def text_of(file):
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def steps(build, targets):
    """What ninja will make, as it describes it."""
    # Ninja's dry run stops where CMake looks for new files, unless the file that it reads is none that CMake makes.
    listed = subprocess.run(["ninja", "-C", build, "-f", "/dev/stdin", "-n", *targets], input="include build.ninja\n",
                            capture_output=True, text=True, check=False)
    return [output_of(found[3]) for found in map(STEP.match, listed.stdout.splitlines()) if found]


def seconds_of_steps(build):
    """What ninja's log has of the last time: its columns are begin and end in milliseconds, time of change, output, hash."""
    lines = re.findall(r"^(\d+)\t(\d+)\t\d+\t(.+)\t\w+$", text_of(pathlib.Path(build, ".ninja_log")), re.MULTILINE)
    return {output: (int(end) - int(begin)) / 1000 for begin, end, output in lines}


def seconds_of_tests(build):
    lines = re.findall(r"^(\S+) ([\d.]+)$", text_of(pathlib.Path(build, "test_seconds")), re.MULTILINE)
    return {name: float(seconds) for name, seconds in lines}


def time_text(seconds):
    seconds = int(seconds + 0.5)
    return f"{seconds // 60} min {seconds % 60:02d} s" if seconds >= 60 else f"{seconds} s"


class Estimate:
    def __init__(self, names, known):
        times = [known[name] for name in names if name in known]
        self.known = known if 2 * len(times) > len(names) else {}
        self.other = sum(times) / len(times) if self.known else 1  # what an unknown step counts
        self.first = 0.02 if self.known else 0.2
        self.total = sum(map(self.cost, names))
        self.done, self.running, self.begin = 0.0, {}, time.monotonic()

    def cost(self, name):
        return self.known.get(name, self.other)

    def start(self, name):
        self.running[name] = time.monotonic()

    def end(self, name):
        self.running.pop(name, None)
        self.done += self.cost(name)

    def left(self):
        """The time left, once enough is done to estimate it."""
        now = time.monotonic()
        done = self.done
        if self.known:
            done += sum(min(now - begin, self.cost(name)) for name, begin in self.running.items())
        if now - self.begin < 5 or done < self.first * self.total or done > self.total:
            return ""
        return f", about {time_text((now - self.begin) * (self.total - done) / done)} left"


def build(folder, targets):
    estimate = Estimate(steps(folder, targets), seconds_of_steps(folder))
    terminal, replaces, no_space = sys.stdout.isatty(), False, False
    for line in sys.stdin:
        line = line.rstrip("\n")
        found = STEP.match(line)
        no_space = no_space or "No space left on device" in line
        if found:
            estimate.end(output_of(found[3]))
            line = f"[{found[1]}/{found[2]}{estimate.left()}] {found[3]}"
        if terminal and found:
            print("\r\033[K" + line[:110], end="", flush=True)
        else:
            print(("\n" if replaces else "") + line, flush=True)
        replaces = bool(terminal and found)
    if replaces:
        print()
    return NO_SPACE if no_space else 0


def test(folder, command):
    listed = subprocess.run([*command, "-N"], capture_output=True, text=True, check=False).stdout
    seconds, results, ended_by_wall_limit = seconds_of_tests(folder), {}, 0
    estimate = Estimate(re.findall(r"^ +Test +#\d+: (\S+)", listed, re.MULTILINE), dict(seconds))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, errors="replace") as ctest:
        for line in ctest.stdout:
            line = line.rstrip("\n")
            started, found = START.match(line), TEST.match(line)
            if started:
                estimate.start(started[1])
            if found:
                name, results[name] = found[1], found[2]
                seconds[name] = float(found[3] or 0)
                estimate.end(name)
                line += estimate.left()
            if not NOISE.match(line):
                print(line, flush=True)
            ended_by_wall_limit += line.startswith(ENDED_BY_WALL_LIMIT)
            if ended_by_wall_limit == THREE:
                ctest.terminate()
                print(f"\nstopped: {THREE} tests were ended by the limit of wall time, the others are not run", flush=True)
                break
    passed, skipped = (list(results.values()).count(result) for result in ("Passed", "Skipped"))
    texts = {"test_counts": f"{passed} {len(results) - passed - skipped} {skipped}\n",
             "test_seconds": "".join(f"{name} {took}\n" for name, took in sorted(seconds.items()))}
    for name, text in texts.items():
        pathlib.Path(folder, name).write_text(text, encoding="utf-8")
    return ctest.returncode


if __name__ == "__main__":
    # Ctrl-C ends ninja or ctest, and this reads their output to its end. Programs that are started here end by it.
    signal.signal(signal.SIGINT, lambda *_: None)
    sys.exit(build(sys.argv[2], sys.argv[3:]) if sys.argv[1] == "build" else test(sys.argv[2], sys.argv[3:]))
