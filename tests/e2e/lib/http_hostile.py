"""Hostile bytes against the HTTP port: every case ends in a 4xx answer or a closed connection, soon,
and the server goes on.  usage: http_hostile.py PORT TOKEN (started by test_http_hostile)."""
import os
import socket
import struct
import sys
import threading
import time

PORT, TOKEN = int(sys.argv[1]), sys.argv[2]
DEADLINE = 1.0  # http.deadline of the port under test
passed = failed = 0


def check(name, good, why=""):
    global passed, failed
    if good:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {name}: {why}", flush=True)


def connect(timeout=5.0, small=False):
    s = socket.socket()
    if small:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(timeout)
    s.connect(("127.0.0.1", PORT))
    return s


def drain(s):
    """Everything until the server closes; None if it does not."""
    got = b""
    try:
        while True:
            piece = s.recv(65536)
            if not piece:
                return got
            got += piece
    except socket.timeout:
        return None
    except OSError:
        return got


def status(answer):
    try:
        return int(answer.split(b" ", 2)[1])
    except (IndexError, ValueError):
        return 0


def alive(name):
    s = connect()
    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = drain(s)
    s.close()
    check(name + ": goes on", answer is not None and status(answer) == 200, answer)


H = b"Host: x\r\n"
J = H + b"Content-Type: application/json\r\n"
ACCOUNT = b'{"login":"a@b.c","password":"12345678"}'
LENGTH = b"Content-Length: %d\r\n" % len(ACCOUNT)
POST = b"POST /v1/accounts HTTP/1.1\r\n"

# name, bytes, expected statuses (of the first answer); afterwards the connection must be closed,
# and nothing hidden in the bytes may have been answered as a second request.
CASES = [
    ("bare LF", b"GET /healthz HTTP/1.1\nHost: x\n\n", {400}),
    ("LF inside", b"GET /healthz HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", {400}),
    ("bare CR in a value", b"GET /healthz HTTP/1.1\r\n" + H + b"A: b\rc\r\n\r\n", {400}),
    ("bare CR line end", b"GET /healthz HTTP/1.1\rHost: x\r\r\n\r\n", {400}),
    ("zero byte", b"GET /healthz HTTP/1.1\r\n" + H + b"A: \0\r\n\r\n", {400}),
    ("obs-fold", b"GET /healthz HTTP/1.1\r\n" + H + b"A: b\r\n c\r\n\r\n", {400}),
    ("folded first line", b"GET /healthz HTTP/1.1\r\n Host: x\r\n\r\n", {400}),
    ("blank before colon", b"GET /healthz HTTP/1.1\r\n" + H + b"A : b\r\n\r\n", {400}),
    ("no colon", b"GET /healthz HTTP/1.1\r\n" + H + b"hello\r\n\r\n", {400}),
    ("empty name", b"GET /healthz HTTP/1.1\r\n" + H + b": b\r\n\r\n", {400}),
    ("two hosts", b"GET /healthz HTTP/1.1\r\n" + H + H + b"\r\n", {400}),
    ("no host", b"GET /healthz HTTP/1.1\r\nA: b\r\n\r\n", {400}),
    ("TE and CL", POST + J + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    ("CL and TE", POST + J + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n", {400}),
    ("two CL", POST + J + LENGTH + b"Content-Length: 0\r\n\r\n" + ACCOUNT, {400}),
    ("two equal CL", POST + J + LENGTH + LENGTH + b"\r\n" + ACCOUNT, {400}),
    ("CL list", POST + J + b"Content-Length: 39, 39\r\n\r\n" + ACCOUNT, {400}),
    ("CL plus", POST + J + b"Content-Length: +39\r\n\r\n" + ACCOUNT, {400}),
    ("CL minus", POST + J + b"Content-Length: -1\r\n\r\n", {400}),
    ("CL hex", POST + J + b"Content-Length: 0x27\r\n\r\n" + ACCOUNT, {400}),
    ("CL empty", POST + J + b"Content-Length:\r\n\r\n", {400}),
    ("CL huge", POST + J + b"Content-Length: 99999999999999999999\r\n\r\n", {400}),
    ("CL too large", POST + J + b"Content-Length: 9999999\r\n\r\n", {413}),
    ("TE identity", POST + J + b"Transfer-Encoding: identity\r\n\r\n", {400}),
    ("TE gzip, chunked", POST + J + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {400}),
    ("TE xchunked", POST + J + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400}),
    ("TE twice", POST + J + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", {400}),
    ("TE in 1.0", b"POST /v1/accounts HTTP/1.0\r\n" + J +
     b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
] + [
    ("chunk " + name, POST + J + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, {want})
    for name, chunks, want in [
        ("extension", b"1;a=b\r\nx\r\n0\r\n\r\n", 400),
        ("size with 0x", b"0x1\r\nx\r\n0\r\n\r\n", 400),
        ("size negative", b"-1\r\nx\r\n0\r\n\r\n", 400),
        ("size blank", b" 1\r\nx\r\n0\r\n\r\n", 400),
        ("size overflow", b"fffffffffffffffff\r\nx", 400),
        ("size too large", b"ffffff\r\nx", 413),
        ("without end", b"1\r\nxy\r\n0\r\n\r\n", 400),
        ("bare LF", b"1\nx\n0\n\n", 400),
        ("trailer", b"1\r\nx\r\n0\r\nA: b\r\n\r\n", 400),
    ]
] + [
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400}),
    ("HTTP/1.2", b"GET /healthz HTTP/1.2\r\n" + H + b"\r\n", {400}),
    ("HTTP/0.9", b"GET /healthz\r\n\r\n", {400}),
    ("lower case version", b"GET /healthz http/1.1\r\n" + H + b"\r\n", {400}),
    ("absolute target", b"GET http://x/healthz HTTP/1.1\r\n" + H + b"\r\n", {400}),
    ("CONNECT", b"CONNECT x:80 HTTP/1.1\r\n" + H + b"\r\n", {400}),
    ("blank in target", b"GET /a b HTTP/1.1\r\n" + H + b"\r\n", {400}),
    ("fragment", b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n", {400}),
    ("high byte in target", b"GET /\xff HTTP/1.1\r\n" + H + b"\r\n", {400}),
    ("tab separator", b"GET\t/healthz\tHTTP/1.1\r\n" + H + b"\r\n", {400}),
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 80, {400}),
    ("empty lines", b"\r\n\r\n\r\n\r\n", {400}),
    ("long URL", b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + H + b"\r\n", {431}),
    ("long header", b"GET /healthz HTTP/1.1\r\n" + H + b"A: " + b"b" * 20000 + b"\r\n\r\n", {431}),
    ("endless line", b"A" * 100000, {431, 0}),
    ("many headers", b"GET /healthz HTTP/1.1\r\n" + H + b"A: b\r\n" * 200 + b"\r\n", {431}),
    ("unknown expectation", POST + J + LENGTH + b"Expect: 200-maybe\r\n\r\n", {400}),
]

# Refused, and the connection stays good: name, bytes, status.
POLITE = [
    ("unknown path", b"GET /v1/none HTTP/1.1\r\n" + H, b"", 404),
    ("traversal", b"GET /../../etc/passwd HTTP/1.1\r\n" + H, b"", 404),
    ("wrong method", b"DELETE /v1/accounts HTTP/1.1\r\n" + H, b"", 405),
    ("odd method", b"BREW /v1/accounts HTTP/1.1\r\n" + H, b"", 405),
    ("id not a number", b"GET /v1/sales/abc HTTP/1.1\r\n" + H, b"", 404),
    ("id too large", b"GET /v1/sales/9223372036854775808 HTTP/1.1\r\n" + H, b"", 404),
    ("broken escape", b"GET /v1/sales/%zz HTTP/1.1\r\n" + H, b"", 404),
    ("zero escape", b"GET /v1/sales/1%00 HTTP/1.1\r\n" + H, b"", 404),
    ("unknown query", b"GET /v1/sales?x=1 HTTP/1.1\r\n" + H, b"", 422),
    ("query twice", b"GET /v1/sales?limit=1&limit=2 HTTP/1.1\r\n" + H, b"", 422),
    ("no token", b"GET /v1/orders HTTP/1.1\r\n" + H, b"", 401),
    ("bad token", b"GET /v1/orders HTTP/1.1\r\n" + H + b"Authorization: Bearer AAAA\r\n", b"", 401),
    ("basic auth", b"GET /v1/orders HTTP/1.1\r\n" + H + b"Authorization: Basic AAAA\r\n", b"", 401),
    ("no media type", POST + H, ACCOUNT, 415),
    ("form", POST + H + b"Content-Type: application/x-www-form-urlencoded\r\n", b"a=b", 415),
    ("not JSON", POST + J, b"hello", 400),
    ("half JSON", POST + J, b'{"login":', 400),
    ("array", POST + J, b"[]", 400),
    ("trailing bytes", POST + J, ACCOUNT + b"x", 400),
    ("member twice", POST + J, b'{"login":"a@b","login":"c@d"}', 400),
    ("deep", POST + J, b"[" * 5000, 400),
    ("deep object", POST + J, b'{"a":' * 2000 + b"1" + b"}" * 2000, 400),
    ("bad UTF-8", POST + J, b'{"login":"\xff\xfe","password":"12345678"}', 400),
    ("surrogate", POST + J, b'{"login":"\\ud800abc","password":"12345678"}', 400),
    ("escaped zero", POST + J, b'{"login":"a\\u0000b","password":"12345678"}', 400),
    ("escaped control", POST + J, b'{"login":"a\\u0001b","password":"12345678"}', 400),
    ("unknown member", POST + J, b'{"login":"a@b","password":"12345678","x":1}', 422),
    ("context member", POST + J, b'{"login":"a@b","password":"12345678","user_id":"1"}', 422),
    ("wrong type", POST + J, b'{"login":1,"password":"12345678"}', 422),
    ("missing", POST + J, b'{"login":"a@b"}', 422),
    ("empty", POST + J, b"", 422),
]


def hostile(name, data, want):
    s = connect()
    try:
        s.sendall(data)
    except OSError:
        pass
    start = time.monotonic()
    answer = drain(s)
    s.close()
    if answer is None:
        check(name, False, "neither answered nor closed")
        return
    got = status(answer)
    check(name, got in want, f"{got} instead of {sorted(want)}: {answer[:200]!r}")
    check(name + ": one answer", answer.count(b"HTTP/1.1 ") <= 1, answer[:400])
    check(name + ": soon", time.monotonic() - start < DEADLINE + 2.5, "too late")


def read_answer(s):
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        if not piece:
            return got
        got += piece
    head, body = got.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += s.recv(65536)
    return head + b"\r\n\r\n" + body


def polite(cases):
    s = connect()
    for name, head, body, want in cases:
        data = head + (b"Content-Length: %d\r\n" % len(body) if body or b"POST" in head else b"")
        s.sendall(data + b"\r\n" + body)
        answer = read_answer(s)
        check(name, status(answer) == want, f"{status(answer)} instead of {want}: {answer!r}")
        check(name + ": problem", b"application/problem+json" in answer and b'"trace_id"' in answer,
              answer)
    s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    check("the connection is still good", status(read_answer(s)) == 200)
    s.close()


def slow(name, prefix, piece, want):
    """Drips a request; the absolute deadline must end it however regularly the bytes come."""
    s = connect(timeout=0.2)
    start = time.monotonic()
    got = b""
    s.sendall(prefix)
    while time.monotonic() - start < DEADLINE + 5:
        try:
            s.sendall(piece)
            got += s.recv(4096) or b"CLOSED"
        except socket.timeout:
            continue
        except OSError:
            got += b"CLOSED"
        if got:
            break
    took = time.monotonic() - start
    s.close()
    check(name, b" %d " % want in got or got == b"CLOSED", got)
    check(name + ": in time", DEADLINE - 0.2 < took < DEADLINE + 1.5, f"{took:.1f} s")


def slow_reader():
    s = connect(timeout=0.1, small=True)
    start = time.monotonic()
    for _ in range(20):
        s.sendall(b"GET /v1/sales HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(DEADLINE + 1.5)
    got, closed = 0, False
    s.settimeout(2)
    try:
        while True:
            piece = s.recv(1 << 20)
            if not piece:
                closed = True
                break
            got += len(piece)
    except socket.timeout:
        pass
    except OSError:
        closed = True
    s.close()
    check("slow reader: cut off", closed and got < 20 * 1000000, f"{got} bytes, closed={closed}")


def idle_crowd():
    crowd = [connect() for _ in range(2000)]
    start = time.monotonic()
    alive("2,000 idle connections")
    check("2,000 idle connections: quick", time.monotonic() - start < 0.5,
          f"{time.monotonic() - start:.2f} s")
    for s in crowd[::50]:
        s.sendall(b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        check("an idle connection works", status(read_answer(s)) == 204)
    # Beyond the cap of 3,000 connections are closed at once, and room is found again afterwards.
    more, refused = [], 0
    for _ in range(1100):
        s = connect(timeout=2)
        more.append(s)
    for s in more[-20:]:
        try:
            refused += s.recv(1) == b""
        except OSError:
            refused += 1
    check("beyond the cap: closed at once", refused == 20, f"{refused} of 20")
    for s in crowd + more:
        s.close()
    time.sleep(0.3)
    alive("after the crowd")


def churn():
    """Connections that are reset in the middle of everything."""
    for i in range(600):
        s = connect()
        s.sendall((POST + J + LENGTH + b"\r\n" + ACCOUNT)[:i % 180 + 1])
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    alive("churn")


def random_bytes():
    for i in range(200):
        s = connect()
        try:
            s.sendall((b"GET " if i % 2 else b"") + os.urandom(300) + b"\r\n\r\n")
        except OSError:
            pass
        answer = drain(s)
        s.close()
        if answer is None or (answer and status(answer) not in (400, 431)):
            check("random bytes", False, answer)
            return
    check("random bytes", True)
    alive("random bytes")


def every_cut():
    """A good request in two pieces, cut everywhere, and byte by byte: always the same answer."""
    order = (b'{"ticket":"t","quantity":2,"address":{"name":"A","phone":"123","line":"x",'
             b'"city":"y","country":"CN"}}')
    head = b"POST /v1/orders HTTP/1.1\r\n" + J + b"Authorization: Bearer " + TOKEN.encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(order[i:i + 9]), order[i:i + 9])
                      for i in range(0, len(order), 9)) + b"0\r\n\r\n"
    plain = head + b"\r\nContent-Length: %d\r\n\r\n" % len(order) + order
    chunked = head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    s = connect()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, data in (("plain", plain), ("chunked", chunked)):
        good = True
        for cut in list(range(1, len(data), 3)):
            s.sendall(data[:cut])
            time.sleep(0.0005)
            s.sendall(data[cut:])
            answer = read_answer(s)
            good = good and status(answer) == 201 and answer.endswith(b'"quantity":2}')
            if not good:
                check(f"cut at {cut}, {name}", False, answer)
                return
        check(f"cut anywhere, {name}", good)
        s.sendall(data * 20)
        for _ in range(20):
            answer = read_one(s)
            good = good and status(answer) == 201
        check(f"pipelined, {name}", good)
    s.close()


def read_one(s):
    """One answer of several that are on their way."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        got += s.recv(1)
    length = int(got.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while length > 0:
        piece = s.recv(length)
        length -= len(piece)
        got += piece
    return got


for case in CASES:
    hostile(*case)
alive("hostile bytes")
polite(POLITE)
every_cut()
threads = [threading.Thread(target=slow, args=a) for a in [
    ("slow header", b"GET /healthz HTTP/1.1\r\nHost: x\r\nA: ", b"b", 408),
    ("slow request line", b"G", b"E", 408),
    ("slow body", POST + J + LENGTH + b"\r\n", b"{", 408),
    ("slow chunks", POST + J + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n", 408),
]] + [threading.Thread(target=slow_reader)]
for t in threads:
    t.start()
for t in threads:
    t.join()
churn()
random_bytes()
idle_crowd()
print(f"{passed} passed, {failed} failed", flush=True)
sys.exit(1 if failed or not passed else 0)
