"""Faults of streams: half-closed and stalled connections, clients that are killed in the middle, heads that must come before any data."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

import pytest

from engine import wait_until
from hostile_registry import HostileRegistry, digest_of
from images import layer_tar

UPGRADE = "Connection: Upgrade\r\nUpgrade: tcp\r\n"
ENDLESS = "while :; do echo x; sleep 0.02; done"


class Stream:
    """A request on a connection of its own, of which the head of the reply has been read."""

    def __init__(self, engine, method, path, body=None, upgrade=True, early=b""):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(engine.socket)
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n{UPGRADE if upgrade else ''}\r\n"
        self.socket.sendall(head.encode() + data + early)
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.data += self.receive()
        self.head, _, self.data = self.data.partition(b"\r\n\r\n")
        self.status = int(self.head.split(b" ")[1])

    def receive(self):
        piece = self.socket.recv(1 << 16)
        if not piece:
            raise EOFError(f"closed; so far: {self.data[-300:]!r}")
        return piece

    def finish(self):
        """Everything until the engine closes."""
        parts = [self.data]
        with contextlib.suppress(EOFError):
            while True:
                parts.append(self.receive())
        self.socket.close()
        return b"".join(parts)

    def end_of_input(self):
        self.socket.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def unframed(data):
    """The payloads of multiplexed frames."""
    parts, at = [], 0
    while at < len(data):
        size, = struct.unpack_from(">I", data, at + 4)
        parts.append(data[at + 8:at + 8 + size])
        at += 8 + size
    return b"".join(parts)


@pytest.fixture
def created(engine):
    """Creates containers by the API and removes them; returns a function that gives the id."""
    made = []

    def create(*command, **config):
        status, _, reply = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": list(command), "HostConfig": {"NetworkMode": "none"}, **config})
        assert status == 201, reply
        made.append(reply["Id"])
        return made[-1]

    yield create
    engine.docker("rm", "-f", *made, check=False)


def start(engine, identity):
    assert engine.api("POST", f"/containers/{identity}/start")[0] == 204


@pytest.mark.parametrize("upgrade,status", [(True, 101), (False, 200)])
def test_a_half_closed_attach_still_gets_all_output(engine, created, upgrade, status):
    identity = created("sh", "-c", "cat; sleep 0.3; echo late; head -c 300000 /dev/zero", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    stream = Stream(engine, "POST", f"/containers/{identity}/attach?stream=1&stdin=1&stdout=1&stderr=1", upgrade=upgrade)
    assert stream.status == status
    start(engine, identity)
    stream.socket.sendall(b"input\n")
    stream.end_of_input()
    assert unframed(stream.finish()) == b"input\nlate\n" + bytes(300000)


@pytest.mark.parametrize("upgrade,status", [(True, 101), (False, 200)])
def test_a_half_closed_exec_still_gets_all_output(engine, container, upgrade, status):
    identity = container("busybox", "sleep", "1000")
    body = {"Cmd": ["sh", "-c", "cat; sleep 0.3; echo late"], "AttachStdin": True, "AttachStdout": True}
    made = engine.api("POST", f"/containers/{identity}/exec", body)[2]["Id"]
    stream = Stream(engine, "POST", f"/exec/{made}/start", {"Detach": False}, upgrade=upgrade)
    assert stream.status == status
    stream.socket.sendall(b"input\n")
    stream.end_of_input()
    assert unframed(stream.finish()) == b"input\nlate\n"
    assert engine.api("GET", f"/exec/{made}/json")[2]["ExitCode"] == 0


def test_what_comes_with_the_request_of_an_attach_is_input(engine, created):
    identity = created("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    stream = Stream(engine, "POST", f"/containers/{identity}/attach?stream=1&stdin=1&stdout=1", early=b"early\n")
    start(engine, identity)
    stream.end_of_input()
    assert unframed(stream.finish()) == b"early\n"


def test_an_attach_before_the_start_misses_nothing(engine, created):
    for _ in range(10):
        identity = created("echo", "first")
        stream = Stream(engine, "POST", f"/containers/{identity}/attach?stream=1&stdout=1")
        start(engine, identity)
        assert unframed(stream.finish()) == b"first\n"


def test_an_attach_with_logs_after_the_exit_replays_and_sees_the_next_start(engine, created):
    identity = created("echo", "again")
    start(engine, identity)
    assert engine.api("POST", f"/containers/{identity}/wait")[2]["StatusCode"] == 0
    stream = Stream(engine, "POST", f"/containers/{identity}/attach?stream=1&logs=1&stdout=1")
    while not stream.data.endswith(b"again\n"):
        stream.data += stream.receive()
    start(engine, identity)
    assert unframed(stream.finish()) == b"again\nagain\n"


@pytest.mark.parametrize("method,path", [("GET", "/events"), ("POST", "/containers/{}/wait"), ("GET", "/containers/{}/logs?stdout=1&follow=1"), ("GET", "/containers/{}/stats"),
                                         ("POST", "/containers/{}/wait?condition=removed"), ("POST", "/containers/{}/wait?condition=next-exit")])
def test_a_head_comes_before_anything_has_happened(engine, container, method, path):
    identity = container("busybox", "sleep", "1000")
    begin = time.monotonic()
    with Stream(engine, method, path.format(identity), upgrade=False) as stream:
        assert stream.status == 200
    # Nothing of the kind ever happens: without the head this would wait for ever.
    assert time.monotonic() - begin < 20


def test_a_reader_that_stalls_stalls_neither_the_container_nor_loses_anything(engine, created):
    size = 24 << 20
    identity = created("sh", "-c", f"head -c {size} /dev/zero; echo end")
    stalled = Stream(engine, "POST", f"/containers/{identity}/attach?stream=1&stdout=1")
    start(engine, identity)
    assert engine.api("POST", f"/containers/{identity}/wait", timeout=120)[2]["StatusCode"] == 0
    output = unframed(stalled.finish())
    assert len(output) == size + 4 and output.endswith(b"end\n")


@pytest.mark.parametrize("path", ["/containers/{}/logs?stdout=1&follow=1", "/events", "/containers/{}/stats"])
def test_a_follower_that_stalls_harms_nobody(engine, container, path):
    identity = container("busybox", "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.05; done; head -c 4000000 /dev/zero | tr '\\0' a | fold -w 1000; exit 3")
    with Stream(engine, "GET", path.format(identity), upgrade=False):
        engine.docker("exec", identity, "touch", "/tmp/go")
        assert engine.docker("wait", identity, timeout=120).stdout == "3\n"


def descriptors(engine):
    """How many files, pipes and sockets the engine's programs that outlive a request hold (a shim keeps the pidfds of its last 32 execs)."""
    found = [os.readlink(link) for name in ("berth-engine", "berth-shim") for pid in engine.pids(name) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    return sum("pidfd" not in target for target in found)


COMMANDS = {"run": ["run", "--rm", "--name", "killed-run", "busybox", "sh", "-c", ENDLESS], "attach": ["attach", "{id}"], "logs": ["logs", "-f", "{id}"],
            "exec": ["exec", "{id}", "sh", "-c", "echo $$ > /tmp/pid; " + ENDLESS], "stats": ["stats", "{id}"], "events": ["events", "--since", "1"]}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_client_killed_in_the_middle_leaves_nothing_open(engine, container, command):
    identity = container("busybox", "sh", "-c", ENDLESS)
    before = descriptors(engine)
    client = engine.popen(*[word.format(id=identity) for word in COMMANDS[command]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert client.stdout.read(1)
    client.send_signal(signal.SIGKILL)
    client.wait()
    client.stdout.close()
    if command == "run":
        assert engine.inspect("killed-run")["State"]["Running"]
        engine.docker("rm", "-f", "killed-run")
    if command == "exec":  # as in dockerd the process lives on, and its output goes nowhere
        engine.docker("exec", identity, "sh", "-c", "kill -9 $(cat /tmp/pid)")
    wait_until(lambda: descriptors(engine) <= before, f"no more than {before} descriptors after a killed {command}")
    assert engine.inspect(identity)["State"]["Running"]


def test_a_client_killed_in_a_pull_ends_the_download(engine):
    registry = HostileRegistry()
    try:
        plain = layer_tar({"slow": os.urandom(100_000)})
        reference = registry.image("slow/pull", [(plain, plain)])
        registry.replies[f"/v2/slow/pull/blobs/{digest_of(plain)}"] = lambda handler: handler.endless("x/y", plain[:64], Content_Length=str(len(plain)))
        before = descriptors(engine)
        client = engine.popen("pull", reference, stdout=subprocess.DEVNULL)
        wait_until(lambda: any(digest_of(plain) in path for path in registry.asked), "the download begins")
        client.kill()
        client.wait()
        assert registry.left.wait(30)
        wait_until(lambda: descriptors(engine) <= before, f"no more than {before} descriptors")
    finally:
        registry.stop()


@pytest.mark.parametrize("path", ["/containers/{}/archive?path=/big", "/containers/{}/export"])
def test_a_client_killed_in_a_copy_leaves_nothing_open(engine, container, path):
    identity = container("busybox", "sh", "-c", "head -c 60000000 /dev/zero > /big; touch /done; sleep 1000")
    wait_until(lambda: engine.docker("exec", identity, "test", "-e", "/done", check=False).returncode == 0, "the file")
    before = descriptors(engine)
    with Stream(engine, "GET", path.format(identity), upgrade=False) as stream:
        if stream.status == 501:
            pytest.skip(f"not served yet: {path}")
        assert stream.status == 200
        stream.receive()
    wait_until(lambda: descriptors(engine) <= before, f"no more than {before} descriptors")
    engine.docker("stop", "-t", "0", identity)
