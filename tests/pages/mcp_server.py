#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program with the URL of a real MCP server that wants a token: mcp_server.py PROGRAM [ARGUMENT]..."""
import pathlib
import shutil
import subprocess
import sys

directory = pathlib.Path(__file__).resolve().parents[1] / "node" / "mcp"
if not shutil.which("node") or not (directory / "node_modules").is_dir():
    sys.exit("SKIP: no node, or tests/node/mcp has no node_modules (tests/run makes it)")
server = subprocess.Popen(["node", directory / "server.mjs", "--token", "a token"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True)
try:
    port = server.stdout.readline().split()[1]
    sys.exit(subprocess.run([*sys.argv[1:], f"http://127.0.0.1:{port}/mcp"], check=False).returncode)
finally:
    server.kill()
