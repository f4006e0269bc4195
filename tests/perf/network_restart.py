#!/usr/bin/env python3
"""How long the network is away after kill -9 of berth-network: milliseconds from the kill to the first success of each kind, in one table.

  network_restart.py [--rounds N] [--life SECONDS]

Run as a plain user; BERTH_BUILD names the build directory. The process lives for --life seconds before each kill: one that served
long is started again at once, one that just started is not. Each kind is tried anew every few milliseconds, as a client that comes
by chance would; what was connected before is lost. Nothing here asserts a figure."""
import argparse
import os
import pathlib
import select
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from engine import Engine, wait_until  # noqa: E402
from images import busybox_rootfs_tar  # noqa: E402
from network import own_address  # noqa: E402

PAUSE = 0.002
PATIENCE = 0.1  # of one attempt: a packet that is lost is not waited for
# Runs in a container's network namespace: tries on a line of stdin, says when it first worked.
PROBE = """
import socket, sys, time
kind, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
QUERY = b"\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\6server\\0\\0\\1\\0\\1"
def attempt():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as probe:
        probe.settimeout(%f)
        probe.connect((address, port))
        if kind != "tcp": probe.send(QUERY)
        return probe.recv(512)
for _ in sys.stdin:
    while True:
        try:
            if attempt(): break
        except OSError: pass
        time.sleep(%f)
    print(time.monotonic(), flush=True)
""" % (PATIENCE, PAUSE)


class Greeter:
    """On the host: greets each TCP client and sends each datagram back."""

    def __init__(self):
        self.tcp = socket.create_server((own_address(), 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(self.tcp.getsockname())
        self.port = self.tcp.getsockname()[1]
        for serve in (self.serve_tcp, self.serve_udp):
            threading.Thread(target=serve, daemon=True).start()

    def serve_tcp(self):
        while True:
            client, _ = self.tcp.accept()
            with client:
                client.sendall(b"hello")

    def serve_udp(self):
        while True:
            data, client = self.udp.recvfrom(512)
            self.udp.sendto(data, client)


class Inside:
    def __init__(self, pid, *arguments):
        command = ["nsenter", "--preserve-credentials", "--user", "--net", "-t", str(pid), sys.executable, "-c", PROBE, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.begin()
        self.end()

    def begin(self):
        self.process.stdin.write("now\n")
        self.process.stdin.flush()

    def end(self):
        return float(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Here:
    """The same in a thread of the host: `attempt` until it is true."""

    def __init__(self, attempt):
        self.attempt = attempt

    def begin(self):
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.attempt():
            time.sleep(PAUSE)
        self.when = time.monotonic()

    def end(self):
        self.thread.join()
        return self.when

    def stop(self):
        pass


def is_served(port):
    try:
        with socket.create_connection((own_address(), port), PATIENCE) as client:
            return client.recv(16) != b""
    except OSError:
        return False


def probes(engine, greeter):
    engine.docker("network", "create", "restarted")
    engine.docker("run", "-d", "--init", "--name", "server", "--network", "restarted", "-p", "0:80", "busybox", "nc", "-ll", "-p", "80", "-e",
                  "echo", "served")
    engine.docker("run", "-d", "--name", "client", "--network", "restarted", "busybox", "sleep", "100000")
    pid = engine.inspect("client")["State"]["Pid"]
    port = int(engine.docker("port", "server", "80").stdout.split()[0].rsplit(":", 1)[1])
    wait_until(lambda: is_served(port), "the published port answers")
    first = engine.recorded("network")

    def has_started():
        nonlocal first
        now = engine.recorded("network")
        if now in (None, first):
            return False
        first = now
        return True

    return {
        "the next process is started": Here(has_started),
        "container → host, TCP": Inside(pid, "tcp", own_address(), greeter.port),
        "container → host, UDP": Inside(pid, "udp", own_address(), greeter.port),
        "name of another container": Inside(pid, "dns", "127.0.0.11", 53),
        "host → published port": Here(lambda: is_served(port)),
        "docker run on the bridge": Here(lambda: engine.docker("run", "--rm", "busybox", "true", check=False).returncode == 0),
    }


def one_round(engine, kinds):
    pid = engine.recorded("network")
    end = os.pidfd_open(pid)
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    select.select([end], [], [])
    os.close(end)
    for probe in kinds.values():
        probe.begin()
    return {title: 1000 * (probe.end() - killed) for title, probe in kinds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--life", type=float, default=11)
    arguments = parser.parse_args()
    engine, kinds = Engine(), {}
    try:
        engine.start()
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
        kinds = probes(engine, Greeter())
        rounds = []
        for _ in range(arguments.rounds):
            time.sleep(arguments.life)
            rounds.append(one_round(engine, kinds))
        print(f"| ms after kill -9, of {arguments.rounds} | median | worst |\n| --- | --- | --- |")
        for title in kinds:
            times = [one[title] for one in rounds]
            print(f"| {title} | {statistics.median(times):.0f} | {max(times):.0f} |")
    finally:
        for probe in kinds.values():
            probe.stop()
        engine.docker("rm", "-f", "client", "server", check=False)
        engine.stop()
        engine.remove()


if __name__ == "__main__":
    main()
