#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants commands in the pages of a small repository, and sees page_commands.py find, run and stop them."""

import contextlib
import io
import pathlib
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import page_commands  # noqa: E402
from page_command_rows import Cannot, Elsewhere, Run  # noqa: E402

SERVER = """#!/usr/bin/env python3
import http.server, os, sys
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(int(os.environ.get("CODE", "0")))
"""


class PageCommandsTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        self.write("README.md", "# belay\n")
        self.write("CONTRIBUTING.md", "# Contributing\n")
        self.write("examples/README.md", "# Examples\n")
        self.write("tests/run", "#!/bin/sh\ntest -e README.md && pwd\n")
        self.write("examples/board/run", SERVER)
        for script in ("tests/run", "examples/board/run"):
            (self.root / script).chmod(0o755)
        self.git("init", "--quiet")
        self.git("add", ".")
        self.git("-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message=First")

    def git(self, *words):
        subprocess.run(["git", "-C", self.root, *words], check=True)

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def expect(self, rows, code, *texts, options=("--quick",)):
        out = io.StringIO()
        with mock.patch.object(page_commands, "ROWS", rows), contextlib.redirect_stdout(out), \
                mock.patch.object(sys, "argv", ["page_commands.py", "--root", str(self.root), *options]):
            self.assertEqual(page_commands.main(), code, out.getvalue())
        for text in texts:
            self.assertIn(text, out.getvalue())
        return out.getvalue()

    def test_a_command_without_a_row(self):
        for page, text in {"README.md": "# A\n\n```sh\nmake  # it\n```\n", "docs/a/b.md": "# A\n\n\nRun `X=1 tests/run`.\n",
                           "CONTRIBUTING.md": "# A\n\n\n    cmake -B build\n"}.items():
            self.write(page, text)
            self.expect({}, 1, f"{page}:4: nothing runs ", "0 passed, 1 failed, 0 skipped")
            self.write(page, "# A\n")

    def test_what_is_no_command(self):
        self.write("README.md", "# A\n\n`cmake` `tests/support/run` `build/demo`\n\n    a picture\n\n```text\ntests/run\n```\n"
                                "```console\nwhat it prints\n```\n")
        self.expect({}, 0, "0 passed, 0 failed, 0 skipped")

    def test_a_row_without_a_command(self):
        self.expect({"tests/run": Run()}, 1, "page_command_rows.py:1: no page has tests/run: remove it")

    def test_the_path_of_the_clone_has_a_space_and_uncommitted_changes(self):
        self.write("README.md", "# A\n\nRun `tests/run`, and again `tests/run`.\n")
        self.write("tests/run", "#!/bin/sh\npwd | grep -q '/a clone$' && echo seen && exit 7\n")
        self.expect({"tests/run": Run(quick=True)}, 1, "README.md:3: tests/run\n    FAILED", "| seen", "0 passed, 1 failed, 0 skipped")

    def test_lines_of_a_block(self):
        self.write("README.md", "# A\n\n```sh\nexport A=1  # first\n[[ $A \\\n   == 1 ]]\nfor i in 1 2; do\n  true $i\ndone\n```\n"
                                "```console\n$ tests/run  # all\nits output\n```\n")
        rows = {"export A=1": Run(quick=True, lines=2), "for i in 1 2; do true $i done": Run(quick=True),
                "tests/run": Run(quick=True)}
        self.expect(rows, 0, "README.md:4: export A=1", "README.md:7: for i in 1 2;", "3 passed, 0 failed, 0 skipped")
        rows["export A=1"].instead = ("== 1", "== 2")
        self.expect(rows, 1, "2 passed, 1 failed, 0 skipped")

    def test_a_line_that_fails_ends_a_block(self):
        self.write("README.md", "# A\n\n```sh\nfalse\ntrue\n```\n")
        self.expect({"false": Run(quick=True, lines=2)}, 1, "0 passed, 1 failed, 0 skipped")

    def test_commands_that_do_not_run(self):
        self.write("README.md", "# A\n\n```sh\ntests/run\ntests/run --all\ncmake .\nnode a\ngit b\n```\n")
        rows = {"tests/run": Run(quick=True), "tests/run *": Run(), "cmake .": Cannot("it needs two machines"),
                "node a": Run(quick=True, needs="no_such_program"), "git b": Elsewhere("examples/*/run", "serve_forever")}
        self.expect(rows, 0, "tests/run --all: it takes minutes", "cmake .: it needs two machines", "node a: no no_such_program",
                    "git b: run by examples/*/run", "1 passed, 0 failed, 4 skipped")
        self.expect(rows, 0, "2 passed, 0 failed, 3 skipped", options=("--all",))
        self.expect(rows, 0, "1 passed, 0 failed, 0 skipped", options=("--all", "--filter=all"))
        rows["git b"].text = "serve_never"
        self.expect(rows, 1, "README.md:8: no file examples/*/run has the text serve_never")

    def test_the_list(self):
        self.write("README.md", "# A\n\nRun `tests/run`.\n")
        self.assertEqual(self.expect({"tests/run": Run(quick=True)}, 0, options=()), "README.md:3: quick: tests/run\n")

    def test_a_server_is_stopped_after_what_runs_beside_it(self):
        self.write("README.md", "# A\n\nRun `examples/board/run`, and `tests/run`.\n")
        rows = {"examples/board/run": Run(quick=True, server=True), "tests/run": Run(beside="examples/board/run")}
        self.expect(rows, 0, "2 passed, 0 failed, 0 skipped")
        rows["tests/run"].instead = ("tests/run", "false")
        self.expect(rows, 1, "0 passed, 1 failed, 1 skipped")
        rows["tests/run"].instead = ()
        rows["examples/board/run"].before = "export CODE=3"
        self.expect(rows, 1, "0 passed, 1 failed, 1 skipped")

    def test_a_server_that_ends_before_it_answers(self):
        self.write("README.md", "# A\n\nRun `examples/board/run`.\n")
        self.write("examples/board/run", "#!/bin/sh\necho no address\n")
        self.expect({"examples/board/run": Run(quick=True, server=True)}, 1, "| no address", "0 passed, 1 failed, 0 skipped")


if __name__ == "__main__":
    unittest.main()
