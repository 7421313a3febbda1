#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lists the public names of belay, by library and component, from its headers: a page of the site (docs/site/build).

    names.py [--root DIR]     checks their number and their comments, prints what is wrong, and exits with 1

A name is public if it is declared in namespace belay or below, but not in a namespace detail. It should be if somebody
writes it in a program that is composed of what belay has; what only those write who make, judge or prove parts, look at
files or read bytes is in a namespace of SPECIAL, listed apart, each with a page.

A row also lists the part's Options, Status, Counters, Report and Snapshot, and the nested types of all of these. ROWS_MAX is the limit
of rows in belay itself. Bold names are computed: those that README's excerpts and the first programs of the pages of their
own library use, at most START_MAX of each library.
"""

import argparse
import pathlib
import re
import sys

import layout

# Who needs them, and the page that explains them.
SPECIAL = {
    "chaos": "faults that are injected on purpose, into [calls](reference/pipelines.md#faults-on-purpose) and "
             "[connections](how-to/prove-a-connection.md#faults-on-purpose)",
    "check": "for tests of parts of your own: [checks](how-to/check-your-own-parts.md)",
    "driver": "for writers of drivers and machines: [machines](reference/machines.md)",
    "explain": "`explain::x_like<T>()` names every requirement of the concept XLike that T lacks",
    "journal_format": "the bytes of a journal: [journal format](reference/formats/journal.md)",
    "metrics": "the numbers of parts, for Prometheus and other collectors: [metrics](how-to/metrics.md)",
    "part": "for writers of parts: of jitters and growths: [backoff](reference/backoff.md); of trips and sleepers: [core](reference/core.md); "
            "of framings, and transports that wrap transports: [link](reference/transports.md); of formats with a checksum: "
            "[core](reference/core.md); of layers: [call](reference/pipelines.md); of stores: "
            "[a store of elements](how-to/store-of-elements.md); of what a server of rooms is made of: [rooms](reference/rooms.md)",
    "timeline": "for proofs and models of what a policy, a supervisor or a room decides: "
                "[link](how-to/prove-a-connection.md#proving-bounds)",
    "tool": "over the files of a journal or work queue, damaged or not: "
            "[a damaged journal](how-to/damaged-journal.md)",
    "yjs": "the bytes of Yjs updates, without a CRDT: [Yjs updates](reference/yjs-updates.md)",
    "session_format": "the bytes of the session protocol: [session protocol](reference/formats/session-protocol.md)",
}
ROWS_MAX = 330
START_MAX = 25
# A part's own words: they have no row, but stand in the row of their part.
WORDS = ("Options", "Status", "Counters", "Report", "Snapshot")
# What the standard library finds by argument-dependent lookup; no program writes them.
HOOKS = ("make_error_code", "make_error_condition")
# Pages with programs that a newcomer meets first, and which of their blocks: README all, a component's page the first.
# A page counts only for its own library: a page on rooms is not where a reader starts with links.
README = "README.md"
# The pages of components that have none of their own name.
PAGES = {"journal": ("reference/journal",), "queue": ("reference/queues",), "session": ("tutorials/exactly-once",), "work": ("how-to/job-queue",), "posix": ("reference/posix",), "windows": ("reference/windows",), "link": ("tutorials/keep-a-connection",),
         "policy": ("reference/policies",), "call": ("tutorials/calls",), "drive": ("how-to/event-loops",),
         "metrics": ("how-to/metrics",), "fleet": ("how-to/many-connections",), **{part: (f"reference/{part}",) for part in ("backoff", "breaker", "budget", "core", "http")},
         "sync": ("how-to/sync-server", "tutorials/edit-offline", "how-to/bridge"), "sim": ("explanation/simulated-world",), "yjs": ("reference/yjs-updates",), "room": ("reference/rooms",),
         **{binding: (f"reference/bindings/{binding}",) for binding in ("asio", "curl", "json", "postgres", "redis", "sqlite")},
         "beast": ("reference/bindings/websocket-server",), "openssl": ("reference/bindings/tokens",), "mcp": ("how-to/bridge-over-mcp",),
         "asio_sim": ("how-to/test-asio-code",), "libc_sim": ("how-to/test-unmodified-code",)}
# No names of belay: comments, texts, and members of an object.
NO_NAMES = re.compile(r'//.*|"(?:[^"\\]|\\.)*"|(?:\.|->)\s*\w+')

# "namespace belay { inline namespace BELAY_ABI { namespace part {", and within it "namespace detail {".
NAMESPACE = re.compile(r"^(?:inline )?namespace [\w:]+ \{")
NAMESPACE_NAME = re.compile(r"namespace ([\w:]+) \{")
TYPE = re.compile(r"^(?:class|struct|union|enum class|enum) (?:\[\[\w+\]\] )?(?:alignas\(\w+\) )?(\w+)(?![\w<]|::)")
CONCEPT = re.compile(r"^concept (\w+) =")
ALIAS = re.compile(r"^using (\w+) =")
VARIABLE = re.compile(r"^(?:inline )?constexpr (?!auto operator)[\w:<>, ]*?\b(\w+)(?:\[\w*\])* ?(?:=|\{)")
FUNCTION = re.compile(r"^(?:\[\[[^\]]*\]\] )*(?:inline |constexpr |consteval )*[\w:<>,&* ]*?[\w>&*]\s\*?&?(\w+)\(")
DECLARATIONS = (TYPE, CONCEPT, ALIAS, VARIABLE, FUNCTION)
LEAD = re.compile(r"^(?:template\b|requires\b| )")


def declared(line):
    """The name that a line at namespace scope declares; None where it declares none, or one that stands elsewhere."""
    for form in DECLARATIONS:
        found = form.match(line)
        if found:
            specialised = form is TYPE and re.match(r".*?\w<", line.split("{")[0].split(" : ")[0])
            forward = form is TYPE and line.endswith(";") and "{" not in line
            return None if specialised or forward or found[1] == "operator" else found[1]
    return None


def first_sentence(comment):
    text = " ".join(line.removeprefix("///").strip() for line in comment)
    sentence = re.match(r"(.*?[.:;?])(?:\s|$)", text)
    return (sentence[1].rstrip(".:;") if sentence else text).strip()


def names_of(lines):
    """(namespace below belay, name, first sentence) of each name that a header declares."""
    spaces, comment = [], []
    for line in lines:
        opened = NAMESPACE.match(line)
        if opened:
            spaces += [name.split("::") for name in NAMESPACE_NAME.findall(line)]
            comment = []
        elif re.match(r"\}+  // namespace", line):
            del spaces[-line.index(" "):]
            comment = []
        elif line.startswith("///"):
            comment.append(line)
        elif not line.strip() or line.startswith(("}", "#")):
            comment = []
        elif spaces and not LEAD.match(line):
            name = declared(line)
            if name in HOOKS:
                name = None
            path = [space for part in spaces for space in part if space != "BELAY_ABI"]
            if name and path[0] == "belay" and "detail" not in path:
                yield "::".join(path[1:]), name, first_sentence(comment)
            comment = []


NESTED = re.compile(r"^    (?:class|struct|enum class) (?:\[\[\w+\]\] )?([A-Z]\w*)(?![\w<]|::)[^;{]*\{")


def nested_of(lines):
    """(class, nested type) of each public type that a class at namespace scope declares."""
    owner, public = None, False
    for line in lines:
        opened = re.match(r"^(class|struct) (?:\[\[\w+\]\] )?(\w+)(?![\w<]|::)[^;]*\{$", line)
        if opened:
            owner, public = opened[2], opened[1] == "struct"
        elif line.startswith("}"):
            owner = None
        elif re.match(r"^(public|protected|private):", line):
            public = line.startswith("public")
        elif owner and public and NESTED.match(line):
            yield owner, NESTED.match(line)[1]


def pages_of(component):
    """The pages of a component, from the root of the repository."""
    return [f"docs/{page}.md" for page in PAGES.get(component, (component,))]


def programs(lines):
    """The text of each block of C++ in a page."""
    return ["\n".join(block) for _, block in layout.code_blocks(lines, "cpp")]


class Names:
    def __init__(self, root):
        self.root = root
        self.found = {}  # (namespace, name): (component, header, sentence); of overloads the first
        self.nested = {}  # name of a class: its public nested types
        for component in layout.LIBRARY_OF:
            for path in sorted((root / "include" / "belay" / component).glob("*.hpp")):
                lines = path.read_text(encoding="utf-8").splitlines()
                for space, name, sentence in names_of(lines):
                    self.found.setdefault((space, name), (component, path.name, sentence))
                for owner, name in nested_of(lines):
                    if name not in self.nested.setdefault(owner, []):
                        self.nested[owner].append(name)
        self.start = self.first_met()

    def part_of(self, key):
        """The part in whose row a name stands: JournalOptions in that of Journal, BridgePushOptions in that of Bridge."""
        space, name = key
        word = next((word for word in WORDS if name.endswith(word) and name != word), None)
        parts = re.findall(r"[A-Z][a-z0-9]*", name.removesuffix(word)) if word else []
        for n in range(len(parts), 0, -1):
            if (space, "".join(parts[:n])) in self.found:
                return space, "".join(parts[:n])
        return None

    def rows(self):
        """The names that have a row of their own: (key, what stands in the row with it)."""
        held = {}
        for key in self.found:
            part = self.part_of(key)
            if part:
                held.setdefault(part, []).append(key[1])
        for key in self.found:
            if not self.part_of(key):
                names = [key[1]] + held.get(key, [])
                yield key, names[1:] + [f"{of}::{name}" for of in names for name in self.nested.get(of, [])]

    def counted(self):
        return [key for key, _ in self.rows() if not key[0]]

    def first_met(self):
        """The names that README's excerpts and the first programs of the pages of their own library use."""
        readme = self.words_of([README])
        found = set()
        for components in layout.LIBRARIES.values():
            used = readme | self.words_of([page for component in components for page in pages_of(component)])
            found |= {key for key, _ in self.rows()
                      if self.found[key][0] in components and "::".join(filter(None, key)) in used}
        return found

    def words_of(self, pages):
        """What README's excerpts and the first programs of the other pages write, with and without what follows a ::."""
        used = set()
        for page in pages:
            path = self.root / page
            blocks = programs(path.read_text(encoding="utf-8").splitlines()) if path.is_file() else []
            for text in blocks if page == README else blocks[:1]:
                for word in re.findall(r"[\w:]+", NO_NAMES.sub(" ", text)):
                    word = word.removeprefix("belay::")
                    used |= {"::".join(word.split("::")[:n]) for n in range(1, word.count("::") + 2)}
        return used

    def complaints(self):
        for (space, name), (component, header, sentence) in self.found.items():
            if not sentence:
                yield f"include/belay/{component}/{header}: {name} needs a comment that states what it is"
        rows = len(self.counted())
        if rows > ROWS_MAX:
            yield (f"names: {rows} rows in belay::, the limit is {ROWS_MAX}: hide, merge or move names. The type of an event or "
                   "of a field may be a member of its struct")
        for library, components in layout.LIBRARIES.items():
            start = [key for key in self.start if self.found[key][0] in components]
            if len(start) > START_MAX:
                yield (f"names: {len(start)} names to start with in {library}, the limit is {START_MAX}: shorten the "
                       "first programs of its pages")

    def page(self):
        rows = list(self.rows())
        lines = ["# Names", "",
                 "Every public name, by library and component, made from the headers. "
                 "**Bold**: README or the first programs of the pages of its library use it. Start with these.", "",
                 "A program that is composed of belay's parts writes the names of the first six tables. The namespaces at "
                 "the end are for those who make a part of their own, prove a configuration, look at files or read bytes. "
                 "A row also lists the part's `Options`, `Status`, `Counters`, `Report` and `Snapshot`, and the nested types "
                 "of all of these. An alias in a class, such as `Replica::Report`, is none of them: the type that it names has a row.",
                 "", f"{len(self.counted())} rows in `belay::`, {len(self.start)} names to start with.", ""]
        special = [row for row in rows if row[0][0].split("::")[0] in SPECIAL]
        for library, components in layout.LIBRARIES.items():
            lines += [f"## {library}", ""]
            for component in components:
                of_component = [row for row in rows if self.found[row[0]][0] == component and row not in special]
                lines += self.table(f"### {component}/", of_component)
        for space, what in SPECIAL.items():
            of_space = [row for row in special if row[0][0].split("::")[0] == space]
            lines += self.table(f"## namespace belay::{space}", of_space, what[0].upper() + what[1:] + ".")
        return "\n".join(lines).rstrip("\n") + "\n"

    def table(self, heading, rows, what=""):
        if not rows:
            return []
        lines = [heading, ""] + ([what, ""] if what else []) + ["| name | header | what it is |", "|---|---|---|"]
        for key, held in rows:
            component, header, sentence = self.found[key]
            shown = "::".join(filter(None, key))
            mark = "**" if key in self.start else ""
            more = "".join(f", `{name}`" for name in held)
            lines.append(f"| {mark}`{shown}`{mark}{more} | `{component}/{header}` | {sentence.replace('|', chr(92) + '|')} |")
        return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    options = parser.parse_args()
    names = Names(options.root)
    wrong = list(names.complaints())
    print("\n".join(wrong + [f"{len(names.counted())} rows in belay::, {len(names.found)} public names"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
