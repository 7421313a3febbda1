#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program of the components has each of them, and so have its parts."""

import unittest

import components_program


class ComponentsProgram(unittest.TestCase):
    def test_no_component_is_left_out(self):
        self.assertGreater(len(components_program.components()), 10)
        for component in components_program.components():
            self.assertIn(f'#include "{component}/no_exceptions.cpp"', components_program.source())

    def test_each_component_is_in_one_part(self):
        programs = [components_program.source(part) for part in range(components_program.PARTS)]
        for component in components_program.components():
            has = [f'#include "{component}/no_exceptions.cpp"' in program for program in programs]
            self.assertEqual(has.count(True), 1, component)
        for program in programs:
            self.assertGreater(program.count("#include"), 2)


if __name__ == "__main__":
    unittest.main()
