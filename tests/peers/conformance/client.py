"""The client of the samples: tells the server its name, and stays, since the panel keeps a service running that does not say `restart`."""

import os
import threading
import time
import urllib.request

address = f"http://server:8080/scalechecker?value={os.environ['HOSTNAME']}"
while True:
    try:
        urllib.request.urlopen(address, timeout=5).close()
        break
    except OSError as error:
        print(f"the server is not there yet: {error}", flush=True)
        time.sleep(0.5)
threading.Event().wait()
