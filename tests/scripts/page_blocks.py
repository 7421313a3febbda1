#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that every cpp block of README and of the pages in docs/ compiles, and cuts out those that are whole programs.

    page_blocks.py [--root DIR] --compiler CXX [--flags FLAGS]
        compiles the fragments; prints "page:line: what: what to do", and exits with 1 if it printed any
    page_blocks.py [--root DIR] --programs DIRECTORY
        writes each whole program to DIRECTORY/<name>.cpp, its output to <name>.expected, and prints "name page" for it
    page_blocks.py [--root DIR] --joined FILE NAME...
        writes to FILE one program that runs the whole program whose name is its first argument
    page_blocks.py [--root DIR] --write
        cuts the excerpts of the pages anew

A block that has a main is a whole program. pages.cmake builds and runs it, and compares what it prints with the text
block that follows it. Its name is that of the page, with the heading that it is below: docs/how-to/metrics.md: metrics-Metrics-of-your-own.
An excerpt in README (readme_excerpts.py) is compiled with its example. On another page, the block after the line
"<!-- excerpt: docs/programs/x.cpp -->" has the parts of that file between "// excerpt: begin" and "// excerpt: end", with
empty lines between them. The file is the whole program, and the page links to it. All other blocks are fragments. Each is compiled
with every header of include/belay/*.hpp and "using namespace belay", and with what the line before it states:

    <!-- frame: NAME -->        what tests/pages/frames/NAME.hpp declares in namespace frames::NAME
    <!-- frame: usual -->       what usual.hpp declares in namespace frames, which the other frames include
    <!-- frame: continues -->   what the block before it on the page declares, too

The declarations with which a fragment begins are at file scope; all after them is the body of a function.

A block of ```diff changes a whole program of any page. Empty lines separate its hunks, which have no other lines than - and +.
"""

import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from expect_error import errors_of  # noqa: E402
from readme_excerpts import Wrong, parts_of  # noqa: E402

MAIN = re.compile(r"^int main\(")
FRAME = re.compile(r"<!-- frame: (.+) -->$")
EXCERPT = re.compile(r"<!-- excerpt: (\S+) -->$")
INCLUDE = re.compile(r'^#include [<"]([^>"]+)[>"]')
# What may stand in no function, or need not.
DECLARATION = re.compile(r"(template|struct|class|enum|namespace|consteval|concept|static_assert)\b|"
                         r"(?!return\b|else\b)[\w:<>,&*\[\] ]+ [\w:]+\([^;]*\)[\w ]* \{")
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wno-return-type", *(f"-Wno-unused-{what}" for what in (
    "variable", "but-set-variable", "function", "parameter", "local-typedefs"))]
ADVICE = ("correct the block, or state what it takes for granted in the line before it, <!-- frame: NAME -->: "
          "see tests/scripts/page_blocks.py")


class Block:
    def __init__(self, root, page, line, code, before, heading):
        self.page, self.line, self.code, self.heading = page, line, code, heading  # line: of the first line of code
        frame = FRAME.match(before)
        self.frame = frame[1] if frame else None
        excerpt = EXCERPT.match(before)
        self.is_excerpt = page == "README.md" and bool(excerpt)
        self.file = excerpt[1] if excerpt and not self.is_excerpt else None  # of which it shows parts
        self.shown = code
        if self.file and (root / self.file).is_file():
            self.code = (root / self.file).read_text(encoding="utf-8").splitlines()
        self.is_program = any(MAIN.match(text) for text in self.code)
        self.previous = None
        self.output = ""

    @property
    def name(self):
        """Of its namespace."""
        return f"block_{self.line}_of_" + re.sub(r"\W", "_", self.page)

    def includes(self):
        return [text for text in self.code if INCLUDE.match(text)]

    def split(self):
        """Its lines with their numbers, without the includes: the declarations with which it begins, and the rest."""
        lines = [(self.line + i, text) for i, text in enumerate(self.code) if not INCLUDE.match(text)]
        if self.is_program:
            return [(number, MAIN.sub("inline int program(", text)) for number, text in lines], []
        end = 0
        while end < len(lines):
            text = lines[end][1]
            if text.strip() and not text.startswith("//"):
                if not DECLARATION.match(text):
                    break
                end = end_of_declaration(lines, end)
            end += 1
        return lines[:end], lines[end:]


def end_of_declaration(lines, begin):
    """The line where the brackets that begin there are closed, at a semicolon or at the brace of a function."""
    depth = 0
    for i in range(begin, len(lines)):
        text = re.sub(r"//.*|\"(\\.|[^\"\\])*\"|'[^']'", "", lines[i][1]).rstrip()
        depth += sum(text.count(c) for c in "({[") - sum(text.count(c) for c in ")}]")
        if depth == 0 and text.endswith((";", "}")):
            return i
    return len(lines) - 1


def blocks_of(root, page):
    """The cpp blocks of a page, in their order."""
    lines = (root / page).read_text(encoding="utf-8").splitlines()
    blocks, heading, i = [], "", 0
    while i < len(lines):
        if lines[i].startswith("## "):
            heading = lines[i][3:]
        if lines[i].lstrip().startswith("```"):
            end = lines.index("```", i + 1)
            if lines[i] == "```cpp":
                blocks.append(Block(root, page, i + 2, lines[i + 1:end], lines[i - 1] if i else "", heading))
                blocks[-1].previous = blocks[-2] if len(blocks) > 1 else None
            elif lines[i] == "```text":
                between = lines[blocks[-1].line - 1 + len(blocks[-1].shown):i] if blocks else []
                if between in (["```"], ["```", ""]):
                    blocks[-1].output = "".join(text + "\n" for text in lines[i + 1:end])
            elif not re.match(r"```\w+$", lines[i]) or lines[i][3:] in ("c++", "cc", "hpp"):
                raise SystemExit(f"{page}:{i + 1}: a block of {lines[i]}: write ```cpp, ```text or another language")
            i = end
        i += 1
    return blocks


def pages_of(root):
    return [name for name in ["README.md"] if (root / name).is_file()] + sorted(
        str(path.relative_to(root)) for path in (root / "docs").rglob("*.md"))


def programs(blocks):
    """The name of each whole program, and its block."""
    named = {}
    for block in blocks:
        if block.is_program:
            page = pathlib.Path(block.page).stem
            first = page not in (pathlib.Path(other.page).stem for other in named.values())
            name = page if first and not block.heading else f"{page}-{block.heading}".replace(",", "").replace(" ", "-")
            if name in named:
                raise SystemExit(f"{block.page}:{block.line}: a second program below {block.heading}: "
                                 "give it a heading of its own")
            named[name] = block
    return named


def write(path, text):
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def write_programs(blocks, directory):
    directory.mkdir(parents=True, exist_ok=True)
    for name, block in programs(blocks).items():
        write(directory / f"{name}.cpp", "".join(line + "\n" for line in block.code))
        write(directory / f"{name}.expected", block.output)
        print(name, block.page)


def as_function(block):
    """The lines of a program without its includes, and with its main as a function, which returns 0 at its end, too."""
    lines = ["" if INCLUDE.match(text) else text for text in block.code]
    for number, text in enumerate(lines, block.line):
        if text.startswith(("#", "template <>")):
            raise SystemExit(f"{block.page}:{number}: {text}: give this program ALONE in pages.cmake: it cannot be "
                             "joined with others")
    begin = next(i for i, text in enumerate(lines) if MAIN.match(text))
    lines[begin] = MAIN.sub("int program(", lines[begin])
    end = end_of_declaration(list(enumerate(lines)), begin)
    lines[end] = re.sub(r"\}$", "return 0; }", lines[end])
    return lines


def joined(named):
    """One program of several, each in a namespace of its own."""
    includes = dict.fromkeys(text for block in named.values() for text in block.includes())
    text = [*includes, "#include <cstring>"]
    choice = ["int main(int count, char** words) {", "if (count < 2) return 2;"]
    for name, block in named.items():
        scope = "page_" + re.sub(r"\W", "_", name)
        text += [f"namespace {scope} {{", f'#line {1 if block.file else block.line} "{block.file or block.page}"', *as_function(block), "}"]
        arguments = "" if any(line.startswith("int main()") for line in block.code) else "count - 1, words + 1"
        choice.append(f'if (std::strcmp(words[1], "{name}") == 0) return {scope}::program({arguments});')
    return "\n".join([*text, *choice, "return 2;", "}", ""])


class Source:
    """The text of one translation unit, of fragments."""

    def __init__(self, root, blocks):
        self.frames = root / "tests" / "pages" / "frames"
        includes, self.text = [], []
        for block in blocks:
            for each in self.chain(block):
                includes += each.includes()
                if each.frame not in (None, "continues"):
                    includes.append(f'#include "{each.frame}.hpp"')
        umbrellas = [f"#include <belay/{path.name}>" for path in sorted((root / "include" / "belay").glob("*.hpp"))]
        self.head = list(dict.fromkeys([*umbrellas, '#include "usual.hpp"', *includes]))
        for block in blocks:
            self.add(block)

    def chain(self, block):
        """The blocks that it continues, and it."""
        before = self.chain(block.previous) if block.frame == "continues" and block.previous else []
        return [*before, block]

    def lines(self, page, lines):
        for number, text in lines:
            self.text += [f'#line {number} "{page}"', text]

    def add(self, block):
        chain = self.chain(block)
        frame = chain[0].frame
        scopes = [] if frame is None else ["frames"] if frame == "usual" else ["frames", frame]
        scopes.append(block.name)
        # A specialization may stand in no namespace of another.
        opened = "namespace " + "::".join(scopes) + " {"
        body = []
        for each in chain:
            declared, rest = each.split()
            specializes = any(text.startswith("template <>") for _, text in declared)
            self.text += [] if specializes else [opened]
            self.lines(each.page, declared)
            self.text += [] if specializes else ["}"]
            body.append((each.page, rest))
        coroutine = any("co_await" in text for _, rest in body for _, text in rest)
        self.text.append(f"{opened} inline {'frames::Coroutine' if coroutine else 'auto'} fragment() {{")
        for page, rest in body:
            self.text.append("{")
            self.lines(page, rest)
        self.text += ["}" * len(body), "}", "}"]

    def __str__(self):
        using = ["using namespace belay;", "using namespace std::chrono_literals;"]
        return "\n".join([*self.head, *using, *self.text, ""])


def libraries(root, source):
    """The headers of other libraries that a source includes, of which the bindings need some."""
    found, seen, left = set(), set(), list(source.head)
    while left:
        match = INCLUDE.match(left.pop())
        name = match[1] if match else ""
        if not name or name in seen:
            continue
        seen.add(name)
        path = next((p for p in (root / "include" / name, source.frames / name) if p.is_file()), None)
        if path:
            left += path.read_text(encoding="utf-8").splitlines()
        elif "/" in name or name.endswith(".h"):
            found.add(name)
    return found


def missing(command, names):
    text = "".join(f"#if !__has_include(<{name}>)\n{name}\n#endif\n" for name in sorted(names))
    run = subprocess.run([*command, "-E", "-P", "-x", "c++", "-"], input=text, capture_output=True, text=True,
                         check=False)
    return run.stdout.split()


def complaints_about(root, command, blocks):
    """What the compiler says of each block, the first error only."""
    run = subprocess.run([*command, *WARNINGS, "-fsyntax-only", "-x", "c++", "-"], input=str(Source(root, blocks)),
                         capture_output=True, text=True, errors="replace", check=False)
    if not run.returncode:
        return
    found, elsewhere = {}, dict(errors_of(run.stdout + run.stderr, ""))
    for page in dict.fromkeys(block.page for block in blocks):
        for error, lines in errors_of(run.stdout + run.stderr, page):
            if lines:
                elsewhere.pop(error, None)
            for block in blocks:
                end = block.line + len(block.code)
                inside = sorted(n for n in lines if block.page == page and block.line <= n < end)
                if inside:
                    found.setdefault(block, (inside[0], re.sub(r"^.*?: (fatal )?error: ", "", error)))
    for block, (line, error) in sorted(found.items(), key=lambda item: (item[0].page, item[0].line)):
        yield f"{block.page}:{line}: {error}: {ADVICE}"
    for error in elsewhere:
        yield f"{error}: correct the frame"


def excerpt_of(root, block):
    """What the page should show of the file."""
    return "\n\n".join("\n".join(part) for part in parts_of(root / block.file)).split("\n")


def check_excerpts(root, blocks):
    for block in blocks:
        try:
            if block.file and block.shown != excerpt_of(root, block):
                raise Wrong("the code is not that of the file: run tests/scripts/page_blocks.py --write")
            link = os.path.relpath(block.file or ".", pathlib.Path(block.page).parent)
            if block.file and f"]({link})" not in (root / block.page).read_text(encoding="utf-8"):
                raise Wrong("the page has no link to the file: write one after the block")
        except Wrong as wrong:
            yield f"{block.page}:{block.line - 2}: {block.file}: {wrong}"


def write_excerpts(root, blocks):
    for block in reversed(blocks):
        if block.file:
            lines = (root / block.page).read_text(encoding="utf-8").splitlines()
            lines[block.line - 1:block.line - 1 + len(block.shown)] = excerpt_of(root, block)
            write(root / block.page, "\n".join(lines) + "\n")


def judge(root, command, blocks):
    yield from check_excerpts(root, blocks)
    for block in blocks:
        if block.is_program and re.search(r"^int main\(int,", "\n".join(block.code), re.M):
            yield f"{block.page}:{block.line}: the program reads arguments that may be missing: compare their number"
    fragments = [block for block in blocks if not block.is_program and not block.is_excerpt]
    groups = {}
    for block in fragments:
        if block.frame == "continues" and not block.previous:
            yield f"{block.page}:{block.line - 2}: no block is before it: state a frame by its name"
            continue
        if block.frame not in (None, "continues") and not (root / f"tests/pages/frames/{block.frame}.hpp").is_file():
            yield f"{block.page}:{block.line - 2}: there is no such frame: see tests/pages/frames/"
            continue
        needed = libraries(root, Source(root, [block]))
        absent = missing(command, needed)
        if absent:
            print(f"left out: {block.page}:{block.line}: no {absent[0]}")
            continue
        groups.setdefault(bool(needed), []).append(block)
    for group in groups.values():
        yield from complaints_about(root, command, group)


def changed(program, page, line, diff):
    """A program after a diff, whose hunks are separated by empty lines; raises if the program lacks a hunk."""
    for hunk in "\n".join(diff).split("\n\n"):
        before, after = ("".join(text[1:] + "\n" for text in hunk.split("\n") if text[:1] == sign) for sign in "-+")
        if not before or program.count(before) != 1:
            raise SystemExit(f"{page}:{line}: no program of a page has these lines once:\n{before}")
        program = program.replace(before, after)
    return program


def check_diffs(root, blocks):
    """Applies each diff block of a page to the program that has all the lines that it removes."""
    for page in pages_of(root):
        lines = (root / page).read_text(encoding="utf-8").splitlines()
        for i, text in enumerate(lines):
            if text == "```diff":
                diff = lines[i + 1:lines.index("```", i)]
                removed = {text[1:] for text in diff if text.startswith("-")}
                of = [b for b in programs(blocks).values() if removed <= set(b.code)]
                changed("".join(line + "\n" for line in of[0].code) if of else "", page, i + 1, diff)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--programs", type=pathlib.Path, metavar="DIRECTORY", help="write the whole programs there")
    parser.add_argument("--joined", type=pathlib.Path, metavar="FILE", help="write one program there")
    parser.add_argument("--write", action="store_true", help="cut the excerpts of the pages anew")
    parser.add_argument("names", nargs="*", metavar="NAME", help="of a whole program")
    parser.add_argument("--compiler", help="that of the build")
    parser.add_argument("--flags", default="", help="of the build, as one word")
    options = parser.parse_args()
    blocks = [block for page in pages_of(options.root) for block in blocks_of(options.root, page)]
    if options.write:
        write_excerpts(options.root, blocks)
        return 0
    if options.programs:
        write_programs(blocks, options.programs)
        return 0
    if options.joined:
        named = programs(blocks)
        write(options.joined, joined({name: named[name] for name in options.names}))
        return 0
    check_diffs(options.root, blocks)
    command = [options.compiler, *shlex.split(options.flags), "-std=c++20", "-ftemplate-backtrace-limit=0",
               f"-I{options.root / 'include'}", f"-I{options.root / 'tests/pages/frames'}"]
    complaints = list(judge(options.root, command, blocks))
    print(*complaints, sep="\n" if complaints else "", end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
