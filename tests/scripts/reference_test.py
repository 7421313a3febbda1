#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants declarations in a header, and sees what the site's reference says of them."""

import contextlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs/site"))
import reference  # noqa: E402

HEADER = """\
namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// Nobody sees it.
struct Hidden {};
}  // namespace detail

/// What a thing is made of, `1 < 2 | 3`.
struct ThingOptions {
    /// How many. > 0.
    int count = 3;
    int bare = 4;
};

/// This primary template only rejects unsuitable types.
template <class T>
class Thing {
    int never_shown_;
};

/// What can be stopped:
///
/// - `halt() -> bool`: ends it.
template <class T>
concept StoppableLike = requires(T t) { t.halt(); };

/// Does a thing.
///
/// Models: StoppableLike. Thread safety: any thread. Errors: none.
template <class T>
    requires true
class Thing<T> {
public:
    using value_type = T;
    /// Makes a Thing from its options.
    explicit Thing(T thing, ThingOptions options = {});
    /// Does not compile, because a number has no unit.
    explicit Thing(int) = delete;
    bool is_silent() const;
    bool halt();
private:
    int secret_;
};
template <class T>
Thing(T) -> Thing<T>;

/// Has a part of its own.
class Holder {
    struct Inner;
};
struct Holder::Inner {
    int deep;
};

/// Makes a `Thing`.
template <class T>
Thing<T> make_thing(T thing, ThingOptions options = {});

/// Kinds.
enum class Kind { one /** the first */, two };

}}  // namespace belay
"""


@unittest.skipUnless(shutil.which("doxygen"), "Doxygen is not installed")
class Planted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(cls.folder.name)
        (root / "include/belay/core").mkdir(parents=True)
        (root / "include/belay/core/thing.hpp").write_text(HEADER)
        kept, reference.ROOT = reference.ROOT, root
        cls.reference = reference.read_reference()
        reference.ROOT = kept
        cls.reference.write(root / "pages")
        cls.page = (root / "pages/core.md").read_text()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_what_is_shown(self):
        self.assertEqual(set(self.reference.items), {"Thing", "ThingOptions", "make_thing", "Kind", "StoppableLike", "Holder"})
        for text in ("## Thing {#thing}", "`#include <belay/core/thing.hpp>`", "Does a thing.", "- **Thread safety:** any thread.",
                     "- **Errors:** none.", 'As <a href="core.html#stoppablelike">StoppableLike</a> says.', "is_silent", "Deduced from its arguments", "<code>two</code>", "the first"):
            self.assertIn(text, self.page)
        self.assertEqual(self.page.count("Makes a <a"), 1)
        for text in ("only rejects", "no unit", "secret_", "Inner", "deep", "never_shown_", "Nobody sees", "v0", "BELAY_ABI"):
            self.assertNotIn(text, self.page)

    def test_names_are_links(self):
        self.assertIn('<a href="core.html#thing"><code>Thing</code></a>', self.page)
        self.assertIn('<a href="core.html#thingoptions">ThingOptions</a> options', self.page)

    def test_options_are_a_table(self):
        self.assertIn("| <code>count</code><br><small>int</small> | 3 | How many. &gt; 0. |", self.page)
        self.assertIn("<code>1 &lt; 2 \\| 3</code>", self.page)

    def test_members_without_a_description(self):
        self.assertEqual(self.reference.without_brief,
                         {"belay/core/thing.hpp ThingOptions::bare", "belay/core/thing.hpp Thing::is_silent"})

    def checked(self, listed, write=False):
        kept, reference.WITHOUT_BRIEF = reference.WITHOUT_BRIEF, pathlib.Path(self.folder.name) / "listed"
        reference.WITHOUT_BRIEF.write_text(listed)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            wrong = reference.check(self.reference, write)
        text = reference.WITHOUT_BRIEF.read_text()
        reference.WITHOUT_BRIEF = kept
        return wrong, out.getvalue(), text

    def test_the_list_only_shrinks(self):
        both = "belay/core/thing.hpp Thing::is_silent\nbelay/core/thing.hpp ThingOptions::bare\n"
        self.assertEqual(self.checked(both)[0], 0)
        wrong, out, _ = self.checked("belay/core/thing.hpp ThingOptions::bare\n")
        self.assertEqual(wrong, 1)
        self.assertIn("include/belay/core/thing.hpp: Thing::is_silent has no description", out)
        wrong, out, _ = self.checked(both + "belay/core/thing.hpp gone\n")
        self.assertEqual(wrong, 1)
        self.assertIn("remove the line", out)
        wrong, _, text = self.checked("belay/core/thing.hpp ThingOptions::bare\nbelay/core/thing.hpp gone\n", write=True)
        self.assertEqual((wrong, text), (1, "belay/core/thing.hpp ThingOptions::bare\n"))


class Missing(unittest.TestCase):
    def test_without_doxygen_a_sentence_says_so(self):
        with tempfile.TemporaryDirectory() as empty:
            result = subprocess.run([sys.executable, ROOT / "docs/site/reference.py", "--check"], capture_output=True, text=True,
                                    check=False, env={**os.environ, "PATH": empty})
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr, "the reference needs Doxygen, which is not installed: apt-get install doxygen\n")


if __name__ == "__main__":
    unittest.main()
