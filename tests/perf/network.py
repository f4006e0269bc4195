#!/usr/bin/env python3
"""TCP throughput in one table: iperf3, one stream, as a ratio to the host's own loopback in the same round, and CPU seconds per GB.

  network.py [--rounds N] [--seconds S] [--only NAME,...]

Run as a plain user; BERTH_BUILD names the build directory. Peers (slirp4netns, pasta) are measured beside it where they are
installed. CPU is that of the process that carries the traffic, not of iperf3. Nothing here asserts a figure."""
import argparse
import io
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from engine import Engine, wait_until  # noqa: E402
from images import add_file, busybox_rootfs_tar, docker_archive  # noqa: E402

IMAGE = "bench-iperf3"
IPERF3 = shutil.which("iperf3")
TICKS = os.sysconf("SC_CLK_TCK")


def own_address():
    """An address of the host that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return probe.getsockname()[0]


def gateway():
    for line in subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.splitlines():
        if line.startswith("default via "):
            return line.split()[2]
    raise RuntimeError("the host has no default route")


def iperf3_image():
    """busybox, iperf3 and the libraries it needs, at their own places."""
    files = {IPERF3[1:]: pathlib.Path(IPERF3).read_bytes()}
    for line in subprocess.run(["ldd", IPERF3], capture_output=True, text=True, check=True).stdout.splitlines():
        path = next((word for word in line.split() if word.startswith("/")), None)
        if path:
            files[path[1:]] = pathlib.Path(path).read_bytes()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for name, content in files.items():
            add_file(archive, name, content, 0o755)
    return docker_archive([IMAGE + ":latest"], [busybox_rootfs_tar(), layer.getvalue()])


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class Server:
    """iperf3 on the host, for one test after the other."""

    def __init__(self):
        self.process = subprocess.Popen([IPERF3, "-s", "-p", "5201", "--forceflush"], stdout=subprocess.PIPE, text=True, start_new_session=True)
        for line in self.process.stdout:
            if "listening" in line:
                return
        raise RuntimeError("iperf3 does not listen: is another one at port 5201?")

    def stop(self):
        self.process.kill()
        self.process.wait()


def result(text):
    """Bits a second and bytes that arrived."""
    end = json.loads(text)["end"]["sum_received"]
    return end["bits_per_second"], end["bytes"]


def host_client(address, port, seconds, *more):
    return subprocess.run([IPERF3, "-J", "-c", address, "-p", str(port), "-t", str(seconds), *more], capture_output=True, text=True,
                          check=True, timeout=seconds + 30).stdout


class Loopback:
    def pid(self):
        return None

    def run(self, seconds, *more):
        return host_client("127.0.0.1", 5201, seconds, *more)

    def stop(self):
        pass


class Berth:
    """A container of berth that measures towards the host."""

    def __init__(self, *options):
        self.engine = Engine()
        try:
            self.engine.start(*options)
            self.set_up()
        except BaseException:
            self.stop()
            raise

    def set_up(self):
        self.engine.docker("load", input=iperf3_image())
        self.engine.docker("run", "-d", "--name", "client", IMAGE, "sleep", "100000")
        self.target, self.port = own_address(), 5201

    def pid(self):
        return self.engine.recorded("network")

    def run(self, seconds, *more):
        command = ["exec", "client", IPERF3, "-J", "-c", self.target, "-p", str(self.port), "-t", str(seconds), *more]
        return self.engine.docker(*command, timeout=seconds + 30).stdout

    def stop(self):
        self.engine.docker("rm", "-f", "client", check=False)
        self.engine.stop()
        self.engine.remove()


class BerthLibslirp(Berth):
    def __init__(self):
        super().__init__("--feature", "spliced-egress=false")


class BerthContainers(Berth):
    """Container to container over the bridge."""

    def set_up(self):
        super().set_up()
        self.engine.docker("run", "-d", "--name", "server", IMAGE, IPERF3, "-s")
        self.target = self.engine.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "server").stdout.strip()
        wait_until(self.listens, "iperf3 listens")

    def listens(self):
        return ":5201 " in self.engine.docker("exec", "server", "netstat", "-ltn", check=False).stdout

    def stop(self):
        self.engine.docker("rm", "-f", "server", check=False)
        super().stop()


class BerthPublished(BerthContainers):
    """The host to a published port, at the host's own address."""

    def set_up(self):
        super().set_up()
        self.engine.docker("rm", "-f", "server")
        self.engine.docker("run", "-d", "-p", "5301:5201", "--name", "server", IMAGE, IPERF3, "-s")
        self.target = self.engine.docker("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "server").stdout.strip()
        wait_until(self.listens, "iperf3 listens")

    def run(self, seconds, *more):
        return host_client(own_address(), 5301, seconds, *more)


class Slirp4netns:
    """A network namespace of its own, with slirp4netns at its fastest."""

    def __init__(self):
        self.inside = subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "sleep", "100000"], start_new_session=True)
        ours = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.inside.pid}/ns/net") != ours, "the namespace")
        ready_read, ready_write = os.pipe()
        self.process = subprocess.Popen(["slirp4netns", "--configure", "--mtu=65520", f"--ready-fd={ready_write}", str(self.inside.pid),
                                         "tap0"], pass_fds=[ready_write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)  # a scheduling group of its own, as berth-network has
        os.close(ready_write)
        os.read(ready_read, 1)
        os.close(ready_read)

    def pid(self):
        return self.process.pid

    def run(self, seconds, *more):
        return subprocess.run(["nsenter", "--preserve-credentials", "--user", "--net", "-t", str(self.inside.pid), IPERF3, "-J", "-c",
                               own_address(), "-t", str(seconds), *more], capture_output=True, text=True, check=True,
                              timeout=seconds + 30).stdout

    def stop(self):
        for process in (self.process, self.inside):
            process.kill()
            process.wait()


class Pasta:
    """pasta's tap path: the host is behind the gateway's address."""

    def __init__(self):
        command = ["pasta", "--config-net", "-f", "-q", "--", "sleep", "100000"]
        self.process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.inside = wait_until(self.child, "pasta's command")

    def child(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        named = [pid for pid in children if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "sleep"]
        return named[0] if named else None

    def pid(self):
        return self.process.pid

    def run(self, seconds, *more):
        return subprocess.run(["nsenter", "--preserve-credentials", "--user", "--net", "-t", self.inside, IPERF3, "-J", "-c", gateway(),
                               "-t", str(seconds), *more], capture_output=True, text=True, check=True, timeout=seconds + 30).stdout

    def stop(self):
        os.kill(int(self.inside), signal.SIGKILL)
        self.process.wait(10)


class PastaPublished:
    """A server behind pasta's port forwarding, asked at the host's own address as berth's is."""

    def __init__(self):
        command = ["pasta", "--config-net", "-f", "-q", "-t", "5401", "--", IPERF3, "-s", "-p", "5401"]
        self.process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, "iperf3 listens")

    def answers(self):
        try:
            return json.loads(host_client(own_address(), 5401, 1, "-b", "1M"))["end"]
        except (subprocess.CalledProcessError, KeyError):
            return None

    def pid(self):
        return self.process.pid

    def run(self, seconds, *more):
        return host_client(own_address(), 5401, seconds, *more)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


UP, DOWN = (), ("-R",)
# title: (what to set up, options of iperf3, the program it needs)
ROWS = {
    "loopback of the host": (Loopback, UP, None),
    "container → host, spliced": (Berth, UP, None),
    "host → container, spliced (-R)": (Berth, DOWN, None),
    "container → host, libslirp": (BerthLibslirp, UP, None),
    "host → container, libslirp (-R)": (BerthLibslirp, DOWN, None),
    "container → container": (BerthContainers, UP, None),
    "host → published port": (BerthPublished, UP, None),
    "published port → host (-R)": (BerthPublished, DOWN, None),
    "slirp4netns → host": (Slirp4netns, UP, "slirp4netns"),
    "host → slirp4netns (-R)": (Slirp4netns, DOWN, "slirp4netns"),
    "pasta → host": (Pasta, UP, "pasta"),
    "host → pasta (-R)": (Pasta, DOWN, "pasta"),
    "host → published port of pasta": (PastaPublished, UP, "pasta"),
    "published port of pasta → host (-R)": (PastaPublished, DOWN, "pasta"),
}


def measure(world, seconds, options):
    """Gbit/s and CPU seconds per GB."""
    pid = world.pid()
    before = cpu_seconds(pid) if pid else 0
    rate, moved = result(world.run(seconds, *options))
    used = cpu_seconds(pid) - before if pid else 0
    return rate / 1e9, used / (moved / 1e9)


def run_rounds(rows, worlds, arguments):
    samples = {title: [] for title in rows}
    for number in range(arguments.rounds):
        base = None
        for title, (kind, options, _) in rows.items():
            try:
                rate, cpu = measure(worlds[kind], arguments.seconds, options)
            except Exception as error:  # noqa: BLE001: the rest of the table goes on
                print(f"round {number}: {title}: {str(error)[:200]}", flush=True)
                continue
            base = base or rate  # loopback is the first row
            samples[title].append((rate, rate / base, cpu))
            print(f"round {number}: {title}: {rate:.1f} Gbit/s, {rate / base:.2f}, {cpu:.2f} CPU-s/GB", flush=True)
            time.sleep(0.1)
    return samples


def print_table(samples):
    print("\n| one stream, median of rounds | Gbit/s | of loopback | CPU-s per GB |\n| --- | --- | --- | --- |")
    for title, values in samples.items():
        if not values:
            print(f"| {title} | failed | | |")
            continue
        rate, ratio, cpu = (statistics.median(column) for column in zip(*values))
        lowest, highest = min(v[1] for v in values), max(v[1] for v in values)
        print(f"| {title} | {rate:.1f} | {ratio:.2f} ({lowest:.2f}–{highest:.2f}) | {cpu:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", default="", help="parts of row titles, comma separated")
    arguments = parser.parse_args()
    wanted = [part for part in arguments.only.split(",") if part]
    rows = {title: row for title, row in ROWS.items()
            if (row[2] is None or shutil.which(row[2])) and
            (not wanted or row[0] is Loopback or any(part in title for part in wanted))}
    server = Server()
    worlds = {}
    try:
        for kind, _, _ in rows.values():
            if kind not in worlds:
                worlds[kind] = kind()
        print_table(run_rounds(rows, worlds, arguments))
    finally:
        for world in worlds.values():
            world.stop()
        server.stop()


if __name__ == "__main__":
    main()
