"""A guest book as a newcomer would write it: Flask, with Redis beside it as an image app of the same environment."""
import os
import signal
import sys

import redis
from flask import Flask, request

app = Flask(__name__)
book = redis.Redis(host=os.environ.get("REDIS_HOST", "redis"), socket_timeout=5)


@app.get("/")
def entries():
    return "\n".join(entry.decode() for entry in book.lrange("book", 0, -1)) or "nobody yet"


@app.post("/")
def sign():
    book.rpush("book", request.get_data())
    return "thanks", 201


@app.get("/health")
def health():
    return "ok"


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
app.run(host="0.0.0.0", port=int(os.environ["PORT"]))
