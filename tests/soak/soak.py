#!/usr/bin/env python3
"""Soak: containers of random flags come and go while clients connect and vanish; afterwards everything must be where it was.

    BERTH_BUILD=build BERTH_SOAK_MINUTES=30 python3 tests/soak/soak.py        as a plain user, with a docker CLI
A table has what is measured at rest every minute or so; the exit code is 1 when something grew. BERTH_SOAK_SEED repeats a run's choices."""
import collections
import concurrent.futures
import os
import pathlib
import random
import re
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from engine import DOCKER, Engine, UnixConnection, wait_until  # noqa: E402
from images import busybox_rootfs_tar  # noqa: E402

WORKERS = 6
WARM_UP = 60
ROUND = 60
ALLOWED_PSS = 2048  # KiB: what allocators keep and the ring of events holds varies by that much
PROGRAMS = ("berthd", "berth-engine", "berth-network")

FLAGS = [
    ["--init"], ["--read-only"], ["--tmpfs", "/scratch:size=1m"], ["-v", "/anonymous"], ["-v", "soak-shared:/data"], ["--network", "none"],
    ["--network", "soak"], ["--network", "host"], ["-p", "127.0.0.1::80"], ["-P", "--expose", "81"], ["-u", "1000"], ["-e", "NAME=value"],
    ["--cap-drop", "ALL"], ["--privileged"], ["--security-opt", "no-new-privileges"], ["--shm-size", "1m"], ["--ulimit", "nofile=64"],
    ["-w", "/made/anew"], ["--hostname", "other"], ["--dns", "10.9.8.7"], ["--add-host", "name:10.1.1.1"], ["--log-driver", "none"],
    ["--log-opt", "max-size=10k", "--log-opt", "max-file=2"], ["--health-cmd", "true", "--health-interval", "200ms"], ["-t"], ["--pid", "host"],
    ["--ipc", "shareable"], ["--restart", "on-failure:2"], ["--label", "soak=yes"], ["--sysctl", "net.ipv4.ip_forward=1"],
]
COMMANDS = ["true", "false", "echo some; echo words >&2", "sleep 0.3", "yes | head -c 300000", "exit 3", "sleep 1000", "kill -9 $$", "cat /proc/1/mountinfo",
            "(sleep 1000 &); sleep 0.1"]


class Soak:
    def __init__(self, engine, seed):
        self.engine, self.seed = engine, seed
        self.done = collections.Counter()
        self.complaints = collections.Counter()
        self.lock = threading.Lock()
        self.until = 0
        self.number = 0

    def docker(self, *arguments, **options):
        try:
            done = self.engine.docker(*arguments, check=False, timeout=300, **options)
            if done.returncode != 0 and isinstance(done.stderr, str):
                line = (done.stderr.strip().splitlines() or ["no word"])[0]
                self.complaints[arguments[0] + ": " + re.sub(r"[0-9a-f]{12,}|\d+", "N", line)[:150]] += 1
            return done
        except subprocess.TimeoutExpired as error:
            self.count("hung: " + arguments[0])
            return subprocess.CompletedProcess(arguments, 1, error.stdout or "", error.stderr or "")

    def count(self, what):
        with self.lock:
            self.done[what] += 1

    def life(self, choose):
        """One container from its creation to its removal, with a few things on the way."""
        flags = [word for chosen in choose.sample(FLAGS, choose.randint(0, 4)) for word in chosen]
        with self.lock:
            self.number += 1
            name = f"soak-{self.number}"
        made = self.docker("run", "-d", "--name", name, *flags, "busybox", "sh", "-c", choose.choice(COMMANDS))
        self.count("containers" if made.returncode == 0 else "refused")
        try:
            for action in choose.sample([self.execute, self.restart, self.copy, self.connect, self.logs, self.vanish], 2):
                action(name, choose)
        finally:
            self.docker("rm", "-fv", name)

    def execute(self, name, choose):
        self.docker("exec", *choose.choice([[], ["-d"], ["-u", "1000"], ["-w", "/tmp"]]), name, "sh", "-c", choose.choice(COMMANDS[:6]))
        self.count("execs")

    def restart(self, name, choose):
        self.docker(*choose.choice([["restart", "-t", "0"], ["stop", "-t", "0"], ["kill"], ["start"], ["stop", "-t", "1"]]), name)
        self.count("restarts and stops")

    def copy(self, name, choose):
        self.docker("cp", __file__, f"{name}:/tmp/copied")
        self.docker("cp", f"{name}:/etc/passwd", "-", text=False)
        self.count("copies")

    def connect(self, name, choose):
        self.docker("network", "connect", "soak", name)
        if choose.random() < 0.5:
            self.docker("network", "disconnect", "soak", name)
        self.count("connects")

    def logs(self, name, choose):
        self.docker("logs", *choose.choice([[], ["--tail", "3"], ["-t"]]), name, text=False)
        self.docker("inspect", name)
        self.count("logs")

    def vanish(self, name, choose):
        """A client that goes in the middle of a long reply, with or without a word."""
        connection = UnixConnection(self.engine.socket, 30)
        path = choose.choice([("GET", "/events"), ("GET", f"/containers/{name}/logs?follow=1&stdout=1"), ("GET", f"/containers/{name}/stats"),
                              ("POST", f"/containers/{name}/wait"), ("POST", f"/containers/{name}/attach?stream=1&stdout=1&stdin=1"),
                              ("GET", "/images/busybox/get")])
        try:
            connection.connect()
            hijack = {"Connection": "Upgrade", "Upgrade": "tcp"} if "attach" in path[1] else {}
            connection.request(*path, headers=hijack)
            if choose.random() < 0.7:
                connection.sock.settimeout(0.5)
                connection.sock.recv(choose.choice([1, 100, 65536]))
            if choose.random() < 0.3:
                connection.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        connection.close()
        self.count("vanished clients")

    def client(self, number):
        choose = random.Random(f"{self.seed} {number}")
        while time.monotonic() < self.until:
            other = choose.random()
            if other < 0.85:
                self.life(choose)
            elif other < 0.9:
                self.images(choose, number)
            elif other < 0.95:
                self.killed_cli(choose)
            else:
                self.network(number)

    def images(self, choose, number):
        tag = f"soak-image-{number}:{choose.randint(1, 3)}"
        self.docker("import", "-", tag, input=busybox_rootfs_tar())
        self.docker("run", "--rm", tag, "true")
        self.docker("rmi", "-f", tag)
        self.count("images")

    def killed_cli(self, choose):
        process = self.engine.popen("run", "--rm", "-i", "busybox", "sh", "-c", choose.choice(["sleep 0.5", "yes | head -c 1000000", "cat"]),
                                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(choose.uniform(0, 1))
        process.kill()
        process.wait()
        process.stdin.close()
        self.count("killed CLIs")

    def network(self, number):
        name = f"soak-net-{number}"
        self.docker("network", "create", name)
        self.docker("run", "--rm", "--network", name, "busybox", "true")
        self.docker("network", "rm", name)
        self.count("networks")

    def clean(self):
        """To rest: nothing runs, nothing is left of what the clients made."""
        left = self.docker("ps", "-aq").stdout.split()
        if left:
            self.docker("rm", "-fv", *left)
        self.docker("system", "prune", "-f", "--volumes")
        wait_until(lambda: not self.engine.pids("berth-shim"), "the shims are gone", 60)
        self.docker("network", "create", "soak")

    def round(self, seconds):
        self.until = time.monotonic() + seconds
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            for future in [pool.submit(self.client, number) for number in range(WORKERS)]:
                future.result()
        self.clean()


def pss(pid):
    """Of memory that is no file's: how much of a program is shared depends on who else runs it."""
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1])
    return 0


def measure(engine):
    """What must be the same at rest: {name: number}."""
    processes = engine.processes()
    found = {"processes": len(processes)}
    pids = {name: engine.pids(name)[0] for name in PROGRAMS}
    holder = engine.recorded("holder")
    for name, pid in {**pids, "holder": holder}.items():
        found[f"{name} fds"] = len(os.listdir(f"/proc/{pid}/fd"))
        found[f"{name} KiB"] = pss(pid)
        found[f"{name} threads"] = len(os.listdir(f"/proc/{pid}/task"))
    for name, pid in {"engine": pids["berth-engine"], "holder": holder}.items():
        found[f"mounts of {name}"] = len(open(f"/proc/{pid}/mountinfo").readlines())
    data = engine.root / "data/berth"
    found["files"] = sum(len(names) + len(folders) for _, folders, names in os.walk(data))
    used = subprocess.run(["du", "-sk", str(data)], capture_output=True, text=True, check=False).stdout.split()
    found["disk KiB"] = int(used[0]) if used else 0
    found["run files"] = sum(1 for _ in (engine.root / "run").rglob("*"))
    found["links"] = subprocess.run(["nsenter", "--preserve-credentials", "-U", "-n", "-t", str(holder), "ip", "-o", "link"],
                                    capture_output=True, text=True, check=False).stdout.count("\n")
    return found


def at_rest(engine, baseline, seconds=20):
    """The measures once they are no more than the baseline's, or after the time that stragglers are given."""
    end = time.monotonic() + seconds
    while True:
        now = measure(engine)
        if not grown(baseline, now) or time.monotonic() > end:
            return now
        time.sleep(0.5)


def grown(before, after):
    return [name for name in before if after[name] > before[name] + (ALLOWED_PSS if name.endswith(" KiB") else 0)]


def table(rounds):
    names = list(rounds[0][1])
    print(f"{'':24}" + "".join(f"{label:>10}" for label, _ in rounds))
    for name in names:
        print(f"{name:24}" + "".join(f"{values[name]:>10}" for _, values in rounds))


def main():
    minutes = float(os.environ.get("BERTH_SOAK_MINUTES") or 30)
    seed = int(os.environ.get("BERTH_SOAK_SEED") or time.time())
    print(f"soak of {minutes:g} minutes, seed {seed}, {WORKERS} clients, {DOCKER}", flush=True)
    engine = Engine()
    engine.start()
    try:
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
        soak = Soak(engine, seed)
        soak.clean()
        soak.round(WARM_UP)
        before = measure(engine)
        rounds, end = [("warm", before)], time.monotonic() + minutes * 60
        while time.monotonic() < end:
            soak.seed += 1
            soak.round(min(ROUND, max(5, end - time.monotonic())))
            rounds.append((f"{minutes - (end - time.monotonic()) / 60:.1f} min", at_rest(engine, before)))
            print(rounds[-1][0], dict(soak.done), grown(before, rounds[-1][1]) or "nothing grew", flush=True)
        print("what the CLI said when it failed:", *(f"{count:6} {what}" for what, count in soak.complaints.most_common(25)), sep="\n")
        table([*rounds[:-1][:: max(1, len(rounds) // 8)], rounds[-1]])
        more = grown(before, rounds[-1][1])
        print("grew: " + ", ".join(f"{name} {before[name]} -> {rounds[-1][1][name]}" for name in more) if more else "nothing grew")
        hung = [what for what in soak.done if what.startswith("hung")]
        return 1 if more or hung else 0
    finally:
        engine.stop()
        engine.remove()


if __name__ == "__main__":
    sys.exit(main())
