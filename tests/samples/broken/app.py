"""Builds, and never serves."""
from flask import Flask

app = Flask(__name__)
raise SystemExit("no database here")
