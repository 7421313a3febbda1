#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gives failures.py logs of each kind of failure: it names the test, the file and line, and the assertion."""

import unittest

import failures

CTEST = """\
      Start  1: core/time
 1/3 Test  #1: core/time ........................   Passed    0.01 sec, about 3 s left
 2/3 Test  #2: room/room_loads ..................***Failed    1.20 sec
Filters: [#room_loads.test]

-------------------------------------------------------------------------------
RoomManager loads a room
-------------------------------------------------------------------------------
../../tests/room/room_loads.test.cpp:31
...............................................................................

../../tests/room/room_loads.test.cpp:33: FAILED:
  CHECK( loads == 2 )
with expansion:
  1 == 2

../../tests/room/room_loads.test.cpp:40: FAILED:
  REQUIRE( ready )
due to unexpected exception with message:
  it is closed

===============================================================================
test cases: 2 | 1 passed | 1 failed
 3/3 Test  #3: queue/queue ......................***Exception: SIGXCPU 180.01 sec
Filters: [#queue.test]

ended by its limit of processor time, 180 s: it has used 180.0 s in 90.0 s

67% tests passed, 2 tests failed out of 3

The following tests FAILED:
\t  2 - room/room_loads (Failed)
\t  3 - queue/queue (SIGXCPU)
\t  4 - core/no_program (Not Run)
\t  5 - core/skips (Skipped)
1 passed, 2 failed
"""
COMPILER = """\
[3/9, about 2 s left] Building CXX object a.o
FAILED: a.o
../../include/belay/core/time.hpp:12:5: error: no member named 'x' in 'belay::Time'
In file included from a.cpp:1:
../../include/belay/core/time.hpp:12:5: error: no member named 'x' in 'belay::Time'
b.cpp:1:10: fatal error: 'c.hpp' file not found
"""
SANITIZERS = """\
 1/1 Test  #1: link/link ......................***Failed    1.20 sec
../../include/belay/link/link.hpp:7:9: runtime error: signed integer overflow: 2147483647 + 1
SUMMARY: AddressSanitizer: heap-use-after-free link.hpp:9 in belay::f()
"""
UNITTEST = """\
======================================================================
FAIL: test_names (__main__.NamesTest)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "tests/scripts/names_test.py", line 31, in test_names
    self.assertEqual(a, b)
AssertionError: 1 != 2

----------------------------------------------------------------------
Ran 1 test in 0.1s
"""


class FailuresTest(unittest.TestCase):
    def lines(self, *logs, most=10):
        return failures.lines_that_matter([(name, text.splitlines()) for name, text in logs], most)

    def test_tests_of_catch(self):
        self.assertEqual(self.lines(("GCC", CTEST)), [
            "GCC: room/room_loads: tests/room/room_loads.test.cpp:33: CHECK( loads == 2 ): 1 == 2",
            "GCC: queue/queue: Exception: SIGXCPU: ended by its limit of processor time, 180 s: it has used 180.0 s in 90.0 s",
            "GCC: core/no_program: Not Run",
            "GCC: room/room_loads: tests/room/room_loads.test.cpp:40: REQUIRE( ready ): "
            "due to unexpected exception with message: it is closed"])

    def test_compilers(self):
        self.assertEqual(self.lines(("Clang", COMPILER)), [
            "Clang: include/belay/core/time.hpp:12: error: no member named 'x' in 'belay::Time'",
            "Clang: b.cpp:1: error: 'c.hpp' file not found"])

    def test_sanitizers(self):
        self.assertEqual(self.lines(("ASan", SANITIZERS)), [
            "ASan: link/link: include/belay/link/link.hpp:7: runtime error: signed integer overflow: 2147483647 + 1",
            "ASan: link/link: AddressSanitizer: heap-use-after-free link.hpp:9 in belay::f()"])

    def test_scripts(self):
        self.assertEqual(self.lines(("names", UNITTEST)),
                         ["names: tests/scripts/names_test.py:31: test_names: AssertionError: 1 != 2"])
        self.assertEqual(self.lines(("layout", "docs/a.md:3: words: too long\n1 finding\n")), ["layout: docs/a.md:3: words: too long"])
        self.assertEqual(self.lines(("mutants", "found  a  1.0 s\nWRONG  b  2.0 s  SURVIVED\n1 passed, 1 failed\n")),
                         ["mutants: WRONG  b  2.0 s  SURVIVED"])

    def test_a_log_without_a_known_failure_has_its_last_line(self):
        self.assertEqual(self.lines(("demo", "it begins\nit hangs\n\n0 passed, 1 failed\n")), ["demo: it hangs"])
        self.assertEqual(self.lines(("demo", "")), ["demo: it printed nothing"])

    def test_each_step_has_its_share(self):
        many = "".join(f"a.cpp:{i}:1: error: {i}\n" for i in range(1, 30))
        got = self.lines(("one", many), ("two", UNITTEST), ("three", many))
        self.assertEqual([sum(line.startswith(name) for line in got) for name in ("one: ", "two: ", "three: ")], [5, 1, 4])


if __name__ == "__main__":
    unittest.main()
