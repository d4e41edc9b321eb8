"""The server of the samples: pings others, reads a file, and says what came by UDP and how many clients named themselves.

GET /ping                   PONG FROM TARGET
GET /ping?address=A         what http://A answers, or 400: A cannot be reached
GET /volumefile?filename=F  the file F in /volumes
GET /udp                    the last "request" that came in JSON to UDP port 10001
GET /scalechecker?value=V   how many different V there were; without one it only tells
"""

import json
import os
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

# For a name that does not exist, the engine may ask servers outside, which takes as long as those like.
REACH_SECONDS = 5

pool = ThreadPoolExecutor(max_workers=8)
clients = set()
datagrams = [""]


def listen():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
        port.bind(("", 10001))
        while True:
            data, _ = port.recvfrom(1024)
            try:
                datagrams.append(json.loads(data)["request"])
            except (ValueError, KeyError, TypeError) as error:
                print(f"no request in {data!r}: {error}", flush=True)


def fetch(address):
    with urllib.request.urlopen(f"http://{address}", timeout=REACH_SECONDS) as answer:
        return answer.read()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url = urlsplit(self.path)
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        if url.path == "/ping":
            self.ping(asked.get("address"))
        elif url.path == "/volumefile":
            self.file(asked.get("filename", ""))
        elif url.path == "/udp":
            self.answer(200, datagrams[-1])
        elif url.path == "/scalechecker":
            clients.update(filter(None, [asked.get("value")]))
            self.answer(200, str(len(clients)))
        else:
            self.answer(404, "no such page")

    def ping(self, address):
        if not address:
            return self.answer(200, "PONG FROM TARGET")
        try:
            body = pool.submit(fetch, address).result(timeout=REACH_SECONDS)
        except Exception as error:  # whichever way it is not reached
            print(f"{address}: {error!r}", flush=True)
            return self.answer(400, f"Could not reach address: {address}")
        self.send(200, body)

    def file(self, name):
        try:
            with open(os.path.join("/volumes", os.path.basename(name)), encoding="utf-8") as file:
                self.answer(200, file.read())
        except OSError as error:
            self.answer(404, str(error))

    def answer(self, status, words):
        self.send(status, json.dumps({"response": words}).encode() + b"\n")

    def send(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


threading.Thread(target=listen, daemon=True).start()
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
