#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that files do not know the byte order of the machine that wrote them.

    byte_order.py --compiler g++ [--all]     exits with 1 if a big-endian machine writes or reads anything else

Builds samples/byte_order.cpp for this machine and for a big-endian one under emulation (s390x, QEMU): both must write
the same bytes, and each must read what the other wrote, and go on with it in the same way. The programs without framework
of each folder run there, too, with --all: they take a minute and a half of a processor.
Without the cross compiler and the emulator it says "SKIP: ...".
"""

import argparse
import filecmp
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import components_program

HERE = pathlib.Path(__file__).resolve().parent
SAMPLE = HERE / "samples" / "byte_order.cpp"
TESTS = HERE.parent
INCLUDE = TESTS.parent / "include"
CROSS_COMPILER = "s390x-linux-gnu-g++"
EMULATOR = "qemu-s390x"


def build(compiler, source, made, *options):
    # GCC tells on ARM of each std::vector that its calls are not those of GCC 7.
    subprocess.run([compiler, "-std=c++20", "-O1", "-Wno-psabi", *options, "-I", INCLUDE, "-I", TESTS, source, "-o", made], check=True)
    return made


def run(*command):
    finished = subprocess.run(command, check=False)
    if finished.returncode:
        print(f"failed with {finished.returncode}:", *command)
    return finished.returncode == 0


def source_of_components(directory):
    """The programs of all components as one."""
    source = directory / "components.cpp"
    source.write_text(components_program.source(), encoding="utf-8")
    return source


def files_in(directory):
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())


def same_files(one, other):
    names = files_in(one)
    if names != files_in(other):
        print("the two machines wrote files of different names")
        return False
    different = [name for name in names if not filecmp.cmp(one / name, other / name, shallow=False)]
    for name in different:
        print(f"{name}: the two machines wrote different bytes")
    return not different


def same_on(cross_compiler, emulator, options, *flags):
    """Whether the machine that is emulated writes, reads and does what this one does."""
    with tempfile.TemporaryDirectory() as name:
        directory = pathlib.Path(name)
        here = [build(options.compiler, SAMPLE, directory / "here")]
        there = [emulator, build(cross_compiler, SAMPLE, directory / "there", "-static", *flags)]
        ok = run(*here, "write", directory / "from_here") and run(*there, "write", directory / "from_there")
        ok = ok and same_files(directory / "from_here", directory / "from_there")
        ok = ok and run(*here, "read", directory / "from_there") and run(*there, "read", directory / "from_here")
        ok = ok and same_files(directory / "from_here", directory / "from_there")
        components = components_program.components() if options.all else []
        if components:
            program = build(cross_compiler, source_of_components(directory), directory / "program", "-static",
                            "-DBELAY_ASSERTIONS=1", "-Wno-subobject-linkage", *flags)
            ok = run(emulator, program) and ok
    print(f"{len(components)} programs, a journal and a work queue: {'the same' if ok else 'NOT the same'} by {emulator}")
    return ok


def options_if_installed(*tools):
    """What the arguments ask for, the compiler of this machine among it; None where a tool is missing, which it says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="c++")
    parser.add_argument("--all", action="store_true", default=os.environ.get("BELAY_LARGE") == "1",
                        help="also run the programs of the components; so does BELAY_LARGE=1")
    options = parser.parse_args()
    for tool in tools:
        if shutil.which(tool) is None:
            print(f"SKIP: {tool} is not installed")
            return None
    return options


def main():
    options = options_if_installed(CROSS_COMPILER, EMULATOR)
    if options is None:
        return 0
    return 0 if same_on(CROSS_COMPILER, EMULATOR, options) else 1


if __name__ == "__main__":
    sys.exit(main())
