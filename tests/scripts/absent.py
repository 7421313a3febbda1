#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that the pages state only about absent things that belay has none of them.

    absent.py [--root DIR]     prints "path:line: what: what to do"; exits with 1 if it printed any

A statement is "belay has no X", to the end of the clause, in README or docs/. ABSENT names for each statement the headers
whose appearance makes it untrue, or names that public headers would declare.
"""

import argparse
import pathlib
import re
import sys

# The statement without "belay has no", and what must not exist: the end of a path in include/ or src/, with wildcards, or
# a name in any public header. "path: name" is a name in this header only.
ABSENT = {
    "C interface": ["belay/c_api.h", "include/belay.h"],
    "C++20 module": ["*.cppm", "*.ixx", "src/*"],
    "Windows sockets": ["windows/*socket*", "windows/*tcp*", "windows/*loop*", "posix/win*", "asio/win*"],
    "cache of results": ["call/*cache*", "call/*coalesc*", "call/*single_flight*"],
    "injected behaviour": ["call/*behav*", "call/chaos.hpp: behaviour"],
    "exporter of OpenTelemetry": ["*/*telemetry*", "*/*otlp*"],
    "Prometheus text for the sync of offline edits": ["sync/*metrics*"],
    "discovery of servers at run time": ["link/*discover*", "link/*srv*"],
    "client of NATS, MQTT or AMQP": ["nats/*", "mqtt/*", "amqp/*"],
    "order for each key in a work queue": ["work/*group*", "work/work_options.hpp: group"],
    "priorities in a work queue": ["work/*priorit*", "work/work_options.hpp: priority"],
    "journal for several processes": ["journal/*shared*", "journal/*reader*", "journal/*cursor*"],
    "copy of a journal on a second machine": ["journal/*replica*", "journal/*ship*"],
    "encryption and no compression of its files": ["journal/*crypt*", "journal/*compress*"],
    "storage in S3": ["s3/*"],
    "room server that is ready to start": ["room/server*", "beast/*room_server*"],
    "documents that the server can read": ["yjs/*reader*", "yjs/*read_*", "yjs/*json*", "yjs/*map*"],
    "versions of a room": ["room/*version*", "room/*history*"],
    "datagrams and threads in its simulation": ["sim/*datagram*", "sim/*udp*", "sim/*thread*"],
}

CLAUSE = re.compile(r"\bbelay has (?:no|neither)\s+([^.;:|()]+?)\s*(?=[.;:|()]|$)", re.IGNORECASE)
WORD = re.compile(r"\w+")


def pages(root):
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def statements(page):
    """The line of each statement of a page, and its text. A statement may go on in the next line, but not in the next
    paragraph, list item or row of a table."""
    begin, lines = 1, []
    for number, line in enumerate([*page.read_text(encoding="utf-8").splitlines(), ""], 1):
        if not line.strip() or re.match(r"\s*(?:[-|#>]|\d+\.)", line):
            yield from statements_of(lines, begin)
            begin, lines = number, []
        lines.append(re.sub(r"[*`_]", "", line))
    yield from statements_of(lines, begin)


def statements_of(lines, begin):
    text = "\n".join(lines)
    for match in CLAUSE.finditer(text):
        yield begin + text.count("\n", 0, match.start()), " ".join(match[1].split())


def without_comments(text):
    return re.sub(r"//[^\n]*", "", text)


class Absent:
    def __init__(self, root):
        self.root = root
        files = (path for folder in ("include", "src") for path in (root / folder).rglob("*") if path.is_file())
        self.public = {path: None for path in sorted(files) if "detail" not in path.parts}

    def names_of(self, path):
        if self.public[path] is None:
            self.public[path] = set(WORD.findall(without_comments(path.read_text(encoding="utf-8"))))
        return self.public[path]

    def found(self, form):
        """The first header that a form of ABSENT fits; none if there is none."""
        path, _, name = form.rpartition(": ")
        if name.isidentifier():
            where = [header for header in self.public if not path or header.match(path)]
            return next((header for header in where if name in self.names_of(header)), None)
        return next((header for header in self.public if header.relative_to(self.root).match(form)), None)

    def complaints(self):
        used = set()
        for page in pages(self.root):
            for number, what in statements(page):
                where = f"{page.relative_to(self.root)}:{number}"
                used.add(what)
                if what not in ABSENT:
                    yield f'{where}: "belay has no {what}" is checked by nothing: add it to ABSENT in tests/scripts/absent.py'
                    continue
                for form in ABSENT[what]:
                    header = self.found(form)
                    if header:
                        yield (f'{where}: "belay has no {what}", but {header.relative_to(self.root)} fits {form}: '
                               "correct the page")
        for what in ABSENT:
            if what not in used:
                yield f'tests/scripts/absent.py:1: no page has the sentence "belay has no {what}": remove it from ABSENT'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    complaints = list(Absent(parser.parse_args().root).complaints())
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
