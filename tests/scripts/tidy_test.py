#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants what tidy.py must find in a copy of a small tree, in headers and in examples, and sees it reported."""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("tidy.py")
CONFIGURATION = pathlib.Path(__file__).resolve().parents[2] / ".clang-tidy"
TIDY = "clang-tidy-16"

SIZE = "readability-function-size"
SWAP = "bugprone-easily-swappable-parameters"


def function(lines, name="long_one"):
    """A template, never instantiated, whose body spans `lines` lines, braces included."""
    return f"template <class T>\nvoid {name}(T step) {{\n" + "    step();\n" * (lines - 2) + "}\n"


def swappable(name="area"):
    return f"template <class T>\nint {name}(T shape, int width, int height) {{\n    shape.begin(width);\n    return shape.end(height);\n}}\n"


CLEAN = {
    "include/belay/a.hpp": "#pragma once\n" + function(70, "of_a_header"),
    "include/belay/b/b.hpp": "#pragma once\ninline int of(int width, long height) { return width; }\n",
    "examples/e.cpp": '#include <belay/a.hpp>\n#include "e.hpp"\nint main() {}\n',
    "examples/e.hpp": "#pragma once\n" + function(70, "of_an_example"),
}


def run(changes):
    """The exit code of tidy.py on the clean tree with `changes`, what it found, by file and check, and its output."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        shutil.copy(CONFIGURATION, root)
        for name, text in (CLEAN | changes).items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        command = [sys.executable, str(SCRIPT), "--root", folder, "--tidy", TIDY]
        tidied = subprocess.run(command, capture_output=True, text=True)
        output = tidied.stdout + tidied.stderr
        found = re.findall(rf"^(?:{re.escape(folder)}/)?(\S+?):\d+:\d+: (?:warning|error): .*?(?:\[([\w.,-]+)\])?$",
                           output, re.M)
        return tidied.returncode, found, output


class TidyTest(unittest.TestCase):
    def finds(self, changes, *wanted):
        code, found, output = run(changes)
        self.assertEqual(sorted(found), sorted(wanted), output)
        self.assertEqual(code, 1, output)
        self.assertTrue(output.endswith(f", {len(wanted)} findings\n"), output)

    def test_clean_tree_is_clean(self):
        code, found, output = run({})
        self.assertEqual((code, found), (0, []), output)
        self.assertTrue(output.endswith("2 headers, 1 programs of the examples, 0 findings\n"), output)

    def test_planted(self):
        # All at once: each start costs time.
        changes = {
            "include/belay/a.hpp": "#pragma once\n" + function(71) + swappable(),
            "include/belay/b/b.hpp": "#pragma once\n" + swappable("of_b"),
            "examples/e.cpp": CLEAN["examples/e.cpp"] + function(71, "of_e") + swappable("of_f"),
            "examples/e.hpp": "#pragma once\n" + function(71, "of_g") + swappable("of_h"),
            # Two that are judged together, with what is beside them.
            "examples/bugs/i.cpp": '#include "i.hpp"\n' + function(71, "of_i") + swappable("of_j"),
            "examples/bugs/i.hpp": "#pragma once\n" + swappable("of_k"),
            "examples/bugs/l.cpp": swappable("of_l"),
            "examples/bugs/main.cpp": swappable("of_l") + "int main() {}\n",
        }
        self.finds(changes, ("include/belay/a.hpp", SIZE), ("include/belay/a.hpp", SWAP),
                   ("include/belay/b/b.hpp", SWAP), ("examples/e.cpp", SIZE), ("examples/e.cpp", SWAP),
                   ("examples/e.hpp", SIZE), ("examples/e.hpp", SWAP), ("examples/bugs/i.cpp", SIZE),
                   ("examples/bugs/i.cpp", SWAP), ("examples/bugs/i.hpp", SWAP), ("examples/bugs/l.cpp", SWAP),
                   ("examples/bugs/main.cpp", SWAP))

    def test_a_header_is_reported_once(self):
        both = {"examples/e.hpp": "#pragma once\n" + swappable(), "examples/f.cpp": CLEAN["examples/e.cpp"]}
        self.finds(both, ("examples/e.hpp", SWAP))

    def test_an_exception_names_its_check_and_its_reason(self):
        line = f"// NOLINTNEXTLINE({SWAP})"
        bare = {"include/belay/a.hpp": "#pragma once\n" + swappable().replace("int area", f"{line}\nint area")}
        self.finds(bare, ("include/belay/a.hpp", ""))
        reason = {name: text.replace(line, f"{line}: as a map has them") for name, text in bare.items()}
        code, found, output = run(reason)
        self.assertEqual((code, found), (0, []), output)

    def test_what_does_not_compile_is_found(self):
        self.finds({"include/belay/b/b.hpp": "#pragma once\nmissing f();\n"},
                   ("include/belay/b/b.hpp", "clang-diagnostic-error"))

    def test_no_clang_tidy_is_no_success(self):
        arguments = [sys.executable, str(SCRIPT), "--tidy", "no-such-clang-tidy"]
        self.assertNotEqual(subprocess.run(arguments, capture_output=True).returncode, 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--tidy", default=TIDY)
    TIDY = parser.parse_known_args()[0].tidy
    if shutil.which(TIDY) is None:
        print(f"SKIP: no {TIDY} here")
        sys.exit(0)
    unittest.main(argv=sys.argv[:1])
