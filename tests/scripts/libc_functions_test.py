#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants functions in no class, in two and in a wrong one, and sees libc_functions.py find them."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import libc_functions as script  # noqa: E402

HEADER = """
BELAY_DETAIL_REPLACE(libc_calls,
    read, write)
BELAY_DETAIL_REPLACE_BY(libc_files::pread, pread64)
BELAY_DETAIL_REFUSE(
    fork, clone)
BELAY_DETAIL_SYMBOL [[noreturn]] inline void exit_now(int) asm("_exit");
BELAY_DETAIL_SYMBOL inline int execl(const char*, const char*, ...) asm("execl");
BELAY_DETAIL_LOCK(mtx_lock, mtx_trylock, (mtx_t * mutex), mutex)
"""
LIST = """# a comment
[replaced]
read write pread64
_exit mtx_lock

[refused]
fork clone execl
[harmless] computes
abs
labs
"""
FUNCTIONS = {"read", "write", "pread64", "_exit", "mtx_lock", "fork", "clone", "execl", "abs"}


class LibcFunctionsTest(unittest.TestCase):
    def found(self, text=LIST, header=HEADER, functions=FUNCTIONS):
        return list(script.violations(script.classes_of(text), *script.defined([header]), set(functions)))

    def test_a_list_with_each_function_passes(self):
        self.assertEqual(self.found(), [])

    def test_a_function_of_a_later_library_is_in_no_class(self):
        found = self.found(functions=FUNCTIONS | {"pidfd_spawn"})
        self.assertEqual(len(found), 1)
        self.assertIn("pidfd_spawn: a simulated program calls the real one", found[0])

    def test_a_function_that_is_defined_and_not_listed(self):
        found = self.found(header=HEADER + "BELAY_DETAIL_REFUSE(dup)\n")
        self.assertEqual(found, ["dup: it is not there in the list, and refused in the header"])

    def test_a_function_that_is_listed_and_not_defined(self):
        found = self.found(text=LIST.replace("clone", "clone vfork"))
        self.assertEqual(found, ["vfork: it is refused in the list, and not refused in the header"])

    def test_a_function_in_two_classes(self):
        self.assertIn("abs: it is harmless and harmless", self.found(text=LIST + "abs\n"))
        self.assertIn("fork: it is refused and harmless", self.found(text=LIST + "fork\n"))

    def test_a_class_without_a_reason_or_of_another_name(self):
        self.assertIn("[harmless]: a reason is missing", self.found(text=LIST + "[harmless]\n"))
        self.assertIn("[fine]: there is no such class", self.found(text=LIST + "[fine] so\n"))


if __name__ == "__main__":
    unittest.main()
