#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants differences between options and their tables, and sees option_tables.py find them."""

import pathlib
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import option_tables  # noqa: E402

HEADER = """struct Other {
    int none = 1;
};
struct Some {
    /// A comment; with a semicolon.
    bool swarm = true;
    Order order = Order::fifo;
    std::uint32_t kills = 3;  ///< of processes
    std::uint64_t rate_max = 1'000'000;
    Duration within = std::chrono::seconds{20};
    std::chrono::milliseconds pause{1'500};
    std::vector<std::string> kinds{};
    std::uint32_t depth;  ///< without a default
    std::map<int, std::string> names;
    using Names = std::map<int, int>;
    static constexpr int fixed = 3;
    [[nodiscard]] bool any() const {
        Other same{.none = 3};
        return depth != 0 && same.none == 3;
    }
};
"""
PAGE = """| `Some` | largest number of |
| --- | --- |
| `kills` = 3, `rate_max` = 1,000,000 | things |

| `Some` | environment | meaning |
| --- | --- | --- |
| `swarm` = true | | `not_a_field` |
| `order` = `fifo` | | |
| `within` = 20 s | | |
| `kinds` | | |
| `pause` = 1,500 ms | | |
| `depth`, `names` | | |

| `Other` | meaning |
| --- | --- |
| `unrelated` = 7 | |
"""


class OptionTablesTest(unittest.TestCase):
    checked = ()

    def found(self, page=PAGE, header=HEADER):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "page.md").write_text(page)
            (root / "some.hpp").write_text(header)
            with mock.patch.object(option_tables, "TABLES", {("some.hpp", "Some"): "page.md"}), \
                    mock.patch.object(option_tables, "CHECKED", self.checked):
                return list(option_tables.differences(root))

    def test_agreement(self):
        self.assertEqual(self.found(), [])

    def test_a_missing_row(self):
        self.assertEqual(self.found(PAGE.replace("| `kinds` | | |\n", "")), ["page.md: the table of Some lacks `kinds`"])

    def test_a_missing_row_of_a_field_without_initialiser(self):
        for field in ("depth", "names"):
            self.assertEqual(self.found(PAGE.replace(f"`{field}`", "")), [f"page.md: the table of Some lacks `{field}`"])

    def test_another_default(self):
        self.assertEqual(self.found(PAGE.replace("`kills` = 3", "`kills` = 4")),
                         ["page.md: `kills` of Some = 4, but the header has 3"])
        self.assertEqual(self.found(PAGE.replace("1,000,000", "1,000")),
                         ["page.md: `rate_max` of Some = 1000, but the header has 1000000"])

    def test_another_duration_or_number_of_bytes(self):
        self.assertEqual(self.found(PAGE.replace("20 s", "20 min")), ["page.md: `within` of Some = 20 min, but the header has 20 s"])
        self.assertEqual(self.found(PAGE.replace("`within` = 20 s", "`within` (20 s)")), [])
        self.assertEqual(self.found(PAGE.replace("1,500 ms", "1,500 s")),
                         ["page.md: `pause` of Some = 1500 s, but the header has 1500 ms"])
        header = HEADER.replace("1'000'000", "std::size_t{4} << 10")
        self.assertEqual(self.found(PAGE.replace("1,000,000", "4 KiB"), header), [])
        self.assertEqual(self.found(PAGE.replace("1,000,000", "4 MiB"), header),
                         ["page.md: `rate_max` of Some = 4 MiB, but the header has 4 KiB"])

    def test_a_row_without_a_field(self):
        self.assertEqual(self.found(PAGE.replace("`kinds`", "`kinds`, `more` = 2")), ["page.md: Some has no field `more`"])

    def test_an_option_that_is_not_checked(self):
        with mock.patch.object(self, "checked", (("some.hpp", "Some"),)):
            missing = "some.hpp: Some::check() does not check `{}`".format
            self.assertEqual(self.found(), [missing(name) for name in ("kills", "rate_max", "within")])
            check = '        for (auto& [v, text] : {{kills, "depth"}, {rate_max, "within"}, {depth, ""}}) use(v);\n'
            header = HEADER.replace("        Other same", check + "        Other same")
            self.assertEqual(self.found(header=header), [missing("within")])

    def test_a_struct_that_is_not_there(self):
        self.assertIn("some.hpp: no fields of Some found", self.found(header="struct Another {\n};\n"))


if __name__ == "__main__":
    unittest.main()
