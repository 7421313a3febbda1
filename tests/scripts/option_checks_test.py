#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants an option that no function checks, and sees option_checks.py find it."""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import option_checks  # noqa: E402

HEADER = """struct Other {
    int none = 1;
};
struct Some {
    /// A comment; with a semicolon.
    bool swarm = true;
    std::uint32_t kills = 3;  ///< of processes
    std::uint64_t rate_max = 1'000'000;
    Duration within = std::chrono::seconds{20};
    std::uint32_t depth;  ///< without a default
    static constexpr int fixed = 3;
    [[nodiscard]] bool any() const {
        Other same{.none = 3};
        return depth != 0 && same.none == 3;
    }
};
"""
CHECK = '        for (auto& [v, text] : {{kills, "depth"}, {rate_max, "within"}, {depth, ""}}) use(v);\n'


class OptionChecksTest(unittest.TestCase):
    def found(self, header):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "some.hpp").write_text(header)
            with mock.patch.object(option_checks, "CHECKED", (("some.hpp", "Some"),)):
                return list(option_checks.differences(root))

    def test_an_option_that_is_not_checked(self):
        missing = "some.hpp: Some::check() does not check `{}`".format
        self.assertEqual(self.found(HEADER), [missing(name) for name in ("kills", "rate_max", "within")])
        header = HEADER.replace("        Other same", CHECK + "        Other same")
        self.assertEqual(self.found(header), [missing("within")])
        self.assertEqual(self.found(header.replace("{depth, \"\"}", "{within, \"\"}")), [])

    def test_a_struct_that_is_not_there(self):
        self.assertEqual(self.found("struct Another {\n};\n"), ["some.hpp: there is no struct Some"])


if __name__ == "__main__":
    unittest.main()
