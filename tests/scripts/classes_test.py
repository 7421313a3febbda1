#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants classes beyond each limit, and sees that classes.py reports them."""

import pathlib
import shutil
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import classes  # noqa: E402

BEGIN = "namespace belay { inline namespace BELAY_ABI { namespace detail {\n"
END = "}}}  // namespace belay::detail\n"


def members(count, form):
    return "".join(f"    {form.format(i)}\n" for i in range(count))


@unittest.skipUnless(shutil.which("ctags"), "SKIP: no ctags here; install universal-ctags")
class ClassesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name in ("LISTED", "FRIENDS"):
            patch = mock.patch.object(classes, name, {})
            patch.start()
            self.addCleanup(patch.stop)

    def rules(self, text, header="core/detail/a.hpp"):
        path = self.root / "include" / "belay" / header
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(BEGIN + text + END)
        found = [line.split(": ")[1] for line in classes.complaints(self.root)]
        path.unlink()
        return found

    def test_public_members(self):
        fits = "class A {\npublic:\n    A();\n    ~A();\n" + members(classes.PUBLIC_MAX, "void f{}();") + "};\n"
        self.assertEqual(self.rules(fits), [])
        larger = fits.replace("    A();\n", "    void more() {}\n")
        self.assertEqual(self.rules(larger), ["public-members"])
        self.assertEqual(self.rules(larger, "core/a.hpp"), [])
        self.assertEqual(self.rules(larger, "room/detail/a.hpp"), ["public-members"])

    def test_data_members(self):
        fits = "class A {\n" + members(classes.DATA_MAX, "int a{}_;") + "};\n"
        self.assertEqual(self.rules(fits), [])
        larger = fits.replace("class A {\n", "class A {\n    int more_;\n")
        self.assertEqual(self.rules(larger), ["data-members"])
        self.assertEqual(self.rules(larger, "core/a.hpp"), ["data-members"])
        self.assertEqual(self.rules(larger.replace("class A", "struct AOptions"), "core/a.hpp"), [])

    def test_inheritance(self):
        fits = "class A : std::exception {};\nclass B : public A {};\n"
        self.assertEqual(self.rules(fits), [])
        self.assertEqual(self.rules(fits + "class C : B {};\n"), ["inheritance"])
        self.assertEqual(self.rules(fits + "class C : B {};\n", "room/detail/a.hpp"), ["inheritance"])

    def test_friends(self):
        fits = "class Handle {};\nclass A : Base {\n    friend class Handle;\n    friend Base;\n    friend bool operator==(A, A);\n};\n"
        self.assertEqual(self.rules(fits), [])
        stranger = fits.replace("    friend Base;\n", "    friend class Stranger;\n")
        self.assertEqual(self.rules(stranger), ["friend"])
        self.assertEqual(self.rules(stranger, "room/detail/a.hpp"), ["friend"])
        with mock.patch.object(classes, "FRIENDS", {"core/detail/a.hpp Stranger": "why"}):
            self.assertEqual(self.rules(stranger), [])
            self.assertEqual(self.rules(fits), ["friend"])
            self.assertEqual(self.rules(stranger.replace("Stranger", "ATest")), ["friend", "friend"])
        with mock.patch.object(classes, "FRIENDS_MAX", -1):
            self.assertEqual(self.rules(fits), ["friend"])

    def test_what_is_listed_and_within_the_limits(self):
        with mock.patch.object(classes, "LISTED", {"core/detail/a.hpp A": "why"}):
            self.assertEqual(self.rules("class A {};\n"), ["listed"])
            self.assertEqual(self.rules("class A {\n" + members(13, "int a{}_;") + "};\n"), [])


if __name__ == "__main__":
    unittest.main()
