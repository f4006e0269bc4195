#!/usr/bin/env python3
"""Speed and memory of the engine in one table: median, min and p95 of n.

  bench.py [--peers [podman,dockerd]] [--only NAME,...] [--samples N] [--image DEBIAN.tar]

Run as a plain user; BERTH_BUILD names the build directory. --peers measures rootless podman and dockerd beside it where they are
installed; samples of all engines are interleaved, so that noise on the machine hits all alike. Nothing here asserts a time."""
import argparse
import concurrent.futures
import http.client
import pathlib
import random
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from engine import UnixConnection  # noqa: E402
from images import busybox_rootfs_tar, docker_archive, layer_tar  # noqa: E402
from peers import Berth, available_peers  # noqa: E402

IMAGE = "bench-busybox"


class Api:
    """One kept connection; a call is one round trip."""

    def __init__(self, engine):
        self.connection = UnixConnection(engine.socket, 120)

    def call(self, method, path, body=None, expect=(200, 201, 204)):
        headers = {"Content-Type": "application/json"} if body else {}
        self.connection.request(method, "/v1.41" + path, body=body, headers=headers)
        reply = self.connection.getresponse()
        data = reply.read()
        if reply.status not in expect:
            raise RuntimeError(f"{method} {path}: {reply.status} {data[:200]}")
        return data


def create(api, network, command='["true"]'):
    import json
    body = f'{{"Image":"{IMAGE}","Cmd":{command},"HostConfig":{{"NetworkMode":"{network}"}}}}'
    return json.loads(api.call("POST", "/containers/create", body))["Id"]


def lifecycle(network):
    def sample(engine):
        api = Api(engine)
        identity = create(api, network)
        api.call("POST", f"/containers/{identity}/start")
        api.call("POST", f"/containers/{identity}/wait")
        api.call("DELETE", f"/containers/{identity}?force=1")
    return sample


def cli_run(engine):
    engine.docker("run", "--rm", IMAGE, "true")


def api_exec(engine):
    import json
    api = engine.api_for_exec
    created = json.loads(api.call("POST", f"/containers/{engine.exec_target}/exec", '{"Cmd":["true"],"AttachStdout":true}'))["Id"]
    connection = UnixConnection(engine.socket, 60)
    connection.request("POST", f"/v1.41/exec/{created}/start", body="{}", headers={"Content-Type": "application/json"})
    connection.sock.settimeout(60)
    while connection.sock.recv(65536):
        pass
    connection.close()


def fifty_starts(engine):
    def one(_):
        api = Api(engine)
        identity = create(api, "default", '["sleep","1000"]')
        api.call("POST", f"/containers/{identity}/start")
        return identity
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        engine.fifty = list(pool.map(one, range(50)))


def remove_fifty(engine):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda identity: Api(engine).call("DELETE", f"/containers/{identity}?force=1"), engine.fifty))


def starts_of_fifty(engines, rounds):
    """Leaves the last fifty running."""
    samples = {engine.name: [] for engine in engines}
    for number in range(rounds):
        for engine in engines:
            if number:
                remove_fifty(engine)
            samples[engine.name].append(timed(fifty_starts, engine))
    return samples


def timed(call, *arguments):
    begin = time.perf_counter()
    call(*arguments)
    return (time.perf_counter() - begin) * 1000


def ping_rate(engine, clients, seconds=2.0):
    """Requests a second; the client is python, so this is a floor."""
    def worker(_):
        connection, count, end = UnixConnection(engine.socket), 0, time.perf_counter() + seconds
        connection.connect()
        raw = connection.sock
        request = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n"
        while time.perf_counter() < end:
            raw.sendall(request)
            answer = b""
            while not answer.endswith(b"\r\n\r\nOK"):
                piece = raw.recv(65536)
                if not piece:
                    raise http.client.HTTPException("closed")
                answer += piece
            count += 1
        return count
    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        return sum(pool.map(worker, range(clients))) / seconds


class Table:
    def __init__(self, engines):
        self.names = [engine.name for engine in engines]
        self.rows = []

    def add(self, title, unit, samples):
        self.rows.append((title, unit, samples))
        cells = "  ".join(f"{name}: {self.cell(samples.get(name))}" for name in self.names)
        print(f"{title} [{unit}]  {cells}", flush=True)

    @staticmethod
    def cell(values):
        if isinstance(values, str):
            return values
        if not values:
            return "-"
        ordered = sorted(values)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        return f"{statistics.median(ordered):.1f} / {ordered[0]:.1f} / {p95:.1f} ({len(ordered)})"

    def print(self):
        print("\n| median / min / p95 (n) | unit | " + " | ".join(self.names) + " |")
        print("| --- | --- |" + " --- |" * len(self.names))
        for title, unit, samples in self.rows:
            print(f"| {title} | {unit} | " + " | ".join(self.cell(samples.get(name)) for name in self.names) + " |")


def interleaved(engines, call, count):
    """`count` samples of every engine in random order; a failing engine keeps its message."""
    samples = {engine.name: [] for engine in engines}
    order = [engine for engine in engines for _ in range(count)]
    random.shuffle(order)
    for engine in order:
        if isinstance(samples[engine.name], str):
            continue
        try:
            samples[engine.name].append(timed(call, engine))
        except Exception as error:  # noqa: BLE001: the rest of the table goes on
            samples[engine.name] = f"failed: {str(error)[:60]}"
    return samples


def per_engine(engines, call):
    samples = {}
    for engine in engines:
        try:
            samples[engine.name] = [call(engine)]
        except Exception as error:  # noqa: BLE001
            samples[engine.name] = f"failed: {str(error)[:60]}"
    return samples


def debian_archive(path):
    if path:
        return docker_archive(["bench-debian:1"], [pathlib.Path(path).read_bytes()])
    # As many files and bytes as a minimal Debian, made here when no tar is given.
    payload = random.Random(1)
    files = {f"usr/share/f{number // 100}/{number}": payload.randbytes(payload.choice((400, 4000, 60000))) for number in range(7000)}
    return docker_archive(["bench-debian:1"], [layer_tar(files)])


def load_image(engines, path):
    with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
        archive.write(debian_archive(path))
        archive.flush()
        samples = {engine.name: [] for engine in engines}
        for _ in range(3):
            for engine in engines:
                samples[engine.name].append(timed(engine.docker, "load", "-q", "-i", archive.name))
                engine.docker("rmi", "-f", "bench-debian:1", check=False)
    return samples


def start_time(engines):
    samples = {}
    for engine in engines:
        samples[engine.name] = []
        for _ in range(5):
            engine.stop()
            samples[engine.name].append(engine.timed_start())
    return samples


def measure(engines, wanted, count, image):
    table = Table(engines)

    def want(name):
        return not wanted or name in wanted

    if want("start"):
        table.add("start of the daemon to first _ping", "ms", start_time(engines))
    if want("memory"):
        table.add("idle memory of all processes (PSS)", "MiB", per_engine(engines, lambda engine: engine.pss_mib()))
    for engine in engines:
        engine.docker("import", "-", IMAGE, input=busybox_rootfs_tar())
        lifecycle("none")(engine)
    if want("lifecycle"):
        for network in ("none", "default"):
            table.add(f"API create+start+wait+delete, network {network}", "ms", interleaved(engines, lifecycle(network), count))
    if want("cli"):
        table.add("docker run --rm", "ms", interleaved(engines, cli_run, count // 2))
    if want("exec"):
        for engine in engines:
            engine.api_for_exec = Api(engine)
            engine.exec_target = create(engine.api_for_exec, "none", '["sleep","1000"]')
            engine.api_for_exec.call("POST", f"/containers/{engine.exec_target}/start")
        table.add("API exec", "ms", interleaved(engines, api_exec, count))
        for engine in engines:
            engine.api_for_exec.call("DELETE", f"/containers/{engine.exec_target}?force=1")
    if want("ping"):
        for clients in (1, 8):
            table.add(f"_ping, {clients} clients", "1/s", per_engine(engines, lambda engine, n=clients: ping_rate(engine, n)))
    if want("scale"):
        before = per_engine(engines, lambda engine: engine.pss_mib())
        table.add("50 starts, 8 at a time", "ms", starts_of_fifty(engines, 3))
        table.add("GET /containers/json of 50", "ms",
                  interleaved(engines, lambda engine: Api(engine).call("GET", "/containers/json"), count))
        table.add("memory a running container (PSS)", "MiB", per_engine(
            engines, lambda engine: (engine.pss_mib() - before[engine.name][0]) / 50))
        for engine in engines:
            remove_fifty(engine)
    if want("load"):
        table.add("load of a Debian-size image", "ms", load_image(engines, image))
    table.print()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", nargs="?", const="podman,dockerd", default="", help="engines to measure beside it")
    parser.add_argument("--only", default="")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--image", help="a root file system tar to load, as mmdebstrap makes it")
    options = parser.parse_args()
    engines = [Berth()] + (available_peers(options.peers.split(",")))
    try:
        for engine in engines:
            engine.timed_start()
        measure(engines, set(filter(None, options.only.split(","))), options.samples, options.image)
    finally:
        for engine in engines:
            engine.stop()
            engine.remove()


if __name__ == "__main__":
    main()
