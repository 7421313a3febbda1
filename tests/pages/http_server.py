#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs a program with the port of an HTTP server: http_server.py PROGRAM [ARGUMENT]...

The server is busy at first: 503 and "Retry-After: 1", 503, then 200.
/hook is busy for five requests. After as many, the usual budget of an HttpCalls pays for no further retry.
"""
import http.server
import subprocess
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        Handler.asked += 1
        busy = Handler.asked < (6 if self.path == "/hook" else 3)
        body = b"busy" if busy else b"hello"
        self.send_response(503 if busy else 200)
        if Handler.asked == 1:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.exit(subprocess.run([*sys.argv[1:], str(server.server_port)]).returncode)
