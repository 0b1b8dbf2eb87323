#!/usr/bin/env python3
"""A shop that may lie: the HTTP interface over a dictionary, so that doorsim can be tested by itself.

    fake_door.py --port-file FILE --sql FILE --lots 2 --units 20 --pay-window 1.0 [--lie NAME]

Writes the port it listens on, serves until SIGTERM, then writes what it keeps as SQL for the real
tables.  With a lie it does one thing wrong, and the judge has to find it:
  forget     tells 201 and keeps nothing of it now and then
  oversell   sells one unit more than there is
  deny       tells a holder who asks again that the lot is sold out
  hoard      does not offer again what came back
  both       accepts an order that it has refused
  strange    answers a repeat with another order's id
"""
import argparse
import asyncio
import json
import random
import signal
import time

LOT0, SALE = 11, 7
PRICE = 1999


class Shop:
    def __init__(self, options):
        self.options, self.lie = options, options.lie
        self.lots = {LOT0 + i: options.units for i in range(options.lots)}
        self.given = dict(self.lots)
        self.tickets, self.orders, self.receipts = {}, {}, {}
        self.next_id = 1 << 40
        self.random = random.Random(1)
        self.opens_at = time.time()
        self.told_no = 0

    def new_id(self):
        self.next_id += 1
        return self.next_id

    def expire(self):
        now = time.time()
        for order in self.orders.values():
            if order["state"] == 2 and order["pay_by"] < now:
                self.move(order, 8)

    def move(self, order, state):
        order["events"].append((order["state"], state, time.time()))
        order["state"] = state
        if state in (7, 8) and self.lie != "hoard":
            self.lots[order["lot"]] += 1

    def ticket(self, user, lot):
        if lot not in self.lots:
            return 404, {"code": "not_found"}, {}
        order = self.new_id()
        ticket = f"t{order}"
        self.tickets[ticket] = (order, user, lot)
        return 201, {"ticket": ticket, "order_id": str(order)}, {}

    def view(self, order):
        names = {2: "awaiting_payment", 4: "paid", 7: "cancelled", 8: "expired"}
        pay_by = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(order["pay_by"]))
        return {"order_id": str(order["id"]), "state": names[order["state"]],
                "lot_id": str(order["lot"]), "pay_by": f"{pay_by}.{int(order['pay_by'] % 1 * 1000):03}Z"}

    def buy(self, user, body):
        order_id, owner, lot = self.tickets[body["ticket"]]
        if owner != user:
            return 403, {"code": "ticket_foreign"}, {}
        if self.random.random() < 0.03:
            return 503, {"code": "overloaded"}, {"Retry-After": "1"}
        known = self.orders.get(order_id)
        if known:
            if self.lie == "deny":
                return 409, {"code": "sold_out"}, {}
            view = self.view(known)
            if self.lie == "strange":
                view["order_id"] = str(order_id + 1)
            return 200, view, {"Idempotent-Replayed": "true"}
        floor = -1 if self.lie == "oversell" and lot == LOT0 else 0
        if self.lots[lot] <= floor:
            self.told_no += 1
            if self.lie == "both" and self.told_no <= 6:
                for other in self.orders.values():
                    if other["lot"] == lot and other["state"] == 2:
                        self.move(other, 8)
                        break
                self.lots[lot] -= 1
                self.keep(order_id, user, lot)
            return 409, {"code": "sold_out"}, {}
        self.lots[lot] -= 1
        order = self.keep(order_id, user, lot)
        if self.lie == "forget" and order_id % 7 == 0:
            order["forgotten"] = True
        view = self.view(order)
        if self.random.random() < 0.1:
            return 202, {"order_id": str(order_id), "state": "pending", "receipt": f"r{order_id}"}, {
                "Location": f"/v1/orders/{order_id}", "Retry-After": "1"}
        return 201, view, {}

    def keep(self, order_id, user, lot):
        now = time.time()
        order = {"id": order_id, "user": user, "lot": lot, "state": 2, "created": now, "events": [],
                 "pay_by": now + self.options.pay_window, "payment": 0, "forgotten": False}
        self.orders[order_id] = order
        return order

    def with_order(self, order, action):
        if action == "cancel":
            if order["state"] != 2:
                return 409, {"code": "illegal_state"}, {}
            self.move(order, 7)
            return 200, self.view(order), {}
        if action == "payments":
            if order["state"] != 2:
                return 409, {"code": "illegal_state"}, {}
            order["payment"] = order["payment"] or self.new_id()
            return 201, {"payment_id": str(order["payment"]), "order_id": str(order["id"]),
                         "state": "pending",
                         "pay_url": f"http://127.0.0.1:{self.port}/pay/{order['id']}"}, {}
        return 200, self.view(order), {}

    def answer(self, method, path, user, body):
        self.expire()
        path, _, _ = path.partition("?")
        parts = path.strip("/").split("/")
        if parts[0] == "pay":
            order = self.orders[int(parts[1])]
            if order["state"] == 2:
                self.move(order, 4)
            return 200, {}, {}
        if parts[:2] == ["v1", "sales"]:
            lots = [{"lot_id": str(lot)} for lot in self.lots]
            return 200, {"sale_id": str(SALE), "opens_at": time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.opens_at)), "lots": lots}, {}
        if parts[:2] == ["v1", "lots"]:
            return self.ticket(user, int(parts[2]))
        if parts == ["v1", "orders"]:
            return self.buy(user, body)
        order = self.orders.get(int(parts[2])) if parts[:2] == ["v1", "orders"] else None
        if order is None or order["user"] != user:
            return 404, {"code": "not_found"}, {}
        return self.with_order(order, parts[3] if len(parts) > 3 else "")

    def sql(self):
        yield "BEGIN;"
        yield "INSERT INTO product VALUES (1, 'thing'); INSERT INTO sku VALUES (1, 1, 'thing');"
        yield (f"INSERT INTO sale (sale_id, title, opens_at, closes_at, pay_window_us) VALUES "
               f"({SALE}, 'fake', now(), now() + interval '1 hour', 1);")
        kept = [o for o in self.orders.values() if not o["forgotten"]]
        for lot, given in self.given.items():
            held = sum(1 for o in kept if o["lot"] == lot and o["state"] in (2, 4))
            most = max(given, held)  # The guard row cannot be made to lie; `allocated` is set after.
            yield (f"INSERT INTO lot (lot_id, sale_id, sku_id, shard, allocated, sold, price, currency,"
                   f" per_buyer_limit, pay_window_us, rid_after) VALUES ({lot}, {SALE}, 1, 0, {most},"
                   f" {held}, {PRICE}, 'CNY', 1, 1, 0);")
            if most != given:
                yield (f"ALTER TABLE lot DROP CONSTRAINT lot_guard; "
                       f"UPDATE lot SET allocated = {given} WHERE lot_id = {lot};")
            for counter, change in (("allocated", given), ("sold", held)):
                yield (f"INSERT INTO stock_movement (counter, sku_id, lot_id, before, after, change,"
                       f" reason, at) VALUES ('{counter}', 1, {lot}, 0, {change}, {change}, 'fake', now());")
        # Its ids serve as rids: the shard's epoch is the one that they name.
        newest = max((o["id"] for o in kept), default=0)
        yield f"INSERT INTO stock_shard (shard, epoch) VALUES (0, {newest >> 36 & 1048575});"
        notices = {4: 3, 7: 4, 8: 5, 10: 6}
        for o in kept:
            told = [2] + [notices[after] for _, after, _ in o["events"] if after in notices]
            for notice in told:
                yield (f"INSERT INTO outbox (notice, user_id, order_id, created_at, next_at) VALUES"
                       f" ({notice}, {o['user']}, {o['id']}, now(), now());")
            yield (f"INSERT INTO orders VALUES ({o['id']}, {o['id']}, {o['user']}, {o['lot']}, {PRICE},"
                   f" to_timestamp({o['created']:.6f}), to_timestamp({o['pay_by']:.6f}), 0,"
                   f" {o['state']}, 1, 'CNY', '');")
            for before, after, at in o["events"]:
                yield (f"INSERT INTO order_event (order_id, from_state, to_state, at) VALUES"
                       f" ({o['id']}, {before}, {after}, to_timestamp({at:.6f}));")
            if o["state"] == 4:
                yield (f"INSERT INTO payment (payment_id, order_id, user_id, provider, state, amount,"
                       f" currency, created_at, touched_at) VALUES ({o['payment']}, {o['id']}, {o['user']},"
                       f" 'sandbox', 3, {PRICE}, 'CNY', now(), now());")
                yield (f"INSERT INTO ledger (account, amount, currency, order_id, payment_id, at) VALUES"
                       f" ('sales', {-PRICE}, 'CNY', {o['id']}, {o['payment']}, now()),"
                       f" ('provider:sandbox', {PRICE}, 'CNY', {o['id']}, {o['payment']}, now());")
        yield "COMMIT;"


class Connection(asyncio.Protocol):
    def __init__(self, shop):
        self.shop, self.bytes = shop, b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.bytes += data
        while b"\r\n\r\n" in self.bytes:
            head, _, rest = self.bytes.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
            length = int(headers.get("content-length", 0))
            if len(rest) < length:
                return
            self.bytes = rest[length:]
            method, path, _ = lines[0].split(" ")
            bearer = headers.get("authorization", "Bearer 0").split(" ")[1]
            body = json.loads(rest[:length]) if length else {}
            self.respond(*self.shop.answer(method, path, int(bearer), body))

    def respond(self, status, body, headers):
        text = json.dumps(body).encode()
        extra = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if self.shop.random.random() < 0.5:
            head = f"HTTP/1.1 {status} X\r\n{extra}Content-Length: {len(text)}\r\n\r\n"
            self.transport.write(head.encode() + text)
        else:
            head = f"HTTP/1.1 {status} X\r\n{extra}Transfer-Encoding: chunked\r\n\r\n{len(text):x}\r\n"
            self.transport.write(head.encode() + text + b"\r\n0\r\n\r\n")
        if self.shop.random.random() < 0.002:
            self.transport.close()  # A keep-alive connection may end at any time.


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port-file", required=True)
    parser.add_argument("--sql", required=True)
    parser.add_argument("--lots", type=int, default=2)
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--pay-window", type=float, default=1.0)
    parser.add_argument("--lie", default="")
    options = parser.parse_args()
    shop = Shop(options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(shop), "127.0.0.1", 0, backlog=4096)
    shop.port = server.sockets[0].getsockname()[1]
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    with open(options.port_file, "w", encoding="ascii") as to:
        to.write(f"{shop.port}\n")
    await stop.wait()
    server.close()
    with open(options.sql, "w", encoding="ascii") as to:
        to.writelines(line + "\n" for line in shop.sql())


asyncio.run(main())
