#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""redis_client.py PROGRAM: runs examples/redis_client with a Redis of its own, which is frozen, killed and started again."""
import shutil
import signal
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


def start(server, port, directory):
    words = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", directory, "--save", ""]
    redis = subprocess.Popen(words, executable=server, stdout=subprocess.DEVNULL)
    while redis.poll() is None:
        try:
            if ask(port, b"PING\r\n").startswith(b"+PONG"):
                return redis
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError("Redis does not start")


def wait_for(program, begin):
    """Returns the first line that begins so. All lines before it are printed, too."""
    for line in program.stdout:
        print(line, end="", flush=True)
        if line.startswith(begin):
            return line
    raise RuntimeError(f"the program ended before it printed '{begin}'")


def number_of(line):
    return int(line.removeprefix("visits :"))


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
        redis = start(server, port, directory)
        program = subprocess.Popen([sys.argv[1], str(port)], stdout=subprocess.PIPE, text=True)
        try:
            before = number_of(wait_for(program, "visits :"))
            redis.send_signal(signal.SIGSTOP)
            wait_for(program, "visits timed_out")
            # Three deadlines without any message end the connection.
            wait_for(program, "disconnected: timed_out")
            redis.send_signal(signal.SIGCONT)
            wait_for(program, "connected")
            if number_of(wait_for(program, "visits :")) <= before:
                print("an answer of the connection before")
                return 1
            redis.kill()
            redis.wait()
            wait_for(program, "disconnected: lost")
            redis = start(server, port, directory)
            wait_for(program, "connected")
            # The new server counts from the beginning.
            wait_for(program, "visits :")
            ask(port, b"SET end 1\r\n")
            rest = program.communicate(timeout=LIMIT)[0]
            print(rest)
            return program.returncode
        finally:
            program.kill()
            redis.kill()
            program.wait()
            redis.wait()


sys.exit(main())
