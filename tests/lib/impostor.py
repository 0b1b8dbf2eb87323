#!/usr/bin/env python3
"""Somebody with an allowed key who speaks as another node, by libzmq itself.

    impostor.py link ENDPOINT SERVER-KEY-FILE OWN-SECRET-FILE FROM-NODE TO-NODE
        a frame of a link (broker/link_head.h): an empty one, of a stream later than any
    impostor.py bye ENDPOINT SERVER-KEY-FILE OWN-SECRET-FILE RUN
        tells the broker that the process of this run ends
"""
import ctypes
import re
import struct
import sys
import time

DEALER, PUSH, LINGER, CURVE_PUBLICKEY, CURVE_SECRETKEY, CURVE_SERVERKEY = 5, 8, 17, 48, 49, 50
zmq = ctypes.CDLL("libzmq.so.5")
zmq.zmq_ctx_new.restype = zmq.zmq_socket.restype = ctypes.c_void_p
what, endpoint, server_file, own_file, *numbers = sys.argv[1:]


def key(file, which):
    with open(file, encoding="ascii") as text:
        return re.search(which + r'-key *= *"([^"]{40})"', text.read()).group(1).encode()


def link_frame(from_node, to_node):
    return struct.pack("<4s6B2H2x2I4Q8x", b"DOBL", 1, 1, 1, 0, 0, 0, from_node, to_node, 0, 1, 2**64 - 1, 1000, 0, 0)


def bye(run):
    # Envelope [type, from, to, origin, shard, node, request, trace, deadline], body [run].
    return b"\x99\xcd\x0a\x03" + bytes(8) + b"\x91\xcf" + struct.pack(">Q", run)


context = ctypes.c_void_p(zmq.zmq_ctx_new())
sock = ctypes.c_void_p(zmq.zmq_socket(context, PUSH if what == "link" else DEALER))
for option, value in ((CURVE_SERVERKEY, key(server_file, "public")), (CURVE_PUBLICKEY, key(own_file, "public")),
                      (CURVE_SECRETKEY, key(own_file, "secret"))):
    assert zmq.zmq_setsockopt(sock, option, value, ctypes.c_size_t(40)) == 0
assert zmq.zmq_connect(sock, endpoint.encode()) == 0
frame = (link_frame if what == "link" else bye)(*map(int, numbers))
assert zmq.zmq_send(sock, frame, ctypes.c_size_t(len(frame)), 0) == len(frame)
time.sleep(1)  # So long it has for the handshake and the frame.
linger = ctypes.c_int(0)
zmq.zmq_setsockopt(sock, LINGER, ctypes.byref(linger), ctypes.c_size_t(4))
zmq.zmq_close(sock)
zmq.zmq_ctx_term(context)
