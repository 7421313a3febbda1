#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server over TLS for tests, by OpenSSL of Python: it sends back what it receives.

    tls_server.py CERTIFICATES KEY [TRUSTED [BYTES]]

Prints "ready PORT", and for each client that ends "closed" (by a close_notify) or "cut". With TRUSTED, clients need a
certificate of an issuer in that file. With BYTES, it sends nothing before it has received so many. Told by lines on its input: "hang up" ends all connections.
"""
import socket
import ssl
import sys
import threading

clients = []
at_least = int(sys.argv[4]) if len(sys.argv) > 4 else 0


def serve(context, plain):
    end = "cut"
    try:
        client = context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
        clients.append(client)
        kept = bytearray()
        while data := client.recv(65536):
            kept += data
            if len(kept) >= at_least:
                client.sendall(kept)
                kept = bytearray()
        end = "closed"
        client.unwrap().close()
    except (OSError, ValueError):
        plain.close()
    print(end, flush=True)


def accept(context, server):
    while True:
        plain, _ = server.accept()
        threading.Thread(target=serve, args=(context, plain), daemon=True).start()


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    if len(sys.argv) > 3 and sys.argv[3]:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(sys.argv[3])
    server = socket.create_server(("127.0.0.1", 0))
    print("ready", server.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(context, server), daemon=True).start()
    for line in sys.stdin:
        if line.strip() == "hang up":
            while clients:
                try:
                    clients.pop().shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


main()
