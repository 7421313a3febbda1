#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants one violation of each rule of readme_excerpts.py in a small tree, and sees it found."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import readme_excerpts  # noqa: E402

EXAMPLE = """int main() {
    int unseen = 0;
    // excerpt: begin
    for (int i = 0; i < 2; ++i) {
        std::puts("hello");
    }
    // excerpt: end
}
"""
README = """# belay

<!-- excerpt: examples/one.cpp -->
```cpp
for (int i = 0; i < 2; ++i) {
    std::puts("hello");
}
```
```text
hello
```
[The whole program](examples/one.cpp)
"""


class ReadmeExcerptsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        (self.root / "examples").mkdir()
        self.write("examples/CMakeLists.txt", "set(small_examples one\n    two)\n")
        self.write("examples/one.cpp", EXAMPLE)
        self.write("README.md", README)

    def write(self, path, text):
        (self.root / path).write_text(text, encoding="utf-8")

    def complaints(self):
        return list(readme_excerpts.Readme(self.root).complaints())

    def expect(self, line, text):
        found = self.complaints()
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"README.md:{line}: "), found)
        self.assertIn(text, found[0])

    def test_a_right_tree_has_no_complaint(self):
        self.assertEqual(self.complaints(), [])

    def test_code_that_differs(self):
        self.write("README.md", README.replace("hello\");", "goodbye\");"))
        self.expect(3, "is not that of the example")

    def test_code_that_is_missing(self):
        self.write("README.md", README.replace("```cpp", "```"))
        self.expect(3, "is not that of the example")

    def test_write_cuts_the_excerpt_anew(self):
        for wrong in (README.replace("hello\");", "goodbye\");"),
                      README.replace(README[README.index("```cpp"):README.index("```text")], "")):
            self.write("README.md", wrong)
            readme_excerpts.Readme(self.root).write()
            self.assertEqual((self.root / "README.md").read_text(encoding="utf-8"), README)

    def test_an_example_that_does_not_exist(self):
        self.write("README.md", README.replace("one.cpp -->", "two.cpp -->"))
        self.expect(3, "there is no such example")

    def test_an_example_that_no_test_runs(self):
        self.write("examples/CMakeLists.txt", "set(small_examples two)\n")
        self.expect(3, "no test runs it")

    def test_an_example_without_an_excerpt(self):
        for wrong in (EXAMPLE.replace("// excerpt: end", ""), EXAMPLE + EXAMPLE):
            self.write("examples/one.cpp", wrong)
            self.expect(3, "no single excerpt")

    def test_an_excerpt_that_is_too_long(self):
        self.write("examples/one.cpp", EXAMPLE.replace("    // excerpt: end", "    ;\n" * 18 + "    // excerpt: end"))
        self.expect(3, "21 lines")

    def test_an_output_that_is_missing_or_too_long(self):
        self.write("README.md", README.replace("```text\nhello\n```\n", ""))
        self.expect(3, "no output")
        self.write("README.md", README.replace("```text\n", "```text\n" + "hello\n" * 4))
        self.expect(3, "5 lines")

    def test_a_link_that_is_missing(self):
        self.write("README.md", README.replace("](examples/one.cpp)", "](examples/two.cpp)"))
        self.expect(3, "no link")

    def test_a_readme_that_is_too_long(self):
        self.write("README.md", README + "\n" * 130)
        self.expect(131, "the limit is 130")
        self.write("README.md", README + "word " * 900)
        self.expect(1, "the limit is 900")

    def run_example(self, program, example="examples/one.cpp"):
        script = pathlib.Path(readme_excerpts.__file__)
        command = [sys.executable, script, "--root", self.root, "--run", example, "--", sys.executable, "-c", program]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_the_output_is_compared_with_what_the_example_prints(self):
        self.write("README.md", README.replace("hello\n```", "hello\ndone\n```"))
        self.assertEqual(self.run_example("print('x'); print('hello'); print('y'); print('done')").returncode, 0)
        for program in ("print('done'); print('hello')", "print('hello'); print('not done')", ""):
            finished = self.run_example(program)
            self.assertEqual(finished.returncode, 1)
            self.assertIn("it did not print", finished.stdout)

    def test_an_example_must_end_with_0(self):
        finished = self.run_example("print('hello'); raise SystemExit(3)")
        self.assertEqual(finished.returncode, 1)
        self.assertIn("it ended with 3", finished.stdout)

    def test_an_example_that_readme_does_not_show_is_only_run(self):
        self.assertEqual(self.run_example("print('anything')", "examples/two.cpp").returncode, 0)


if __name__ == "__main__":
    unittest.main()
