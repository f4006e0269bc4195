#!/usr/bin/env python3
"""Latency of an HTTP request, each on a connection of its own: p50 and p99 in microseconds, published ports beside plain loopback.

  latency.py [--requests N] [--rounds N]

Run as a plain user; BERTH_BUILD names the build directory. The server is busybox httpd everywhere; the rounds of all rows alternate.
pasta's port forwarding is measured beside it where it is installed. Nothing here asserts a figure."""
import argparse
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from engine import Engine, wait_until  # noqa: E402
from images import busybox_rootfs_tar  # noqa: E402
from network import own_address  # noqa: E402
from free_ports import free_port  # noqa: E402

REQUEST = b"GET /page HTTP/1.0\r\nHost: server\r\n\r\n"


def request(address, port):
    """Seconds from the connection's begin to the end of the reply."""
    began = time.perf_counter()
    with socket.create_connection((address, port), 10) as client:
        client.sendall(REQUEST)
        reply = b""
        while part := client.recv(65536):
            reply += part
    assert reply.endswith(b"\r\n\r\npage\n"), reply[:100]
    return time.perf_counter() - began


def answers(address, port):
    try:
        request(address, port)
    except OSError:
        return False
    return True


class OnTheHost:
    """busybox httpd as an ordinary program, or within pasta."""

    def __init__(self, *around):
        self.address, self.port = "127.0.0.1", free_port()
        self.home = tempfile.TemporaryDirectory()
        pathlib.Path(self.home.name, "page").write_text("page\n")
        around = [part.format(port=self.port) for part in around]
        self.process = subprocess.Popen([*around, "busybox", "httpd", "-f", "-p", str(self.port), "-h", self.home.name],
                                        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: answers(self.address, self.port), "httpd answers")

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.home.cleanup()


class Published:
    engine = None

    def __init__(self, address):
        self.address, self.port = address, free_port()
        if Published.engine is None:
            Published.engine = Engine().start()
            Published.engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
        self.name = f"httpd-{self.port}"
        Published.engine.docker("run", "-d", "--name", self.name, "-p", f"{self.port}:80", "busybox", "sh", "-c",
                                "echo page >/page; exec httpd -f -p 80 -h /")
        wait_until(lambda: answers(self.address, self.port), "httpd answers")

    def stop(self):
        Published.engine.docker("rm", "-f", self.name, check=False)


ROWS = {
    "loopback of the host": (lambda: OnTheHost(), None),
    "published port, client on loopback": (lambda: Published("127.0.0.1"), None),
    "published port, client's address kept": (lambda: Published(own_address()), None),
    "pasta -t": (lambda: OnTheHost("pasta", "--config-net", "-f", "-q", "-t", "{port}", "--"), "pasta"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    servers = {}
    times = {}
    try:
        for title, (make, program) in ROWS.items():
            if program is None or shutil.which(program):
                servers[title] = make()
                times[title] = []
        for _ in range(arguments.rounds):
            for title, server in servers.items():
                taken = sorted(request(server.address, server.port) for _ in range(arguments.requests))
                times[title].append((taken[len(taken) // 2], taken[len(taken) * 99 // 100]))
        print("| HTTP request, median of rounds | p50 µs | p99 µs |\n| --- | --- | --- |")
        for title, rounds in times.items():
            middle, late = (statistics.median(column) * 1e6 for column in zip(*rounds))
            print(f"| {title} | {middle:.0f} | {late:.0f} |")
    finally:
        for server in servers.values():
            server.stop()
        if Published.engine:
            Published.engine.stop()
            Published.engine.remove()


if __name__ == "__main__":
    main()
