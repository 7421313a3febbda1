#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Lists the public names of belay, by library and component, from its headers: docs/names.md.

    names.py [--root DIR] [--write]     without --write it compares, prints what differs, and exits with 1

A name is public if it is declared in namespace belay or below, but not in a namespace detail. It should be if somebody
writes it in a program that is composed of what belay has; what only those write who make, judge or prove parts, look at
files or read bytes is in a namespace of SPECIAL, listed apart, each with a page. NAMES_MAX and START_MAX are limits:
what cannot be held in the head is looked at again.
"""

import argparse
import pathlib
import re
import sys

import layout

# Who needs them, and the page that explains them.
SPECIAL = {
    "check": "for tests of parts of your own: [checks](check.md)",
    "driver": "for writers of drivers and machines: [core](core.md)",
    "explain": "`explain::x_like<T>()` names every requirement of the concept XLike that T lacks",
    "journal_format": "the bytes of a journal: [journal format](journal-format.md)",
    "part": "for writers of parts: of jitters and growths: [backoff](backoff.md); of trips and sleepers: [core](core.md); "
            "of framings, and transports that wrap transports: [link](link.md); of stores: "
            "[offline first](offline-first.md); of what a server of rooms is made of: [room](room.md)",
    "timeline": "for proofs and models of what a policy, a supervisor or a room decides: "
                "[link](link.md#proving-bounds)",
    "tool": "over the files of a journal or work queue, damaged or not: [journal](journal.md#a-damaged-one), "
            "[work](work.md)",
    "yjs": "the bytes of Yjs updates, without a CRDT: [Yjs updates](yjs-updates.md)",
    "session_format": "the bytes of the session protocol: [session protocol](session-protocol.md)",
}
NAMES_MAX = 447
START_MAX = 70
# What a user meets first.
START_HERE = set("""
Duration Instant Cause Failure Result Seed Random ManualClock StopSource Bytes
Policy MaxAttempts MaxElapsed Deadline StopOn CooldownOn ResetWhenStable AttemptTimeout Shared
Backoff FullJitter Cap Exponential make_backoff
Breaker CircuitBreaker ConsecutiveFailures FailureRate OpenFor
TokenBudget RatioBudget AdaptiveLimit
retry fails_if fails_on Pipeline Retrying Timeout Fallback Bulkhead RateLimiter Task
Queue QueueErrc Deque Ring Encoded DropOldest SpscRing MpmcRing QueueCounters
Journal JournalOptions Flush WorkQueue Lease
Supervisor Heartbeat LinkState LinkLog Tee Session Receiver
Loop ThreadSleeper posix::Loop posix::Tcp posix::Listener posix::Journal sim::World
""".split())

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
            path = [space for part in spaces for space in part if space != "BELAY_ABI"]
            if name and path[0] == "belay" and "detail" not in path:
                yield "::".join(path[1:]), name, first_sentence(comment)
            comment = []


class Names:
    def __init__(self, root):
        self.found = {}  # (namespace, name): (component, header, sentence); of overloads the first
        for component in layout.LIBRARY_OF:
            for path in sorted((root / "include" / "belay" / component).glob("*.hpp")):
                for space, name, sentence in names_of(path.read_text(encoding="utf-8").splitlines()):
                    self.found.setdefault((space, name), (component, path.name, sentence))

    def counted(self):
        return {key for key in self.found if key[0].split("::")[0] not in SPECIAL}

    def complaints(self):
        for (space, name), (component, header, sentence) in self.found.items():
            if not sentence:
                yield f"include/belay/{component}/{header}: {name} has no comment that says what it is"
        shown = {"::".join(filter(None, key)) for key in self.found}
        for name in sorted(START_HERE - shown):
            yield f"tests/scripts/names.py: START_HERE has {name}, which no header declares"
        if len(self.counted()) > NAMES_MAX:
            yield f"{len(self.counted())} public names, the limit is {NAMES_MAX}"
        if len(START_HERE) > START_MAX:
            yield f"{len(START_HERE)} names to start with, the limit is {START_MAX}"

    def page(self):
        counted = self.counted()
        lines = ["# Names", "",
                 "Every public name, by library and component, made from the headers by `tests/scripts/names.py --write`. "
                 "**Bold**: start here.", "",
                 "Here is what a program that is composed of what belay has may write. What only those write who "
                 "make, judge or prove a part, look at files or read bytes is in namespaces of its own, at the end.", "",
                 f"{len(counted)} names, {len(START_HERE)} of them to start with; "
                 f"{len(self.found) - len(counted)} more in the namespaces at the end.", ""]
        for library, components in layout.LIBRARIES.items():
            lines += [f"## {library}", ""]
            for component in components:
                rows = [(key, row) for key, row in self.found.items() if row[0] == component and key in counted]
                lines += self.table(f"### {component}/", rows)
        for space, what in SPECIAL.items():
            rows = [(key, row) for key, row in self.found.items() if key[0].split("::")[0] == space]
            lines += self.table(f"## namespace belay::{space}", rows, what[0].upper() + what[1:] + ".")
        return "\n".join(lines).rstrip("\n") + "\n"

    @staticmethod
    def table(heading, rows, what=""):
        if not rows:
            return []
        lines = [heading, ""] + ([what, ""] if what else []) + ["| name | header | what it is |", "|---|---|---|"]
        for (space, name), (component, header, sentence) in rows:
            shown = "::".join(filter(None, (space, name)))
            mark = "**" if shown in START_HERE else ""
            lines.append(f"| {mark}`{shown}`{mark} | `{component}/{header}` | {sentence.replace('|', chr(92) + '|')} |")
        return lines + [""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    names = Names(options.root)
    wrong = list(names.complaints())
    page = options.root / "docs" / "names.md"
    if options.write:
        page.write_text(names.page(), encoding="utf-8")
    elif not page.is_file() or page.read_text(encoding="utf-8") != names.page():
        wrong.append("docs/names.md is not what the headers say: run tests/scripts/names.py --write")
    print("\n".join(wrong + [f"{len(names.counted())} public names"]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
