#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that CPUs other than this one compute the same checksums, each by the best that it has.

    other_cpus.py --compiler g++ [--all]     exits with 1 if any differs, or if a better way was there

Builds samples/crc_paths.cpp and runs it under emulation (QEMU): on 64-bit ARM, whose CRC instruction is found at run
time, and on x86-64 without the instructions for a CRC. GCC builds it for ARM, and Clang where it is here: they spell
the instruction differently. The programs without framework of each folder run on ARM, too, with --all.
Without the cross compiler and the emulators it says "SKIP: ...".
"""

import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

import byte_order

SAMPLE = byte_order.HERE / "samples" / "crc_paths.cpp"
ARM = "aarch64-linux-gnu"
CROSS_COMPILER, DISASSEMBLER = f"{ARM}-g++", f"{ARM}-objdump"
ARM_EMULATOR, X86_EMULATOR = "qemu-aarch64", "qemu-x86_64"
# The baseline has no CRC instruction, the other does; it is found at run time in either.
ARM_MACHINES = ("-march=armv8-a", "-march=armv8.1-a")
ARM_INSTRUCTION = "crc32cx"
# A CPU, and the best that it has.
X86_CPUS = {"core2duo": "portable", "Nehalem": "sse42", "Westmere": "pclmul"}


def compile_and_link(compiler, linker, source, made, *options):
    how = ["-std=c++20", "-O1", *options, "-I", byte_order.INCLUDE, "-I", byte_order.TESTS]
    subprocess.run([*compiler, *how, "-c", source, "-o", f"{made}.o"], check=True)
    subprocess.run([linker, "-static", f"{made}.o", "-o", made], check=True)
    return made


def right_on_arm(directory, options):
    compilers = [[CROSS_COMPILER]]
    if shutil.which("clang++"):
        compilers.append(["clang++", f"--target={ARM}"])
    ok = True
    for compiler in compilers:
        for machine in ARM_MACHINES:
            # The cross compiler links what Clang made, too: it knows where the libraries are.
            program = compile_and_link(compiler, CROSS_COMPILER, SAMPLE, directory / "arm", machine)
            code = subprocess.run([DISASSEMBLER, "-d", f"{program}.o"], check=True, capture_output=True, text=True)
            if ARM_INSTRUCTION not in code.stdout:
                print(f"no {ARM_INSTRUCTION} in what {compiler[0]} {machine} made")
                ok = False
            ok = byte_order.run(ARM_EMULATOR, program, "arm") and ok
    components = byte_order.components_program.components() if options.all else []
    if components:
        program = compile_and_link(compilers[0], CROSS_COMPILER, byte_order.source_of_components(directory),
                                   directory / "program", "-DBELAY_ASSERTIONS=1", "-Wno-subobject-linkage")
        ok = byte_order.run(ARM_EMULATOR, program) and ok
    print(f"64-bit ARM: {len(compilers)} compilers, {len(components)} programs")
    return ok


def right_on_x86(directory, compiler):
    program = compile_and_link([compiler], compiler, SAMPLE, directory / "x86")
    ok = all([byte_order.run(X86_EMULATOR, "-cpu", cpu, program, best) for cpu, best in X86_CPUS.items()])
    print("x86-64:", *X86_CPUS)
    return ok


def main():
    options = byte_order.options_if_installed(CROSS_COMPILER, DISASSEMBLER, ARM_EMULATOR, X86_EMULATOR)
    if options is None:
        return 0
    with tempfile.TemporaryDirectory() as name:
        ok = right_on_arm(pathlib.Path(name), options)
        if platform.machine() == "x86_64":
            ok = right_on_x86(pathlib.Path(name), options.compiler) and ok
    print("all right" if ok else "NOT right")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
