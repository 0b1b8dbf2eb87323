"""A crowd of clients that are in no hurry, in one thread: slow_crowd.py HOST PORT IDLE ACTIVE SECONDS

IDLE connections send nothing, one after another and then wait; ACTIVE ones each ask for the list of
sales every two seconds or so (less often when they are many: 400 a second together are enough for this
program), on a connection that stays.  Nobody is forgotten: each connection ends
up answered, closed by the server, or (an idle one) still open.  Prints one line:

  idle OPEN CLOSED active OPEN CLOSED asked N answered N refused N strange N late_ms N

refused are answers of 503 and 429, strange all others that are not 200 or 304, late_ms the 99th
percentile of the time to an answer.  Requests that were under way at the end are waited for."""
import heapq
import random
import resource
import select
import socket
import sys
import time

host, port = sys.argv[1], int(sys.argv[2])
idle_wanted, active_wanted, seconds = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
IP_BIND_ADDRESS_NO_PORT = 24
PAUSE, PATIENCE, AT_ONCE = max(2.0, active_wanted / 400), 15.0, 300
request = ("GET /v1/sales HTTP/1.1\r\nHost: %s:%d\r\n\r\n" % (host, port)).encode()
need = idle_wanted + active_wanted + 64
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if soft < need:
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, max(need, hard)))
    except (ValueError, OSError):
        sys.exit("not allowed to open %d descriptors" % need)
random.seed(1)


class Client:
    __slots__ = ("socket", "idle", "asked_at", "buffer", "connected")


clients, poll, due, times = {}, select.epoll(), [], []
count = dict(idle_open=0, idle_closed=0, active_open=0, active_closed=0, asked=0, answered=0,
             refused=0, strange=0, connecting=0)


def begin(idle):
    client = Client()
    client.socket = socket.socket()
    client.socket.setblocking(False)
    client.idle, client.asked_at, client.buffer, client.connected = idle, None, b"", False
    clients[client.socket.fileno()] = client
    count["connecting"] += 1
    poll.register(client.socket, select.EPOLLIN | select.EPOLLOUT)
    # From several addresses of this machine: the search for a port that is free takes the kernel
    # long when half of them are in use.
    if host.startswith("127."):
        client.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.socket.bind(("127.0.0.%d" % (2 + opened // 5000), 0))
    client.socket.connect_ex((host, port))


def end(client):
    count["connecting"] -= not client.connected
    kind = "idle_closed" if client.idle else "active_closed"
    count[kind] += 1
    del clients[client.socket.fileno()]
    client.socket.close()


def ask(client):
    try:
        client.socket.send(request)
    except OSError:
        end(client)
        return
    client.asked_at = time.monotonic()
    count["asked"] += 1


def complete(client):
    """Takes one answer out of the buffer; its status, or 0."""
    head, blank, rest = client.buffer.partition(b"\r\n\r\n")
    if not blank:
        return 0
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line[15:])
    if len(rest) < length:
        return 0
    client.buffer = rest[length:]
    return int(head.split(b" ", 2)[1])


def hear(client):
    try:
        piece = client.socket.recv(65536)
    except BlockingIOError:
        return
    except OSError:
        piece = b""
    if not piece:
        end(client)
        return
    client.buffer += piece
    status = complete(client)
    if status == 0:
        return
    times.append(time.monotonic() - client.asked_at if client.asked_at else PATIENCE)
    client.asked_at = None
    count["answered"] += 1
    if status in (503, 429):
        count["refused"] += 1
    elif status not in (200, 304):
        count["strange"] += 1
    heapq.heappush(due, (time.monotonic() + PAUSE * (0.5 + random.random()), id(client), client))


def turn(wait):
    for descriptor, what in poll.poll(wait, 4096):
        client = clients.get(descriptor)
        if client is None:
            continue
        if not client.connected and what & select.EPOLLOUT and not what & select.EPOLLERR:
            client.connected = True
            count["connecting"] -= 1
            poll.modify(client.socket, select.EPOLLIN)
            if not client.idle:
                heapq.heappush(due, (time.monotonic() + PAUSE * random.random(), id(client), client))
        if what & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            hear(client)


opened, all_wanted, began = 0, idle_wanted + active_wanted, time.monotonic()
while time.monotonic() - began < seconds or opened < all_wanted:
    for _ in range(max(0, min(AT_ONCE - count["connecting"], all_wanted - opened))):
        begin(opened < idle_wanted)
        opened += 1
    turn(0.01)
    now = time.monotonic()
    if now - began > seconds + 60:
        break
    while due and due[0][0] <= now:
        client = heapq.heappop(due)[2]
        if clients.get(client.socket.fileno()) is client and client.asked_at is None:
            ask(client)
last = time.monotonic()
while any(c.asked_at for c in clients.values()) and time.monotonic() - last < PATIENCE:
    turn(0.1)
for client in clients.values():
    count["idle_open" if client.idle else "active_open"] += 1
times.sort()
late = int(1000 * times[len(times) * 99 // 100]) if times else 0
print("idle %(idle_open)d %(idle_closed)d active %(active_open)d %(active_closed)d asked %(asked)d "
      "answered %(answered)d refused %(refused)d strange %(strange)d" % count, "late_ms", late)
