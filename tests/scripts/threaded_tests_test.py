#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants tests that can start a thread, in each way there is, and one that cannot: threaded_tests.py tells them apart."""

import pathlib
import tempfile
import unittest

import threaded_tests

FILES = {
    "include/belay/core/quiet.hpp": "#include <vector>\n",
    "include/belay/posix/detail/busy.hpp": "#include <thread>  // std::thread\n",
    "include/belay/posix/busy.hpp": "#include <belay/posix/detail/busy.hpp>\n",
    "tests/support/crew.hpp": "#include <future>\n",
    "tests/core/quiet.test.cpp": '#include <belay/core/quiet.hpp>\n// #include <thread>\n',
    "tests/core/itself.test.cpp": "#  include <thread>\n",
    "tests/core/stop.test.cpp": "#include <stop_token>\n",
    "tests/core/support.test.cpp": '#include "support/crew.hpp"\n',
    "tests/posix/header.test.cpp": "#include <belay/posix/busy.hpp>\n",
    "tests/posix/header.static.cpp": "#include <belay/posix/busy.hpp>\n",
}


class ThreadedTests(unittest.TestCase):
    def test_each_way_to_a_thread_is_seen(self):
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            for path, text in FILES.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_text(text, encoding="utf-8")
            self.assertEqual(
                threaded_tests.threaded_tests(root),
                [f"{name}.test.cpp" for name in ("core/itself", "core/stop", "core/support", "posix/header")],
            )

    def test_the_projects_own(self):
        found = threaded_tests.threaded_tests(pathlib.Path(__file__).resolve().parents[2])
        self.assertIn("queue/spsc_ring.test.cpp", found)
        self.assertIn("posix/resolver.test.cpp", found)
        self.assertNotIn("backoff/backoff.test.cpp", found)
        self.assertNotIn("room/room_large.test.cpp", found)


if __name__ == "__main__":
    unittest.main()
