#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants what makes a world differ from machine to machine in a small tree, and sees determinism.py find it."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import determinism  # noqa: E402

HARMLESS = """// std::random_device and std::chrono::steady_clock::now() in a comment; 1.5
#include <map>
#include <unordered_map>

/* rand() */
struct Fine {
    const char* text = "std::uniform_int_distribution, a \\" quote and rand()";
    std::map<std::string, int*> by_name;
    std::set<Node*, ByTime> by_time;
    std::unordered_map<std::string, int> known;
    int operand(int brand, Duration d) { return by_name.begin()->first.size() + clock_.now() + time(brand) + 0x1E5 + 1'000'000; }
    bool has(const std::string& name) const { return known.find(name) != known.end() && known.count(name) != 0; }
    void all() { for (const auto& [name, value] : by_name) use(value); }
};
"""
PLANTED = {
    "real clock": ["auto t = std::chrono::steady_clock::now();", "auto t = SystemClock::clock::now();",
                   "auto t = std::time(nullptr);", "clock_gettime(CLOCK_REALTIME, &t);"],
    "random device": ["std::random_device d;", "int i = std::rand();", "std::mt19937 bits;", "getrandom(&x, 8, 0);"],
    "distribution": ["std::uniform_int_distribution<int> d{0, 5};", "std::shuffle(v.begin(), v.end(), bits);"],
    "hashed iteration": ["std::unordered_set<int> all; void f() { for (int i : all) use(i); }",
                         "std::unordered_map<std::string, std::vector<int>> all_{};\\n int f() { return all_.begin()->second[0]; }",
                         "using Table = std::unordered_map<int, int>;\\nTable all;\\nvoid f() { for (auto& [k, v] : all) use(k); }",
                         "template <class T>\\nusing Of = std::unordered_map<int, T>;\\nOf<int> all; void f() { for (auto& x : this->all) use(x); }"],
    "address order": ["std::set<Node*> all;", "std::map<const Node*, int> all;",
                      "bool f(Node* a, Node* b) { return std::less<Node*>{}(a, b); }", "auto key = reinterpret_cast<std::uintptr_t>(p);"],
    "floating point": ["double ratio;", "auto half = x * 0.5;", "auto y = std::pow(2, x);", "auto z = 1e9;"],
}


class DeterminismTest(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.root = pathlib.Path(self.directory.name)
        self.write("room/fine.hpp", HARMLESS)

    def write(self, path, text):
        file = self.root / "include" / "belay" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def found(self, excused=()):
        return list(determinism.complaints(self.root, dict.fromkeys(excused, "a reason")))

    def test_harmless_code_passes(self):
        self.assertEqual(self.found(), [])

    def test_each_planted_violation_is_found(self):
        for rule, plants in PLANTED.items():
            for plant in plants:
                with self.subTest(rule=rule, plant=plant):
                    self.write("room/planted.hpp", "\n\n" + plant.replace("\\n", "\n") + "\n")
                    found = self.found()
                    self.assertTrue(found, plant)
                    self.assertTrue(all(f": {rule} \"" in line for line in found), found)
                    self.assertTrue(found[0].startswith("include/belay/room/planted.hpp:"), found)

    def test_the_line_is_right(self):
        self.write("room/planted.hpp", "/* a\n comment */\nint a;  // text\ndouble b;\n")
        self.assertTrue(self.found()[0].startswith("include/belay/room/planted.hpp:4: "))

    def test_what_waits_for_the_real_world_may(self):
        self.write("posix/loop.hpp", "double d;\n")
        self.write("curl/http.hpp", "double d;\n")
        self.assertEqual(self.found(), [])
        bindings = ["asio_sim/net.hpp", "asio_sim/detail/timer.hpp", "libc_sim/program.hpp",
                    "libc_sim/detail/calls.hpp"]
        for binding in bindings:
            self.write(binding, "double d;\n")
        self.assertEqual(sorted(line.split(":")[0] for line in self.found()),
                         sorted(f"include/belay/{binding}" for binding in bindings))

    def test_an_excuse_is_for_one_rule_of_one_header(self):
        self.write("room/planted.hpp", "double d;\nstd::random_device r;\n")
        found = self.found(["room/planted.hpp: floating point"])
        self.assertEqual(len(found), 1)
        self.assertIn("random device", found[0])

    def test_an_excuse_without_a_hit_is_reported(self):
        self.assertIn("not there any more", self.found(["room/fine.hpp: real clock"])[0])

    def test_a_tree_without_headers_is_reported(self):
        self.assertTrue(list(determinism.complaints(self.root / "nowhere", {})))


if __name__ == "__main__":
    unittest.main()
