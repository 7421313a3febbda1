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
    /// A nested type.
    enum class Mode { one };

private:
    struct Secret {};
};

/// The options of a Thing.
struct ThingOptions {
    /// A choice.
    enum class Choice { one };
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
PUBLIC = {"Thing": "Something to have", "ThingOptions": "The options of a Thing", "ThingLike": "What things do", "things_max": "So many", "Alias": "Another name",
          "Kind": "Kinds", "make_thing": "Makes one"}


class NamesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "include" / "belay" / "core" / "detail").mkdir(parents=True)
        (self.root / names.pages_of("core")[0]).parent.mkdir(parents=True)
        self.write("a.hpp", HEADER)
        self.write("detail/b.hpp", HEADER.replace("Thing", "Other"))
        limits = names.ROWS_MAX, names.START_MAX
        self.addCleanup(lambda: (setattr(names, "ROWS_MAX", limits[0]), setattr(names, "START_MAX", limits[1])))

    def write(self, name, text):
        (self.root / "include" / "belay" / "core" / name).write_text(text)

    def complaints(self):
        return list(names.Names(self.root).complaints())

    def test_what_is_public(self):
        found = names.Names(self.root)
        public = {name: row[2] for (space, name), row in found.found.items() if not space}
        self.assertEqual(public, PUBLIC)
        self.assertEqual({key for key in found.found if key[0]}, {("driver", "Node")})
        self.assertEqual(len(found.counted()), len(PUBLIC) - 1)
        self.assertEqual(self.complaints(), [])

    def test_a_row_has_the_options_and_the_nested_types_of_its_part(self):
        self.assertIn("| `Thing`, `ThingOptions`, `Thing::Mode`, `ThingOptions::Choice` | `core/a.hpp` | Something to have |",
                      names.Names(self.root).page())

    def test_first_programs_are_bold(self):
        program = "```cpp\n#include <belay/core.hpp>\nint main() { belay::Kind kind; }  // Alias\n```\n"
        (self.root / names.pages_of("core")[0]).write_text("# Core\n" + program + program.replace("Kind", "Thing"))
        page = names.Names(self.root).page()
        self.assertIn("| **`Kind`** | `core/a.hpp` | Kinds |", page)
        self.assertIn("| `Alias` | `core/a.hpp` | Another name |", page)
        self.assertIn("| `Thing`,", page)
        (self.root / "README.md").write_text(program.replace("Kind", "Thing"))
        self.assertIn("| **`Thing`**,", names.Names(self.root).page())
        names.START_MAX = 1
        self.assertEqual(len(self.complaints()), 1)

    def test_pages_with_another_name_than_their_component(self):
        pages = dict(names.PAGES)
        self.addCleanup(lambda: setattr(names, "PAGES", pages))
        names.PAGES = {"core": ("one", "two")}
        for page, name in (("one", "Kind"), ("two", "Thing"), ("core", "Alias")):
            (self.root / "docs" / f"{page}.md").write_text(f"```cpp\nint main() {{ belay::{name} n; }}\n```\n")
        self.assertEqual(names.Names(self.root).start, {("", "Kind"), ("", "Thing")})

    def test_each_component_of_belay_has_its_pages(self):
        root = pathlib.Path(__file__).resolve().parents[2]
        for component in names.layout.LIBRARY_OF:
            for page in names.pages_of(component):
                self.assertTrue((root / page).is_file(), f"{component} needs {page}, or a row in PAGES of names.py")

    def test_a_page_counts_only_for_its_own_library(self):
        (self.root / "docs" / "room.md").write_text("```cpp\n#include <belay/room.hpp>\nbelay::Kind kind;\n```\n")
        self.assertEqual(names.Names(self.root).start, set())

    def test_comments_texts_and_members_are_no_names(self):
        program = '#include <belay/core.hpp>\nint main() { box.Kind = "Thing"; box->Alias(); }  // Thing\n'
        (self.root / names.pages_of("core")[0]).write_text("```cpp\n" + program + "```\n")
        self.assertEqual(names.Names(self.root).start, set())

    def test_the_order_of_the_page(self):
        page = names.Names(self.root).page()
        self.assertNotIn("Hidden", page)
        self.assertLess(page.index("`make_thing`"), page.index("`driver::Node`"))

    def test_a_new_name_changes_the_page(self):
        before = names.Names(self.root).page()
        self.write("c.hpp", HEADER.replace("Thing", "Third").replace("make_thing", "make_third"))
        self.assertNotEqual(names.Names(self.root).page(), before)

    def test_complaints(self):
        self.write("a.hpp", HEADER.replace("/// Kinds.\n", ""))
        self.assertEqual(len(self.complaints()), 1)
        self.write("a.hpp", HEADER)
        names.ROWS_MAX = len(PUBLIC) - 2
        self.assertEqual(len(self.complaints()), 1)


if __name__ == "__main__":
    unittest.main()
