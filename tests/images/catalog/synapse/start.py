#!/usr/bin/env python3
"""`generate` writes /data/homeserver.yaml for SYNAPSE_SERVER_NAME and SYNAPSE_REPORT_STATS; without words the server runs."""
import os
import sys

RUN = ["python3", "-m", "synapse.app.homeserver", "--config-path", "/data/homeserver.yaml"]
if sys.argv[1:] == ["generate"]:
    settings = ["--server-name", os.environ["SYNAPSE_SERVER_NAME"], "--report-stats", os.environ["SYNAPSE_REPORT_STATS"]]
    folders = ["--config-directory", "/data", "--data-directory", "/data"]
    os.execvp("python3", [*RUN, *settings, *folders, "--generate-config", "--open-private-ports"])
os.chdir("/data")
os.execvp("python3", RUN)
