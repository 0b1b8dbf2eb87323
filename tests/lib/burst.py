"""Many purchases at the same moment: burst.py BASE LOT SHOPPERS FROM TO FOLDER.

Shoppers FROM to TO (lines of SHOPPERS, from 1) each get a ticket, kept in FOLDER/tickets for the next
time; then all of them buy at once, each on a connection of his own.  Prints one line a purchase:
status (0: no answer), milliseconds until the answer, Retry-After or -, code of the problem or state."""
import asyncio
import json
import os
import random
import sys
import time
import urllib.parse

base, lot, shoppers, first, last, folder = sys.argv[1:7]
url = urllib.parse.urlsplit(base)
address = {"name": "A. Buyer", "phone": "+49 30 123456", "line": "Long Street 1", "city": "Berlin",
           "country": "DE"}


async def ask(path, token, body, start=None):
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        if start is not None:
            await start.wait()  # Everybody is connected by then.
        text = json.dumps(body)
        began = time.monotonic()
        writer.write(("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"
                      "Content-Type: application/json\r\nContent-Length: %d\r\n"
                      "Connection: close\r\n\r\n%s" %
                      (path, url.netloc, token, len(text), text)).encode())
        answer = await asyncio.wait_for(reader.read(), 10)
        took = int((time.monotonic() - began) * 1000)
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.strip().lower(): value.strip()
               for name, _, value in (line.partition(":") for line in lines[1:])}
    return int(lines[0].split()[1]), took, headers, json.loads(body)


async def ticket(token, limit):
    async with limit:
        for _ in range(20):
            status, _, _, body = await ask("/v1/lots/%s/tickets" % lot, token, {})
            if status == 201:
                return body["ticket"]
            await asyncio.sleep(0.2)
    sys.exit("no ticket: %s" % body)


async def buy(token, held, start):
    try:
        status, took, headers, body = await ask(
            "/v1/orders", token, {"ticket": held, "quantity": 1, "address": address}, start)
    except (OSError, ValueError, IndexError, asyncio.TimeoutError) as why:
        return "0 10000 - %s" % type(why).__name__
    return "%d %d %s %s" % (status, took, headers.get("retry-after", "-"),
                            body.get("code") or body.get("state"))


async def main():
    with open(shoppers) as lines:
        tokens = [line.split()[2] for line in lines][int(first) - 1:int(last)]
    kept = os.path.join(folder, "tickets")
    if os.path.exists(kept):
        with open(kept) as lines:
            tickets = lines.read().split()
    else:
        limit = asyncio.Semaphore(20)
        tickets = await asyncio.gather(*(ticket(token, limit) for token in tokens))
        with open(kept, "w") as out:
            out.write("\n".join(tickets))
    start = asyncio.Event()
    pairs = list(zip(tokens, tickets))
    random.shuffle(pairs)  # Others are the first ones each time.
    asks = [asyncio.ensure_future(buy(*pair, start)) for pair in pairs]
    await asyncio.sleep(0.3)
    start.set()
    print("\n".join(await asyncio.gather(*asks)))

asyncio.run(main())
