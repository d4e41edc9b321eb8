"""A mail server for the tests, by aiosmtpd: STARTTLS or TLS, login asked for; each mail becomes a file of JSON.

Arguments: port, `starttls` or `tls`, certificate, key, folder for the mails. The user is `panel`, the password in SMTP_PASSWORD.
"""
import asyncio
import email
import email.policy
import json
import os
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

port, security, certificate, key, folder = sys.argv[1:6]
folder = pathlib.Path(folder)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
count = len(list(folder.glob("*.json")))


def allowed(server, session, envelope, mechanism, data):
    right = data.login == b"panel" and data.password == os.environ["SMTP_PASSWORD"].encode()
    return AuthResult(success=right, handled=False)


class Box:
    async def handle_DATA(self, server, session, envelope):
        global count
        count += 1
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        told = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None or security == "tls",
            "authenticated": session.authenticated,
            "subject": mail["subject"],
            "headers": {name.lower(): str(value) for name, value in mail.items()},
            "text": mail.get_content(),
        }
        part = folder / f"{count:04}.part"
        part.write_text(json.dumps(told))
        part.rename(folder / f"{count:04}.json")
        return "250 kept"


def session():
    starttls = security == "starttls"
    return SMTP(
        Box(),
        enable_SMTPUTF8=True,
        hostname="localhost",
        tls_context=context if starttls else None,
        require_starttls=starttls,
        auth_required=True,
        # With TLS from the first byte the protocol does not know that it is safe.
        auth_require_tls=starttls,
        authenticator=allowed,
    )


async def serve():
    server = await asyncio.get_running_loop().create_server(
        session, "127.0.0.1", int(port), ssl=context if security == "tls" else None
    )
    await server.serve_forever()


asyncio.run(serve())
