#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles in two small trees through `compile`: the second gets what the first has compiled, except Clang's precompiled headers."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).with_name("compile")
FILES = {
    "include/a.hpp": "#pragma once\ninline int answer() { return 42; }\n",
    "tests/pch.hpp": "#include <a.hpp>\n",
    "tests/a.cpp": "#include <a.hpp>\nint main() { return answer() - 42; }\n",
}


class Tree:
    def __init__(self, folder, name, compiler):
        self.root, self.cache = pathlib.Path(folder) / name, pathlib.Path(folder) / "cache"
        self.compiler = compiler
        self.build = self.root / "build"
        self.log = pathlib.Path(folder) / f"{name}.log"
        for path, text in FILES.items():
            self.write(path, text)
        self.build.mkdir()
        self.write("tests/scripts/compile", SCRIPT.read_text(encoding="utf-8"))

    def write(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def run(self, *arguments, path=None):
        environment = os.environ | {"CCACHE_DIR": str(self.cache), "CCACHE_STATSLOG": str(self.log)}
        if path:
            environment["PATH"] = path
        self.log.unlink(missing_ok=True)
        command = ["sh", str(self.root / "tests/scripts/compile"), self.compiler, "-std=c++20", f"-I{self.root}/include", *arguments]
        return subprocess.run(command, cwd=self.build, env=environment, capture_output=True, text=True, check=False)

    def compile(self, *options, **others):
        """Whether ccache had it."""
        done = self.run(*options, "-MD", "-MF", "a.d", "-c", f"{self.root}/tests/a.cpp", "-o", "a.o", **others)
        assert done.returncode == 0, done.stderr
        return "direct_cache_hit" in self.log.read_text(encoding="utf-8") if self.log.exists() else None

    def precompile(self, *options):
        done = self.run(*options, "-MD", "-MF", "a.pch.d", "-Xclang", "-emit-pch", "-x", "c++-header", "-c",
                        f"{self.root}/tests/pch.hpp", "-o", "a.pch")
        assert done.returncode == 0, done.stderr
        assert not self.log.exists(), "ccache had a part in it"
        return (self.build / "a.pch.sum").read_text(encoding="utf-8")


class CompileTest(unittest.TestCase):
    def trees(self, compiler, names=("first tree", "second tree")):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        if shutil.which(compiler) is None:
            self.skipTest(f"no {compiler} here")
        return [Tree(folder.name, name, compiler) for name in names]

    def test_another_tree_gets_what_was_compiled(self):
        one, two = self.trees("g++")
        if shutil.which("ccache") is None:
            self.skipTest("no ccache here")
        self.assertFalse(one.compile())
        self.assertTrue(two.compile())
        self.assertNotIn("first", (two.build / "a.d").read_text(encoding="utf-8"))
        two.write("include/a.hpp", FILES["include/a.hpp"] + "// another text\n")
        self.assertFalse(two.compile())
        self.assertTrue(one.compile())

    def test_a_precompiled_header_is_made_in_each_tree(self):
        one, two = self.trees("clang++", ("first", "second"))
        has_ccache = shutil.which("ccache") is not None
        use = ("-Xclang", "-include-pch", "-Xclang", "a.pch")
        self.assertEqual(one.precompile(), two.precompile())
        first, second = one.compile(*use), two.compile(*use)
        if has_ccache:
            self.assertEqual((first, second), (False, True))
        self.assertNotIn("first", (two.build / "a.d").read_text(encoding="utf-8"))
        self.assertNotEqual(one.precompile("-O1"), two.precompile())
        two.write("include/a.hpp", FILES["include/a.hpp"].replace("return 42", "return 0 + 42"))
        self.assertNotEqual(one.precompile(), two.precompile())
        if has_ccache:
            self.assertFalse(two.compile(*use))
        shutil.rmtree(one.root)
        two.compile(*use)
        two.precompile()

    def test_another_tree_gets_the_precompiled_header_of_gcc_and_what_uses_it(self):
        one, two = self.trees("g++")
        if shutil.which("ccache") is None:
            self.skipTest("no ccache here")
        hits = []
        for tree in (one, two):
            # As CMake does it.
            tree.write("build/pch.hxx", "#include <pch.hpp>\n")
            tree.write("build/pch.hxx.cxx", "/* nothing */\n")
            include = (f"-I{tree.root}/tests", "-Winvalid-pch", "-include", f"{tree.build}/pch.hxx")
            made = tree.run(*include, "-x", "c++-header", "-MD", "-MF", "pch.d", "-o", "pch.hxx.gch", "-c",
                            f"{tree.build}/pch.hxx.cxx")
            self.assertEqual(made.returncode, 0, made.stderr)
            hits.append("direct_cache_hit" in tree.log.read_text(encoding="utf-8"))
            hits.append(tree.compile(*include))
        self.assertEqual(hits, [False, False, True, True])

    def test_in_a_path_with_a_space_no_tree_depends_on_another(self):
        use = ("-Xclang", "-include-pch", "-Xclang", "a.pch")
        for tree in self.trees("clang++"):
            tree.precompile()
            self.assertFalse(tree.compile(*use))
        self.assertNotIn("first", (tree.build / "a.d").read_text(encoding="utf-8"))

    def test_without_ccache_the_compiler_runs(self):
        tree = self.trees("g++")[0]
        with tempfile.TemporaryDirectory() as tools:
            for tool in ("g++", "as", "sh"):
                os.symlink(shutil.which(tool), f"{tools}/{tool}")
            self.assertIsNone(tree.compile(path=tools))
        self.assertTrue((tree.build / "a.o").exists())

    def test_an_error_names_the_file(self):
        tree = self.trees("g++")[0]
        tree.write("tests/a.cpp", "int main() { return x; }\n")
        done = tree.run("-c", f"{tree.root}/tests/a.cpp", "-o", "a.o")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(f"{tree.root}/tests/a.cpp:1:", done.stderr)


if __name__ == "__main__":
    unittest.main()
