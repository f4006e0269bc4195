#!/usr/bin/env python3
"""What the engine costs while nobody asks it anything, and how it answers then: running containers, with health checks, with readers.

    BERTH_BUILD=build tests/perf/busy.py [--containers 200] [--interval 5] [--seconds 20] [--rounds 100]

Each row first watches for some seconds without a request (CPU as a part of one core, times that the engine woke), then asks: median,
99th of a hundred and the engine's CPU time for a request, in milliseconds.
The readers are 20 `logs -f` of containers that print a line a second, 20 streams of statistics and 5 of events."""
import argparse
import concurrent.futures
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import selectors
import socket
import statistics
import sys
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from engine import Engine, UnixConnection, wait_until  # noqa: E402
from images import busybox_rootfs_tar  # noqa: E402

FOLLOWED = 20
EVENT_READERS = 5
PROGRAMS = ("berth-engine", "berth-network", "berth-shim")
TICKS = os.sysconf("SC_CLK_TCK")


def run_containers(engine, count, interval):
    """Their ids. The first ones print; all have a check when there is an interval."""
    def run(number):
        command = ["sh", "-c", "while :; do echo tick; sleep 1; done"] if number < FOLLOWED else ["sleep", "100000"]
        body = {"Image": "busybox", "Cmd": command}
        if interval:
            body["Healthcheck"] = {"Test": ["CMD", "true"], "Interval": interval * 1_000_000_000, "Timeout": 30_000_000_000}
        status, _, reply = engine.api("POST", f"/containers/create?name=busy-{number}", body, timeout=600)
        assert status == 201, reply
        assert engine.api("POST", f"/containers/{reply['Id']}/start", timeout=600)[0] == 204
        return reply["Id"]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return list(pool.map(run, range(count)))


def remove_all(engine, containers):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: engine.api("DELETE", f"/containers/{one}?force=1", timeout=600), containers))


def read_streams(address, paths):
    """To nowhere, until this process is ended."""
    selector = selectors.DefaultSelector()
    for path in paths:
        stream = socket.socket(socket.AF_UNIX)
        stream.connect(address)
        stream.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        selector.register(stream, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            key.fileobj.recv(65536)


@contextlib.contextmanager
def readers(engine, containers):
    paths = [f"/containers/{one}/logs?follow=1&stdout=1" for one in containers[:FOLLOWED]]
    paths += [f"/containers/{one}/stats" for one in containers[FOLLOWED:2 * FOLLOWED]] + ["/events"] * EVENT_READERS
    process = multiprocessing.Process(target=read_streams, args=(engine.socket, paths))
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def cpu_ms(pids):
    """That their threads ran: what other programs do to the clock is not in it."""
    return sum(int((task / "schedstat").read_text().split()[0]) for pid in pids for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e6


def children_ms(pids):
    """Of those that they started and reaped."""
    fields = [pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(one[13]) + int(one[14]) for one in fields) * 1000 / TICKS


def wakes(pid):
    return sum(int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (task / "status").read_text(), re.MULTILINE).group(1))
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir())


def pss_mib(pids):
    return sum(int(re.search(r"^Pss:\s+(\d+)", pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE).group(1)) for pid in pids) / 1024


def watch(engine, seconds):
    """Nobody asks meanwhile: the words of a row."""
    pids = {program: engine.pids(program) for program in PROGRAMS}
    (engine_pid,) = pids["berth-engine"]

    def now():
        return [wakes(engine_pid), *(cpu_ms(pids[program]) / 10 for program in PROGRAMS), children_ms(pids["berth-shim"]) / 10]
    before = now()
    time.sleep(seconds)
    # Of a worker that ends meanwhile both counts are lost.
    used = [max(0, after - then) / seconds for after, then in zip(now(), before)]
    return [f"{one:.1f}" for one in used] + [f"{pss_mib(pids[program]):.1f}" for program in ("berth-engine", "berth-shim")]


def exec_once(engine, container):
    """Created, run to the end of its output, inspected: each on a connection of its own, as the CLI does."""
    _, _, made = engine.api("POST", f"/containers/{container}/exec", {"AttachStdout": True, "Cmd": ["true"]})
    engine.api("POST", f"/exec/{made['Id']}/start", {})
    assert engine.api("GET", f"/exec/{made['Id']}/json")[2]["ExitCode"] == 0


def figures(engine_pid, call, rounds):
    """Median, 99th of a hundred and the engine's CPU for one request, in milliseconds."""
    times, used = [], cpu_ms([engine_pid])
    for _ in range(rounds):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1000)
    times.sort()
    used = (cpu_ms([engine_pid]) - used) / rounds
    return f"{statistics.median(times):.2f} {times[int(len(times) * 0.99)]:.1f} {used:.2f}"


def ask(engine, container, rounds):
    """The figures of requests on one connection that is kept."""
    (pid,) = engine.pids("berth-engine")
    with contextlib.closing(UnixConnection(engine.socket)) as connection:
        def get(path):
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
            assert reply.status == 200, body
        paths = ["/_ping", "/info", "/containers/json", "/containers/json?size=1"] + ([f"/containers/{container}/json"] if container else [])
        words = [figures(pid, lambda: get(path), rounds) for path in paths]
    if container:
        words.append(figures(pid, lambda: exec_once(engine, container), rounds))
    return words


def row(what, words):
    print(f"{what:>22} " + " ".join(f"{word:>15}" for word in words), flush=True)


def measure(what, engine, chosen, container=None):
    idle = watch(engine, chosen.seconds)
    row(what, idle + ask(engine, container, chosen.rounds))


def all_checked(engine):
    return len(engine.api("GET", "/containers/json?filters=" + urllib.parse.quote(json.dumps({"health": ["healthy"]})))[2])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--containers", type=int, default=200)
    options.add_argument("--interval", type=int, default=5)
    options.add_argument("--seconds", type=int, default=20)
    options.add_argument("--rounds", type=int, default=100)
    chosen = options.parse_args()
    engine = Engine()
    try:
        engine.start()
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
        row("", ["wakes/s", "engine %", "network %", "shims %", "children %", "engine MiB", "shims MiB",
                 "ping ms p99 CPU", "info", "list", "list size=1", "inspect", "exec"])
        measure("no container", engine, chosen)
        containers = run_containers(engine, chosen.containers, 0)
        measure(f"{chosen.containers} containers", engine, chosen, containers[-1])
        remove_all(engine, containers)
        containers = run_containers(engine, chosen.containers, chosen.interval)
        wait_until(lambda: all_checked(engine) == len(containers), "all are healthy", 10 * chosen.interval)
        measure("with health checks", engine, chosen, containers[-1])
        with readers(engine, containers):
            measure("and readers", engine, chosen, containers[-1])
        measure("without them again", engine, chosen, containers[-1])
    finally:
        engine.stop()
        engine.remove()


if __name__ == "__main__":
    main()
