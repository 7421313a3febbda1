#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the reference of the public headers as Markdown, one page per component, from Doxygen's XML.

    reference.py --check [--write]   compares the public members that have no description with without_brief.txt, which may
                                     only shrink; --write removes the lines that are no longer needed

A name in a signature, and a name alone between backquotes in a description, links to what declares it. Not shown: namespaces `detail`, what a comment says "does not compile", and primary templates that only
reject unsuitable arguments.
"""

import argparse
import collections
import html
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WITHOUT_BRIEF = HERE / "without_brief.txt"
REJECTS = re.compile(r"^\s*Does not compile\b|\bprimary template only rejects\b")
FIELDS = re.compile(r"\s*\b(Models|Thread safety|Threads|Errors|Complexity|Throws|Returns|Preconditions?|Source|Lifetime|Exceptions|"
                    r"Requires|Units?|Memory): ")
NAMESPACE = re.compile(r"\bbelay::(?:v0::)?")
# What every reader knows, and what a description could only repeat.
NEEDS_NO_BRIEF = re.compile(r"^operator|^(begin|end|name|observer|\w+_type)$")
TYPES = ("class", "struct", "concept")


class MissingTool(Exception):
    """A program that the site needs is not installed."""


def run_doxygen(xml):
    """Runs Doxygen over include/ into the folder xml."""
    if not shutil.which("doxygen"):
        raise MissingTool("the reference needs Doxygen, which is not installed: apt-get install doxygen")
    settings = (HERE / "Doxyfile").read_text() + f'INPUT = "{ROOT}/include/belay"\nOUTPUT_DIRECTORY = "{xml}"\n' \
        f'STRIP_FROM_PATH = "{ROOT}/include"\n'
    # Its warnings name language features that it does not know, not mistakes of the headers.
    subprocess.run(["doxygen", "-"], input=settings, text=True, check=True, stderr=subprocess.DEVNULL)


def flat(element):
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip() if element is not None else ""


def plain(text):
    """Text without what Markdown or HTML would read as a sign."""
    return re.sub(r"([\\*_`\[\]|])", r"\\\1", html.escape(text, quote=False))


def name_of(text):
    """belay::v0::sim::World -> sim::World"""
    return NAMESPACE.sub("", text)


def without_arguments(name):
    """Thing< T >::Inner -> Thing::Inner"""
    while "<" in name:
        shorter = re.sub(r"\s*<[^<>]*>", "", name)
        if shorter == name:
            return name.partition("<")[0].strip()
        name = shorter
    return name


def anchor_of(name):
    return re.sub(r"\W+", "-", name).strip("-").lower()


class Item:
    """A type, or a function with its overloads, an enumeration, an alias or a constant of a namespace."""

    def __init__(self, name, kind, header):
        self.name, self.kind, self.header = name, kind, header
        self.component = header.split("/")[1] if header.count("/") > 1 else "belay"
        self.elements = []  # of the XML
        self.guides = []
        self.members = []
        self.parameters = None
        self.concepts = []

    def address(self):
        return f"{self.component}.html#{anchor_of(self.name)}"


class Reference:
    """All public items, read from the XML of Doxygen."""

    def __init__(self, xml):
        self.items = {}
        self.without_brief = set()
        self.members = 0
        seen = set()
        compounds = [ElementTree.parse(file).getroot().find("compounddef") for file in sorted(pathlib.Path(xml).glob("*.xml"))]
        compounds = [compound for compound in compounds if compound is not None]
        bodies = collections.defaultdict(list)
        for compound in compounds:
            if compound.get("kind") in TYPES:
                bodies[without_arguments(flat(compound.find("compoundname")))].append(compound.find("location"))
        for compound in compounds:
            owner = without_arguments(flat(compound.find("compoundname"))).rpartition("::")[0]
            # What is defined outside of its class is private there, which Doxygen does not know.
            if owner in bodies and not any(self.contains(body, compound.find("location")) for body in bodies[owner]):
                continue
            if compound.get("kind") in TYPES:
                self.read_type(compound)
            elif compound.get("kind") == "namespace":
                for element in compound.iter("memberdef"):
                    # Doxygen lists the members of an inline namespace in the outer one, too.
                    place = element.find("location")
                    key = (place.get("file"), place.get("line"), flat(element.find("name")), flat(element.find("argsstring")))
                    if key not in seen:
                        seen.add(key)
                        self.read_member_of_namespace(element)
        # A guide, or a specialization of what is hidden, has no item of its own.
        for item in self.items.values():
            item.elements.sort(key=lambda element: int(element.find("location").get("line")))
        self.items = {name: item for name, item in self.items.items() if item.elements}
        for item in self.items.values():
            item.concepts = self.concepts_of(item)
        for item in self.items.values():
            self.read_members(item)

    @staticmethod
    def contains(body, place):
        return body.get("file") == place.get("file") and \
            int(body.get("bodystart", 0)) <= int(place.get("line")) <= int(body.get("bodyend", 0))

    @staticmethod
    def is_public(name):
        return name.startswith("belay::") and not re.search(r"\b(detail|explain)\b", name)

    def item(self, name, kind, element):
        header = element.find("location").get("file")
        return self.items.setdefault(name, Item(name, kind, header))

    def read_type(self, compound):
        full = flat(compound.find("compoundname"))
        if not self.is_public(full) or compound.get("prot") == "private" or REJECTS.search(self.text(compound)):
            return
        # Of a specialization, users write the name alone.
        self.item(name_of(without_arguments(full)), compound.get("kind"), compound).elements.append(compound)

    def read_member_of_namespace(self, element):
        full = flat(element.find("qualifiedname")) or flat(element.find("definition"))
        if not self.is_public(full) or REJECTS.search(self.text(element)):
            return
        name, kind = name_of(full), element.get("kind")
        if "->" in flat(element.find("argsstring")) and not flat(element.find("type")):
            if name in self.items or name[:1].isupper() or "::" in name:
                self.item(name, "class", element).guides.append(name + flat(element.find("argsstring")))
                return
        if kind in ("function", "enum", "typedef", "variable") and not flat(element.find("name")).startswith(("operator", "make_error_")):
            self.item(name, kind, element).elements.append(element)

    @staticmethod
    def text(element):
        return flat(element.find("briefdescription")) + " " + flat(element.find("detaileddescription"))

    def concepts_of(self, item):
        """The concepts and layers that the type models, as its comment says, with what their descriptions say."""
        found = []
        for name in re.findall(r"\w+", " ".join(re.findall(r"\bModels: ([^.]*)\.", " ".join(map(self.text, item.elements))))):
            concept = self.items.get(name)
            if concept and concept is not item:
                found.append((concept, " ".join(map(self.text, concept.elements))))
        return found

    def described_by(self, item, name):
        """What says in its description what a member of this name does."""
        return next((concept for concept, text in item.concepts if re.search(rf"\b{re.escape(name)}\b", text)), None)

    def read_members(self, item):
        for element in item.elements:
            if item.kind not in TYPES:
                self.count(item, item.name.rpartition("::")[2], element)
                continue
            for section in element.findall("sectiondef"):
                if section.get("kind", "").startswith("public"):
                    for member in section.findall("memberdef"):
                        self.read_member(item, member)

    def read_member(self, item, member):
        name = flat(member.find("name"))
        arguments = flat(member.find("argsstring"))
        if member.get("kind") == "friend" or arguments.replace(" ", "").endswith("=delete") or name.startswith(("~", "operator=")):
            return
        if REJECTS.search(self.text(member)):
            return
        item.members.append(member)
        self.count(item, f"{item.name}::{name}", member)

    def count(self, item, name, element):
        self.members += 1
        own = name.rpartition("::")[2]
        is_trivial = NEEDS_NO_BRIEF.search(own) or own == item.name.rpartition("::")[2] and item.kind in TYPES
        if not self.text(element).strip() and not is_trivial and not self.described_by(item, own):
            self.without_brief.add(f"{item.header} {name_of(name)}")

    # --- Markdown

    def link(self, text, item):
        """The address of what text names in the scope of item: in it, around it, or with its namespace."""
        if text in self.parameters(item):
            return None
        scope = item.name
        while True:
            found = self.items.get(f"{scope}::{text}" if scope else text)
            if found is item or not scope:
                break
            if found:
                return found.address()
            scope = scope.rpartition("::")[0]
        return found.address() if found and found is not item and found.kind != "variable" else None

    @staticmethod
    def parameters(item):
        """The names of template parameters, which hide what has the same name."""
        if item.parameters is None:
            item.parameters = {re.sub(r".*\W", "", flat(one.find("declname")) or flat(one.find("type")))
                               for element in item.elements + item.members for one in element.findall("templateparamlist/param")}
        return item.parameters

    def code(self, text, item):
        """A declaration as HTML: each name of belay in it is a link."""
        parts = re.split(r"([A-Za-z_]\w*(?:::[A-Za-z_]\w*)*)", name_of(text))
        out = ""
        for part in parts:
            to = self.link(part, item) if re.match(r"[A-Z]|\w+::[A-Z]", part) else None
            out += f'<a href="{to}">{part}</a>' if to else html.escape(part, quote=False)
        return out

    def inline(self, element, item):
        out = plain(element.text or "")
        for child in element:
            text = flat(child)
            if child.tag == "computeroutput":
                to = self.link(text, item) if re.fullmatch(r"[A-Za-z_][\w:]*", text) else None
                shown = f"<code>{plain(text)}</code>"
                out += f'<a href="{to}">{shown}</a>' if to else shown
            elif child.tag == "ref":
                to = self.link(name_of(text), item)
                out += f'<a href="{to}">{plain(name_of(text))}</a>' if to else plain(name_of(text))
            elif child.tag == "ulink":
                out += f"[{plain(text)}]({child.get('url')})"
            elif child.tag == "emphasis":
                out += f"*{plain(text)}*"
            elif child.tag not in ("itemizedlist", "orderedlist", "verbatim", "programlisting", "table", "simplesect"):
                out += plain(text)
            out += plain(child.tail or "")
        return re.sub(r"\s+", " ", out).strip()

    def blocks(self, element, item):
        """The paragraphs of a description, as blocks of Markdown."""
        out = []
        for paragraph in element.findall("para") if element is not None else []:
            text = self.inline(paragraph, item)
            if text:
                parts = FIELDS.split(text)
                if parts[0].strip():
                    out.append(parts[0].strip())
                if len(parts) > 1:
                    out.append("\n".join(f"- **{key}:** {value.strip()}" for key, value in zip(parts[1::2], parts[2::2])))
            for child in paragraph:
                if child.tag in ("itemizedlist", "orderedlist"):
                    out.append("\n".join("- " + " ".join(self.inline(one, item) for one in entry.findall("para"))
                                         for entry in child.findall("listitem")))
                elif child.tag == "verbatim":
                    out.append("```cpp\n" + (child.text or "").strip("\n") + "\n```")
                elif child.tag == "programlisting":
                    out.append("```cpp\n" + "\n".join(flat(line) for line in child.iter("codeline")) + "\n```")
                elif child.tag == "table":
                    rows = [[self.inline(cell.find("para"), item) if cell.find("para") is not None else ""
                             for cell in row.findall("entry")] for row in child.findall("row")]
                    rows.insert(1, ["---"] * len(rows[0]))
                    out.append("\n".join("| " + " | ".join(row) + " |" for row in rows))
                elif child.tag == "simplesect":
                    out += self.blocks(child, item)
        return out

    def described(self, element, item):
        return self.blocks(element.find("briefdescription"), item) + self.blocks(element.find("detaileddescription"), item)

    @staticmethod
    def signature(element):
        template = [" ".join(filter(None, (flat(one.find("type")), flat(one.find("declname"))))) +
                    (f" = {flat(one.find('defval'))}" if one.find("defval") is not None else "")
                    for one in element.findall("templateparamlist/param")]
        head = f"template <{', '.join(template)}>\n" if template else ""
        condition = flat(element.find("requiresclause"))
        kind, start = element.get("kind"), ""
        if kind == "typedef":
            return f"{head}using {flat(element.find('name'))} = {flat(element.find('type'))};"
        if kind == "variable":
            start = "constexpr " if "constexpr" in flat(element.find("definition")) and "constexpr" not in flat(element.find("type")) else ""
        value = flat(element.find("initializer")) if kind == "variable" else ""
        head += f"requires {condition}\n" if condition and "detail::" not in condition else ""
        return f"{head}{start}{flat(element.find('type'))} {flat(element.find('name'))}{flat(element.find('argsstring'))} {value}".replace("  ", " ").strip()

    def declaration(self, text, item):
        return f"<pre class=\"declaration\"><code>{self.code(text, item)}</code></pre>".replace("\n", "&#10;")

    def member_blocks(self, item):
        if all(member.get("kind") == "variable" for member in item.members):  # options, counts, results
            rows = ["| member | default | |", "|---|---|---|"]
            for member in item.members:
                text = "<br>".join(block.replace("\n", "<br>").replace("|", "\\|") for block in self.described(member, item))
                default = self.code(flat(member.find("initializer")).lstrip("={ ").rstrip("} "), item).replace("|", "\\|")
                kind = self.code(flat(member.find("type")), item).replace("|", "\\|")
                rows.append(f"| <code>{plain(flat(member.find('name')))}</code><br><small>{kind}</small> | {default} | {text} |")
            return ["\n".join(rows)]
        out = []
        for member in item.members:
            if member.get("kind") == "enum":
                continue  # it is an item of its own or stands in its class
            out.append(self.declaration(self.signature(member), item))
            concept = self.described_by(item, flat(member.find("name")))
            said = self.described(member, item)
            out += said or ([f'As <a href="{concept.address()}">{concept.name}</a> says.'] if concept else [])
        return out

    def item_blocks(self, item):
        out = [f"## {item.name} {{#{anchor_of(item.name)}}}", f"`#include <{item.header}>`"]
        for element in item.elements:
            if item.kind == "concept":
                out.append(self.declaration(f"{self.template_of(element)}concept {item.name};", item))
                out += self.described(element, item)
            elif item.kind in TYPES:
                template = self.template_of(element)
                # What an explicit specialization is for, only its arguments say.
                name = item.name if template else name_of(flat(element.find("compoundname")))
                out += [self.declaration(f"{template}{item.kind} {name};", item), *self.described(element, item)]
            elif item.kind == "enum":
                out += self.described(element, item) + [self.enumerators(element, item)]
            else:
                out.append(self.declaration(self.signature(element), item))
                out += self.described(element, item)
        if item.guides:
            out.append("Deduced from its arguments:")
            out += [self.declaration(guide, item) for guide in dict.fromkeys(item.guides)]
        if item.members:
            out += self.member_blocks(item)
        return out

    @staticmethod
    def template_of(element):
        parameters = [" ".join(filter(None, (flat(one.find("type")), flat(one.find("declname")))))
                      for one in element.findall("templateparamlist/param")]
        return f"template <{', '.join(parameters)}>\n" if parameters else ""

    def enumerators(self, element, item):
        rows = ["| enumerator | |", "|---|---|"]
        for value in element.findall("enumvalue"):
            text = " ".join(self.described(value, item)).replace("\n", " ").replace("|", "\\|")
            rows.append(f"| <code>{plain(flat(value.find('name')))}</code> | {text} |")
        return "\n".join(rows)

    def write(self, folder):
        """One page per component."""
        folder.mkdir(parents=True, exist_ok=True)
        pages = collections.defaultdict(list)
        for item in sorted(self.items.values(), key=lambda one: (one.name.lower(), one.name)):
            pages[item.component].append(item)
        for component, items in pages.items():
            blocks = [f"# {component}", f"Every public name of `belay/{component}/`, made from its headers."]
            for item in items:
                blocks += self.item_blocks(item)
            (folder / f"{component}.md").write_text("\n\n".join(blocks) + "\n")


def read_reference():
    with tempfile.TemporaryDirectory() as folder:
        run_doxygen(folder)
        return Reference(pathlib.Path(folder) / "xml")


def check(reference, write):
    """Returns how many members are described no longer, or not yet, and not as the list says."""
    listed = set(WITHOUT_BRIEF.read_text().splitlines()) if WITHOUT_BRIEF.exists() else None
    if write:
        kept = reference.without_brief if listed is None else reference.without_brief & listed
        WITHOUT_BRIEF.write_text("".join(line + "\n" for line in sorted(kept)))
        listed = kept
    wrong = 0
    for line in sorted(reference.without_brief - listed):
        print(f"include/{line.replace(' ', ': ', 1)} has no description")
        wrong += 1
    for line in sorted(listed - reference.without_brief):
        print(f"docs/site/without_brief.txt: {line} has a description, or is gone: remove the line (reference.py --check --write)")
        wrong += 1
    print(f"{len(reference.items)} items, {reference.members} members, {len(reference.without_brief)} without a description")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, help="a folder for the pages")
    options = parser.parse_args()
    try:
        reference = read_reference()
    except MissingTool as error:
        print(error, file=sys.stderr)
        return 2
    if options.out:
        reference.write(options.out)
    return 1 if options.check and check(reference, options.write) else 0


if __name__ == "__main__":
    sys.exit(main())
