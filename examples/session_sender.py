#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A sender of belay's session protocol, in Python and its standard library.

Lines that `add` has stored take effect at a belay::Receiver exactly once and in their order, also if this program, the
receiver or the connection fails at any instant. What it sends is specified in the page of the session protocol
(docs/reference/formats/session-protocol.md), whose sections are named here.

    session_sender.py DIR add < lines           stores all lines or, if it fails or is killed, all or none
    session_sender.py DIR deliver HOST PORT     sends what is stored, until the receiver has acknowledged all of it
"""

import os
import random
import socket
import sqlite3
import struct
import sys
import time

HELLO, WELCOME, START, DATA, ACK, ERROR, PING, PONG = 1, 2, 3, 4, 5, 10, 11, 12
MAGIC, NONE = b"belay/s\n", bytes(16)
# Section 4.3: what an operator must look at. After any other error, the sender connects again.
BLOCKING = {2: "version", 3: "unauthorized", 4: "forbidden", 5: "fenced", 6: "store_changed", 7: "unknown_journal", 9: "too_large"}
GREETING_MAX, PING_AFTER, DEAD_AFTER, WAIT_MIN, WAIT_MAX = 10, 10, 25, 0.1, 5  # seconds

CRC32C = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    CRC32C.append(byte)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def next_check(check, salt, body):
    """Section 2: proves that both sides have the same operations."""
    z = ((check ^ (crc32c(body) << 32 | len(body))) + 0x9E3779B97F4A7C15 * (salt + 1)) % 2**64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
    return z ^ z >> 31


def frame(kind, number, aux=0, payload=b""):
    rest = struct.pack("<IBBBBIQ", len(payload), 1, kind, 0, 0, aux, number) + payload
    return struct.pack("<I", crc32c(rest)) + rest


class Blocked(Exception):
    """Only a person can solve it; nothing is lost."""


class Journal:
    """Section 3: the durable state of a sender. One process at a time has it open."""

    def __init__(self, directory):
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, "id")  # outlives a journal that was lost
        if not os.path.exists(path):
            with open(path + ".new", "xb") as file:
                file.write(os.urandom(16))
                file.flush()
                os.fsync(file.fileno())
            os.rename(path + ".new", path)
        with open(path, "rb") as file:
            self.sender = file.read()
        self.db = sqlite3.connect(os.path.join(directory, "journal.db"), isolation_level=None)
        self.db.executescript("PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL;"
                              "CREATE TABLE IF NOT EXISTS operation (number INTEGER PRIMARY KEY, salt INTEGER, body BLOB);"
                              "CREATE TABLE IF NOT EXISTS state (journal BLOB, run INTEGER, store BLOB, acknowledged INTEGER, proof BLOB)")
        self.salt = random.SystemRandom().getrandbits(32)
        self.db.execute("BEGIN IMMEDIATE")
        if not self.db.execute("SELECT 1 FROM state").fetchone():
            journal = os.urandom(16)
            self.db.execute("INSERT INTO state VALUES (?, 0, ?, 0, ?)", (journal, NONE, journal[:8]))
        self.db.execute("UPDATE state SET run = run + 1")
        self.db.execute("COMMIT")
        self.journal, self.run, self.store, self.acknowledged, proof = self.db.execute("SELECT * FROM state").fetchone()
        self.check = int.from_bytes(proof, "little")
        self.last = self.db.execute("SELECT max(number) FROM operation").fetchone()[0] or self.acknowledged
        self.connections = 0

    def append(self, bodies):
        """Stores all or none."""
        rows = [(number, self.salt, body) for number, body in enumerate(bodies, self.last + 1)]
        self.db.execute("BEGIN IMMEDIATE")
        self.db.executemany("INSERT INTO operation VALUES (?, ?, ?)", rows)
        self.db.execute("COMMIT")
        self.last += len(rows)

    def after(self, number, most):
        """The next operations after a number."""
        return self.db.execute("SELECT * FROM operation WHERE number > ? ORDER BY number LIMIT ?", (number, most)).fetchall()

    def check_at(self, number):
        check = self.check
        for _, salt, body in self.after(self.acknowledged, number - self.acknowledged):
            check = next_check(check, salt, body)
        return check

    def acknowledge(self, number):
        if number <= self.acknowledged:
            return
        self.check, self.acknowledged = self.check_at(number), number
        self.db.execute("BEGIN IMMEDIATE")
        self.db.execute("UPDATE state SET acknowledged = ?, proof = ?", (number, self.check.to_bytes(8, "little")))
        self.db.execute("DELETE FROM operation WHERE number <= ?", (number,))
        self.db.execute("COMMIT")

    def pin(self, store):
        if store != self.store:
            self.db.execute("UPDATE state SET store = ?", (store,))
            self.store = store


class Connection:
    """Frames over TCP, as posix::Tcp sends them: a length, a kind (0 data, 1 ping, 2 pong), and one or more frames."""

    def __init__(self, address):
        self.socket = socket.create_connection(address, GREETING_MAX)
        self.unread, self.frames = b"", []

    def send(self, message, kind=0):
        self.socket.settimeout(DEAD_AFTER)
        self.socket.sendall(struct.pack("<IB", len(message), kind) + message)

    def receive(self, seconds):
        """The next frame (kind, number, aux, payload). Raises OSError if there is none in this time, or the peer is gone."""
        self.socket.settimeout(seconds)
        while not self.frames:
            while len(self.unread) < 5 or len(self.unread) < 5 + struct.unpack_from("<I", self.unread)[0]:
                data = self.socket.recv(65536)
                if not data:
                    raise ConnectionResetError("the receiver closed the connection")
                self.unread += data
            length, kind = struct.unpack_from("<IB", self.unread)
            message, self.unread = self.unread[5:5 + length], self.unread[5 + length:]
            if kind == 1:
                self.send(b"", kind=2)
            while message:
                crc, size, version, frame_kind, flags, lane, aux, number = struct.unpack_from("<IIBBBBIQ", message)
                if version != 1 or flags or lane or size > len(message) - 24 or crc != crc32c(message[4:24 + size]):
                    raise ConnectionAbortedError("the receiver sent a frame that is damaged or unknown")
                self.frames.append((frame_kind, number, aux, message[24:24 + size]))
                message = message[24 + size:]
        return self.frames.pop(0)


def check_error(kind, number, code):
    if kind == ERROR and code in BLOCKING:
        raise Blocked(f"the receiver answers {BLOCKING[code]}: see section 4.3 of docs/reference/formats/session-protocol.md")
    if kind == ERROR:
        raise ConnectionAbortedError(f"the receiver answers error {code}, {number}")


def greet(journal, connection):
    """Section 5.1. Returns the last number that the receiver has, the limits of numbers and bytes, and the largest payload."""
    journal.connections += 1
    attach = journal.run << 32 | journal.connections
    hello = struct.pack("<8sBBBBHH16s16s16s16sQQQH", MAGIC, 1, 1, 1, 1, 0, 0, journal.sender, journal.journal, journal.store, NONE,
                        journal.acknowledged + 1, journal.last, journal.check, 0)
    connection.send(frame(HELLO, attach, 1 << 20, hello))
    kind, number, payload_max, payload = connection.receive(GREETING_MAX)
    check_error(kind, number, payload_max)
    if kind != WELCOME or number != attach or len(payload) != 90 or payload[:8] != MAGIC:
        raise ConnectionAbortedError("the receiver did not answer with WELCOME")
    flags = payload[9]
    store = payload[16:32]
    byte_limit, applied, check, number_limit = struct.unpack_from("<QQQQ", payload, 48)
    known = flags & 1
    if journal.store != NONE and (store != journal.store or not known) or known and applied < journal.acknowledged:
        raise Blocked("the receiver has lost its state, or an older copy of it was restored")
    if known and (applied > journal.last or journal.check_at(applied) != check):
        raise Blocked("an older copy of this journal was restored")
    if known:
        journal.acknowledge(applied)
        journal.pin(store)
    connection.send(frame(START, attach))
    if not known:
        kind, number, code, payload = connection.receive(GREETING_MAX)
        check_error(kind, number, code)
        if kind != ACK or number != 0:
            raise ConnectionAbortedError("the receiver did not adopt the journal")
        number_limit, byte_limit = struct.unpack("<QQ", payload)
        journal.pin(store)
    return journal.acknowledged, number_limit, byte_limit, payload_max


def deliver_once(journal, connection):
    """Sends what is stored, and returns when the receiver has acknowledged all of it."""
    sent, number_limit, byte_limit, payload_max = greet(journal, connection)
    sent_bytes, heard = 0, time.monotonic()
    while journal.acknowledged < journal.last:
        for number, salt, body in journal.after(sent, max(0, min(64, number_limit - sent))):
            if len(body) > payload_max:
                raise Blocked(f"operation {number} has {len(body)} bytes, and the receiver accepts {payload_max}")
            if sent_bytes + len(body) > byte_limit:
                break
            connection.send(frame(DATA, number, salt, body))
            sent, sent_bytes = number, sent_bytes + len(body)
        try:
            kind, number, aux, payload = connection.receive(PING_AFTER)
        except socket.timeout:
            if time.monotonic() - heard >= DEAD_AFTER:
                raise
            connection.send(frame(PING, sent))
            continue
        heard = time.monotonic()
        check_error(kind, number, aux)
        if kind == ACK and number <= sent:
            journal.acknowledge(number)
            number_limit, byte_limit = struct.unpack("<QQ", payload)
        elif kind == PING:
            connection.send(frame(PONG, number))
        elif kind != PONG:
            raise ConnectionAbortedError("the receiver sent what this version does not expect")


def deliver(journal, address):
    """Tries until all is delivered, with full jitter between the attempts."""
    wait = WAIT_MIN
    while journal.acknowledged < journal.last:
        before = journal.acknowledged
        try:
            connection = Connection(address)
            try:
                deliver_once(journal, connection)
            finally:
                connection.socket.close()
        except OSError as error:
            wait = WAIT_MIN if journal.acknowledged > before else min(2 * wait, WAIT_MAX)
            print(f"{error}; again in at most {wait:g} s", file=sys.stderr, flush=True)
            time.sleep(random.uniform(0, wait))


def main(arguments):
    if len(arguments) == 2 and arguments[1] == "add":
        lines = sys.stdin.buffer.read().split(b"\n")
        if not lines[-1]:
            lines.pop()
        Journal(arguments[0]).append(lines)
        print("accepted", len(lines))
        return 0
    if len(arguments) == 4 and arguments[1] == "deliver" and arguments[3].isdigit():
        journal = Journal(arguments[0])
        try:
            deliver(journal, (arguments[2], int(arguments[3])))
        except Blocked as error:
            print("blocked:", error, file=sys.stderr)
            return 1
        print("delivered", journal.acknowledged)
        return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
