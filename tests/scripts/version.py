#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares every copy of the version with its one home, include/belay/version.hpp.

    version.py [--root DIR]     prints each copy that differs; exits with 1 if one does
"""

import argparse
import json
import pathlib
import re
import sys


def home(root):
    text = (root / "include/belay/version.hpp").read_text()
    parts = [re.search(rf"^#define BELAY_VERSION_{part} (\d+)$", text, re.M) for part in ("MAJOR", "MINOR", "PATCH")]
    return ".".join(part[1] for part in parts)


def vcpkg(root):
    return json.loads((root / "packaging/vcpkg/vcpkg.json").read_text()).get("version")


def changelog(root):
    """The newest release, or the one that the section Unreleased says it will become."""
    match = re.search(r"^## \[(?:Unreleased\] - )?(\d+\.\d+\.\d+)", (root / "CHANGELOG.md").read_text(), re.M)
    return match and match[1]


def build_page(root):
    """The version that a program requires of Conan; all places have one."""
    found = set(re.findall(r"^belay/([0-9.]+)", (root / "docs/how-to/add-to-a-build.md").read_text(), re.M))
    return ", ".join(sorted(found))


COPIES = {"docs/how-to/add-to-a-build.md": build_page, "packaging/vcpkg/vcpkg.json": vcpkg, "CHANGELOG.md": changelog}


def differences(root):
    wanted = home(root)
    for path, read in COPIES.items():
        found = read(root) if (root / path).is_file() else None
        if found != wanted:
            yield f"{path}: version {found}, but version.hpp has {wanted}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    root = parser.parse_args().root
    found = list(differences(root))
    print("\n".join(found) if found else f"version {home(root)} everywhere")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
