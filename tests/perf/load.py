#!/usr/bin/env python3
"""How the engine answers under load: `info` and `list` with more and more running containers, and beside thousands of idle connections.

    BERTH_BUILD=build tests/perf/load.py [--containers 200] [--connections 5000] [--rounds 20]

Prints a table; needs the right to open that many files (ulimit -n)."""
import argparse
import concurrent.futures
import pathlib
import re
import resource
import socket
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from engine import Engine, UnixConnection  # noqa: E402
from images import busybox_rootfs_tar  # noqa: E402


def median_ms(engine, path, rounds):
    """On one connection that is kept, as clients do."""
    connection = UnixConnection(engine.socket)
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        connection.request("GET", path)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200
        times.append((time.perf_counter() - begin) * 1000)
    connection.close()
    return statistics.median(times)


def resident_mib(engine, program):
    total = 0
    for pid in engine.pids(program):
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE).group(1))
    return total / 1024


def row(what, engine, rounds):
    figures = [median_ms(engine, path, rounds) for path in ("/_ping", "/info", "/containers/json", "/containers/json?all=1&size=1", "/images/json")]
    print(f"{what:>22} " + " ".join(f"{figure:9.2f}" for figure in figures) + f" {resident_mib(engine, 'berth-engine'):9.1f} {resident_mib(engine, 'berth-shim'):9.1f}", flush=True)


def run_containers(engine, count, made):
    def run(number):
        body = {"Image": "busybox", "Cmd": ["sleep", "100000"], "Labels": {"number": str(number)}}
        status, _, reply = engine.api("POST", f"/containers/create?name=load-{number}", body, timeout=600)
        assert status == 201, reply
        assert engine.api("POST", f"/containers/{reply['Id']}/start", timeout=600)[0] == 204
    begin = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(made, count)))
    return time.monotonic() - begin


def idle_connections(engine, count):
    made = []
    for _ in range(count):
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        one.connect(engine.socket)
        # A connection that was used once and is kept, as those of SDKs.
        one.sendall(b"HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert one.recv(4096)
        made.append(one)
    return made


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--containers", type=int, default=200)
    options.add_argument("--connections", type=int, default=5000)
    options.add_argument("--rounds", type=int, default=20)
    chosen = options.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    engine = Engine()
    try:
        engine.start()
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
        print(f"{'milliseconds, median':>22} {'ping':>9} {'info':>9} {'list':>9} {'with size':>9} {'images':>9} {'engine':>9} {'shims':>9}  MiB (PSS)")
        row("no container", engine, chosen.rounds)
        made = 0
        for share in (4, 2, 1):
            count = chosen.containers // share
            seconds = run_containers(engine, count, made)
            row(f"{count} containers", engine, chosen.rounds)
            print(f"{'':>22} {count - made} started in {seconds:.1f} s", flush=True)
            made = count
        begin = time.monotonic()
        idle = idle_connections(engine, chosen.connections)
        seconds = time.monotonic() - begin
        row(f"and {len(idle)} connections", engine, chosen.rounds)
        print(f"{'':>22} opened in {seconds:.1f} s")
        for one in idle:
            one.close()
        row("without them again", engine, chosen.rounds)
    finally:
        engine.stop()
        engine.remove()


if __name__ == "__main__":
    main()
