#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the excerpts in README are cut from the examples, and that the examples print the output shown there.

    readme_excerpts.py [--root DIR]                      prints "path:line: what: what to do"; exits with 1 if it
                                                         printed any
    readme_excerpts.py --write                           cuts the excerpts anew
    readme_excerpts.py --run examples/x.cpp -- COMMAND   runs the built example; fails if it does, or if its output
                                                         lacks a line that README shows

An excerpt in README is the line "<!-- excerpt: examples/x.cpp -->", a cpp block, a text block with lines of the output
in their order, and a link to the example. In the example it is between "// excerpt: begin" and "// excerpt: end".
"""

import argparse
import pathlib
import re
import subprocess
import sys
import textwrap

CODE_LINES_MAX = 20
OUTPUT_LINES_MAX = 4
README_LINES_MAX = 130
README_WORDS_MAX = 900

MARKER = re.compile(r"<!-- excerpt: (\S+) -->$")
BEGIN, END = "// excerpt: begin", "// excerpt: end"
EXAMPLE = re.compile(r"examples/(\w+)\.cpp$")
SMALL_EXAMPLES = re.compile(r"set\(small_examples\s+([^)]*)\)")


class Wrong(Exception):
    """What is wrong, and what to do."""


def parts_of(path):
    """The lines between each pair of marks, without their common indentation."""
    if not path.is_file():
        raise Wrong("there is no such example: correct the path")
    lines = path.read_text(encoding="utf-8").splitlines()
    begins = [i for i, line in enumerate(lines) if line.strip() == BEGIN]
    ends = [i for i, line in enumerate(lines) if line.strip() == END]
    marks = [i for pair in zip(begins, ends) for i in pair]
    if not begins or len(begins) != len(ends) or marks != sorted(marks):
        raise Wrong(f'the example has no single excerpt: write "{BEGIN}" before it and "{END}" after it')
    return [textwrap.dedent("\n".join(lines[b + 1:e])).splitlines() for b, e in zip(begins, ends)]


def excerpt_of(path):
    """The lines between the only marks."""
    parts = parts_of(path)
    if len(parts) != 1:
        raise Wrong(f'the example has no single excerpt: write "{BEGIN}" before it and "{END}" after it')
    return parts[0]


def block(lines, begin, language):
    """The lines of the fenced block that begins at this line, and the line after it; none if there is no such block."""
    if begin < len(lines) and lines[begin] == f"```{language}" and "```" in lines[begin + 1:]:
        end = lines.index("```", begin + 1)
        return lines[begin + 1:end], end + 1
    return None, begin


class Readme:
    def __init__(self, root):
        self.root = root
        self.path = root / "README.md"
        self.lines = self.path.read_text(encoding="utf-8").splitlines()
        run = SMALL_EXAMPLES.search((root / "examples" / "CMakeLists.txt").read_text(encoding="utf-8"))
        self.run_by_tests = run[1].split() if run else []

    def excerpts(self):
        """The line of each marker, and its example."""
        found = ((i, MARKER.match(line)) for i, line in enumerate(self.lines))
        return [(i, match[1]) for i, match in found if match]

    def outputs(self, example):
        """What README shows of the output of an example, in each excerpt of it."""
        for marker, name in self.excerpts():
            if name == example:
                _, after = block(self.lines, marker + 1, "cpp")
                yield block(self.lines, after, "text")[0] or []

    def complaints(self):
        if len(self.lines) > README_LINES_MAX:
            yield (f"README.md:{README_LINES_MAX + 1}: README has {len(self.lines)} lines: "
                   f"move something into docs/, the limit is {README_LINES_MAX}")
        words = sum(len(line.split()) for line in self.lines)
        if words > README_WORDS_MAX:
            yield (f"README.md:1: README has {words} words: move something into docs/, the limit is "
                   f"{README_WORDS_MAX}")
        for marker, example in self.excerpts():
            try:
                self.check(marker, example)
            except Wrong as wrong:
                yield f"README.md:{marker + 1}: {example}: {wrong}"

    def check(self, marker, example):
        name = EXAMPLE.match(example)
        if not name or name[1] not in self.run_by_tests:
            raise Wrong("no test runs it: add it to small_examples in examples/CMakeLists.txt")
        excerpt = excerpt_of(self.root / example)
        if len(excerpt) > CODE_LINES_MAX:
            raise Wrong(f"the excerpt has {len(excerpt)} lines: shorten it, the limit is {CODE_LINES_MAX}")
        code, after = block(self.lines, marker + 1, "cpp")
        if code != excerpt:
            raise Wrong("the code in README is not that of the example: run tests/scripts/readme_excerpts.py --write")
        output, after = block(self.lines, after, "text")
        if not output:
            raise Wrong("no output follows the code: add a text block with lines that the example prints")
        if len(output) > OUTPUT_LINES_MAX:
            raise Wrong(f"the output has {len(output)} lines: shorten it, the limit is {OUTPUT_LINES_MAX}")
        after_output = "\n".join(self.lines[after:after + 3])
        if f"]({example})" not in after_output:
            raise Wrong(f"no link to the whole example follows the output: write [...]({example})")

    def write(self):
        for marker, example in reversed(self.excerpts()):
            _, after = block(self.lines, marker + 1, "cpp")
            self.lines[marker + 1:after] = ["```cpp", *excerpt_of(self.root / example), "```"]
        self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")


def missing_line(shown, printed):
    """The first of these lines that was not printed after the one before it; none if all were."""
    rest = iter(printed)
    return next((line for line in shown if line not in rest), None)


def run(readme, example, command):
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    sys.stdout.write(finished.stdout)
    if finished.returncode:
        print(f"{example}: it ended with {finished.returncode}: it must end with 0")
        return 1
    for shown in readme.outputs(example):
        line = missing_line(shown, finished.stdout.splitlines())
        if line is not None:
            print(f'README.md: {example}: it did not print "{line}" there: correct the output in README')
            return 1
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--write", action="store_true", help="cut the excerpts in README anew")
    parser.add_argument("--run", metavar="EXAMPLE", help="the example that COMMAND runs")
    parser.add_argument("command", nargs="*", metavar="COMMAND")
    options = parser.parse_args()
    readme = Readme(options.root)
    if options.run:
        return run(readme, options.run, options.command)
    if options.write:
        readme.write()
    complaints = list(readme.complaints())
    print(*complaints, sep="\n" if complaints else "", end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
