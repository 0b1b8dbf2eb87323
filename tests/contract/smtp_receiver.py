"""A mail server (aiosmtpd) for tests: smtp_receiver.py FOLDER.

Prints its port.  Every mail it takes becomes FOLDER/<n>.eml, as it came over the wire, with the
envelope as two lines before it.  Receivers named after a reply get that reply instead:
rcpt550@… and rcpt450@… when they are named, data554@… and data451@… after the text,
drop@… a closed connection after the text has been taken, slow@… no answer for a while."""
import asyncio
import os
import sys

from aiosmtpd.smtp import SMTP

folder = sys.argv[1]
count = 0


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name.startswith("rcpt"):
            return name[4:] + " not this one"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        global count
        name = envelope.rcpt_tos[0].split("@")[0]
        if name == "slow":
            await asyncio.sleep(3)
        if name.startswith("data"):
            return name[4:] + " not this text"
        count += 1
        path = os.path.join(folder, "%d.eml" % count)
        with open(path + ".new", "wb") as out:
            out.write(("%s\n%s\n" % (envelope.mail_from, ",".join(envelope.rcpt_tos))).encode())
            out.write(envelope.original_content)
        os.rename(path + ".new", path)
        if name == "drop":
            server.transport.abort()
        return "250 taken"


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), hostname="receiver.test"),
                                      "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
