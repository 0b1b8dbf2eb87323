#!/usr/bin/env python3
"""A balancer for tests: passes each connection on to the servers in turn, past those that refuse.

    failover.py LISTEN SERVER…       each a port, or ADDRESS:PORT where it is not 127.0.0.1

A connection ends when its server does; the client connects again, as it would through any proxy.
"""
import asyncio
import itertools
import sys

listen, *servers = (("127.0.0.1:" + word).split(":")[-2:] for word in sys.argv[1:])
turns = itertools.count()


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(reader, writer):
    first = next(turns)
    for i in range(len(servers)):
        try:
            to = await asyncio.open_connection(*servers[(first + i) % len(servers)])
        except OSError:
            continue
        await asyncio.gather(pump(reader, to[1]), pump(to[0], writer))
        return
    writer.close()


async def main():
    server = await asyncio.start_server(serve, *listen, backlog=1024)
    async with server:
        await server.serve_forever()


asyncio.run(main())
