#!/usr/bin/python3
"""Sends requests that two servers might read differently through a proxy with TLS on 127.0.0.1:PORT.
Each hides a GET of /v1/orders in what one reading takes for a body.  Prints a line per case: its
name and the statuses that came back, `-` when there was no answer at all within the time."""
import re
import socket
import ssl
import sys

HIDDEN = b"GET /v1/orders HTTP/1.1\r\nHost: x\r\n\r\n"
BODY = b'{"login":"x"}'


def post(*headers, body):
    return b"\r\n".join([b"POST /v1/sessions HTTP/1.1", b"Host: localhost",
                         b"Content-Type: application/json", *headers, b"", b""]) + body


def chunked(data):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


CASES = {
    "length-and-chunked": post(b"Content-Length: %d" % (5 + len(HIDDEN)), b"Transfer-Encoding: chunked",
                               body=b"0\r\n\r\n" + HIDDEN),
    "chunked-and-length": post(b"Transfer-Encoding: chunked", b"Content-Length: 4",
                               body=chunked(HIDDEN)),
    "two-lengths": post(b"Content-Length: %d" % len(BODY), b"Content-Length: %d" % (len(BODY) + len(HIDDEN)),
                        body=BODY + HIDDEN),
    "a-list-of-lengths": post(b"Content-Length: %d, %d" % (len(BODY), len(BODY) + len(HIDDEN)),
                              body=BODY + HIDDEN),
    "a-signed-length": post(b"Content-Length: +%d" % (len(BODY) + len(HIDDEN)), body=BODY + HIDDEN),
    "two-codings": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity",
                        b"Content-Length: %d" % (5 + len(HIDDEN)), body=b"0\r\n\r\n" + HIDDEN),
    "a-coding-behind-a-blank": post(b"Transfer-Encoding : chunked", b"Content-Length: %d" % (5 + len(HIDDEN)),
                                    body=b"0\r\n\r\n" + HIDDEN),
    "a-coding-behind-a-tab": post(b"Transfer-Encoding:\x0bchunked", b"Content-Length: %d" % (5 + len(HIDDEN)),
                                  body=b"0\r\n\r\n" + HIDDEN),
    "a-folded-coding": post(b"X: y\r\n Transfer-Encoding: chunked", b"Content-Length: %d" % (5 + len(HIDDEN)),
                            body=b"0\r\n\r\n" + HIDDEN),
    "a-bare-line-feed": post(b"X: y\nTransfer-Encoding: chunked", b"Content-Length: %d" % (5 + len(HIDDEN)),
                             body=b"0\r\n\r\n" + HIDDEN),
}


def ask(port, request):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    got = b""
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as sock:
            sock.settimeout(1.5)
            sock.sendall(request)
            try:
                while piece := sock.recv(65536):
                    got += piece
            except (socket.timeout, ConnectionError, ssl.SSLError):
                pass
    return re.findall(rb"HTTP/1\.[01] (\d\d\d) ", got)


for name, request in CASES.items():
    answers = ask(int(sys.argv[1]), request)
    print(name, b"+".join(answers).decode() or "-", flush=True)
