#!/usr/bin/env python3
"""Soak: containers of random flags come and go while clients connect and vanish; afterwards everything must be where it was.

    BERTH_BUILD=build BERTH_SOAK_MINUTES=30 python3 tests/soak/soak.py        as a plain user, with a docker CLI
A table has what is measured at rest every minute or so; the exit code is 1 when something grew, a client hung, or a container that
lives through it all was lost. In the last third the engine and the network process are killed now and then. BERTH_SOAK_SEED
repeats a run's choices."""
import collections
import concurrent.futures
from http.client import HTTPException
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from engine import DOCKER, Engine, UnixConnection, wait_until  # noqa: E402
from images import busybox_rootfs_tar  # noqa: E402
from measures import PROGRAMS, at_rest, grown, growth, measure, table  # noqa: E402

WORKERS = 6
WARM_UP = 60
ROUND = 60

FLAGS = [
    ["--init"], ["--read-only"], ["--tmpfs", "/scratch:size=1m"], ["-v", "/anonymous"], ["-v", "soak-shared:/data"], ["--network", "none"],
    ["--network", "soak"], ["--network", "host"], ["-p", "127.0.0.1::80"], ["-P", "--expose", "81"], ["-u", "1000"], ["-e", "NAME=value"],
    ["--cap-drop", "ALL"], ["--privileged"], ["--security-opt", "no-new-privileges"], ["--shm-size", "1m"], ["--ulimit", "nofile=64"],
    ["-w", "/made/anew"], ["--hostname", "other"], ["--dns", "10.9.8.7"], ["--add-host", "name:10.1.1.1"], ["--log-driver", "none"],
    ["--log-opt", "max-size=10k", "--log-opt", "max-file=2"], ["--health-cmd", "true", "--health-interval", "200ms"], ["-t"], ["--pid", "host"],
    ["--ipc", "shareable"], ["--restart", "on-failure:2"], ["--label", "soak=yes"], ["--sysctl", "net.ipv4.ip_forward=1"],
    ["--restart", "always"], ["--health-cmd", "false", "--health-interval", "100ms", "--health-retries", "1"], ["--log-driver", "local"],
    ["--health-cmd", "sleep 5", "--health-interval", "100ms", "--health-timeout", "200ms"], ["--mount", "type=tmpfs,dst=/in-memory"],
]
COMMANDS = ["true", "false", "echo some; echo words >&2", "sleep 0.3", "yes | head -c 300000", "exit 3", "sleep 1000", "kill -9 $$", "cat /proc/1/mountinfo",
            "(sleep 1000 &); sleep 0.1", "while :; do echo tick; sleep 0.01; done"]
SURVIVOR = "i=0; while :; do i=$((i+1)); echo count $i; sleep 0.1; done"
# What no answer of dockerd would have: the words of a system call, or of processes behind the API.
UNLIKE_DOCKER = re.compile(r"/proc/|shim|closed the connection|bad file desc|broken pipe|no such process|resource busy|not empty|internal error|unknown failure"
                           r"|namespaces:|set-up|stopped container|: the container", re.IGNORECASE)


class Soak:
    def __init__(self, engine, seed):
        self.engine, self.seed = engine, seed
        self.done = collections.Counter()
        self.complaints = collections.Counter()
        self.lock = threading.Lock()
        self.until = 0
        self.number = 0
        self.builds = engine.api("POST", "/build")[0] != 501

    def docker(self, *arguments, **options):
        try:
            done = self.engine.docker(*arguments, check=False, timeout=300, **options)
            if done.returncode != 0 and isinstance(done.stderr, str):
                line = (done.stderr.strip().splitlines() or ["no word"])[0]
                self.complaints[arguments[0] + ": " + re.sub(r"[0-9a-f]{12,}|\d+", "N", line)[:190]] += 1
            return done
        except subprocess.TimeoutExpired as error:
            self.count("hung: " + arguments[0])
            return subprocess.CompletedProcess(arguments, 1, error.stdout or "", error.stderr or "")

    def count(self, what):
        with self.lock:
            self.done[what] += 1

    def next_name(self, kind="soak"):
        with self.lock:
            self.number += 1
            return f"{kind}-{self.number}"

    def life(self, choose):
        """One container from its creation to its removal, with a few things on the way."""
        flags = [word for chosen in choose.sample(FLAGS, choose.randint(0, 4)) for word in chosen]
        name = self.next_name()
        made = self.docker("run", "-d", "--name", name, *flags, "busybox", "sh", "-c", choose.choice(COMMANDS))
        self.count("containers" if made.returncode == 0 else "refused")
        actions = [self.execute, self.restart, self.copy, self.connect, self.logs, self.vanish, self.follow, self.look, self.change, self.commit]
        try:
            for action in choose.sample(actions, 2):
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

    def follow(self, name, choose):
        """`logs --follow` to its end, or cut off in the middle."""
        reader = self.engine.popen("logs", "-f", name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(choose.uniform(0, 0.5))
        if choose.random() < 0.5:
            self.docker("rm", "-f", name)
        else:
            reader.kill()
        self.end(reader, "logs -f")

    def end(self, process, what):
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            self.count("hung: " + what)
        self.count(what)

    def look(self, name, choose):
        try:  # `docker stats` of 2020 tries for ever when its engine is killed
            self.engine.api("GET", f"/containers/{name}/stats?stream=0")
        except (OSError, HTTPException):
            self.count("broken stats")
        self.docker(*choose.choice([["top", name], ["diff", name], ["ps", "-as"], ["port", name], ["system", "df"], ["info"]]))
        self.count("looks")

    def change(self, name, choose):
        self.docker(*choose.choice([["update", "--restart", "no", name], ["update", "--restart", "always", name], ["stop", "-t", "0", name]]))
        self.docker("rename", name, name + "-new")
        self.docker("rename", name + "-new", name)
        self.count("changes")

    def commit(self, name, choose):
        tag = self.next_name("soak-commit")
        self.docker("commit", name, tag)
        self.docker("run", "--rm", tag, "true")
        self.docker("rmi", "-f", tag)
        self.count("commits")

    def vanish(self, name, choose):
        """A client that goes in the middle of a long reply, with or without a word."""
        connection = UnixConnection(self.engine.socket, 30)
        path = choose.choice([("GET", "/events"), ("GET", f"/containers/{name}/logs?follow=1&stdout=1"), ("GET", f"/containers/{name}/stats"),
                              ("POST", f"/containers/{name}/wait"), ("POST", f"/containers/{name}/attach?stream=1&stdout=1&stdin=1"),
                              ("GET", f"/containers/{name}/attach/ws?stream=1&stdout=1"), ("GET", f"/containers/{name}/export"), ("GET", "/images/busybox/get")])
        try:
            connection.connect()
            hijack = {"Connection": "Upgrade", "Upgrade": "tcp"} if "attach?" in path[1] else {}
            if "/ws" in path[1]:
                hijack = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
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
        others = [self.images, self.killed_cli, self.network, self.project, self.served, self.prune] + ([self.build] if self.builds else [])
        while time.monotonic() < self.until:
            if choose.random() < 0.8:
                self.life(choose)
            else:
                choose.choice(others)(choose)

    def images(self, choose):
        tag = self.next_name("soak-image")
        self.docker("import", "-", tag, input=busybox_rootfs_tar())
        self.docker("run", "--rm", tag, "true")
        self.docker("rmi", "-f", tag)
        self.count("images")

    def build(self, choose):
        tag = self.next_name("soak-build")
        command = choose.choice(["echo built > /made", "false", "yes | head -c 100000 > /made"])
        self.docker("build", *choose.choice([[], ["--no-cache"]]), "-t", tag, "-", input=f"FROM busybox\nENV A=1\nRUN {command}\nCMD cat /made\n")
        self.docker("rmi", "-f", tag)
        self.count("builds")

    def killed_cli(self, choose):
        process = self.engine.popen("run", "--rm", "-i", "busybox", "sh", "-c", choose.choice(["sleep 0.5", "yes | head -c 1000000", "cat"]),
                                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(choose.uniform(0, 1))
        process.kill()
        process.wait()
        process.stdin.close()
        self.count("killed CLIs")

    def network(self, choose):
        name = self.next_name("soak-net")
        self.docker("network", "create", *choose.choice([[], ["--internal"], ["--label", "a=b"]]), name)
        self.docker("run", "--rm", "--network", name, "busybox", "true")
        self.docker("network", "rm", name)
        self.count("networks")

    def project(self, choose):
        """As compose does it: a network, a volume, a database and a web server that asks it by name."""
        name = self.next_name("soak-project")
        label = ["--label", f"com.docker.compose.project={name}"]
        self.docker("network", "create", *label, f"{name}_default")
        self.docker("volume", "create", *label, f"{name}_data")
        begin = ["run", "-d", *label, "--network", f"{name}_default", "--network-alias"]
        self.docker(*begin, "database", "--name", f"{name}-database-1", "-v", f"{name}_data:/data", "busybox", "sh", "-c",
                    "echo rows > /data/index.html; httpd -p 80 -h /data; exec sleep 1000")
        asked = self.docker("run", "--rm", *label, "--network", f"{name}_default", "busybox", "sh", "-c",
                            "for i in 1 2 3 4 5 6 7 8 9; do printf 'GET / HTTP/1.0\\r\\n\\r\\n' | "
                            "nc -w 5 $(nslookup database | awk '/^Address/ {a=$NF} END {print a}') 80 | grep rows && break; sleep 0.2; done")
        self.count("projects" if asked.stdout == "rows\n" else "projects without an answer")
        self.docker("rm", "-fv", f"{name}-database-1")
        self.docker("network", "rm", f"{name}_default")
        self.docker("volume", "rm", f"{name}_data")

    def served(self, choose):
        """Traffic through a published port."""
        name = self.next_name("soak-server")
        self.docker("run", "-d", "--name", name, "-p", "127.0.0.1::80", "busybox", "sh", "-c", "yes | head -c 200000 > /index.html; exec httpd -f -p 80 -h /")
        port = self.docker("port", name, "80").stdout.strip().rpartition(":")[2]
        for _ in range(choose.randint(1, 20) if port else 0):
            try:
                with socket.create_connection(("127.0.0.1", int(port)), 5) as client:
                    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    while client.recv(65536) and choose.random() < 0.95:
                        pass
            except OSError:
                self.count("broken connections")
        self.docker("rm", "-f", name)
        self.count("servers")

    def prune(self, choose):
        self.docker(choose.choice(["container", "image", "volume"]), "prune", "-f")
        self.docker("network", "prune", "-f", "--filter", "label=nobody")
        self.count("prunes")

    def kill(self, program):
        """The containers live on; what clients ask just then fails."""
        pids = self.engine.pids(program)
        if pids:
            os.kill(pids[0], signal.SIGKILL)
            self.count(f"kill -9 of {program}")

    def clean(self):
        """To rest: nothing runs but the survivor, nothing is left of what the clients made."""
        wait_until(lambda: self.engine.answers() and all(self.engine.pids(program) for program in PROGRAMS), "the engine answers", 60)
        survivor = self.docker("ps", "-aq", "--no-trunc", "-f", "name=^survivor$").stdout.split()
        left = [one for one in self.docker("ps", "-aq", "--no-trunc").stdout.split() if one not in survivor]
        if left:
            self.docker("rm", "-fv", *left)
        self.docker("system", "prune", "-f", "--volumes")
        # One that fails, just after a kill, must not leave the rest.
        volumes = self.docker("volume", "ls", "-q").stdout.split()
        if volumes:
            self.docker("volume", "rm", "-f", *volumes)
        self.docker("image", "prune", "-f")
        if self.builds:
            self.docker("builder", "prune", "-af")
        for image in self.docker("images", "--format", "{{.Repository}}").stdout.split():
            if image.startswith("soak-"):
                self.docker("rmi", "-f", image)
        wait_until(lambda: len(self.engine.pids("berth-shim")) <= len(survivor), "the shims are gone", 60)
        self.docker("network", "create", "soak")

    def round(self, seconds, kills=False):
        self.until = time.monotonic() + seconds
        choose = random.Random(f"{self.seed} kills")
        readers = [self.engine.popen("events", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(2)]
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            clients = [pool.submit(self.client, number) for number in range(WORKERS)]
            while kills and time.monotonic() < self.until:
                time.sleep(choose.uniform(5, 15))
                self.kill(choose.choice(["berth-engine", "berth-engine", "berth-network"]))
            for future in clients:
                future.result()
        for reader in readers:
            reader.kill()
            reader.wait()
        self.clean()

    def survivor_lives(self):
        """Never restarted, healthy, and no line of its log was lost."""
        shown = self.engine.inspect("survivor")
        lines = [line for line in self.docker("logs", "survivor").stdout.splitlines() if line.startswith("count")]
        numbers = [int(line.split()[1]) for line in lines]
        whole = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        healthy = shown["State"]["Health"]["Status"]
        if shown["State"]["Running"] and shown["RestartCount"] == 0 and healthy == "healthy" and whole:
            return True
        print("the survivor did not survive:", shown["State"], "whole log:", whole, flush=True)
        return False


def report(soak, rounds, calm):
    print("what the CLI said when it failed:", *(f"{count:6} {what}" for what, count in soak.complaints.most_common(40)), sep="\n")
    odd = [what for what in soak.complaints if UNLIKE_DOCKER.search(what)]
    print("unlike dockerd:", *(odd or ["nothing"]), sep="\n    ")
    table([*rounds[:-1][:: max(1, len(rounds) // 8)], rounds[-1]])
    before = rounds[0][1]
    worse = False
    for label, values in [calm, rounds[-1]]:
        worse = worse or bool(grown(before, values))
        print(f"grew by {label}:", "; ".join(growth(before, values)))
    return worse


def main():
    minutes = float(os.environ.get("BERTH_SOAK_MINUTES") or 30)
    seed = int(os.environ.get("BERTH_SOAK_SEED") or time.time())
    print(f"soak of {minutes:g} minutes, seed {seed}, {WORKERS} clients, {DOCKER}", flush=True)
    engine = Engine()
    engine.start()
    try:
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
        soak = Soak(engine, seed)
        engine.docker("run", "-d", "--name", "survivor", "--restart", "always", "--health-cmd", "true", "--health-interval", "1s",
                      "--log-opt", "max-size=32k", "--log-opt", "max-file=2", "busybox", "sh", "-c", SURVIVOR)
        soak.clean()
        soak.round(WARM_UP)
        # Its first rotated log stays from then on: on a busy machine that comes after more than the warm-up.
        wait_until(lambda: list(engine.root.glob("data/berth/containers/*/*.log.1")), "the survivor's log is rotated", 60)
        before = measure(engine)
        rounds, begin, lives = [("warm", before)], time.monotonic(), True
        while time.monotonic() < begin + minutes * 60:
            left = begin + minutes * 60 - time.monotonic()
            kills = left < minutes * 20
            soak.seed += 1
            soak.round(min(ROUND, max(5, left)), kills)
            rounds.append((f"{(time.monotonic() - begin) / 60:.1f} min", at_rest(engine, before)))
            lives = soak.survivor_lives() and lives
            if not kills:
                calm = rounds[-1]
            print(rounds[-1][0], dict(soak.done), "grew:", "; ".join(growth(before, rounds[-1][1])), flush=True)
        worse = report(soak, rounds, calm)
        hung = [what for what in soak.done if what.startswith("hung")]
        return 1 if worse or hung or not lives else 0
    finally:
        engine.stop()
        engine.remove()


if __name__ == "__main__":
    sys.exit(main())
