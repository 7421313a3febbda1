#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants blocks that do not compile in a small tree, and sees each found at its page and line."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import page_blocks  # noqa: E402

COMPILERS = [path for path in map(shutil.which, ("g++", "clang++")) if path]
PROGRAM = """```cpp
#include <cstdio>

int twice(int n) { return 2 * n; }
int main() { std::printf("%d\\n", twice(3)); }
```
"""


def fragment(code, frame=""):
    return (f"<!-- frame: {frame} -->\n" if frame else "\n") + f"```cpp\n{code}\n```\n"


class PageBlocksTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        self.write("include/belay/belay.hpp", "#pragma once\n#include <coroutine>\n#include <chrono>\n"
                   "namespace belay { template <class T> struct Traits {};\n"
                   "template <class T> void use(T t) { t.go(); } }\n")
        self.write("tests/pages/frames/usual.hpp", "#pragma once\nnamespace frames { extern int loop;\n"
                   "struct Coroutine { struct promise_type { Coroutine get_return_object() { return {}; }\n"
                   "std::suspend_never initial_suspend() { return {}; }\n"
                   "std::suspend_never final_suspend() noexcept { return {}; }\n"
                   "void return_void() {} void unhandled_exception() {} }; }; }\n")
        self.write("tests/pages/frames/queue.hpp",
                   '#pragma once\n#include "usual.hpp"\nnamespace frames::queue { struct Task { int n; }; }\n')

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def complaints(self, text, compiler=COMPILERS[0], page="docs/a.md"):
        self.write(page, text)
        command = [compiler, "-std=c++20", f"-I{self.root / 'include'}", f"-I{self.root / 'tests/pages/frames'}"]
        return list(page_blocks.judge(self.root, command, page_blocks.blocks_of(self.root, page)))

    def right(self, page, compilers=COMPILERS[:1]):
        for compiler in compilers:
            self.assertEqual(self.complaints(page, compiler), [])

    def wrong(self, page, line, text, compilers=COMPILERS[:1]):
        for compiler in compilers:
            found = self.complaints(page, compiler)
            self.assertEqual(len(found), 1, found)
            self.assertTrue(found[0].startswith(f"docs/a.md:{line}: "), found)
            self.assertRegex(found[0], text)

    def test_fragments_that_compile(self):
        self.right(fragment("int a = 1;\nstd::chrono::seconds wait = 2s;"))
        self.right(fragment("struct A {\n    template <class T> void f(T) {}  // }\n};\n"
                            "int twice(int n) {\n    return n;\n}\nA a;\na.f(twice(1));\n"
                            "if (loop > 0) return 1;", "usual"))
        self.right(fragment("Task a{loop};", "queue") + fragment("Task a{1};", "queue"))
        self.right(fragment("template <>\nstruct belay::Traits<int> {\n    int n;\n};\nbelay::Traits<int> t{1};"),
                   COMPILERS)
        self.right(fragment("co_await std::suspend_never{};", "usual"), COMPILERS)
        self.right("```sh\nls\n```\n" + PROGRAM.replace("int twice", "nonsense"))

    def test_a_diff_is_of_a_program(self):
        self.write("docs/a.md", PROGRAM)
        diff = "```diff\n-int twice(int n) { return 2 * n; }\n+int twice(int n);\n\n-#include <cstdio>\n```\n"
        for text, right in ((diff, True), (diff.replace("-#include <cstdio>", "-#include <cstdi>"), False),
                            (diff.replace("-int twice", "-int thrice"), False)):
            self.write("docs/b.md", "# B\n" + text)
            blocks = page_blocks.blocks_of(self.root, "docs/a.md") + page_blocks.blocks_of(self.root, "docs/b.md")
            if right:
                page_blocks.check_diffs(self.root, blocks)
                continue
            with self.assertRaisesRegex(SystemExit, "docs/b.md:2: no program of a page has these lines once"):
                page_blocks.check_diffs(self.root, blocks)

    def test_a_fragment_that_does_not_compile(self):
        self.wrong("# A\n" + fragment("int a = 1;\nint b = c;"), 5, "c\\W.*: correct the block, or state")

    def test_each_fragment_is_complained_of_once_and_alone(self):
        self.write("docs/a.md", "")
        found = self.complaints(fragment("int a = b + c;") + fragment("int a = 1;") + fragment("int a = d;"))
        self.assertEqual([text.split(" ")[0] for text in found], ["docs/a.md:3:", "docs/a.md:11:"])

    def test_an_error_in_a_header_belongs_to_the_line_that_needs_it(self):
        self.wrong(fragment("struct A {};\nbelay::use(A{});"), 4, "go", COMPILERS)

    def test_what_is_not_stated_is_not_in_scope(self):
        self.wrong(fragment("Task a{1};", "queue") + fragment("Task a{1};"), 7, "Task")
        self.wrong(fragment("int a = 1;") + fragment("int b = a;"), 7, "not declared|undeclared")

    def test_an_ignored_result_is_an_error(self):
        self.wrong(fragment("struct A {\n    [[nodiscard]] int f() { return 1; }\n};\nA{}.f();"), 6, "nodiscard")

    def test_a_program_that_ignores_how_many_arguments_it_has(self):
        self.wrong(PROGRAM.replace("int main()", "int main(int, char** words)"), 2, "arguments that may be missing")

    def test_a_frame_that_does_not_exist(self):
        self.wrong(fragment("int a = 1;", "queues"), 1, "no such frame")

    def test_continues(self):
        self.right(fragment("int a = loop;", "usual") + fragment("int b = a;", "continues") +
                   fragment("int b = a + loop;", "continues"))
        self.right(PROGRAM + "\n" + fragment("int b = twice(2);", "continues"))
        self.wrong(fragment("int a = 1;", "continues"), 1, "no block is before it")
        self.wrong(PROGRAM + "\n" + fragment("int b = thrice(2);", "continues"), 10, "thrice")

    def test_a_fragment_whose_library_is_not_installed_is_left_out(self):
        self.write("include/belay/curl/it.hpp", "#include <not/installed.h>\n")
        self.right(fragment("#include <belay/curl/it.hpp>\nnonsense"))

    def test_a_frame_that_does_not_compile(self):
        self.write("tests/pages/frames/queue.hpp", "nonsense;\n")
        found = self.complaints(fragment("int a = b;", "queue"))
        self.assertEqual(len(found), 2, found)
        self.assertTrue(found[0].startswith("docs/a.md:3: "), found)
        self.assertRegex(found[1], "tests/pages/frames/queue.hpp:1:.*: correct the frame")

    def test_an_excerpt_is_left_to_its_example_in_readme(self):
        excerpt = "<!-- excerpt: examples/one.cpp -->\n```cpp\nnonsense;\n```\n"
        self.assertEqual(self.complaints(excerpt, page="README.md"), [])
        self.assertEqual(len(self.complaints(fragment("nonsense;"), page="README.md")), 1)

    def test_an_excerpt_of_a_whole_program(self):
        self.write("docs/programs/a.cpp", "#include <cstdio>\n// excerpt: begin\nint f() { return 3; }\n// excerpt: end\n"
                   "int main() {\n    // excerpt: begin\n    std::printf(\"%d\\n\", f());\n    // excerpt: end\n}\n")
        code = 'int f() { return 3; }\n\nstd::printf("%d\\n", f());\n'
        page = (f"<!-- excerpt: docs/programs/a.cpp -->\n```cpp\n{code}```\n```text\n3\n```\n"
                "[The whole program](programs/a.cpp)\n")
        self.right(page)
        self.wrong(page.replace("](p", "](../p"), 1, "no link")
        self.wrong(page.replace("a.cpp -->", "b.cpp -->").replace("a.cpp)", "b.cpp)"), 1, "no such example")
        self.wrong(page.replace("return 3", "return 4"), 1, "run tests/scripts/page_blocks.py --write")
        run = [sys.executable, page_blocks.__file__, "--root", self.root]
        subprocess.run([*run, "--write"], check=True)
        self.assertEqual((self.root / "docs/a.md").read_text(encoding="utf-8"), page)
        subprocess.run([*run, "--programs", self.root / "out"], capture_output=True, check=True)
        self.assertEqual((self.root / "out/a.expected").read_text(encoding="utf-8"), "3\n")
        subprocess.run([*run, "--joined", self.root / "joined.cpp", "a"], check=True)
        self.assertIn('#line 1 "docs/programs/a.cpp"', (self.root / "joined.cpp").read_text(encoding="utf-8"))

    def test_a_block_of_another_word_for_cpp(self):
        for fence in ("```c++", "  ```cpp", "```hpp", "```"):
            with self.assertRaisesRegex(SystemExit, "docs/a.md:2: .*write ```cpp"):
                self.complaints(f"# A\n{fence}\nint a;\n```\n")

    def test_programs_are_cut_out_with_their_output(self):
        for between in ("", "\n"):
            self.write("docs/a.md", PROGRAM + between + "```text\n6\n```\n\n## One more\n" + fragment("int a;") +
                       PROGRAM + "Text.\n```text\nnot its\n```\n")
            run = subprocess.run([sys.executable, page_blocks.__file__, "--root", self.root, "--programs",
                                  self.root / "out"], capture_output=True, text=True, check=True)
            self.assertEqual(run.stdout, "a docs/a.md\na-One-more docs/a.md\n")
            self.assertEqual((self.root / "out/a.expected").read_text(encoding="utf-8"), "6\n")
            self.assertEqual((self.root / "out/a-One-more.expected").read_text(encoding="utf-8"), "")
            program = "\n".join(PROGRAM.splitlines()[1:-1]) + "\n"
            self.assertEqual((self.root / "out/a.cpp").read_text(encoding="utf-8"), program)

    def test_joined_programs(self):
        other = PROGRAM.replace("2 * n", "n").replace("<cstdio>", "<stdio.h>").replace("int main() { ", "int main() {\n")
        failing = "```cpp\nint main() {\n    return 3;\n}\n```\n"
        with_words = "```cpp\n#include <cstdio>\nint main(int count, char** words) {\n    std::puts(words[count - 1]);\n}\n```\n"
        self.write("docs/a.md", PROGRAM + "## One more\n" + other + "## Two\n" + failing + "## Words\n" + with_words)
        program = self.root / "joined.cpp"
        for compiler in COMPILERS:
            subprocess.run([sys.executable, page_blocks.__file__, "--root", self.root, "--joined", program, "a",
                            "a-One-more", "a-Two", "a-Words"], check=True)
            subprocess.run([compiler, "-std=c++20", "-Wall", "-Wextra", "-Werror", program, "-o", self.root / "joined"],
                           check=True)
            for words, status, output in ((["a"], 0, "6\n"), (["a-One-more"], 0, "3\n"), (["a-Two"], 3, ""),
                                          (["a-Words"], 0, "a-Words\n"), (["a-Words", "x"], 0, "x\n"),
                                          (["b"], 2, ""), ([], 2, "")):
                run = subprocess.run([self.root / "joined", *words], capture_output=True, text=True, check=False)
                self.assertEqual((run.returncode, run.stdout), (status, output))

    def test_an_error_of_joined_programs_names_the_page(self):
        self.write("docs/a.md", PROGRAM.replace("twice(3)", "thrice(3)"))
        text = page_blocks.joined(page_blocks.programs(page_blocks.blocks_of(self.root, "docs/a.md")))
        run = subprocess.run([COMPILERS[0], "-std=c++20", "-fsyntax-only", "-x", "c++", "-"], input=text,
                             capture_output=True, text=True, check=False)
        self.assertRegex(run.stderr, r"docs/a\.md:5:.*thrice")

    def test_programs_that_cannot_be_joined(self):
        for line, program in ((2, "#if 1\n#endif\nint main() {}"), (3, "int a;\ntemplate <>\nint main() {}")):
            self.write("docs/a.md", f"```cpp\n{program}\n```\n")
            with self.assertRaisesRegex(SystemExit, f"docs/a.md:{line}: .*ALONE"):
                page_blocks.joined(page_blocks.programs(page_blocks.blocks_of(self.root, "docs/a.md")))

    def test_two_programs_below_one_heading(self):
        self.write("docs/a.md", "## One\n" + PROGRAM + PROGRAM)
        with self.assertRaisesRegex(SystemExit, "docs/a.md:9: a second program below One"):
            page_blocks.programs(page_blocks.blocks_of(self.root, "docs/a.md"))


if __name__ == "__main__":
    unittest.main()
