#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the server of examples/whiteboard as its operator does: reads its metrics and its log, makes the backups that
docs/how-to/back-up-rooms.md describes, and stores the drawings in PostgreSQL, with the commands of the pages.

    whiteboard.py SERVER BACKUPS POSTGRES

SERVER is the program, BACKUPS is docs/how-to/back-up-rooms.md, and POSTGRES is docs/reference/bindings/postgres.md. Exit
code: 0 if all held, 1 with the reason. It prints SKIP if sqlite3 or PostgreSQL is not installed.
"""

import atexit
import base64
import glob
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

LIMIT = 300  # seconds for one wait; only a failure takes so long, also on a busy machine


def check(claim, what):
    if not claim:
        raise SystemExit(f"whiteboard.py: {what}")


def until(claim, what):
    end = time.monotonic() + LIMIT
    while not claim():
        check(time.monotonic() < end, what)
        time.sleep(0.1)


class Server:
    """The server of a folder, with what it has printed."""

    def __init__(self, program, web, data, *connection):
        self.log = pathlib.Path(f"{data}.log")
        self.out = open(self.log, "w", encoding="utf-8")
        self.process = subprocess.Popen([program, "0", web, data, *connection], stdout=self.out, stderr=subprocess.STDOUT)
        atexit.register(self.process.kill)
        until(lambda: len(self.links()) == 3 or self.process.poll() is not None, "the server prints no links")
        check(self.process.poll() is None, f"the server has ended: {self.text()}")
        self.port = int(re.search(r":(\d+)/", self.links()[0])[1])
        self.tokens = dict(zip(("ada", "bob", "eve"), (link.split("#token=")[1] for link in self.links())))

    def text(self):
        return self.log.read_text(encoding="utf-8")

    def links(self):
        return re.findall(r"http:\S+", self.text())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        check(self.process.wait(LIMIT) == 0, f"the server has not stopped well: {self.text()}")
        self.out.close()

    def metrics(self):
        """The samples by name and labels, and the content type."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=LIMIT) as answer:
            text = answer.read().decode()
            kind = answer.headers["Content-Type"]
        samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, value in samples.items()}, kind


class Client:
    """A client of a board over a WebSocket, which speaks the protocol of y-websocket by hand."""

    def __init__(self, server, token, board="demo", extra=""):
        self.socket = socket.create_connection(("127.0.0.1", server.port), LIMIT)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET /ws/canvas/{board}?token={token} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
                             f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                             f"{extra}\r\n").encode())
        self.input = b""
        while b"\r\n\r\n" not in self.input:
            self.input += self.receive()
        head, self.input = self.input.split(b"\r\n\r\n", 1)
        self.status = int(head.split()[1])

    def receive(self):
        some = self.socket.recv(65536)
        check(some, "the connection has ended without a close code")
        return some

    def bytes(self, count):
        while len(self.input) < count:
            self.input += self.receive()
        some, self.input = self.input[:count], self.input[count:]
        return some

    def message(self):
        """The kind and the payload of the next frame: 2 is binary, 8 a close code."""
        head = self.bytes(2)
        size = head[1] & 127
        if size == 126:
            size = struct.unpack(">H", self.bytes(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", self.bytes(8))[0]
        return head[0] & 15, self.bytes(size)

    def send(self, payload):
        check(len(payload) < 126, "the test sends short frames only")
        self.socket.sendall(bytes([0x82, 0x80 | len(payload), 0, 0, 0, 0]) + payload)

    def types(self, author, text):
        """Begins a text of its own, and waits until the server sends it back to another client."""
        self.send(bytes([0, 2, 10 + len(text), 1, 1, author, 0, 4, 1, 1, 0x74, len(text)]) + text.encode() + b"\0")

    def state(self):
        """The update that has all of the board."""
        self.send(bytes([0, 0, 1, 0]))
        while True:
            kind, payload = self.message()
            check(kind == 2 or kind in (9, 10), f"the server has closed with {payload!r}")
            if kind == 2 and payload[:2] == b"\0\1":
                return payload[2:]

    def close_code(self):
        while True:
            kind, payload = self.message()
            if kind == 8:
                return struct.unpack(">H", payload[:2])[0]


def has(server, user, board, *texts):
    """Whether a client that joins anew receives each of the texts."""
    state = Client(server, server.tokens[user], board).state()
    return all(text.encode() in state for text in texts)


def watch(server, data):
    """The metrics are those of belay, and the log has one line for each reason of a rejection and minute."""
    first = Client(server, server.tokens["ada"])
    check(first.status == 101, "the owner is rejected")
    check(Client(server, "wrong").close_code() == 4401, "a wrong token is accepted")
    for _ in range(30):
        rejected = Client(server, server.tokens["ada"], 'a"b', "Origin: https://evil.example\r\n")
        check(rejected.status == 403, "a foreign page is accepted")
    samples, kind = server.metrics()
    check(kind == "text/plain; version=0.0.4; charset=utf-8", f"the metrics are of the type {kind}")
    check(all(name.startswith("belay_") for name in samples), "a sample does not have belay's name")
    check(samples.get("belay_metrics_dropped_parts", 0) == 0, "a part does not fit into the metrics")
    for name, value in {
        'belay_rooms_joined_total{rooms="whiteboard"}': 1,
        'belay_rooms_clients{rooms="whiteboard"}': 1,
        'belay_rooms_reasons_total{rooms="whiteboard",reason="unauthorized"}': 1,
        'belay_rooms_failures_total{rooms="whiteboard",reason="io_error"}': 0,
        'belay_rooms_join_seconds_count{rooms="whiteboard"}': 1,
        'belay_listener_reasons_total{listener="whiteboard",reason="origin"}': 30,
        'belay_listener_rejected_total{listener="whiteboard"}': 30,
        'belay_listener_upgrade_seconds_count{listener="whiteboard"}': 2,
    }.items():
        until(lambda n=name, v=value: server.metrics()[0].get(n) == v, f"{name} is {samples.get(name)}, and not {value}")
    lines = server.text().splitlines()
    rejections = [line for line in lines if line.startswith("connection rejected ")]
    check(rejections == [r'connection rejected path="/ws/canvas/a\"b" ip="127.0.0.1" reason="origin"'], rejections)
    check(len([line for line in lines if line.startswith("client rejected ")]) == 1, "a rejected client is not in the log")
    check(server.tokens["ada"] not in "\n".join(lines[4:]), "a token is in the log")
    # Another program has changed rights, perhaps of all boards: the pages request theirs.
    run("sqlite3 \"$DATA/rights.db\" \"INSERT INTO rights_changes (board) VALUES ('')\"", DATA=data)
    while first.message() != (2, bytes([100])):
        pass


def commands(page, word):
    """The block of shell commands of the page that has this word."""
    text = pathlib.Path(page).read_text(encoding="utf-8")
    found = [block for block in re.findall(r"```sh\n(.*?)```", text, re.S) if word in block]
    check(len(found) == 1, f"the page has {len(found)} blocks with {word}")
    return found[0]


def run(script, expected=0, **values):
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], env={**os.environ, **values}, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
    check(done.returncode == expected, f"{script}\nends with {done.returncode}: {done.stdout}")
    return done.stdout


def back_up(program, page, web, folder):
    """All boards, and one board, while clients edit; and all of a server that is stopped."""
    data, copy, archive = (str(folder / name) for name in ("data", "copy", "boards.tar"))
    values = {"SERVER": program, "DATA": data, "COPY": copy, "ARCHIVE": archive}
    server = Server(program, web, data)
    run("sqlite3 \"$DATA/rights.db\" \"INSERT INTO boards (id, owner) VALUES ('plan', 'ada')\"", **values)
    Client(server, server.tokens["ada"]).types(7, "before")
    Client(server, server.tokens["ada"], "plan").types(8, "a plan")
    until(lambda: has(server, "ada", "demo", "before") and has(server, "ada", "plan", "a plan"), "no edit arrives")
    # Both files are in use: the storage by the server alone, the rights by any program.
    again = subprocess.run([program, "0", web, data], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           check=False, timeout=LIMIT)
    check(again.returncode == 2 and "whiteboard: " in again.stdout, "two servers run on one folder")

    run(commands(page, "--backup"), **values)
    check("is not empty" in run('"$SERVER" --backup "$DATA" "$COPY"', 2, **values), "a copy is overwritten")
    Client(server, server.tokens["bob"]).types(9, "after")
    Client(server, server.tokens["ada"], "plan").types(10, "more")
    until(lambda: has(server, "ada", "demo", "after") and has(server, "ada", "plan", "more"), "no edit arrives")

    # The whole server, on the copy. It has the rights and the secret, too, so the tokens are valid.
    other = Server(program, web, copy)
    check(b"before" in Client(other, server.tokens["bob"]).state(), "a token is not valid on the copy")
    check(has(other, "ada", "demo", "before") and not has(other, "ada", "demo", "after"), "the copy of demo is wrong")
    check(has(other, "ada", "plan", "a plan") and not has(other, "ada", "plan", "more"), "the copy of plan is wrong")
    other.stop()

    # One board, while the server runs.
    watching = Client(server, server.tokens["bob"])
    watching.state()
    # An earlier restore was killed during its trial.
    left = "restore-trial-7"
    run(f"sqlite3 \"$DATA/rights.db\" \"INSERT INTO boards (id, owner) VALUES ('{left}', 'ada')\"", **values)
    Client(server, server.tokens["ada"], left).types(11, "a trial")
    until(lambda: has(server, "ada", left, "a trial"), "no edit arrives")
    run(commands(page, "--restore"), **values)
    check(not has(server, "ada", left, "a trial"), "a trial of an earlier restore is left")
    check(watching.close_code() == 4409, "a client continues with a board that was replaced")
    check(has(server, "ada", "demo", "before") and not has(server, "ada", "demo", "after"), "demo is not restored")
    check(has(server, "ada", "plan", "a plan", "more"), "another board was restored, too")
    check(not (folder / "data" / "restoring").read_text(), "a restore that has ended is noted")
    server = restores_end_or_are_reported(program, web, server, values)
    check("no board" in run('"$SERVER" --restore "$DATA" "$COPY" none', 2, **values), "an unknown board is restored")
    check("no copy" in run('"$SERVER" --restore "$DATA" "$DATA/none" demo', 2, **values), "no folder is a copy")
    server.stop()

    # All of a server that is stopped.
    run(commands(page, "tar "), **values)
    shutil.rmtree(data)
    os.mkdir(data)
    run('tar -xf "$ARCHIVE" -C "$DATA"', **values)
    server = Server(program, web, data)
    check(has(server, "ada", "demo", "before") and has(server, "ada", "plan", "more"), "the archive is not complete")
    server.stop()

    # A file in another version of the format is rejected, and stays as it is.
    run('sqlite3 "$DATA/rights.db" "PRAGMA user_version = 99"', **values)
    other = subprocess.run([program, "0", web, data], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                           check=False, timeout=LIMIT)
    check(other.returncode == 2 and "it has version 99" in other.stdout, f"another version is opened: {other.stdout}")
    check(run('sqlite3 "$DATA/rights.db" "PRAGMA user_version"', **values) == "99\n", "another version is changed")


def back_up_around_damage(program, web, folder):
    """A board that cannot be read is named, and the others are copied."""
    data, copy = (str(folder / name) for name in ("damaged", "copy of the others"))
    values = {"SERVER": program, "DATA": data, "COPY": copy}
    server = Server(program, web, data)
    run("sqlite3 \"$DATA/rights.db\" \"INSERT INTO boards (id, owner) VALUES ('a', 'ada')\"", **values)
    for board in ("a", "demo"):
        Client(server, server.tokens["ada"], board).types(7, "text")
        until(lambda b=board: has(server, "ada", b, "text"), "no edit arrives")
    server.stop()
    (folder / "damaged" / "boards" / f"{b'a'.hex()}.room").write_bytes(b"damaged")
    server = Server(program, web, data)
    done = run('"$SERVER" --backup "$DATA" "$COPY"', 2, **values)
    check("1 boards are in" in done and "not complete" in done and " of a (" in done, f"an unreadable board: {done}")
    server.stop()
    other = Server(program, web, copy)
    check(other.process.poll() is None, "the copy cannot be opened")
    other.stop()


def restores_end_or_are_reported(program, web, server, values):
    """Kills the server as soon as a restore has emptied the board, and another time with SIGTERM."""
    for how in (signal.SIGKILL, signal.SIGTERM):
        watching = Client(server, server.tokens["bob"])
        watching.state()
        with subprocess.Popen([program, "--restore", values["DATA"], values["COPY"], "demo"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as restore:
            check(watching.close_code() == 4409, "the restore has not begun")
            server.process.send_signal(how)
            server.process.wait(LIMIT)
            said = restore.communicate(timeout=LIMIT)[0]
        server = Server(program, web, values["DATA"])
        reported = "whiteboard: the restore of demo from " in server.text()
        check(reported or has(server, "ada", "demo", "before"), f"a board is empty, and no start reports it: {said}")
        if reported:
            run('"$SERVER" --restore "$DATA" "$COPY" demo', **values)
        check(has(server, "ada", "demo", "before"), "demo is not restored")
    # A note of another board stays until that one is restored.
    note = pathlib.Path(values["DATA"]) / "restoring"
    note.write_text("plan\t/a copy\n", encoding="utf-8")
    run('"$SERVER" --restore "$DATA" "$COPY" demo', **values)
    check(note.read_text(encoding="utf-8") == "plan\t/a copy\n", "a note of another board is lost")
    server.stop()
    server = Server(program, web, values["DATA"])
    check("the restore of plan from /a copy was not confirmed" in server.text(), "a restore is not reported")
    note.unlink()
    return server


class Postgres:
    """A server that listens on a socket in a folder of its own. It does not run as root."""

    def __init__(self, programs):
        # A folder of its own: the user of the server cannot enter the one of this test.
        folder = pathlib.Path(tempfile.mkdtemp(prefix="belay-whiteboard-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        user = {}
        if os.getuid() == 0:
            shutil.chown(folder, "nobody")
            user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        data = str(folder / "data")
        subprocess.run([f"{programs}/initdb", "-D", data, "-U", "belay", "-A", "trust", "--no-sync"], check=True, cwd=folder,
                       stdout=subprocess.DEVNULL, timeout=LIMIT, **user)
        self.process = subprocess.Popen([f"{programs}/postgres", "-D", data, "-k", str(folder), "-c", "listen_addresses="],
                                        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user)
        atexit.register(self.stop)
        self.values = {"PGHOST": str(folder), "PGUSER": "belay"}
        until(lambda: subprocess.run([f"{programs}/pg_isready", "-q", "-h", str(folder)], check=False).returncode == 0,
              "PostgreSQL does not start")

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(LIMIT)


def in_postgres(program, page, web, folder, programs):
    """A server that is killed finds its drawings in PostgreSQL, and none of them is in its folder."""
    database = Postgres(programs)
    create, serve = commands(page, "createdb").splitlines()
    os.environ.update(database.values)
    run(create)
    connection = serve.split('"')[1]
    data = folder / "rights"
    server = Server(program, web, str(data), connection)
    Client(server, server.tokens["ada"]).types(7, "in a table")
    until(lambda: has(server, "ada", "demo", "in a table"), "no edit arrives")
    again = subprocess.run([program, "0", web, str(data), connection], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           text=True, check=False, timeout=LIMIT)
    check(again.returncode == 2 and "in use" in again.stdout, f"two servers run on one folder: {again.stdout}")
    run('"$SERVER" --permit "$DATA" bob demo edit', SERVER=program, DATA=str(data))
    server.process.kill()
    server.process.wait(LIMIT)
    server = Server(program, web, str(data), connection)
    check(has(server, "ada", "demo", "in a table"), "the drawing is not in PostgreSQL")
    server.stop()
    check(not any(b"in a table" in file.read_bytes() for file in data.rglob("*") if file.is_file()),
          "the drawing is in the folder, too")
    database.stop()


def main():
    program, backups, postgres = sys.argv[1:]
    if shutil.which("sqlite3") is None:
        print("SKIP: sqlite3 is not installed")
        return
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not programs:
        print("SKIP: PostgreSQL is not installed")
        return
    with tempfile.TemporaryDirectory(prefix="belay-whiteboard-") as name:
        folder = pathlib.Path(name)
        web = folder / "web"
        (web / "dist").mkdir(parents=True)
        for file in ("index.html", "style.css", "dist/main.js"):
            (web / file).write_text("the page", encoding="utf-8")
        server = Server(program, str(web), str(folder / "watched"))
        watch(server, str(folder / "watched"))
        server.stop()
        back_up(program, backups, str(web), folder)
        back_up_around_damage(program, str(web), folder)
        in_postgres(program, postgres, str(web), folder, programs[-1])
    print("done")


main()
