#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program of the components has each of them, and each machine under emulation has its turn to run it."""

import unittest

import components_program


class ComponentsProgram(unittest.TestCase):
    def test_no_component_is_left_out(self):
        self.assertGreater(len(components_program.components()), 10)
        for component in components_program.components():
            self.assertIn(f'#include "{component}/no_exceptions.cpp"', components_program.source())

    def test_each_component_is_in_the_program_of_one_quarter(self):
        programs = [components_program.source(quarter) for quarter in range(components_program.components_in_turn.PARTS)]
        for component in components_program.components():
            has = [f'#include "{component}/no_exceptions.cpp"' in program for program in programs]
            self.assertEqual(has.count(True), 1, component)
        for program in programs:
            self.assertGreater(program.count("#include"), 2)

    def test_one_machine_has_its_turn_at_each_commit_and_each_has_one(self):
        chosen = [components_program.machine_of(str(commit)) for commit in range(30)]
        self.assertEqual(set(chosen), set(components_program.MACHINES))
        self.assertEqual(sum(components_program.has_turn(machine) for machine in components_program.MACHINES), 1)


if __name__ == "__main__":
    unittest.main()
