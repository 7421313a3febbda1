#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants headers that Universal Ctags reads and that it cannot read, and sees what tags.py reports."""

import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tags  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = """namespace belay { inline namespace BELAY_ABI {

/// A concept.
template <class T>
concept ThingLike = true;

/// A type.
struct Thing {};

/// A function.
template <ThingLike T>
[[nodiscard]] constexpr int make_thing(const T&) noexcept {
    return 1;
}

}}  // namespace belay

namespace belay { inline namespace BELAY_ABI { namespace driver {

/// A type in a namespace of its own.
struct Node {};

}}}  // namespace belay::driver
"""


@unittest.skipUnless(shutil.which("ctags"), "SKIP: no ctags here; install universal-ctags")
class TagsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "include" / "belay" / "core").mkdir(parents=True)
        shutil.copytree(ROOT / ".ctags.d", self.root / ".ctags.d")

    def complaints(self, text):
        (self.root / "include" / "belay" / "core" / "a.hpp").write_text(text)
        return list(tags.complaints(self.root))

    def test_every_name_is_found(self):
        self.assertEqual(self.complaints(HEADER), [])

    def test_a_hidden_constant_is_reported(self):
        hidden = HEADER.replace("/// A type.\n", "/// A limit.\ninline constexpr std::size_t things_max = "
                                                 "std::size_t{1} << 30;\n\n/// A type.\n", 1)
        self.assertIn("include/belay/core/a.hpp: things_max: ctags does not find it", "\n".join(self.complaints(hidden)))

    def test_without_the_option_for_concepts(self):
        shutil.rmtree(self.root / ".ctags.d")
        self.assertIn("ThingLike: ctags does not find it", "\n".join(self.complaints(HEADER)))


if __name__ == "__main__":
    unittest.main()
