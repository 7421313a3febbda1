#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the server of docs/tutorials/collaboration-server.md: one client's edit reaches another, and the next server."""
import base64
import hashlib
import hmac
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

LIMIT = 300  # seconds for one wait; only a failure takes so long, also on a busy machine
SECRET = "a secret of thirty-two bytes or more"
UPDATE = bytes([1, 1, 7, 0, 4, 1, 1, ord("t"), 2]) + b"hi" + bytes([0])


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(user):
    token_text = encoded(b'{"alg":"HS256"}') + b"." + encoded(b'{"sub":"%s","exp":%d}' % (user, time.time() + 3600))
    return (token_text + b"." + encoded(hmac.new(SECRET.encode(), token_text, hashlib.sha256).digest())).decode()


class Client:
    def __init__(self, port, board, status=101, headers=""):
        self.bytes = b""
        self.socket = socket.create_connection(("127.0.0.1", port), LIMIT)
        self.socket.sendall(f"GET /ws/{board}?token={token(b'ada')} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n{headers}"
                            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        assert b" %d " % status in head.split(b"\r\n")[0], head

    def take(self, count):
        while len(self.bytes) < count:
            more = self.socket.recv(65536)
            assert more, "closed"
            self.bytes += more
        taken, self.bytes = self.bytes[:count], self.bytes[count:]
        return taken

    def frame(self):
        kind, size = self.take(2)
        assert size < 126
        return kind & 15, self.take(size)

    def frame_with(self, part):
        while part not in (frame := self.frame())[1]:
            pass
        return frame

    def send(self, frame):
        self.socket.sendall(bytes([0x82, 0x80 | len(frame), 0, 0, 0, 0]) + frame)


class Server:
    def __init__(self, folder):
        self.process = subprocess.Popen([sys.argv[1], "0", folder], stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "SECRET": SECRET, "ORIGIN": "https://boards.example.org"})
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1].split("/")[0])


with tempfile.TemporaryDirectory() as folder:
    first = Server(folder)
    alice, bob = Client(first.port, "ada.plan"), Client(first.port, "ada.plan")
    bob.frame_with(bytes([0, 0]))  # its step 1: it is in the room
    alice.send(bytes([0, 2, len(UPDATE)]) + UPDATE)
    bob.frame_with(UPDATE)
    with urllib.request.urlopen(f"http://127.0.0.1:{first.port}/metrics", timeout=LIMIT) as answer:
        assert 'belay_rooms_clients{rooms="boards"} 2' in (metrics := answer.read().decode()).splitlines(), metrics
    stranger = Client(first.port, "bob.plan")
    assert stranger.frame() == (8, (4403).to_bytes(2, "big"))
    Client(first.port, "ada.plan", headers="Origin: https://boards.example.org\r\nX-Forwarded-For: 192.0.2.1\r\n")
    Client(first.port, "ada.plan", 403, "Origin: https://elsewhere.example.org\r\n")
    first.process.kill()
    first.process.wait()

    second = Server(folder)
    carol = Client(second.port, "ada.plan")
    carol.send(bytes([0, 0, 1, 0]))  # a step 1 of one who has nothing
    carol.frame_with(b"hi")
    second.process.send_signal(signal.SIGTERM)
    kind, code = carol.frame_with((1001).to_bytes(2, "big"))
    assert kind == 8
    carol.socket.close()
    output = second.process.communicate(timeout=LIMIT)[0]
    assert (output, second.process.returncode) == ("all is saved\n", 0), (output, second.process.returncode)
