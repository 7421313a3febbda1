#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants names in a small tree of headers, and sees which names.py takes for public, and what it complains of."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import names  # noqa: E402

HEADER = """// SPDX-License-Identifier: MIT
/// \\file belay/core/a.hpp
/// What it is.
#pragma once

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// Nobody's business.
struct Hidden {};
}  // namespace detail

class Later;

/// Something to have. And more of it.
class [[nodiscard]] Thing final {
public:
    /// A member.
    int member() const;
};

/// What things do.
template <class T>
concept ThingLike = true;

/// So many: at most.
inline constexpr std::size_t things_max = 3;

/// Another name.
using Alias = Thing;

/// Kinds.
enum class Kind : int { one };

/// Makes one.
///
/// Errors: none.
template <class T>
    requires ThingLike<T>
[[nodiscard]] constexpr Result<Thing> make_thing(const T& from) noexcept {
    return from;
}

template <class T>
Thing(T) -> Thing;

/// Not the first.
template <>
struct Traits<Thing> {};

inline int Thing::member() const { return 1; }

}}  // namespace belay

namespace belay { inline namespace BELAY_ABI { namespace driver {

/// For few.
struct Node {};

}}}  // namespace belay::driver

namespace belay { inline namespace BELAY_ABI { namespace posix::detail {

/// Hidden, too.
struct Socket {};

}}}  // namespace belay::posix::detail
"""
PUBLIC = {"Thing": "Something to have", "ThingLike": "What things do", "things_max": "So many", "Alias": "Another name",
          "Kind": "Kinds", "make_thing": "Makes one"}


class NamesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "include" / "belay" / "core" / "detail").mkdir(parents=True)
        self.write("a.hpp", HEADER)
        self.write("detail/b.hpp", HEADER.replace("Thing", "Other"))
        self.start, names.START_HERE = names.START_HERE, {"Thing"}
        self.limit = names.NAMES_MAX

    def tearDown(self):
        names.START_HERE, names.NAMES_MAX = self.start, self.limit

    def write(self, name, text):
        (self.root / "include" / "belay" / "core" / name).write_text(text)

    def test_what_is_public(self):
        found = names.Names(self.root)
        public = {name: row[2] for (space, name), row in found.found.items() if not space}
        self.assertEqual(public, PUBLIC)
        self.assertEqual({key for key in found.found if key[0]}, {("driver", "Node")})
        self.assertEqual(len(found.counted()), len(PUBLIC))
        self.assertEqual(list(found.complaints()), [])

    def test_the_page_marks_where_to_start(self):
        page = names.Names(self.root).page()
        self.assertIn("| **`Thing`** | `core/a.hpp` | Something to have |", page)
        self.assertIn("| `Kind` | `core/a.hpp` | Kinds |", page)
        self.assertNotIn("Hidden", page)
        self.assertLess(page.index("`make_thing`"), page.index("`driver::Node`"))

    def test_a_new_name_changes_the_page(self):
        before = names.Names(self.root).page()
        self.write("c.hpp", HEADER.replace("Thing", "Third").replace("make_thing", "make_third"))
        self.assertNotEqual(names.Names(self.root).page(), before)

    def test_complaints(self):
        self.write("a.hpp", HEADER.replace("/// Kinds.\n", ""))
        self.assertEqual(len(list(names.Names(self.root).complaints())), 1)
        self.write("a.hpp", HEADER)
        names.NAMES_MAX = len(PUBLIC) - 1
        self.assertEqual(len(list(names.Names(self.root).complaints())), 1)
        names.NAMES_MAX = len(PUBLIC)
        names.START_HERE = {"Thing", "Nothing"}
        self.assertEqual(len(list(names.Names(self.root).complaints())), 1)
        names.START_HERE = {f"T{i}" for i in range(names.START_MAX + 1)}
        self.assertEqual(len(list(names.Names(self.root).complaints())), names.START_MAX + 2)


if __name__ == "__main__":
    unittest.main()
