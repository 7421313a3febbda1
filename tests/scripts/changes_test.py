#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Changes files of a small repository: changes.py must find what each reaches, and the last green commit."""

import pathlib
import tempfile
import unittest
from unittest import mock

import changes

FILES = {
    "include/belay/core/time.hpp": "",
    "include/belay/core/text.hpp": "#include <belay/core/time.hpp>\n",
    "include/belay/link/link.hpp": "#  include <belay/core/text.hpp>\n",
    "include/belay/room/room.hpp": "#include <vector>\n",
    "tests/support/catch.hpp": "",
    "tests/support/room/rig.hpp": '#include "support/catch.hpp"\n',
    "tests/core/time.test.cpp": "#include <belay/core/time.hpp>\n",
    "tests/link/link.static.cpp": "#include <belay/link/link.hpp>\n",
    "tests/room/room.test.cpp": '#include <belay/room/room.hpp>\n#include "support/room/rig.hpp"\n#include "help.inc"\n',
    "tests/room/help.inc": "",
    "tests/room/server.py": "",
    "tests/e2e/demo.test.cpp": "",
    "examples/outage/main.cpp": '#include "lines.hpp"\n',
    "examples/outage/lines.hpp": "#include <belay/link/link.hpp>\n",
    "CMakeLists.txt": "",
    "docs/reference/rooms.md": "",
    "docs/contributing/platforms.md": "",
}


class Repository:
    def __init__(self, folder):
        self.root = pathlib.Path(folder) / "tree"
        self.root.mkdir()
        self.record = pathlib.Path(folder) / "cache" / "green"
        self.commits = 0
        self.git("init", "-q")
        for name, text in FILES.items():
            self.write(name, text)
        self.first = self.commit()

    def git(self, *arguments):
        return changes.git(self.root, "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def commit(self):
        self.git("add", "-A")
        # Two commits of one second are two.
        self.commits += 1
        self.git("commit", "-q", "--allow-empty", "-m", f"m{self.commits}")
        return self.git("rev-parse", "HEAD").strip()

    def last_green(self):
        return changes.last_green(self.root, self.record)


class ChangesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.repository = Repository(folder.name)

    def reached(self, *names):
        """The folders and headers that a change of these files reaches."""
        for name in names:
            self.repository.write(name, FILES.get(name, "") + "\n")
        changed = changes.Changes(self.repository.root, self.repository.first)
        reached = changed.folders(), changed.nearest_headers()[0]
        self.repository.git("checkout", "-q", ".")
        self.repository.git("clean", "-qfd")
        return reached

    def test_a_change_reaches_what_includes_it(self):
        self.assertEqual(self.reached("include/belay/core/time.hpp"),
                         (["core", "e2e", "link"], ["belay/core/text.hpp", "belay/core/time.hpp", "belay/link/link.hpp"]))
        self.assertEqual(self.reached("include/belay/room/room.hpp"), (["room"], ["belay/room/room.hpp"]))
        self.assertEqual(self.reached("tests/support/catch.hpp"), (["room"], []))
        self.assertEqual(self.reached("tests/room/help.inc"), (["room"], []))
        self.assertEqual(self.reached("examples/outage/lines.hpp"), (["e2e"], []))

    def test_a_new_file_is_a_change(self):
        self.assertEqual(self.reached("include/belay/link/new.hpp"), ([], ["belay/link/new.hpp"]))
        self.assertEqual(self.reached("tests/link/new.test.cpp"), (["link"], []))

    def test_a_file_that_is_gone_is_a_change(self):
        (self.repository.root / "tests/room/help.inc").unlink()
        self.assertEqual(changes.Changes(self.repository.root, self.repository.first).folders(), ["room"])

    def test_files_that_are_no_source(self):
        self.assertEqual(self.reached("docs/reference/rooms.md", "README.md", "tests/scripts/prose.py", ".ci/run"), ([], []))
        self.assertEqual(self.reached("tests/room/server.py"), (["room"], []))
        self.assertEqual(self.reached("tests/support/link/server.py"), (["link"], []))
        self.assertEqual(self.reached("tests/scripts/mutants.py"), (["e2e"], []))

    def test_what_changed_most_comes_first(self):
        for name in ("include/belay/core/time.hpp", "tests/link/link.static.cpp", "tests/room/help.inc"):
            self.repository.write(name, FILES[name] + "\n")
        changed = changes.Changes(self.repository.root, self.repository.first)
        self.assertEqual(changed.nearest_folders(), (["core", "e2e", "link", "room"], []))
        with mock.patch.object(changes, "LINES_MAX", 3):
            self.assertEqual(changed.nearest_folders(), (["core", "e2e", "link"], ["room"]))
        with mock.patch.object(changes, "LINES_MAX", 0):
            self.assertEqual(changed.nearest_folders()[0], ["core"])
        with mock.patch.object(changes, "HEADERS_MAX", 1):
            self.assertEqual(changed.nearest_headers(), (["belay/core/time.hpp"], ["belay/core/text.hpp", "belay/link/link.hpp"]))

    def test_what_is_unknown_reaches_everything(self):
        everything = changes.Changes(self.repository.root, "")
        self.assertEqual(everything.folders(), ["core", "e2e", "link", "room"])
        self.assertEqual(len(everything.nearest_headers()[0]), 4)
        for name in ("CMakeLists.txt", "tests/CMakeLists.txt", "tests/node/yjs/a.mjs", "tests/scripts/install.sh", "new/file",
                     "tests/scripts/compile", "tests/run"):
            self.assertEqual(self.reached(name), (everything.folders(), everything.nearest_headers()[0]), name)

    def test_the_last_green_commit_is_an_ancestor(self):
        repository = self.repository
        self.assertEqual(repository.last_green(), "")
        self.assertTrue(changes.record(repository.root, repository.record))
        # A second run of the same commit has the same tests.
        self.assertEqual(repository.last_green(), "")
        second = repository.commit()
        self.assertEqual(repository.last_green(), repository.first)
        changes.record(repository.root, repository.record)
        repository.commit()
        self.assertEqual(repository.last_green(), second)
        repository.git("checkout", "-q", repository.first)
        other = repository.commit()
        self.assertEqual(repository.last_green(), repository.first)
        self.assertNotEqual(other, second)

    def test_other_compilers_have_not_seen_it(self):
        changes.record(self.repository.root, self.repository.record)
        self.repository.commit()
        with mock.patch.object(changes, "COMPILERS", ("g++", "no-such-compiler")):
            self.assertEqual(self.repository.last_green(), "")

    def test_another_machine_counts_from_the_matrix(self):
        repository = self.repository
        self.assertEqual(changes.of_the_matrix(repository.root), "")
        for verdict, wanted in (("green, 9 passed, 0 failed", repository.first), ("FAILED, 1 passed, 1 failed", "")):
            repository.write("docs/contributing/platforms.md", f"| `asan` | all tests | `{repository.first[:12]}` | 2026-11-28 | {verdict} | 9.0 |\n")
            repository.commit()
            self.assertEqual(changes.of_the_matrix(repository.root), wanted)
        repository.write("docs/contributing/platforms.md", "| `asan` | all tests | `000000000000` | 2026-11-28 | green | 9.0 |\n")
        repository.commit()
        self.assertEqual(changes.of_the_matrix(repository.root), "")

    def test_what_is_not_committed_is_not_recorded(self):
        self.repository.write("new", "")
        self.assertFalse(changes.record(self.repository.root, self.repository.record))
        self.assertEqual(changes.records(self.repository.record), [])


if __name__ == "__main__":
    unittest.main()
