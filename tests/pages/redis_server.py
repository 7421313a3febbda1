#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""redis_server.py COMMAND...: runs a page's program with a Redis of its own, at $REDIS_SOCKET."""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time


def answers(path):
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(1)
            s.connect(path)
            s.sendall(b"PING\r\n")
            return s.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def main():
    # The same program, which asks what it is called; Debian's redis-tools have it.
    program = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "socket")
        words = ["redis-server", "--unixsocket", path, "--port", "0", "--dir", directory, "--save", ""]
        with subprocess.Popen(words, executable=program, stdout=subprocess.DEVNULL) as server:
            try:
                while not answers(path):
                    if server.poll() is not None:
                        return 1
                    time.sleep(0.01)
                return subprocess.run(sys.argv[1:], env={**os.environ, "REDIS_SOCKET": path}, check=False).returncode
            finally:
                server.kill()


sys.exit(main())
