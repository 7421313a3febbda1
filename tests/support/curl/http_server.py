#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An HTTP server for tests, as good or bad as its paths say. Written over sockets: what a well-behaved library would
not send is what clients must bear.

    http_server.py [CERTIFICATE KEY]

Prints "ready PORT OTHER TLS" (TLS is 0 without a certificate). OTHER is another origin with the same paths. Told by
lines on its input: "say TEXT", "end", "cut" are for the open /stream; "stop" closes the listening sockets, and "start"
opens that of PORT again.
"""
import gzip
import socket
import ssl
import sys
import threading
import zlib

log = []
served = {}
streams = []
kept = []
stream_opened = threading.Condition()


class Request:
    def __init__(self, line, headers, body):
        self.method, self.target, _ = line.split(" ", 2)
        self.path, _, self.query = self.target.partition("?")
        self.headers = headers
        self.body = body


def read_request(reader):
    line = reader.readline().decode("latin1").rstrip("\r\n")
    if not line:
        return None
    headers = []
    while header := reader.readline().decode("latin1").rstrip("\r\n"):
        headers.append(header)
    length = next((int(h.split(":")[1]) for h in headers if h.lower().startswith("content-length:")), 0)
    return Request(line, headers, reader.read(length))


def response(body=b"", status="200 OK", headers=(), length=None):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin1") + body


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def bomb():
    """A gzip of 256 MiB of zeros, in a quarter of a megabyte."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()


class Connection(threading.Thread):
    def __init__(self, stream, number):
        super().__init__(daemon=True)
        self.stream = stream
        self.number = number

    def run(self):
        try:
            reader = self.stream.makefile("rb")
            while request := read_request(reader):
                if request.path != "/log":
                    log.append(f"{request.method} {request.target} {self.number}")
                page = (request.path + "/").split("/")[1].replace("-", "_")
                if not getattr(self, "on_" + page, self.on_nothing)(request):
                    break
        except (OSError, ValueError):
            pass  # it hung up, or speaks something else
        self.stream.close()

    def send(self, *parts):
        for part in parts:
            self.stream.sendall(part)
        return True

    # Each answers whether the connection is kept.

    def on_nothing(self, request):
        _, _, port = request.target.partition("proxied.example:")
        if port[:3].isdigit():  # as a proxy
            return self.send(response(b"", port[:3] + " Of Proxy"))
        return self.send(response(b"no such page", "404 Not Found"))

    def on_hello(self, _):
        return self.send(response(b"hello"))

    def on_log(self, _):
        return self.send(response("\n".join(log).encode()))

    def on_echo(self, request):
        text = "\n".join([f"{request.method} {request.target}", *request.headers, ""]).encode("latin1") + request.body
        return self.send(response(b"" if request.method == "HEAD" else text, length=len(text)))

    def on_status(self, request):
        headers = [request.query.replace("%20", " ")] if request.query else []
        return self.send(response(b"no", request.path.split("/")[2] + " Reason", headers))

    def on_headers(self, _):
        return self.send(response(b"", "200 OK", ["X-One: 1", "x-one:  2 ", "X-Empty:", "X-Colon: a:b"]))

    def on_never(self, _):
        self.stream.recv(1)

    def on_drop(self, _):
        return False

    def on_once(self, _):
        """The connection answers, and breaks at the next request, having read it."""
        self.on_echo = self.on_hello = self.on_empty_post = lambda _: False
        return self.send(response(b"once"))

    def on_kept(self, _):
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        kept.append(self)
        return self.send(response(b"kept"))

    def on_unasked(self, _):
        """Sends a response on each connection of /kept, where no request is under way."""
        while kept:
            kept.pop().send(response(b"unasked"))
        return self.send(response(b"done"))

    def on_digest(self, request):
        if any(h.startswith("Authorization: Digest") for h in request.headers):
            return self.on_echo(request)
        ask = 'WWW-Authenticate: Digest realm="r", nonce="n", qop="auth"'
        return self.send(response(b"no", "401 Unauthorized", [ask, "X-First: 1"]))

    def on_switch(self, _):
        self.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", response(b"hello"))
        return False

    def on_endless(self, _):
        self.send(CHUNKED)
        while True:
            self.send(chunk(b"x" * 16384))

    def on_gzip(self, _):
        return self.send(response(gzip.compress(b"hello" * 1000), headers=["Content-Encoding: gzip"]))

    def on_bomb(self, _):
        return self.send(response(bomb(), headers=["Content-Encoding: gzip"]))

    def on_bad_gzip(self, _):
        return self.send(response(b"not gzip at all", headers=["Content-Encoding: gzip"]))

    def on_half(self, _):
        self.send(response(b"half", length=8))
        return False

    def on_half_chunked(self, _):
        self.send(CHUNKED, chunk(b"half"))
        return False

    def on_half_head(self, _):
        self.send(b"HTTP/1.1 200 OK\r\nContent-Le")
        return False

    def on_garbage(self, _):
        self.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        return False

    def on_long_line(self, _):
        self.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while True:
            self.send(b"x" * 16384)

    def on_many_lines(self, _):
        self.send(b"HTTP/1.1 200 OK\r\n")
        while True:
            self.send(b"X-Many: 0123456789\r\n" * 100)

    def on_trailer(self, _):
        return self.send(CHUNKED, chunk(b"body"), b"0\r\nX-Trailer: 1\r\nHTTP/1.1 500 No\r\n\r\n")

    def on_many_trailers(self, _):
        self.send(CHUNKED, chunk(b"body"), b"0\r\n")
        while True:
            self.send(b"X-Many: 0123456789\r\n" * 100)

    def on_interim(self, _):
        hints = b"HTTP/1.1 103 Early Hints\r\nX-Hint: 1\r\n\r\n"
        return self.send(hints, response(b"hello", headers=["X-Real: 1"]))

    def on_redirect(self, request):
        """/redirect/STATUS?LOCATION"""
        body = b"moved"
        return self.send(response(body, request.path.split("/")[2] + " Moved", ["Location: " + request.query]))

    def on_loop(self, _):
        return self.send(response(b"", "302 Found", ["Location: loop"]))

    def on_until(self, request):
        """/until/COUNT/FAULT: that many requests of the target fail in that way; all later ones succeed."""
        _, _, count, fault = request.path.split("/")
        served[request.target] = served.get(request.target, 0) + 1
        if served[request.target] > int(count):
            return self.on_echo(request)
        if fault == "busy":
            return self.send(response(b"no", "503 Busy", ["Retry-After: 1"]))
        return getattr(self, "on_" + fault)(request)

    def on_stream(self, request):
        kind = request.query or "text/plain"
        self.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        with stream_opened:
            streams.append(self)
            stream_opened.notify_all()
        self.stream.recv(1)


def listen(context=None, port=0):
    listener = socket.create_server(("127.0.0.1", port))

    def accept():
        number = 0
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            number += 1
            threading.Thread(target=serve, args=(plain, number), daemon=True).start()

    def serve(plain, number):
        try:
            if not context and plain.recv(1, socket.MSG_PEEK) == b"\x16":
                plain.sendall(b"HTTP/1.1 400 TLS is spoken elsewhere\r\n\r\n")
                plain.close()
                return
            stream = context.wrap_socket(plain, server_side=True) if context else plain
        except (OSError, ssl.SSLError):
            return
        Connection(stream, number).run()

    threading.Thread(target=accept, daemon=True).start()
    return listener


listeners = [listen(), listen()]
if len(sys.argv) > 1:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(sys.argv[1], sys.argv[2])
    listeners.append(listen(tls))
ports = [listener.getsockname()[1] for listener in listeners] + [0]
print("ready", *ports[:3], flush=True)

for received_line in sys.stdin:
    word, _, text = received_line.rstrip("\n").partition(" ")
    if word == "stop":
        for listener in listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        print("stopped", flush=True)
        continue
    if word == "start":
        listeners[0] = listen(port=ports[0])
        print("started", flush=True)
        continue
    with stream_opened:
        stream_opened.wait_for(lambda: streams)
    for connection in streams:
        try:
            if word == "say":
                connection.send(chunk(text.encode().decode("unicode_escape").encode("latin1")))
            elif word == "end":
                connection.send(b"0\r\n\r\n")
            elif word == "cut":
                connection.stream.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # nobody is there any more
