#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compiles the examples and the whole programs of the pages as a user's build does, with warnings as errors.

    user_build.py [--root DIR] [--compiler CXX] [--flags FLAGS] [--filter REGEX] [--jobs N]

Each source is compiled alone, with -Wall -Wextra -Werror, FLAGS (-O2) and no other option about warnings. With GCC, what
the optimizer finds is a warning, too. Sources are examples/<path>.cpp, and pages/<name>.cpp for the programs that
page_blocks.py names. A source is skipped if a library that it includes is not installed. The last line is
"N passed, N failed, N skipped". Exit code: 0 all passed, 1 something failed, 2 the filter matches nothing.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shlex
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import page_blocks  # noqa: E402

# What the page or the example tells its reader to add: the start of a name, and the options.
OPTIONS = {
    "examples/outage/": ['-DOUTAGE_HEADERS="include"', '-DOUTAGE_DIR="outage"'],
    "examples/whiteboard/": ["-DBOOST_ASIO_SEPARATE_COMPILATION"],
    "pages/collaboration-server.cpp": ["-DBOOST_ASIO_SEPARATE_COMPILATION"],
    "pages/recipes-gRPC.cpp": ["-Itests/pages/stubs"],
}
MISSING = re.compile(r"fatal error: '?((?!belay/)[\w./-]+)'?(?:: No such file| file not found)")


def sources_of(root, directory):
    """The sources by their names; writes the programs of the pages to the directory."""
    found = {str(path.relative_to(root)): path for path in sorted((root / "examples").rglob("*.cpp"))}
    blocks = [block for page in page_blocks.pages_of(root) for block in page_blocks.blocks_of(root, page)]
    for name, block in page_blocks.programs(blocks).items():
        path = directory / f"{name}.cpp"
        page_blocks.write(path, "".join(line + "\n" for line in block.code))
        found[f"pages/{name}.cpp"] = path
    return found


def compile_one(root, directory, command, name, path):
    """The verdict, and what the compiler printed."""
    options = [option for start, more in OPTIONS.items() if name.startswith(start) for option in more]
    # Not to /dev/null, from which ccache keeps nothing.
    output = directory / (re.sub(r"\W", "_", name) + ".s")
    run = subprocess.run([*command, *options, "-S", "-o", output, path], cwd=root, capture_output=True, text=True,
                         errors="replace", check=False)
    output.unlink(missing_ok=True)
    if not run.returncode:
        return "passed", ""
    missing = MISSING.search(run.stderr)
    if missing:
        return "skipped", f"no {missing[1]}\n"
    return "failed", run.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--flags", default="-O2", help="as one word")
    parser.add_argument("--filter", default="", metavar="REGEX", help="only the sources whose name matches")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    root = options.root.resolve()
    launcher = root / "tests/scripts/compile"
    command = [*([launcher] if launcher.exists() else []), options.compiler, "-std=c++20", *shlex.split(options.flags),
               "-Wall", "-Wextra", "-Werror", "-Iinclude"]
    # The same one in each run, as ccache takes a source of another path for another one.
    directory = root / "build/user_build" / re.sub(r"\W", "", f"{pathlib.Path(options.compiler).name}{options.flags}")
    directory.mkdir(parents=True, exist_ok=True)
    counts = dict.fromkeys(("passed", "failed", "skipped"), 0)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        sources = {name: path for name, path in sources_of(root, directory).items() if re.search(options.filter, name)}
        if not sources:
            print(f"user_build.py: no source matches {options.filter}", file=sys.stderr)
            return 2
        running = {pool.submit(compile_one, root, directory, command, *source): source[0] for source in sources.items()}
        for future in concurrent.futures.as_completed(running):
            verdict, text = future.result()
            counts[verdict] += 1
            if verdict != "passed":
                print(f"{verdict}: {running[future]}: {text}", end="", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
