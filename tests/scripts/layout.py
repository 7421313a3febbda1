#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what a compiler does not: the layout of the tree, the layers, the limits of size.

    layout.py [--root DIR]     prints "path:line: rule: what is wrong"; exits with 1 if it printed any

layout_test.py plants one violation of each rule and sees it found.
"""

import argparse
import pathlib
import posixpath
import re
import subprocess
import sys

import classes

# The libraries and their components, from the ground up. A library is an order of folders, pages and checks, not a
# target of CMake. The bindings may stand on all libraries but testing, and nothing stands on testing or the bindings.
LIBRARIES = {
    "belay": ("core", "metrics", "policy", "backoff", "breaker", "budget", "call", "link", "fleet", "drive"),
    "durable": ("queue", "journal", "work", "session"),
    "sync": ("http", "sync"),
    "rooms": ("yjs", "room"),
    "testing": ("sim",),
    "bindings": ("posix", "windows", "openssl", "asio", "beast", "curl", "sqlite", "postgres", "redis", "json", "mcp", "asio_sim", "libc_sim"),
}
STANDS_ON = {
    "belay": (),
    "durable": ("belay",),
    "sync": ("belay", "durable"),
    "rooms": ("belay", "durable", "sync"),
    "testing": ("belay", "durable", "sync", "rooms"),
    "bindings": ("belay", "durable", "sync", "rooms"),
}
# Which components' headers each component includes: exactly these.
ARROWS = {
    "core": (),
    "metrics": ("core",),
    "policy": ("core", "metrics"),
    "backoff": ("core", "policy"),
    "breaker": ("core", "metrics", "policy"),
    "budget": ("core", "metrics", "policy"),
    "call": ("core", "metrics", "policy", "backoff", "breaker", "budget"),
    "link": ("core", "metrics", "policy"),
    "fleet": ("core", "metrics", "policy", "backoff", "link"),
    "drive": ("core", "call"),
    "queue": ("core", "metrics"),
    "journal": ("core", "metrics", "queue"),
    "work": ("core", "metrics", "queue", "journal"),
    "session": ("core", "metrics", "link", "fleet", "queue", "journal"),
    "http": ("core", "metrics", "policy", "backoff", "breaker", "budget", "call"),  # HttpCalls, and AnswerTraits<HttpResponse>
    "sync": ("core", "policy", "backoff", "call", "link", "journal", "queue", "http"),
    "yjs": ("core",),
    "room": ("core", "metrics", "link", "queue", "journal", "yjs"),
    "sim": ("core", "link", "queue", "journal"),
    "posix": ("core", "policy", "link", "drive", "queue", "journal", "http", "sync", "room"),
    "windows": ("core", "queue", "journal"),
    "openssl": ("core", "link", "http", "room"),
    "asio": ("core", "link", "drive", "posix", "openssl"),
    "beast": ("core", "metrics", "link", "http", "room", "posix", "openssl", "asio"),
    "curl": ("core", "breaker", "call", "drive", "http", "posix", "openssl"),
    "sqlite": ("core", "queue", "journal", "session", "sync", "room", "posix"),
    "postgres": ("core", "journal", "room", "posix"),
    "redis": ("core", "metrics", "queue", "journal", "room", "posix", "openssl"),
    "json": ("core", "policy", "backoff", "breaker", "queue", "sync"),
    "mcp": ("core", "link", "http", "sync", "json"),
    "asio_sim": ("core", "asio"),
    "libc_sim": ("core",),
}
LIBRARY_OF = {component: library for library, components in LIBRARIES.items() for component in components}
# Headers outside the components: what a user includes to get many at once. Each public header of a component is in
# exactly one of its umbrellas, or left out with a reason. The bindings but posix have none: a header of theirs needs a
# library or a system that is not everywhere.
WITHOUT_UMBRELLA = tuple(component for component in LIBRARIES["bindings"] if component != "posix")
UMBRELLAS = {f"{component}.hpp": component for component in ARROWS if component not in WITHOUT_UMBRELLA} \
    | {"call_coroutines.hpp": "call"}
LEFT_OUT = {
    "breaker/breaker_metrics.hpp": "few programs need it, include it by name",
    "breaker/breaker_text.hpp": "few programs need it, include it by name",
    "budget/budget_metrics.hpp": "few programs need it, include it by name",
    "budget/cubic_rate.hpp": "few programs need it, include it by name",
    "call/call_metrics.hpp": "few programs need it, include it by name",
    "call/call_text.hpp": "few programs need it, include it by name",
    "call/chaos.hpp": "few programs inject faults, include it by name",
    "call/policies.hpp": "few programs take a policy as it is, and it brings all that the ready-made ones use",
    "call/std_stop.hpp": "<stop_token>, which some standard libraries lack",
    "core/fmt_format.hpp": "the library fmt",
    "core/machine_group.hpp": "for writers of machines that own many others; it weighs as much as the rest of core's machines",
    "core/std_format.hpp": "<format>, which some standard libraries lack",
    "core/text.hpp": "few programs need it, include it by name",
    "drive/driver_check.hpp": "for the tests of drivers",
    "link/bundle.hpp": "few programs join messages, include it by name",
    "fleet/fleet_metrics.hpp": "few programs need it, include it by name",
    "room/room_metrics.hpp": "few programs need it, include it by name",
    "fleet/fleet_text.hpp": "few programs need it, include it by name",
    "http/http_calls.hpp": "<coroutine>, which few programs pay for",
    "http/http_calls_options.hpp": "few programs need it, include it by name",
    "http/http_metrics.hpp": "few programs need it, include it by name",
    "journal/journal_inspect.hpp": "a tool for damaged files",
    "journal/journal_metrics.hpp": "few programs need it, include it by name",
    "journal/journal_salvage.hpp": "a tool for damaged files",
    "journal/journal_text.hpp": "few programs need it, include it by name",
    "link/awaitable.hpp": "few programs need it, include it by name",
    "link/bounds.hpp": "for proofs: few programs need it, include it by name",
    "link/chaos_transport.hpp": "few programs inject faults, include it by name",
    "link/countdown.hpp": "few programs need it, include it by name",
    "link/link_metrics.hpp": "few programs need it, include it by name",
    "link/link_text.hpp": "few programs need it, include it by name",
    "link/requests.hpp": "few programs need it, include it by name",
    "link/requests_metrics.hpp": "few programs need it, include it by name",
    "link/supervisor_metrics.hpp": "few programs need it, include it by name",
    "link/transport_check.hpp": "for the tests of transports",
    "policy/any_policy.hpp": "few programs choose a policy or a rule at run time, include it by name",
    "policy/stability_check.hpp": "for the tests of policies",
    "policy/registry.hpp": "<map> and <memory>; few programs need it, include it by name",
    "policy/registry_metrics.hpp": "few programs need it, include it by name",
    "posix/http_check.hpp": "for the tests of HTTP clients",
    "posix/journal_rooms.hpp": "few programs need it, include it by name",
    "posix/replica_listener.hpp": "few programs need it, include it by name",
    "queue/queue_metrics.hpp": "few programs need it, include it by name",
    "queue/storage_check.hpp": "for the tests of storages",
    "room/on_thread.hpp": "<thread>; few programs need it, include it by name",
    "room/document_check.hpp": "for the tests of documents",
    "room/persistence_check.hpp": "for the tests of persistences",
    "room/shared_persistence_check.hpp": "for the tests of persistences",
    "session/ledger_check.hpp": "for the tests of ledgers",
    "session/session_metrics.hpp": "few programs need it, include it by name",
    "session/session_service.hpp": "few sessions are services of a fleet, which it brings",
    "session/session_text.hpp": "few programs need it, include it by name",
    "sim/choice.hpp": "for sim/exhaust.hpp, which includes it",
    "sim/digest.hpp": "for sim/exhaust.hpp, which includes it",
    "sim/exhaust.hpp": "for tests of one state machine, without a world",
    "sim/explore.hpp": "processes, and the clock of its budget",
    "sync/bridge_check.hpp": "for the tests of the sides of a bridge",
    "sync/event_stream.hpp": "few programs need it, include it by name",
    "sync/http_exchange.hpp": "few programs need it, include it by name",
    "sync/remote_sync_server.hpp": "few programs need it, include it by name",
    "sync/replica.hpp": "few programs need it, include it by name",
    "sync/replica_link.hpp": "few programs need it, include it by name",
    "sync/replica_options.hpp": "for sync/replica.hpp",
    "sync/replica_server.hpp": "few programs need it, include it by name",
    "sync/store_check.hpp": "for the tests of stores",
    "sync/sync_server_check.hpp": "for the tests of servers",
    "sync/sync_messages.hpp": "for sync/replica_server.hpp and sync/replica_link.hpp",
    "sync/sync_server_like.hpp": "for sync/replica.hpp",
    "sync/sync_task.hpp": "<coroutine>, which few programs pay for",
    "work/work_inspect.hpp": "a tool for damaged files",
    "work/work_metrics.hpp": "few programs need it, include it by name",
    "work/work_salvage.hpp": "a tool for damaged files",
    "work/work_text.hpp": "few programs need it, include it by name",
}
# The one that includes umbrellas.
MOST = "belay.hpp"
MOST_COMPONENTS = ("backoff", "breaker", "budget", "call", "core", "link", "policy", "queue")

HEAVY = {"iostream", "regex", "filesystem", "future", "random"}
THREADS = {"mutex", "condition_variable", "thread"}
FORBIDDEN = {component: HEAVY for library in ("belay", "durable", "sync", "rooms") for component in LIBRARIES[library]
             if component != "drive"}
FORBIDDEN |= {component: HEAVY | THREADS for component in ("core", "metrics", "policy", "backoff", "breaker", "budget", "call", "queue",
                                                           "journal", "work")}
FORBIDDEN_ANYWHERE = {"iostream"}
# Programs without coroutines do not pay for them.
WITHOUT_COROUTINES = ("include/belay/belay.hpp", "include/belay/drive.hpp")
# In libstdc++ 12 they call a deprecated function, of which Clang 19 warns.
WARNED_OF = re.compile(r"\bstd::(stable_sort|stable_partition|inplace_merge)\(")
# Macros of <windows.h> that could be names. MinGW-w64 10: printed by g++ -dM.
WINDOWS_MACROS = re.compile(r"\b(near|far|small|hyper|interface|pascal|cdecl)\b")

# The only bindings that may include sim: they run networked code of users in a simulated world.
SIM_BINDINGS = re.compile(r"include/belay/(asio_sim|libc_sim)/")
# The only places where system headers and other libraries may be included.
FOREIGN_ALLOWED = (*(f"include/belay/{binding}/" for binding in LIBRARIES["bindings"]), "include/belay/core/fmt_format.hpp")
# Macros for users; a header's own BELAY_DETAIL_ macros end with the header.
MACROS_ALLOWED = ("include/belay/core/assert.hpp", "include/belay/core/detail/member_names.hpp",
                  "include/belay/core/observer.hpp", "include/belay/version.hpp")
# Macros of a system header that are defined around its #include, and undefined again.
MACROS_OF_SYSTEM = {"include/belay/windows/detail/win32.hpp": ("NOMINMAX", "WIN32_LEAN_AND_MEAN")}

INDEX = "docs/README.md"
MAINTAINERS_INDEX = "docs/contributing/README.md"
# Users' pages that still name tests or private headers. This list only shrinks.
NAME_FILES = set()
MAINTAINERS_FILE = re.compile(r"\btests/\w+/\w|\b\w+\.test\.cpp|(?<!boost/)\b(?!boost)\w+/detail/\w+\.hpp")
DESIGN = "docs/design.md"  # the map of the code, for maintainers, too
# Lines that are neither blank nor only a comment. A header below the first that one header of its component includes is a part
# of that one; above the second, it holds more than a reader wants to see at once.
HEADER_CODE_MIN = 60
HEADER_CODE_MAX = 1200
# Components whose small headers are not merged yet: the list shrinks.
NOT_MERGED = frozenset(ARROWS) - {"backoff", "breaker", "budget", "call", "core", "drive", "fleet", "http",
                                   "journal", "link", "metrics", "policy", "queue", "redis", "session", "sync", "work"}
LINE_COLUMNS_MAX = 100

NAMESPACE = "namespace belay { inline namespace BELAY_ABI {"
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)")
# Spelt so that these lines do not match themselves.
MACHINE_PATH = re.compile(r"(?<![\w.}$*])/(?:home|root|Users)/\w")
LEFT_OPEN = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b(?!\(#\d+\))")
LINK = re.compile(r"\]\(([^)\s]+)\)")
# That an umbrella leaves nothing out, or only what the sentence names.
INCLUDES_ALL = re.compile(r"\b(?:includes?|for) (?:all of|everything|(?:an?|the)(?: whole)? component)\b", re.IGNORECASE)
HEADER_NAME = re.compile(r"[\w/]+\.hpp\b")
# At the beginning of a line: clang-format indents what is in a class, and nothing that is in a namespace.
DEFINED_TYPE = re.compile(r"(?:template <.*> )?(?:struct|class|enum class|concept) (?:\[\[\w+\]\] )?(\w+)")
SPDX = re.compile(r"SPDX-License-Identifier: (\S+)")

SOURCES = {".cpp", ".hpp"}
SCRIPTS = {".cmake", ".py", ".sh"}
BINARY = {".svg", ".png", ".ico", ".bin"}


class Layout:
    def __init__(self, root):
        self.root = root
        self.found = []
        self.files = list_files(root)
        self.text = {}
        for path in self.files:
            if pathlib.PurePath(path).suffix in BINARY:
                continue
            try:
                self.text[path] = (root / path).read_text(encoding="utf-8").splitlines()
            except UnicodeDecodeError:
                pass
        self.headers = [p for p in self.text if p.startswith("include/") and p.endswith(".hpp")]

    def report(self, path, line, rule, what):
        self.found.append(f"{path}:{line}: {rule}: {what}")

    def check(self):
        for path, lines in self.text.items():
            self.check_licence_line(path, lines)
            self.check_left_behind(path, lines)
        for path in self.headers:
            lines = self.text[path]
            self.check_header_form(path, lines)
            self.check_header_includes(path, lines)
            self.check_header_size(path, lines)
            self.check_mirrored_test(path)
        for path, lines in self.text.items():
            if path.endswith(".md"):
                self.check_links(path, lines)
                self.check_named_headers(path, lines)
            if pathlib.PurePath(path).suffix not in SOURCES:
                continue
            if path.startswith("examples/"):
                self.check_example_includes(path, lines)
            if path.startswith("tests/") and re.search(r"\.(test|static)\.cpp$", path):
                self.check_test_form(path, lines)
        self.check_circles()
        self.check_umbrellas()
        self.check_umbrella_statements()
        self.check_readme_code()
        self.check_pitfalls()
        self.check_index()
        self.check_users_pages()
        return self.found

    def check_pitfalls(self):
        tests = "\n".join("\n".join(lines) for path, lines in self.text.items() if path.startswith("tests/"))
        for page in ("docs/contributing/pitfalls.md", "docs/contributing/crash-list.md"):
            for number, line in enumerate(self.text.get(page, []), 1):
                for name in re.findall(r'\| "([^"]+)" \|$', line):
                    if f'"{name}"' not in tests:
                        self.report(page, number, "pitfall", f"no test is called {name}")

    def check_index(self):
        """docs/README.md, which README links to, lists every page of docs/ for users, and only these. The index of
        docs/contributing/ lists the others."""
        listed = {index: {posixpath.normpath(posixpath.join(posixpath.dirname(index), target.partition("#")[0]))
                          for line in self.text.get(index, []) for target in LINK.findall(line)}
                  for index in (INDEX, MAINTAINERS_INDEX)}
        for path in self.text:
            if not path.startswith("docs/") or not path.endswith(".md") or path in listed:
                continue
            maintainers = path.startswith(posixpath.dirname(MAINTAINERS_INDEX)) or path == DESIGN
            index, other = (MAINTAINERS_INDEX, INDEX) if maintainers else (INDEX, MAINTAINERS_INDEX)
            if index in self.text and path not in listed[index]:
                self.report(path, 1, "index", f"{index} does not list this page")
            if maintainers and path in listed[other]:
                self.report(path, 1, "index", f"{other} lists this page, which is for maintainers")

    def check_named_headers(self, path, lines):
        """A header of belay that a page names, as `folder/file.hpp`, exists."""
        for number, line in enumerate(outside_blocks(lines), 1):
            for name in re.findall(r"`<?((?:\w+/)+\w+\.hpp)>?`", line):
                of_belay = name.startswith("belay/") or name.split("/")[0] in ARROWS
                places = (f"include/{name}", f"include/belay/{name}", name)
                if of_belay and not any((self.root / place).exists() for place in places):
                    self.report(path, number, "named-header", f"{name} does not exist: name the header that has it now")

    def check_users_pages(self):
        """A page for users names no test and no private header."""
        for path, lines in self.text.items():
            users = path.startswith("docs/") and path.endswith(".md") and path != DESIGN \
                and not path.startswith(posixpath.dirname(MAINTAINERS_INDEX))
            named = [n for n, line in enumerate(outside_blocks(lines), 1) if MAINTAINERS_FILE.search(line)] if users else []
            if path in NAME_FILES and not named:
                self.report(path, 1, "users-page", "it names no such file any more: remove it from NAME_FILES")
            for number in named if path not in NAME_FILES else []:
                self.report(path, number, "users-page", "names a test or a private header: move that to docs/contributing/")

    def check_links(self, path, lines):
        for number, line in enumerate(outside_code(lines), 1):
            for target in LINK.findall(line):
                if re.match(r"[a-z]+:", target):
                    continue
                name, _, anchor = target.partition("#")
                to = posixpath.normpath(posixpath.join(posixpath.dirname(path), name)) if name else path
                if not (self.root / to).exists():
                    self.report(path, number, "link", f"{target}: there is no {to}")
                elif anchor and anchor not in anchors(self.text.get(to, [])):
                    self.report(path, number, "link", f"{target}: {to} has no such heading")

    def check_readme_code(self):
        """README adds belay to a build as a consumer in the tests does. Its excerpts are checked by readme_excerpts.py."""
        readme = self.text.get("README.md", [])
        for language, name in (("cmake", "CMakeLists.txt"), ("meson", "meson.build")):
            consumers = {without_remark(line) for path, lines in self.text.items() for line in lines
                         if path.startswith("tests/consumer/") and path.endswith(name)}
            for number, block in code_blocks(readme, language):
                for line in {without_remark(line) for line in block} - consumers:
                    self.report("README.md", number, "readme-code", f"no consumer has the line {line}")

    def check_licence_line(self, path, lines):
        """SPDX identifier of LICENSE on line 1, or on line 2 below a #! line."""
        file = pathlib.PurePath(path)
        script = file.suffix in SCRIPTS or file.name in ("CMakeLists.txt", "run", "conanfile.py")
        if file.suffix not in SOURCES and not script:
            return
        at = 1 if lines and lines[0].startswith("#!") else 0
        match = SPDX.search(lines[at]) if len(lines) > at else None
        if not match:
            self.report(path, at + 1, "spdx", "no SPDX-License-Identifier on this line")
        elif match[1] != "MIT":
            self.report(path, at + 1, "spdx", f"{match[1]}, but LICENSE is MIT")

    def check_left_behind(self, path, lines):
        for number, line in enumerate(lines, 1):
            if MACHINE_PATH.search(line):
                self.report(path, number, "machine-path", "a path of one machine")
            if LEFT_OPEN.search(line):
                self.report(path, number, "left-open", "names no issue: write it as (#number)")

    def check_header_form(self, path, lines):
        name = path.removeprefix("include/")
        if len(lines) < 2 or not re.match(rf"/// \\file {re.escape(name)}$", lines[1]):
            self.report(path, 2, "file-line", f'must be "/// \\file {name}"')
        if "#pragma once" not in lines:
            self.report(path, 1, "pragma-once", "no #pragma once")
        for number, line in enumerate(lines, 1):
            if len(line) > LINE_COLUMNS_MAX:
                # clang-format leaves comments as they are: it would tear lists and fields.
                self.report(path, number, "line-length", f"{len(line)} columns, the limit is {LINE_COLUMNS_MAX}")
            if line.startswith("namespace belay") and not line.startswith(NAMESPACE):
                self.report(path, number, "namespace", f'write "{NAMESPACE}", which ctags can read')
            if line.startswith(NAMESPACE) and not any(re.match(r"\s*#\s*include <belay/", one) for one in lines[:number]):
                self.report(path, number, "abi", "BELAY_ABI is no name yet: include <belay/core/assert.hpp>, which defines it")
            if WARNED_OF.search(line):
                self.report(path, number, "warned-of", "Clang 19 warns of it: use sort_stably")
            if macro := WINDOWS_MACROS.search(without_texts(line)):
                self.report(path, number, "windows-macro", f"{macro[1]} is a macro of <windows.h>: choose another name")
            if "decltype([" in line:
                self.report(path, number, "lambda-in-decltype", "Clang 14 crashes if it is precompiled: name a function")
            if line.startswith("using namespace "):
                self.report(path, number, "using-namespace", "imposed on every user of this header")
            if line.startswith("static_assert("):
                self.report(path, number, "namespace-assert",
                            "instantiated by every user's file: its place is the mirrored .static.cpp")
            macro = DEFINE.match(line)
            if macro and not macro[1].startswith("BELAY_") and macro[1] not in MACROS_OF_SYSTEM.get(path, ()):
                self.report(path, number, "macro", f"{macro[1]} does not begin with BELAY_")
            elif macro and path not in MACROS_ALLOWED and f"#undef {macro[1]}" not in lines:
                self.report(path, number, "macro", f"{macro[1]} stays defined: #undef it at the end of the header")

    def check_header_size(self, path, lines):
        code = sum(1 for line in lines if line.strip() and not line.strip().startswith("//"))
        if code > HEADER_CODE_MAX:
            self.report(path, len(lines), "header-size", f"{code} lines of code, the limit is {HEADER_CODE_MAX}")
        folder = path.split("/")[2]
        if code >= HEADER_CODE_MIN or folder.endswith(".hpp") or folder in NOT_MERGED:
            return
        includers = [other for other in self.headers if path in self.includes(other) and other.count("/") > 2]
        if len(includers) == 1 and includers[0].startswith(f"include/belay/{folder}/"):
            self.report(path, 1, "header-size", f"{code} lines of code, and only {includers[0]} includes it: merge them")

    def check_header_includes(self, path, lines):
        parts = path.split("/")
        folder = parts[2] if len(parts) > 3 else None
        name = parts[2]
        if folder:
            allowed = {folder, *ARROWS[folder]} if folder in ARROWS else None
        elif name in UMBRELLAS:
            allowed = {UMBRELLAS[name]}
        else:
            allowed = set() if name in (MOST, "version.hpp") else None
        if allowed is None:
            self.report(path, 1, "layer", "not in a folder, nor an umbrella, that the layers name")
            return
        depth = 0
        for number, line in enumerate(lines, 1):
            depth += bool(re.match(r"\s*#\s*if", line)) - bool(re.match(r"\s*#\s*endif", line))
            include = INCLUDE.match(line)
            if not include:
                continue
            quote, target = include.groups()
            if quote == '"':
                self.report(path, number, "include-form", f'"{target}": headers include <belay/...>')
            elif target.startswith("belay/"):
                self.check_layer(path, number, folder, allowed, target)
            else:
                self.check_standard_include(path, number, folder, target, depth > 0)

    def check_layer(self, path, number, folder, allowed, target):
        if not (self.root / "include" / target).is_file():
            self.report(path, number, "include-form", f"<{target}> does not exist")
        parts = target.split("/")
        if len(parts) == 2:
            # Only the version is included from above, and umbrellas by the one that is for them.
            of_most = path == f"include/belay/{MOST}" and parts[1].removesuffix(".hpp") in MOST_COMPONENTS
            if parts[1] != "version.hpp" and not of_most:
                self.report(path, number, "layer", f"<{target}>: an umbrella inside the library")
            return
        if parts[1] == "sim" and SIM_BINDINGS.match(path):
            return
        if parts[1] not in allowed:
            self.report(path, number, "layer", f"<{target}>: {folder or path.split('/')[-1]} may not include {parts[1]}")

    def includes(self, path):
        """The headers of belay that a header includes."""
        found = (INCLUDE.match(line) for line in self.text[path])
        return [f"include/{include[2]}" for include in found if include and include[2].startswith("belay/")]

    def check_circles(self):
        for names, targets in ((list(ARROWS), ARROWS.get), (self.headers, self.includes)):
            circle = first_circle(names, targets)
            if circle:
                self.report(circle[0], 1, "circle", "includes itself by " + " > ".join(circle[1:]))

    def check_arrows(self):
        """Of the whole tree: ARROWS has no arrow that no header uses, and none from a library to a higher one."""
        used = {(path.split("/")[2], target.split("/")[2]) for path in self.headers for target in self.includes(path)}
        for component, below in ARROWS.items():
            library = LIBRARY_OF[component]
            for target in below:
                if (component, target) not in used:
                    self.report("tests/scripts/layout.py", 1, "arrow",
                                f"no header of {component} includes {target}: remove it from ARROWS")
                if LIBRARY_OF[target] not in (library, *STANDS_ON[library]):
                    self.report("tests/scripts/layout.py", 1, "arrow", f"{component} is in {library}, which may not stand on "
                                f"{LIBRARY_OF[target]}, where {target} is")
        return self.found

    def check_standard_include(self, path, number, folder, target, conditional):
        if target in FORBIDDEN_ANYWHERE | FORBIDDEN.get(folder, set()):
            self.report(path, number, "heavy-include", f"<{target}> costs every user")
        # The standard library's own headers have neither a folder nor an extension. A system header
        # below an #if (a faster way where there is one) is not a requirement.
        foreign = "/" in target or "." in target
        if foreign and not conditional and not path.startswith(FOREIGN_ALLOWED):
            self.report(path, number, "foreign-include", f"<{target}> is not of the standard library")

    def check_umbrellas(self):
        for umbrella in WITHOUT_COROUTINES:
            for path in sorted(self.reached(umbrella) if umbrella in self.text else ()):
                for number, line in enumerate(self.text[path], 1):
                    if line.startswith("#include <coroutine>"):
                        self.report(path, number, "heavy-include", f"<coroutine> costs every user of {umbrella}")
        held = {}
        for umbrella in UMBRELLAS:
            for line in self.text.get(f"include/belay/{umbrella}", []):
                include = INCLUDE.match(line)
                if include:
                    held.setdefault(include[2].removeprefix("belay/"), []).append(umbrella)
        for path in self.headers:
            name = path.removeprefix("include/belay/")
            folder = name.split("/")[0]
            if "/" not in name or "/detail/" in name or f"{folder}.hpp" not in UMBRELLAS:
                continue
            umbrellas = held.get(name, [])
            if len(umbrellas) + (name in LEFT_OUT) != 1:
                where = ", ".join(umbrellas) or f"no umbrella; {folder}.hpp lacks it"
                self.report(path, 1, "umbrella", f"must be in exactly one, or left out with a reason; is in {where}")

    def check_umbrella_statements(self):
        """A sentence that an umbrella includes all of its component names exactly the headers that it leaves out."""
        for path, lines in self.text.items():
            if path.endswith(".md") and path != "CHANGELOG.md":
                for number, sentence in sentences(lines):
                    for name in HEADER_NAME.findall(sentence):
                        self.check_umbrella_statement(path, number, sentence, name.removeprefix("belay/"))
        for umbrella in UMBRELLAS:
            path = f"include/belay/{umbrella}"
            comment = [line[4:] if line.startswith("/// ") else "" for line in self.text.get(path, [])]
            for number, sentence in sentences(comment):
                self.check_umbrella_statement(path, number, sentence, umbrella)

    def check_umbrella_statement(self, path, number, sentence, umbrella):
        if umbrella not in UMBRELLAS or not INCLUDES_ALL.search(sentence):
            return
        folder = f"include/belay/{UMBRELLAS[umbrella]}/"
        public = {p for p in self.headers if p.startswith(folder) and "/detail/" not in p}
        left_out = {posixpath.basename(p) for p in public - self.reached(f"include/belay/{umbrella}")}
        named = {posixpath.basename(name) for name in HEADER_NAME.findall(sentence)} - {*UMBRELLAS, MOST}
        if left_out != named:
            exact = ", ".join(sorted(left_out)) or "nothing"
            self.report(path, number, "umbrella-statement", f"{umbrella} leaves out {exact}: name these headers and no other")

    def reached(self, path):
        """The headers of belay that a header includes, also through others."""
        found, due = set(), [path]
        while due:
            due += [target for target in self.includes(due.pop()) if target in self.text and target not in found]
            found.update(due)
        return found

    def check_mirrored_test(self, path):
        name = path.removeprefix("include/")
        if name.count("/") < 2 or "/detail/" in name:
            return
        if not any(first_include(self.text[test]) == name for test in self.tests_of(name.split("/")[1])):
            self.report(path, 1, "mirrored-test", "no .test.cpp nor .static.cpp of its folder includes it first")

    def tests_of(self, folder):
        return [path for path in self.text if re.match(rf"tests/{folder}/\w+\.(test|static)\.cpp$", path)]

    def headers_of_test(self, path):
        """The header that a test is named after; without one, the public headers that define the type of that name."""
        name = re.sub(r"\.(test|static)\.cpp$", "", path.removeprefix("tests/"))
        if f"include/belay/{name}.hpp" in self.text:
            return [f"belay/{name}.hpp"]
        folder, _, type_name = name.rpartition("/")
        if folder in NOT_MERGED:
            return []
        wanted = type_name.replace("_", "")
        return [header.removeprefix("include/") for header in self.headers
                if posixpath.dirname(header) == f"include/belay/{folder}" and wanted in defined_types(self.text[header])]

    def check_test_form(self, path, lines):
        if len(lines) < 2 or not re.match(r"// \S", lines[1]):
            self.report(path, 2, "test-form", "line 2 says goal and method in a comment")
        headers = self.headers_of_test(path)
        if headers and first_include(lines) not in headers:
            self.report(path, 1, "test-form", f"must include <{headers[0]}> first")

    def check_example_includes(self, path, lines):
        for number, line in enumerate(lines, 1):
            include = INCLUDE.match(line)
            # The boards of the whiteboard share the database of the other SQLite files: its checks of moved files.
            shared = "whiteboard/board" in str(path) and include and include[2] == "belay/sqlite/detail/database.hpp"
            if include and not shared and "/detail/" in include[2] and include[2].startswith("belay/"):
                self.report(path, number, "layer", f"<{include[2]}> is not public")


def first_include(lines):
    return next((include[2] for include in map(INCLUDE.match, lines) if include), None)


def defined_types(lines):
    """The names of the types and concepts that a header defines in its namespaces, in small letters."""
    found = (DEFINED_TYPE.match(line) for line in lines if not line.endswith(";") or "=" in line)
    return {match[1].lower() for match in found if match}


def first_circle(names, targets):
    """The first way from one of the names back to itself; None if there is none."""
    done = set()

    def visit(name, way):
        if name in way:
            return way[way.index(name):] + [name]
        if name in done:
            return None
        circle = next(filter(None, (visit(target, way + [name]) for target in targets(name) if target in known)), None)
        done.add(name)
        return circle

    known = set(names)
    return next(filter(None, (visit(name, []) for name in names)), None)


def code_blocks(lines, language):
    """Line number and lines of each fenced block in that language."""
    begin = None
    for number, line in enumerate(lines, 1):
        if begin is None and line.startswith(f"```{language}"):
            begin = number
        elif begin is not None and line.startswith("```"):
            yield begin, lines[begin:number - 1]
            begin = None


def sentences(lines):
    """The sentences outside of fenced blocks, each with the line where its paragraph, list item or row of a table begins."""
    fenced, begin, paragraph = False, 1, []
    for number, line in enumerate([*lines, ""], 1):
        fence = line.lstrip().startswith("```")
        if fence or fenced or not line.strip() or re.match(r"\s*(?:[-|#>]|\d+\.) ", line):
            for sentence in re.split(r"(?<=[.:]) (?=[A-Z`\[])", " ".join(paragraph)):
                yield begin, sentence
            begin, paragraph = number, []
        if not fence and not fenced and line.strip():
            paragraph.append(line.strip())
        fenced = fenced != fence


def outside_blocks(lines):
    """The lines, those of fenced blocks emptied."""
    fenced = False
    for line in lines:
        fence = line.lstrip().startswith("```")
        yield "" if fenced or fence else line
        fenced = fenced != fence


def outside_code(lines):
    """The lines, those of fenced blocks and of code in backquotes emptied."""
    return (re.sub(r"`[^`]*`", "", line) for line in outside_blocks(lines))


def anchors(lines):
    """What the headings of a page are linked by, as GitHub makes them."""
    headings = (re.match(r"#+ +(.*)", line) for line in lines)
    return {re.sub(r"[^\w\- ]", "", h[1].strip().lower()).replace(" ", "-") for h in headings if h}


def without_texts(line):
    """A line of C++ without its string literals, its comment, and the name of a header."""
    return "" if INCLUDE.match(line) else re.sub(r'"(?:[^"\\]|\\.)*"', '""', line).partition("//")[0]


def without_remark(line):
    """The line without its comment, of the kind that begins with #."""
    return line.partition("#")[0].strip()


def list_files(root):
    """Paths of the project's files, tracked or about to be; every file where git does not answer."""
    command = ["git", "-c", "safe.directory=*", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"]
    try:
        top = subprocess.run(command[:5] + ["rev-parse", "--show-toplevel"], capture_output=True, text=True)
        if top.returncode == 0 and pathlib.Path(top.stdout.strip()).resolve() == root.resolve():
            listed = subprocess.run(command, capture_output=True, check=True)
            names = [n for n in listed.stdout.decode().split("\0") if n]
            return sorted(n for n in names if (root / n).is_file())
    except OSError:
        pass
    every = (p.relative_to(root) for p in root.rglob("*") if p.is_file())
    return sorted(str(p) for p in every if p.parts[0] not in ("build", ".git"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = parser.parse_args().root
    if not (root / "include" / "belay").is_dir():
        print(f"{root}: no include/belay here", file=sys.stderr)
        return 2
    layout = Layout(root)
    layout.check()
    found = layout.check_arrows() + classes.complaints(root)
    for line in found:
        print(line)
    print(f"{len(layout.headers)} headers, {len(layout.text)} files, {len(found)} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
