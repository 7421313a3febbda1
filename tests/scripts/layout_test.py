#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plants one violation of each kind in a copy of a small tree, and sees that layout.py reports it."""

import pathlib
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import layout  # noqa: E402

SPDX = "// SPDX-License-Identifier: MIT\n"


def header(name, body=""):
    return f"{SPDX}/// \\file belay/{name}\n/// What it is.\n#pragma once\n\n{body}"


def test_of(name):
    return f"{SPDX}// Goal and method.\n#include <belay/{name}>\n"


# A tree that is right in every respect.
CLEAN = {
    "LICENSE": "MIT License\n",
    "CMakeLists.txt": "# SPDX-License-Identifier: MIT\n",
    "tests/run": "#!/usr/bin/env bash\n# SPDX-License-Identifier: MIT\n",
    "include/belay/version.hpp": header("version.hpp", "#define BELAY_VERSION_MAJOR 0\n"),
    "include/belay/belay.hpp": header("belay.hpp", "#include <belay/core.hpp>\n#include <belay/version.hpp>\n"),
    "include/belay/core.hpp": header("core.hpp", "#include <belay/core/a.hpp>\n"),
    "include/belay/drive.hpp": header("drive.hpp", "#include <belay/drive/b.hpp>\n"),
    "include/belay/posix.hpp": header("posix.hpp", "#include <belay/posix/tcp.hpp>\n"),
    "include/belay/queue.hpp": header("queue.hpp", "#include <belay/queue/q.hpp>\n"),
    "include/belay/link.hpp": header("link.hpp", "#include <belay/link/l.hpp>\n"),
    "include/belay/sim.hpp": header("sim.hpp", "#include <belay/sim/c.hpp>\n"),
    "include/belay/core/a.hpp": header("core/a.hpp", "#if X\n#    include <sys/random.h>\n#endif\n#include <cstdint>\n"),
    "include/belay/core/detail/hidden.hpp": header("core/detail/hidden.hpp"),
    "include/belay/drive/b.hpp": header("drive/b.hpp", "#include <belay/core/a.hpp>\n#include <thread>\n"),
    "include/belay/posix/tcp.hpp": header("posix/tcp.hpp", "#include <sys/socket.h>\n"),
    "include/belay/queue/q.hpp": header("queue/q.hpp", "#include <belay/core/a.hpp>\n"),
    "include/belay/link/l.hpp": header("link/l.hpp", "#include <belay/core/a.hpp>\n"),
    "include/belay/sim/c.hpp": header("sim/c.hpp", "#include <belay/link/l.hpp>\n"),
    "tests/core/a.test.cpp": test_of("core/a.hpp"),
    "tests/drive/b.static.cpp": test_of("drive/b.hpp"),
    "tests/posix/tcp.test.cpp": test_of("posix/tcp.hpp"),
    "tests/queue/q.test.cpp": test_of("queue/q.hpp"),
    "tests/link/l.test.cpp": test_of("link/l.hpp"),
    "tests/sim/c.test.cpp": test_of("sim/c.hpp"),
    "examples/e.cpp": SPDX + "#include <belay/sim/c.hpp>\n",
}


def violations(changes):
    """The rules that layout.py finds broken in the clean tree with `changes` (None removes a file)."""
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in (CLEAN | changes).items():
            if text is not None:
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        return [line.split(": ")[1] for line in layout.Layout(root).check()]


def umbrella(folder, *names):
    """The umbrella of a component with what the clean tree has in it, and `names`."""
    text = CLEAN.get(f"include/belay/{folder}.hpp", header(f"{folder}.hpp"))
    lines = "".join(f"#include <belay/{folder}/{name}.hpp>\n" for name in names)
    return {} if folder in layout.WITHOUT_UMBRELLA else {f"include/belay/{folder}.hpp": text + lines}


def including(path, *targets):
    lines = "".join(f"#include {target}\n" for target in targets)
    return {f"include/belay/{path}": header(path, lines)}


class LayoutTest(unittest.TestCase):
    def finds(self, rule, changes):
        self.assertEqual(violations(changes), [rule], f"planted: {changes}")

    def test_clean_tree_is_clean(self):
        self.assertEqual(violations({}), [])

    def test_spdx(self):
        a = CLEAN["include/belay/core/a.hpp"]
        self.finds("spdx", {"tests/core/a.test.cpp": "// first\n" + CLEAN["tests/core/a.test.cpp"].replace("MIT", "")})
        self.finds("spdx", {"include/belay/core/a.hpp": a.replace("MIT", "GPL-3.0-only")})
        self.finds("spdx", {"CMakeLists.txt": "project(x)\n"})
        self.finds("spdx", {"tests/run": "#!/bin/sh\necho\n"})

    def test_machine_path(self):
        for folder in ("home", "root", "Users"):
            self.finds("machine-path", {"notes.md": f"see /{folder}/someone/x\n"})
        self.assertEqual(violations({"notes.md": "see https://example.org/home/x and ${ROOT}/home/x\n"}), [])

    def test_left_open(self):
        for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"):
            self.finds("left-open", {"docs/a.md": f"{word}: later\n"})
            self.assertEqual(violations({"docs/a.md": f"{word}(#12): later\n"}), [])

    def test_header_form(self):
        a = CLEAN["include/belay/core/a.hpp"]
        self.finds("file-line", {"include/belay/core/a.hpp": a.replace("core/a.hpp", "core/b.hpp", 1)})
        self.finds("pragma-once", {"include/belay/core/a.hpp": a.replace("#pragma once\n", "")})
        self.finds("using-namespace", {"include/belay/core/a.hpp": a + "using namespace std;\n"})
        opened = "namespace belay { inline namespace BELAY_ABI {\n}}\n"
        self.finds("abi", {"include/belay/core/a.hpp": header("core/a.hpp", opened)})

    def test_macros(self):
        a = CLEAN["include/belay/core/a.hpp"]
        self.finds("macro", {"include/belay/core/a.hpp": a + "#define BELAY_DETAIL_X 1\n"})
        self.finds("macro", {"include/belay/core/a.hpp": a + "#    define X 1\n#undef X\n"})
        self.finds("macro", {"include/belay/version.hpp": header("version.hpp", "#define VERSION 1\n")})
        system = "windows/detail/win32.hpp"
        self.finds("macro", {f"include/belay/{system}": header(system, "#define NOMINMAX\n")})
        self.finds("macro", {f"include/belay/{system}": header(system, "#define UNICODE\n#undef UNICODE\n")})
        whole = "#define NOMINMAX\n#include <windows.h>\n#undef NOMINMAX\n"
        self.assertEqual(violations({f"include/belay/{system}": header(system, whole)}), [])
        passing = {"include/belay/core/a.hpp": a + "#define BELAY_DETAIL_X 1\n#undef BELAY_DETAIL_X\n"}
        self.assertEqual(violations(passing), [])

    def test_a_namespace_that_tags_cannot_read(self):
        a = CLEAN["include/belay/core/a.hpp"]
        self.finds("namespace", {"include/belay/core/a.hpp": a + "namespace belay::inline BELAY_ABI {\n}\n"})

    def test_asserts_at_namespace_scope(self):
        a = CLEAN["include/belay/core/a.hpp"]
        self.finds("namespace-assert", {"include/belay/core/a.hpp": a + "static_assert(sizeof(int) == 4);\n"})
        inside = "struct S {\n    static_assert(sizeof(int) == 4);\n};\n"
        self.assertEqual(violations({"include/belay/core/a.hpp": a + inside}), [])

    def test_sizes(self):
        a = CLEAN["include/belay/core/a.hpp"]
        self.finds("header-size", {"include/belay/core/a.hpp": a + "int x;\n" * 1200})
        self.assertEqual(violations({"include/belay/core/a.hpp": a + "int x;\n" * 1190 + "// y\n" * 50}), [])

    def test_a_small_header_with_one_includer(self):
        small = including("backoff/detail/small.hpp") | including("backoff/b.hpp", "<belay/backoff/detail/small.hpp>") \
            | umbrella("backoff", "b") | {"tests/backoff/b.test.cpp": test_of("backoff/b.hpp")}
        self.finds("header-size", small)
        large = CLEAN["include/belay/core/a.hpp"].replace("core/a.hpp", "backoff/detail/small.hpp") + "int x;\n" * 60
        self.assertEqual(violations(small | {"include/belay/backoff/detail/small.hpp": large}), [])
        second = including("backoff/c.hpp", "<belay/backoff/detail/small.hpp>") | umbrella("backoff", "b", "c") \
            | {"tests/backoff/c.test.cpp": test_of("backoff/c.hpp")}
        self.assertEqual(violations(small | second), [])

    def test_line_length(self):
        a = CLEAN["include/belay/core/a.hpp"]
        self.finds("line-length", {"include/belay/core/a.hpp": a + "/// " + "x" * 97 + "\n"})
        self.assertEqual(violations({"include/belay/core/a.hpp": a + "/// " + "x" * 96 + "\n"}), [])

    def test_links(self):
        page = "# A page\n## What it's: for\n[up](../LICENSE) [here](#what-its-for) [web](https://example.org/x)\n"
        passing = {"docs/a.md": page, "docs/b.md": "[a](a.md#a-page)\n```\n[no](x.md)\n```\n`[no](x.md)`\n"}
        self.assertEqual(violations(passing), [])
        self.finds("link", passing | {"docs/b.md": "[a](c.md)\n"})
        self.finds("link", passing | {"docs/b.md": "[a](a.md#another-page)\n"})
        self.finds("link", passing | {"README.md": "[a](a.md)\n"})

    def test_named_headers(self):
        page = {"docs/a.md": "# A\n`core/a.hpp`, `<belay/core/a.hpp>`, `boost/asio.hpp` and `b.hpp`\n"}
        self.assertEqual(violations(page), [])
        self.finds("named-header", {"docs/a.md": "# A\n`core/gone.hpp`\n"})
        self.finds("named-header", {"docs/a.md": "# A\n`<belay/gone.hpp>`\n"})

    def test_index(self):
        pages = {"docs/README.md": "# Pages\n[a](a.md)\n", "docs/a.md": "# A\n"}
        self.assertEqual(violations(pages), [])
        self.finds("index", pages | {"docs/b.md": "# B\n"})
        self.finds("index", pages | {"docs/how-to/b.md": "# B\n"})
        maintainers = {"docs/contributing/README.md": "# Pages\n[d](../design.md)\n", "docs/design.md": "# D\n"}
        self.assertEqual(violations(pages | maintainers), [])
        self.finds("index", pages | maintainers | {"docs/contributing/b.md": "# B\n"})
        self.finds("index", maintainers | {"docs/README.md": "# Pages\n[d](design.md)\n"})

    def test_users_pages(self):
        pages = {"docs/a.md": "# A\n`tests/run` and `tests/scripts`\n", "docs/design.md": "# D\n`tests/core/a.test.cpp`\n"}
        self.assertEqual(violations(pages), [])
        self.finds("users-page", pages | {"docs/a.md": "# A\n`tests/core/a.test.cpp`\n"})
        self.finds("users-page", pages | {"docs/how-to/a.md": "# A\nsee `a.test.cpp`\n"})
        self.finds("users-page", pages | {"docs/a.md": "# A\n`core/detail/hidden.hpp`\n"})
        with unittest.mock.patch.object(layout, "NAME_FILES", {"docs/b.md"}):
            self.finds("users-page", pages | {"docs/b.md": "# B\n"})

    def test_readme_builds(self):
        for language, name in (("cmake", "CMakeLists.txt"), ("meson", "meson.build")):
            readme = {"README.md": f"```{language}\nfind(it)   # or not\nuse(it)\n```\n"}
            consumer = f"tests/consumer/x/{name}"
            spdx = "# SPDX-License-Identifier: MIT\n"
            self.assertEqual(violations(readme | {consumer: spdx + "find(it)\nif(x)\n    use(it)\n"}), [])
            self.finds("readme-code", readme | {consumer: spdx + "find(it)\n"})

    def test_pitfalls(self):
        test = {"tests/core/a.test.cpp": CLEAN["tests/core/a.test.cpp"] + 'TEST_CASE("a holds", "[core]") {}\n'}
        self.assertEqual(violations(test | {"docs/contributing/pitfalls.md": '| 1 | x | y | "a holds" |\n'}), [])
        self.finds("pitfall", test | {"docs/contributing/pitfalls.md": '| 1 | x | y | "a falls" |\n'})

    def test_heavy_includes(self):
        tests = {f"tests/{folder}/h.test.cpp": test_of(f"{folder}/h.hpp") for folder in layout.ARROWS}
        for folder in ("core", "policy", "budget", "journal", "work", "link", "fleet", "session", "sync", "room"):
            planted = {f"tests/{folder}/h.test.cpp": tests[f"tests/{folder}/h.test.cpp"]} | umbrella(folder, "h")
            for name in ("iostream", "regex", "filesystem", "future", "random"):
                self.finds("heavy-include", planted | including(f"{folder}/h.hpp", f"<{name}>"))
        for folder in ("core", "backoff", "call", "queue", "journal", "work"):
            planted = {f"tests/{folder}/h.test.cpp": tests[f"tests/{folder}/h.test.cpp"]} | umbrella(folder, "h")
            for name in ("mutex", "condition_variable", "thread"):
                self.finds("heavy-include", planted | including(f"{folder}/h.hpp", f"<{name}>"))
        for folder in ("drive", "sim", "asio"):
            planted = {f"tests/{folder}/h.test.cpp": tests[f"tests/{folder}/h.test.cpp"]} | umbrella(folder, "h")
            self.finds("heavy-include", planted | including(f"{folder}/h.hpp", "<iostream>"))

    def test_coroutines_without_need(self):
        planted = umbrella("drive", "h") | {"tests/drive/h.test.cpp": test_of("drive/h.hpp")}
        self.finds("heavy-include", planted | including("drive/h.hpp", "<coroutine>"))

    def test_algorithms_that_compilers_warn_of(self):
        for call in ("stable_sort", "stable_partition", "inplace_merge"):
            planted = CLEAN["include/belay/core/a.hpp"] + f"inline void f() {{ std::{call}(a, b); }}\n"
            self.finds("warned-of", {"include/belay/core/a.hpp": planted})

    def test_a_macro_of_windows(self):
        for line in ("int f(int near);", "const bool far = true;", 'inline void g(int hyper) { h("far"); }'):
            self.finds("windows-macro", {"include/belay/core/a.hpp": CLEAN["include/belay/core/a.hpp"] + line + "\n"})

    def test_a_lambda_in_decltype(self):
        planted = CLEAN["include/belay/core/a.hpp"] + "using A = decltype([] { return 1; }());\n"
        self.finds("lambda-in-decltype", {"include/belay/core/a.hpp": planted})

    def test_foreign_includes(self):
        self.finds("foreign-include", including("core/a.hpp", "<sys/socket.h>"))
        self.finds("foreign-include", including("drive/b.hpp", "<boost/asio.hpp>"))
        self.finds("include-form", including("link/l.hpp", '"a.hpp"'))
        self.finds("include-form", including("link/l.hpp", "<belay/core/missing.hpp>"))

    def test_every_pair_of_layers(self):
        for including_folder, below in layout.ARROWS.items():
            for included in layout.ARROWS:
                name = f"{including_folder}/from.hpp"
                changes = including(name, f"<belay/{included}/to.hpp>") | {
                    f"include/belay/{included}/to.hpp": header(f"{included}/to.hpp", "int x;\n" * 60),
                    f"tests/{included}/to.test.cpp": test_of(f"{included}/to.hpp"),
                    f"tests/{name[:-4]}.test.cpp": test_of(name),
                } | umbrella(included, "to") | umbrella(including_folder, "from")
                if included == including_folder:
                    changes |= umbrella(included, "from", "to")
                simulates = including_folder in ("asio_sim", "libc_sim") and included == "sim"
                if included in (including_folder, *below) or simulates:
                    self.assertEqual(violations(changes), [], changes)
                else:
                    self.finds("layer", changes)

    def test_only_two_bindings_include_sim(self):
        for name in ("asio_sim/net.hpp", "libc_sim/program.hpp", "asio_sim/detail/socket.hpp"):
            changes = {f"include/belay/{name}": header(name, "#include <belay/sim/to.hpp>\n"),
                       f"tests/{name[:-4]}.test.cpp": test_of(name),
                       "include/belay/sim/to.hpp": header("sim/to.hpp"), "tests/sim/to.test.cpp": test_of("sim/to.hpp")} \
                | umbrella("sim", "to")
            self.assertEqual(violations(changes), [], changes)
            other = changes | {"include/belay/asio/sim.hpp": header("asio/sim.hpp", "#include <belay/sim/to.hpp>\n"),
                               "tests/asio/sim.test.cpp": test_of("asio/sim.hpp")}
            self.finds("layer", other)

    def test_the_tables_of_layers_themselves(self):
        # In their own words, so that a slip in a table is a slip in two places.
        self.assertEqual(sorted(layout.LIBRARY_OF), sorted(layout.ARROWS))
        self.assertEqual(layout.ARROWS["yjs"], ("core",))
        self.assertEqual(layout.ARROWS["drive"], ("core", "call"))
        self.assertEqual(layout.ARROWS["backoff"], ("core", "policy"))
        for component in ("breaker", "budget"):
            self.assertEqual(layout.ARROWS[component], ("core", "metrics", "policy"))
        for component, below in layout.ARROWS.items():
            self.assertNotIn("sim", below)
            if layout.LIBRARY_OF[component] != "bindings":
                self.assertFalse(set(layout.LIBRARIES["bindings"]) & set(below))
        self.assertNotIn("testing", layout.STANDS_ON["bindings"])

    def arrows(self, table, *changes):
        """What check_arrows reports of the clean tree, with this table of arrows."""
        with mock.patch.object(layout, "ARROWS", table), tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in (CLEAN | dict(changes)).items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return [line.split(": ", 2)[2] for line in layout.Layout(root).check_arrows()]

    def test_arrows_that_no_header_uses_and_arrows_up(self):
        used = {"core": (), "drive": ("core",), "queue": ("core",), "link": ("core",), "sim": ("link",), "posix": ()}
        self.assertEqual(self.arrows(used), [])
        self.assertEqual(self.arrows(used | {"posix": ("core",)}), ["no header of posix includes core: remove it from ARROWS"])
        up = ("include/belay/link/l.hpp", header("link/l.hpp", "#include <belay/core/a.hpp>\n#include <belay/queue/q.hpp>\n"))
        self.assertEqual(self.arrows(used | {"link": ("core", "queue")}, up),
                         ["link is in belay, which may not stand on durable, where queue is"])

    def test_circles(self):
        a = header("core/a.hpp", "#include <belay/core/detail/hidden.hpp>\n")
        hidden = header("core/detail/hidden.hpp", "#include <belay/core/a.hpp>\n") + "int x;\n" * 60
        self.finds("circle", {"include/belay/core/a.hpp": a, "include/belay/core/detail/hidden.hpp": hidden})
        with mock.patch.object(layout, "ARROWS", layout.ARROWS | {"core": ("policy",)}):
            self.finds("circle", {})

    def test_umbrellas_include_their_component(self):
        self.finds("layer", {"include/belay/sim.hpp": CLEAN["include/belay/sim.hpp"] + "#include <belay/core/detail/hidden.hpp>\n"})
        most = CLEAN["include/belay/belay.hpp"]
        for target in ("sim", "drive", "core/a"):
            self.finds("layer", {"include/belay/belay.hpp": most + f"#include <belay/{target}.hpp>\n"})
        self.assertEqual(violations({"include/belay/belay.hpp": most + "#include <belay/queue.hpp>\n"}), [])
        self.finds("layer", including("drive/b.hpp", "<belay/belay.hpp>"))
        self.finds("layer", including("drive/b.hpp", "<belay/core.hpp>"))
        self.finds("layer", including("other.hpp"))
        self.finds("layer", including("other/x.hpp") | {"tests/other/x.test.cpp": test_of("other/x.hpp")})

    def test_each_header_is_in_one_umbrella(self):
        self.finds("umbrella", {"include/belay/sim.hpp": header("sim.hpp")})
        new = {"include/belay/call/task.hpp": header("call/task.hpp"), "tests/call/task.test.cpp": test_of("call/task.hpp")}
        self.finds("umbrella", new)
        coroutines = {"include/belay/call_coroutines.hpp": header("call_coroutines.hpp", "#include <belay/call/task.hpp>\n")}
        self.assertEqual(violations(new | coroutines), [])
        self.assertEqual(violations(new | umbrella("call", "task")), [])
        self.finds("umbrella", new | coroutines | umbrella("call", "task"))
        left_out = {"include/belay/queue/storage_check.hpp": header("queue/storage_check.hpp"),
                    "tests/queue/storage_check.test.cpp": test_of("queue/storage_check.hpp")}
        self.assertEqual(violations(left_out), [])
        self.finds("umbrella", left_out | umbrella("queue", "storage_check"))

    def test_statements_that_an_umbrella_includes_all(self):
        check = {"include/belay/queue/storage_check.hpp": header("queue/storage_check.hpp"),
                 "tests/queue/storage_check.test.cpp": test_of("queue/storage_check.hpp")}
        for statement in ("`<belay/queue.hpp>` includes\nall of this component.",
                          "Use it. Include `<belay/queue.hpp>` for the whole component. See `storage_check.hpp`.",
                          "Each has a header that includes all of it, such as `belay/queue.hpp`.",
                          "- `belay/queue.hpp` includes a whole component",
                          "`belay/queue.hpp` includes everything on this page."):
            self.assertEqual(violations({"docs/a.md": statement + "\n"}), [], statement)
            self.finds("umbrella-statement", check | {"docs/a.md": statement + "\n"})
        named = "`belay/queue.hpp` includes the component except `storage_check.hpp`. It is part of `belay/belay.hpp`.\n"
        self.assertEqual(violations(check | {"docs/a.md": named}), [])
        self.finds("umbrella-statement", {"docs/a.md": named})
        too_many = "`belay/queue.hpp` includes all of it except `q.hpp` and `storage_check.hpp`.\n"
        self.finds("umbrella-statement", check | {"docs/a.md": too_many})
        main = "`belay/queue.hpp` includes the main headers of the component.\n\n```\n`belay/queue.hpp` includes all of it.\n```\n"
        self.assertEqual(violations(check | {"docs/a.md": main}), [])
        comment = header("queue.hpp", "#include <belay/queue/q.hpp>\n").replace("What it is.", "Includes all of the component queue.")
        self.finds("umbrella-statement", check | {"include/belay/queue.hpp": comment})
        through = {"include/belay/queue/q.hpp": header("queue/q.hpp", "#include <belay/queue/storage_check.hpp>\n")}
        self.assertNotIn("umbrella-statement", violations(check | through | {"include/belay/queue.hpp": comment}))

    def test_detail_is_not_public(self):
        self.finds("layer", {"examples/e.cpp": SPDX + "#include <belay/core/detail/hidden.hpp>\n"})

    def test_mirrored_test(self):
        self.finds("mirrored-test", {"tests/core/a.test.cpp": None})
        self.finds("mirrored-test", {"tests/posix/tcp.test.cpp": None})

    def test_test_form(self):
        a = CLEAN["tests/core/a.test.cpp"]
        self.finds("test-form", {"tests/core/a.test.cpp": a.replace("// Goal and method.\n", "")})
        layout.NOT_MERGED -= {"core"}
        other_first = a.replace("#include", "#include <vector>\n#include")
        self.finds("test-form", {"tests/core/a.test.cpp": other_first, "tests/core/a.static.cpp": a})
        # A test is named after a header, or after a type that a header of its folder defines.
        types = {"include/belay/core/a.hpp": header("core/a.hpp", "template <class T>\nconcept FastLike = true;\nstruct Other;\n")}
        for name in ("fast_like.test.cpp", "fast_like.static.cpp"):
            self.assertEqual(violations(types | {f"tests/core/{name}": a}), [])
            self.finds("test-form", types | {f"tests/core/{name}": other_first})
        self.assertEqual(violations(types | {"tests/core/other.test.cpp": other_first}), [])

    def test_git_and_plain_trees_list_the_same_files(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "build").mkdir()
            (root / "build" / "x.cpp").write_text("")
            (root / "a.cpp").write_text("")
            self.assertEqual(layout.list_files(root), ["a.cpp"])
            subprocess.run(["git", "init", "-q", folder], check=True)
            (root / ".gitignore").write_text("/build/\n")
            self.assertEqual(layout.list_files(root), [".gitignore", "a.cpp"])


if __name__ == "__main__":
    unittest.main()
