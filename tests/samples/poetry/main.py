"""A program whose packages Poetry locks."""
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

import inflection


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        text = f"hello from poetry, the {inflection.ordinalize(3)}".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


HTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
