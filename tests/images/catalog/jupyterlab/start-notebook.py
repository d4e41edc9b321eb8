#!/usr/bin/env python3
"""Options of the container are options of `jupyter lab`, which listens everywhere and opens no browser."""
import os
import sys

os.execvp("jupyter", ["jupyter", "lab", "--ip=0.0.0.0", "--port=8888", "--no-browser", *sys.argv[1:]])
