"""Stands in for Testcontainers' reaper inside its image: takes lines of label filters on port 8080, acknowledges each, and removes
what has these labels when the last client has been gone for RYUK_RECONNECTION_TIMEOUT (10s)."""
import http.client
import json
import os
import re
import socket
import threading
import time
import urllib.parse

lock = threading.Lock()
filters, clients, last_gone = [], 0, None


def ask(method, path):
    connection = http.client.HTTPConnection("docker")
    connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.sock.connect("/var/run/docker.sock")
    connection.request(method, path)
    body = connection.getresponse().read()
    return json.loads(body) if body.strip() else None


def serve(client):
    global clients, last_gone
    with client, client.makefile("rw") as lines:
        for line in lines:
            with lock:
                filters.append(urllib.parse.parse_qs(line.strip()))
            lines.write("ACK\n")
            lines.flush()
    with lock:
        clients, last_gone = clients - 1, time.monotonic()


def reap(wanted):
    chosen = "filters=" + urllib.parse.quote(json.dumps(wanted))
    for found in ask("GET", f"/containers/json?all=1&{chosen}"):
        if socket.gethostname() not in found["Id"]:
            ask("DELETE", f"/containers/{found['Id']}?force=1&v=1")
    for found in ask("GET", f"/networks?{chosen}"):
        ask("DELETE", f"/networks/{found['Id']}")
    for found in (ask("GET", f"/volumes?{chosen}") or {}).get("Volumes") or []:
        ask("DELETE", f"/volumes/{found['Name']}?force=1")


def watch(patience):
    while True:
        with lock:
            if clients == 0 and last_gone and time.monotonic() - last_gone > patience:
                break
        time.sleep(0.1)
    for wanted in filters:
        reap(wanted)
    print("Removed", flush=True)
    os._exit(0)


patience = float(re.match(r"[\d.]+", os.environ.get("RYUK_RECONNECTION_TIMEOUT", "10s"))[0])
threading.Thread(target=watch, args=(patience,), daemon=True).start()
server = socket.create_server(("", 8080))
print("Started", flush=True)
while True:
    accepted, _ = server.accept()
    with lock:
        clients += 1
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
