#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what people read: README, the pages in docs/, the comments of headers and examples, the messages of
static_assert, #error and the precondition macros, the comments of tests and the names of test cases, and commit
subjects. Comments and names of tests may have sentences of any length.

    prose.py [--root DIR] [--long] [PATH...]   prints "path:line: rule: what is wrong: what to write"; exits with 1 if
                                               it printed any; --long also lists sentences of 25 to 30 words

A sentence names its subject, does not use the idioms below, and has at most 30 words; up to 25 is better. Code blocks,
headings, quotations, and tables of formats are not read.

A line that must break a rule has an excuse: "<!-- prose: reason -->" alone on the line before a paragraph or list
item, or "// prose: reason" on the line before a docstring or comment. At most EXCUSES_MAX in the tree.
"""

import argparse
import pathlib
import re
import subprocess
import sys

# Their tables list bytes and fields.
TABLES_NOT_READ = {"docs/reference/formats/journal.md", "docs/reference/formats/work-queue.md", "docs/reference/formats/session-protocol.md"}
TESTS_NOT_READ = ("tests/node/", "tests/scripts/")
# Subjects of commits after this one are checked.
FIRST_COMMIT = "06a969a8c4a9431da33270856e6f48d2da653d0d"
SUBJECT_MAX = 72
WORDS_MAX = 30
WORDS_LONG = 25
EXCUSES_MAX = 30

# (what it matches at the start of a sentence, what to write instead)
STARTS = [
    (r"(?:Who|Whoever|Whom|Whose|What|Whatever|Whichever)\b", "name the subject: a type, a function, a client, you"),
    (r"Of\b", "start with the subject, and put the condition last"),
    (r"But for\b", 'write "except"'),
    (r"Beside\b", 'write "in addition to" or "compared with"'),
    (r"(?:Nobody|Somebody|Everybody|Anybody)\b", "name who it is: a client, a thread, a caller"),
]
# (what it matches anywhere, what to write instead)
IDIOMS = [
    (r"(?:is|are|was|were|be|been|being) told\b", 'write "is notified", or name the hook that is called'),
    (r"(?:tells|told|tell)\b", 'write "reports", "notifies" or "returns"'),
    (r"(?:hear|hears|heard)\b", 'write "is notified" or "receives"'),
    (r"(?:says|said)\b", 'write "returns", "reports", "states" or "specifies"'),
    (r"(?:nobody|somebody|everybody|anybody|whoever|whatever|whom|whomever)\b",
     "name who or what it is: a client, a thread, a caller"),
    (r"but for\b", 'write "except"'),
    (r"beside\b", 'write "next to", "in addition to" or "compared with"'),
    (r"(?:lets|let|letting) go\b", 'write "releases" or "evicts"'),
    (r"(?:believes|believed)\b", "write what the code compares or computes"),
]
STARTS = [(re.compile(form), instead) for form, instead in STARTS]
IDIOMS = [(re.compile(r"\b" + form, re.IGNORECASE), instead) for form, instead in IDIOMS]

SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]*]*\s+(?=[\"'(\[*]*[A-Z0-9`])")
ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
FIELD = re.compile(r"[A-Z][a-z]+(?: [a-z]+)?:\s")
CALL = re.compile(r"\b(?:static_assert|BELAY_OPTION|BELAY_PRECONDITION|BELAY_INVARIANT)\(|#\s*error\b")
TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|[()]')
LITERALS_BEGIN = re.compile(r'(?:"(?:[^"\\\n]|\\.)*"\s*)+')
LITERALS = re.compile(r'(?:"(?:[^"\\\n]|\\.)*"[\s\\]*)+$')
# Code, which may be absent or contain texts, and a comment that is no docstring.
COMMENT = re.compile(r'((?:[^"/]|"(?:[^"\\]|\\.)*"|/(?!/))*)//(?!/) ?(.*)$')
TEST_CASE = re.compile(r"\b(?:TEMPLATE_)?TEST_CASE\w*\((?:\s*\w+,)?\s*|\bSECTION\(\s*")
EXCUSE_PAGE = re.compile(r"\s*<!-- prose: (.+?) -->\s*$")
EXCUSE_HEADER = re.compile(r"\s*// prose: (.+)$")


def plain(text):
    """The text without markup; code in backquotes, and a quotation, count as one word."""
    text = re.sub(r"`[^`]*`", "`code`", text)
    text = re.sub(r'"[^"]*"', '"quotation"', text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[*_]{1,2}(?=\w)|(?<=\w)[*_]{1,2}(?!\w)", "", text).strip()


def item(words, text):
    """The mark with which a list item begins; None if it is text, such as the end of poll(2), or a large number."""
    found = ITEM.match(words)
    goes_on = found and text and (text[-1].endswith("(") or re.match(r"\s*\d{3}", found[0]))
    return None if goes_on else found


class Blocks:
    """Collects (line, text, excused) of each block that is read line by line."""

    def __init__(self, excuse_for_one_block):
        self.found, self.text, self.begin, self.excused = [], [], 0, False
        self.excuse_for_one_block = excuse_for_one_block

    def start(self, line):
        self.end()
        self.begin = line

    def end(self):
        if self.text:
            self.found.append((self.begin, " ".join(self.text), self.excused))
            self.excused = self.excused and not self.excuse_for_one_block
        self.text = []

    def end_excused(self, excused):
        """Ends a block; the next one is excused, or not."""
        self.end()
        self.excused = excused


def page_blocks(lines, tables=True):
    """The blocks of a page: each paragraph, list item and table cell."""
    blocks, fenced = Blocks(excuse_for_one_block=True), False
    for number, line in enumerate(lines, 1):
        fence = line.lstrip().startswith("```")
        if fence or fenced:
            blocks.end()
            fenced = fenced != fence
        elif EXCUSE_PAGE.match(line):
            blocks.end_excused(True)
        elif not line.strip() or line.startswith(("#", ">", "<", "![")) or (line.startswith("    ") and not blocks.text):
            blocks.end()
        elif line.lstrip().startswith("|"):
            blocks.end()
            if tables and not re.match(r"\s*\|[\s:|-]*$", line):
                cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
                blocks.found += [(number, cell.strip(), blocks.excused) for cell in cells]
            blocks.excused = False
        else:
            mark = item(line, blocks.text)
            if mark or not blocks.text:
                blocks.start(number)
            blocks.text.append(line[mark.end() if mark else 0:].strip())
    blocks.end()
    return blocks.found


def docstring_blocks(lines):
    """The blocks of the docstrings in a header: each paragraph, list item and field."""
    blocks, fenced, trailing = Blocks(excuse_for_one_block=False), False, False
    for number, line in enumerate(lines, 1):
        found = re.search(r"(?:^|\s)///(<?) ?(.*)$", line)
        if EXCUSE_HEADER.match(line):
            blocks.end_excused(True)
            continue
        if not found:
            blocks.end_excused(False)
            fenced = False
            continue
        after, words = found[1] == "<", found[2]
        own_line = line.lstrip().startswith("///")
        fence = words.lstrip().startswith("```")
        if fence or fenced:
            blocks.end()
            fenced = fenced != fence
        elif not words.strip() or words.startswith(("\\file", "    ", "|")):
            blocks.end()
        else:
            mark = item(words, blocks.text)
            if mark or FIELD.match(words) or (after and not own_line) or trailing != after or not blocks.text:
                blocks.start(number)
            blocks.text.append(words[mark.end() if mark else 0:].strip())
            trailing = after
    blocks.end()
    return blocks.found


def comment_blocks(lines):
    """The blocks of the comments that start with two slashes: each paragraph and list item. A comment behind code goes on
    in the lines below it that have only a comment, in the same column."""
    blocks, column, in_item = Blocks(excuse_for_one_block=False), None, False
    for number, line in enumerate(lines, 1):
        found = COMMENT.match(line)
        if EXCUSE_HEADER.match(line):
            blocks.end_excused(True)
            continue
        if not found:
            blocks.end_excused(False)
            continue
        words = found[2]
        is_code = words.startswith("    " if in_item and blocks.text else "  ")
        if not words or is_code or words.startswith(("NOLINT", "SPDX", "clang-format", "----")):
            blocks.end()
            continue
        mark = item(words, blocks.text)
        if not blocks.text or column != found.start(2) or found[1].strip() or mark:
            blocks.start(number)
            column, in_item = found.start(2), bool(mark)
        blocks.text.append(words[mark.end() if mark else 0:].strip())
    blocks.end()
    return blocks.found


def messages(text):
    """(line, text) of each message that a compiler or a violated precondition prints, without "Type::function: "."""
    for call in CALL.finditer(text):
        depth, end = 1, call.end()
        if call[0].startswith("#"):
            end = re.compile(r"(?:\\\n|.)*").match(text, end).end()
        else:
            for token in TOKEN.finditer(text, end):
                depth += {"(": 1, ")": -1}.get(token[0], 0)
                end = token.start()
                if depth == 0:
                    break
        found = LITERALS.search(text, call.end(), end)
        if found:
            words = "".join(literal[0][1:-1] for literal in TOKEN.finditer(found[0]))
            words = re.sub(r"(?<!\w)'[^']*'(?!\w)", "code", words)
            words = re.sub(r"^\S+(?:, \S+)*: ", "", words)
            yield text.count("\n", 0, call.start()) + 1, words[:1].upper() + words[1:]


def test_names(text):
    """(line, name, whether it is a section) of each test case and of each section."""
    for call in TEST_CASE.finditer(text):
        found = LITERALS_BEGIN.match(text, call.end())
        if found:
            name = "".join(literal[0][1:-1] for literal in TOKEN.finditer(found[0]))
            yield text.count("\n", 0, call.start()) + 1, name.replace('\\"', '"'), call[0].startswith("SECTION")


def sentences(text):
    return [s for s in SENTENCE_END.split(plain(text)) if s]


def word_count(sentence):
    return len([word for word in sentence.split() if re.search(r"\w", word)])


class Prose:
    def __init__(self, root):
        self.root = root
        self.found, self.long, self.excuses = [], [], 0

    def report(self, path, line, rule, what):
        self.found.append(f"{path}:{line}: {rule}: {what}")

    def read(self, path):
        lines = (self.root / path).read_text(encoding="utf-8").splitlines()
        if path.endswith(".md"):
            self.excuses += sum(bool(EXCUSE_PAGE.match(line)) for line in lines)
            blocks = page_blocks(lines, path not in TABLES_NOT_READ)
        else:
            self.excuses += sum(bool(EXCUSE_HEADER.match(line)) for line in lines)
            blocks = docstring_blocks(lines) + comment_blocks(lines)
        for number, text, excused in blocks:
            if not excused:
                for sentence in sentences(text):
                    self.sentence(path, number, sentence)

    def read_messages(self, path):
        for number, text in messages((self.root / path).read_text(encoding="utf-8")):
            for sentence in sentences(text):
                self.sentence(path, number, sentence)

    def read_test_names(self, path):
        for number, name, is_section in test_names((self.root / path).read_text(encoding="utf-8")):
            # The name of a section continues that of its test case, so it may begin with a part of a sentence.
            shown = "..." + name if is_section else name[:1].upper() + name[1:]
            for sentence in sentences(shown):
                self.sentence(path, number, sentence)

    def sentence(self, path, number, sentence):
        shown = sentence if len(sentence) <= 70 else sentence[:67] + "..."
        bare = sentence.lstrip("\"'([*")
        if not sentence.rstrip("\"')*").endswith("?"):
            for form, instead in STARTS:
                if form.match(bare):
                    self.report(path, number, "subject", f'"{shown}": {instead}')
        end = 0
        for form, instead in IDIOMS:
            found = form.search(sentence)
            if found and found.end() != end:
                end = found.end()
                self.report(path, number, "idiom", f'"{found[0]}" in "{shown}": {instead}')
        count = 0 if path.startswith("tests/") else word_count(sentence)
        if count > WORDS_MAX:
            self.report(path, number, "length", f'{count} words in "{shown}": write two sentences, or a list')
        elif count >= WORDS_LONG:
            self.long.append(f'{path}:{number}: long: {count} words in "{shown}"')

    def subjects(self):
        git = ["git", "-c", "safe.directory=*", "-C", str(self.root)]
        if subprocess.run(git + ["cat-file", "-e", FIRST_COMMIT], capture_output=True).returncode:
            return
        listed = subprocess.run(git + ["log", "--format=%h %s", f"{FIRST_COMMIT}..HEAD"], capture_output=True, text=True)
        for line in listed.stdout.splitlines():
            commit, _, subject = line.partition(" ")
            self.subject(commit, subject)

    def subject(self, commit, subject):
        if len(subject) > SUBJECT_MAX:
            self.report(f"commit {commit}", 1, "commit-subject",
                        f"{len(subject)} characters: at most {SUBJECT_MAX}, imperative, the reason goes into the body")
        for form, instead in STARTS:
            if form.match(subject):
                self.report(f"commit {commit}", 1, "commit-subject", f'"{subject}": {instead}')

    def check(self, paths=None):
        pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md"]
        pages = [page for page in pages if (self.root / page).is_file()]
        pages += sorted(str(path.relative_to(self.root)) for path in (self.root / "docs").rglob("*.md"))
        headers = sorted(str(path.relative_to(self.root)) for path in (self.root / "include").rglob("*.hpp"))
        examples = sorted(str(path.relative_to(self.root)) for path in (self.root / "examples").rglob("*.[ch]pp"))
        tests = sorted(str(path.relative_to(self.root)) for path in (self.root / "tests").rglob("*.[ch]pp"))
        tests = [path for path in tests if not path.startswith(TESTS_NOT_READ)]
        chosen = pages + headers + examples + tests
        if paths:
            chosen = [path for path in chosen if any(path == p or path.startswith(p.rstrip("/") + "/") for p in paths)]
        for path in chosen:
            self.read(path)
            if path in headers:
                self.read_messages(path)
            if path in tests:
                self.read_test_names(path)
        if not paths:
            self.subjects()
        if self.excuses > EXCUSES_MAX:
            self.report("tests/scripts/prose.py", 1, "excuses", f"{self.excuses} excuses, the limit is {EXCUSES_MAX}")
        return self.found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--long", action="store_true", help="list sentences of 25 to 30 words, too")
    parser.add_argument("path", nargs="*", help="only these files and folders, from the root")
    options = parser.parse_args()
    prose = Prose(options.root)
    found = prose.check(options.path)
    print("\n".join(found + (prose.long if options.long else [])
                    + [f"{len(found)} to rewrite, {len(prose.long)} sentences of {WORDS_LONG} to {WORDS_MAX} words, "
                       f"{prose.excuses} excuses"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
