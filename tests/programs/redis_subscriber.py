#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""redis_subscriber.py PROGRAM: runs examples/redis_subscriber with a Redis of its own, which publishes the last message."""
import shutil
import socket
import subprocess
import sys
import tempfile
import time


LIMIT = 300  # seconds for one wait; only a failure takes so long, also on a busy machine


def ask(port, command):
    with socket.create_connection(("127.0.0.1", port), LIMIT) as connection:
        connection.sendall(command)
        return connection.recv(16)


def answers(port):
    try:
        return ask(port, b"PING\r\n").startswith(b"+PONG")
    except OSError:
        return False


def main():
    # The same program, which asks what it is called; Debian's redis-tools have it.
    server = shutil.which("redis-server") or shutil.which("redis-check-rdb")
    if server is None:
        print("SKIP: no Redis (redis-tools)")
        return 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as directory:
        words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""]
        with subprocess.Popen(words, executable=server, stdout=subprocess.DEVNULL) as redis:
            try:
                while not answers(port):
                    if redis.poll() is not None:
                        print("Redis does not start")
                        return 1
                    time.sleep(0.01)
                command = [sys.argv[1], str(port), "news"]
                with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
                    # The answer to SUBSCRIBE ends with the number of channels.
                    for line in program.stdout:
                        if line == ":1\n":
                            break
                    ask(port, b"PUBLISH news end\r\n")
                    rest = program.stdout.read()
                print(rest)
                return 0 if program.returncode == 0 and rest.endswith("end\n") else 1
            finally:
                redis.kill()


sys.exit(main())
