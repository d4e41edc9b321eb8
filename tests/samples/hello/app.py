"""The app that most tests deploy: says its version, shows its environment and requests, echoes WebSockets.

Standard library only, so that its build needs no network. Ends on SIGTERM after the requests under way.
"""
import base64
import hashlib
import json
import os
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

VERSION = "one"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def do_GET(self):
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/ws":
            return self.echo_frames()
        if path == "/environment":
            return self.answer(json.dumps({key.decode(): base64.b64encode(value).decode() for key, value in os.environb.items()}))
        if path == "/request":
            return self.answer(json.dumps({"headers": {key.lower(): value for key, value in self.headers.items()}, "peer": self.client_address[0]}))
        if path == "/slow":
            time.sleep(float(query["seconds"][0]))
        if path == "/print":
            print(query["text"][0], flush=True)
        if path == "/write":
            with open(query["file"][0], "a") as file:
                file.write(query["text"][0])
        if path == "/read":
            with open(query["file"][0]) as file:
                return self.answer(file.read())
        self.answer(f"hello {VERSION}")

    def do_POST(self):
        self.answer(str(len(self.rfile.read(int(self.headers.get("content-length", 0))))))

    def answer(self, text):
        body = text.encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def echo_frames(self):
        """RFC 6455, as far as short unfragmented frames need it."""
        accept = hashlib.sha1((self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        self.send_response(101)
        self.send_header("upgrade", "websocket")
        self.send_header("connection", "Upgrade")
        self.send_header("sec-websocket-accept", base64.b64encode(accept).decode())
        self.end_headers()
        self.wfile.flush()
        while True:
            head = self.rfile.read(2)
            if len(head) < 2:
                return
            kind, length = head[0] & 15, head[1] & 127
            if length == 126:
                length = int.from_bytes(self.rfile.read(2), "big")
            mask = self.rfile.read(4)
            body = bytes(byte ^ mask[place % 4] for place, byte in enumerate(self.rfile.read(length)))
            size = bytes([len(body)]) if len(body) < 126 else bytes([126]) + len(body).to_bytes(2, "big")
            self.wfile.write(bytes([0x80 | kind]) + size + body)
            self.wfile.flush()
            if kind == 8:
                self.close_connection = True
                return

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 256
    daemon_threads = False


server = Server(("", int(os.environ.get("PORT", "8000"))), Handler)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print(f"listening, version {VERSION}", flush=True)
server.serve_forever()
print("stopped", flush=True)
# Threads of idle kept connections would never end.
os._exit(0)
