"""Flask without a Dockerfile: the panel finds out how to build it."""
import os

from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello():
    return f"hello from flask, {os.environ.get('GREETING', 'nobody')}"
