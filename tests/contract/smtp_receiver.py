"""A mail server (aiosmtpd) for tests: smtp_receiver.py FOLDER [--tls starttls|tls]
[--user NAME --password WORD].

With --tls it speaks TLS, after STARTTLS or from the first byte, by a certificate for 127.0.0.1 that
it makes itself: FOLDER/cert.pem.  With --user nothing is taken from whoever has not logged in; FOLDER/logins gets a line per try.

Prints its port.  Every mail it takes becomes FOLDER/<n>.eml, as it came over the wire, with the
envelope as two lines before it.  Receivers named after a reply get that reply instead:
rcpt550@… and rcpt450@… when they are named, data554@… and data451@… after the text,
drop@… a closed connection after the text has been taken, slow@… no answer for a while."""
import argparse
import asyncio
import os
import ssl
import subprocess

from aiosmtpd.smtp import SMTP, AuthResult

parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--tls", choices=["starttls", "tls"])
parser.add_argument("--user")
parser.add_argument("--password", default="")
options = parser.parse_args()
folder = options.folder
count = 0


def certificate():
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=receiver",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def authenticate(server, session, envelope, mechanism, data):
    good = (data.login.decode() == options.user and data.password.decode() == options.password)
    with open(os.path.join(folder, "logins"), "a") as out:
        out.write("%s %s\n" % (mechanism, "good" if good else "wrong"))
    return AuthResult(success=good, handled=False)


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
    context = certificate() if options.tls else None
    start = options.tls == "starttls"
    words = {"hostname": "receiver.test"}
    if start:
        words.update(tls_context=context, require_starttls=True)
    if options.user:
        words.update(authenticator=authenticate, auth_required=True,
                     auth_require_tls=start)  # Of TLS from the first byte it knows nothing.
    server = await loop.create_server(lambda: SMTP(Handler(), **words), "127.0.0.1", 0,
                                      ssl=context if options.tls == "tls" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
