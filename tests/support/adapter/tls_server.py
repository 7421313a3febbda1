#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A server over TLS for tests, by OpenSSL of Python: it sends back what it receives.

    tls_server.py CERTIFICATES KEY

Prints "ready PORT". With the end of the input of a client it ends the connection, with a close_notify.
"""
import socket
import ssl
import sys
import threading


def serve(context, plain):
    try:
        client = context.wrap_socket(plain, server_side=True)
        while data := client.recv(65536):
            client.sendall(data)
        client.unwrap()
    except OSError:
        pass
    finally:
        plain.close()


def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = socket.create_server(("127.0.0.1", 0))
    print("ready", server.getsockname()[1], flush=True)
    while True:
        plain, _ = server.accept()
        threading.Thread(target=serve, args=(context, plain), daemon=True).start()


main()
