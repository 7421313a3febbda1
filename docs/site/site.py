#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the site from the pages and the reference. See build, which installs what it needs."""

import argparse
import contextlib
import functools
import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import reference

sys.path.insert(0, str(reference.ROOT / "tests/scripts"))
import names  # noqa: E402

ROOT = reference.ROOT
DOCS = ROOT / "docs"
HOME, INDEX = "index.md", "pages.md"  # README.md, and docs/README.md
LINK = re.compile(r"(?<!!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")
CODE = re.compile(r"(^[ ]*```.*?^[ ]*```[^\n]*$)", re.DOTALL | re.MULTILINE)
IMAGE = re.compile(r"(!\[[^\]]*\])\(([^)\s]+)\)")
# A tab of the site for each kind of page: its title, and the beginnings of the paths in it; the rest stands in the second.
TABS = {"Start": (HOME, INDEX, "adding.md", "names.md"), "Parts": (), "Tutorials": ("tutorials/",), "How-to": ("how-to/",),
        "Reference": ("reference/",), "Explanation": ("explanation/",), "Examples": ("examples/", "programs/"),
        "Contributing": ("CONTRIBUTING.md", "CHANGELOG.md", "design.md", "contributing/", "tests/", "bench/")}
LANGUAGES = {".cpp": "cpp", ".hpp": "cpp", ".py": "python", ".js": "javascript", ".mjs": "javascript", ".cmake": "cmake"}


def place_of(file):
    """Where a file of the repository is in the site; the file's path in it, if it is no page."""
    path = file.relative_to(ROOT)
    if path.as_posix() == "README.md":
        return pathlib.PurePosixPath(HOME)
    if path.as_posix() == "docs/README.md":
        return pathlib.PurePosixPath(INDEX)
    inner = path.relative_to("docs") if path.parts[0] == "docs" else path
    if inner.name == "README.md":
        inner = inner.with_name("index.md")
    return pathlib.PurePosixPath(inner.as_posix())


class Site:
    """The pages of the site, written to a folder as MkDocs reads them."""

    def __init__(self, folder, names):
        self.folder, self.names = folder, names
        self.sources = set()

    def write(self, file, text):
        """Writes the page of a file, and notes the files of the repository that it links to."""
        place = place_of(file)
        shown = set()
        blocks = CODE.split(text)
        blocks[::2] = (self.prose(block, file, place, shown) for block in blocks[::2])
        self.put(place, "".join(blocks))

    def prose(self, text, file, place, shown):
        """The text between two blocks of code, with links to places in the site. A link may be in two lines."""
        out = []
        for line in LINK.sub(lambda match: self.link(match, file, place), text).split("\n"):
            if line.startswith("#"):
                shown.clear()
            line = IMAGE.sub(lambda match: f"{match[1]}({self.to(place, file.parent / match[2])})", line)
            out.append(line if line.startswith("#") else self.with_names(line, place, shown))
        return "\n".join(out)

    def put(self, place, text):
        path = self.folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def link(self, match, file, place):
        text, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        name, _, anchor = target.partition("#")
        to = (file.parent / name).resolve()
        if to.is_dir() and (to / "README.md").exists():
            to /= "README.md"
        if to.suffix != ".md":
            if not to.is_file():
                return text  # a folder: the site has no page for it
            self.sources.add(to)
            return f"[{text}]({self.to(place, to)}.md)"
        return f"[{text}]({self.to(place, to)}{'#' + anchor if anchor else ''})"

    @staticmethod
    def to(place, file):
        target = place_of(pathlib.Path(os.path.normpath(file)))
        return os.path.relpath(target, place.parent)

    def with_names(self, line, place, shown):
        """The first time in a section, a name of belay alone between backquotes links to the reference."""
        up = "../" * len(place.parent.parts)

        def linked(match):
            name = match[1]
            if name in shown or name not in self.names or "[" in line[:match.start()] and "](" in line[match.end():match.end() + 40]:
                return match[0]
            shown.add(name)
            return f'<a href="{up}reference/api/{self.names[name]}"><code>{name}</code></a>'

        return re.sub(r"(?<!`)`((?:\w+::)*[A-Z]\w+|(?:\w+::)+\w+)`(?!`)", linked, line)

    def write_sources(self):
        for file in sorted(self.sources):
            path = file.relative_to(ROOT).as_posix()
            fence = "`" * 4
            self.put(place_of(file).with_name(file.name + ".md"),
                     f"# {path}\n\n{fence}{LANGUAGES.get(file.suffix, '')}\n{file.read_text()}{fence}\n")


def navigation(content):
    """The pages in tabs, as mkdocs.yml lists them. Those of the headers, formats and files are a group of their own each."""
    tabs = {title: {"": []} for title in TABS}
    for page in sorted(path.relative_to(content).as_posix() for path in content.rglob("*.md")):
        title = next((title for title, starts in TABS.items() if page.startswith(starts)), "Parts")
        group = {"reference/api": "Headers", "reference/formats": "Formats"}.get(os.path.dirname(page), "")
        tabs[title].setdefault("Files" if re.search(r"\.\w+\.md$", page) else group, []).append(page)
    for title, starts in TABS.items():
        tabs[title][""].sort(key=lambda page, starts=starts: starts.index(page) if page in starts else len(starts))
    return [{title: groups[""] + [{group: pages} for group, pages in groups.items() if group]}
            for title, groups in tabs.items() if any(groups.values())]


def read_names(items):
    """Name -> its address in the reference, of all names that have one meaning."""
    return {name.removeprefix("belay::"): item.address() for name, item in items.items() if item.kind != "variable"}


def pages():
    """All Markdown files of the repository."""
    files = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "*.md"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return [ROOT / name for name in files.stdout.split("\0") if name]


def build(out):
    api = reference.read_reference()
    if not shutil.which("mkdocs"):
        raise reference.MissingTool("the site needs MkDocs, which is not installed: apt-get install mkdocs-material")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        content = folder / "docs"
        site = Site(content, read_names(api.items))
        for page in pages():
            site.write(page, page.read_text())
        site.write(DOCS / "names.md", names.Names(ROOT).page())
        site.write_sources()
        for image in DOCS.rglob("*.svg"):
            place = content / place_of(image)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(image, place)
        shutil.copy(reference.HERE / "site.css", content)
        api.write(content / "reference/api")
        settings = folder / "mkdocs.yml"
        settings.write_text((reference.HERE / "mkdocs.yml").read_text() + f"docs_dir: {content}\nsite_dir: {out.resolve()}\n"
                            f"nav: {json.dumps(navigation(content))}\n")
        subprocess.run(["mkdocs", "build", "--strict", "--config-file", settings], check=True)
    print(f"{out}/index.html: {sum(1 for _ in out.rglob('*.html'))} pages")


def serve(out, port):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=out)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/ shows it, until this program is interrupted", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build/site")
    parser.add_argument("--serve", type=int, metavar="PORT", help="then serve it from this machine; 0: any free port")
    options = parser.parse_args()
    try:
        build(options.out)
    except reference.MissingTool as error:
        print(error, file=sys.stderr)
        return 2
    except subprocess.CalledProcessError as error:
        print(f"{error.cmd[0]} failed; what it says is above", file=sys.stderr)
        return 1
    except OSError as error:  # no space, no permission
        print(f"the site could not be written: {error}", file=sys.stderr)
        return 1
    if options.serve is not None:
        try:
            serve(options.out, options.serve)
        except OSError as error:
            print(f"--serve {options.serve}: {error.strerror}; pass another port, or 0 for any free one", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
