#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the commands that README, CONTRIBUTING and the pages tell a reader to run, as a reader does: in a fresh clone.

    page_commands.py [--root DIR] [--quick | --all] [--filter REGEX]

Without an option, it lists the commands and how each is checked. --quick runs the quick ones, --all also those that take
minutes, --filter only those whose text matches. The path of the clone has a space. The clone has the changes of DIR that
are not committed, but no new files. A server is stopped once it answers.

Commands are the lines of ```sh and ```console blocks. Indented lines, and texts in backticks, are commands if they begin
with PROGRAM. page_command_rows.py has a row for each command. One without a row, and a row without a command, is an error,
"page:line: what: what to do". The last line is "N passed, N failed, N skipped". Exit code: 0 if nothing failed, else 1.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from page_command_rows import ROWS, Cannot, Elsewhere  # noqa: E402

LIMIT = 7200  # seconds for one command; only a failure takes so long
# Of a server of HTTP, any answer.
ASK = r"""exec 3<>/dev/tcp/127.0.0.1/{}; printf 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
grep -aq ^HTTP <&3
"""
PROGRAM = re.compile(r"(?:[A-Z_]+=\S+ +)*(?:(?:(?:tests|examples|examples/\w+|bench|\.ci)/run|\.ci/matrix)(?: |$)|"
                     r"(?:tests/scripts/\S+|build/\S+|cmake|ctest|ninja|conan|vcpkg|c\+\+|g\+\+|npm|node|python3|apt-get|"
                     r"meson|pkg-config|sqlite3|redis-cli|git|journal_inspect|example_\w+|offline_notes|shared_list) )")


@dataclasses.dataclass
class Command:
    where: str
    text: str  # in one line
    script: str
    block: int  # the number of its block on the page; 0 if it is not in one

    def key(self):
        """Of its row; none if there is none."""
        starts = [key for key in ROWS if key.endswith(" *") and self.text.startswith(key[:-1])]
        return self.text if self.text in ROWS else max(starts, key=len, default=None)

    def row(self):
        return ROWS.get(self.key())

    def runs(self):
        row = self.row()
        return f"{row.before}\n{self.script.replace(*row.instead) if row.instead else self.script}\n"

    def why_not(self, slow):
        """Why it does not run by itself; nothing if it does."""
        row = self.row()
        if isinstance(row, Cannot):
            return row.reason
        if isinstance(row, Elsewhere):
            return f"run by {row.path}"
        if row.beside:
            return f"run beside {row.beside}"
        if row.needs and not shutil.which(row.needs):
            return f"no {row.needs}"
        return "" if row.quick or slow else "it takes minutes: add --all"


def commands_on(page, name):
    fence, block, begin, lines = None, 0, 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            fence, block = (line[3:] if fence is None else None), block + 1
        elif fence is None and not re.match("    " + PROGRAM.pattern, line):
            yield from (Command(f"{name}:{number}", text, text, 0) for text in re.findall(r"`([^`]+)`", line)
                        if PROGRAM.match(text))
        elif fence in (None, "sh", "bash", "shell") or fence == "console" and line.startswith("$ "):
            begin = begin if lines else number
            lines.append(re.sub(r"^\$ |(?:^|\s+)# .*", "", line))
            text = " ".join("\n".join(lines).replace("\\\n", " ").split())
            if not text.endswith("\\") and (not text.startswith("for ") or text.endswith("done")):
                if text:
                    yield Command(f"{name}:{begin}", text, "\n".join(lines), block)
                lines = []


def commands_of(root):
    for page in [root / "README.md", root / "CONTRIBUTING.md", root / "examples/README.md", *sorted(root.glob("docs/**/*.md"))]:
        found = list(commands_on(page, page.relative_to(root)))
        while found:
            command = found.pop(0)
            for _ in range(getattr(command.row(), "lines", 1) - 1):
                if found and found[0].block == command.block:
                    command.script += "\n" + found.pop(0).script
            yield command


def complaints(root, commands):
    for command in commands:
        row = command.row()
        if row is None:
            yield f"{command.where}: nothing runs {command.text}: add it to tests/scripts/page_command_rows.py"
        elif isinstance(row, Elsewhere) and not any(row.text in path.read_text(encoding="utf-8") for path in root.glob(row.path)):
            yield f"{command.where}: no file {row.path} has the text {row.text}: correct the row of {command.text}"
    used = {command.key() for command in commands}
    yield from (f"tests/scripts/page_command_rows.py:1: no page has {key}: remove it" for key in ROWS if key not in used)


def signal_group(process, number):
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


class Clone:
    def __init__(self, root, directory):
        self.path, self.directory = directory / "a clone", directory
        # The tree may be another user's.
        (directory / "gitconfig").write_text("[safe]\n\tdirectory = *\n")
        git = {"env": {**os.environ, "GIT_CONFIG_GLOBAL": str(directory / "gitconfig")}, "check": True}
        subprocess.run(["git", "clone", "--quiet", root, self.path], **git)
        changes = subprocess.run(["git", "-C", root, "diff", "--binary", "HEAD"], **git, capture_output=True).stdout
        if changes:
            subprocess.run(["git", "-C", self.path, "apply", "-"], input=changes, check=True)

    def run(self, script, beside=None):
        """Whether the script succeeded, and what it printed. With `beside`, it is a server: once it answers, that script
        runs, too, and the server is interrupted."""
        log = pathlib.Path(tempfile.mkstemp(dir=self.directory)[1])
        with log.open("a") as out:
            # An interrupt ends it, also if this script ignores interrupts, as what runs in the background does.
            process = subprocess.Popen(["bash", "-e", "-o", "pipefail", "-c", script], cwd=self.path, stdout=out,
                                       stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
                                       env={**os.environ, "STAGE": str(self.directory / "stage")},
                                       preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        end, right, more = time.monotonic() + LIMIT, beside is None, ""
        try:
            while process.poll() is None and time.monotonic() < end:
                port = beside is not None and re.search(r"127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))
                if port:
                    right, more = self.run(ASK.format(port[1]) + beside)
                    signal_group(process, signal.SIGINT)
                    beside = None
                time.sleep(0.1)
        finally:
            signal_group(process, signal.SIGKILL)
        return process.wait() == 0 and right, log.read_text(errors="replace") + more


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--filter", default="", metavar="REGEX")
    options = parser.parse_args()
    root = options.root.resolve()
    commands = list(commands_of(root))
    wrong = list(complaints(root, commands))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    if not (options.quick or options.all):
        print(*(f"{c.where}: {c.why_not(False) or 'quick'}: {c.text}" for c in commands if c.row()), sep="\n")
        return 1 if wrong else 0
    if not (root / ".git").exists():
        print("SKIP: there is no repository to clone")
        return 1 if wrong else 0
    # A command that several pages have runs once.
    todo = [c for i, c in enumerate(commands) if c.row() and c.text not in (before.text for before in commands[:i])
            and re.search(options.filter, c.text)]
    passed = set()
    failed, skipped = len(wrong), 0
    with tempfile.TemporaryDirectory() as directory:
        clone = Clone(root, pathlib.Path(directory))
        for command in todo:
            if command.why_not(options.all):
                continue
            beside = [c for c in commands if getattr(c.row(), "beside", "") == command.key()]
            begin = time.monotonic()
            print(f"{command.where}: {command.text}", flush=True)
            right, printed = clone.run(command.runs(), "".join(c.runs() for c in beside) if command.row().server else None)
            passed |= {c.text for c in [command, *beside]} if right else set()
            failed += not right
            print(f"    {'passed' if right else 'FAILED'}, {time.monotonic() - begin:.0f} s", flush=True)
            if not right:
                print("".join("    | " + line for line in printed.splitlines(True)[-30:]).rstrip(), flush=True)
    for command in todo:
        if command.text not in passed and command.why_not(options.all):
            skipped += 1
            print(f"skipped: {command.where}: {command.text}: {command.why_not(options.all)}")
    print(f"{len(passed)} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
