"""Attach over WebSockets, with history, and what every attach refuses."""
import base64
import hashlib
import os
import socket
import struct

from engine import wait_until

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class WebSocket:
    """A client of RFC 6455 on the engine's socket."""

    def __init__(self, engine, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(engine.socket)
        key = base64.b64encode(os.urandom(16))
        self.socket.sendall(b"GET %s HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://localhost\r\n"
                            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % (path.encode(), key))
        self.file = self.socket.makefile("rb")
        self.status = self.file.readline()
        head = {}
        while line := self.file.readline().strip():
            name, _, value = line.partition(b": ")
            head[name.lower()] = value
        if b" 101 " in self.status:
            assert head[b"sec-websocket-accept"] == base64.b64encode(hashlib.sha1(key + GUID).digest())

    def send(self, data, opcode=2):
        mask = os.urandom(4)
        length = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + struct.pack(">H", len(data))
        self.socket.sendall(bytes([0x80 | opcode]) + length + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    def receive(self):
        """(opcode, data) of the next frame."""
        first, second = self.file.read(2)
        size = {126: lambda: struct.unpack(">H", self.file.read(2))[0], 127: lambda: struct.unpack(">Q", self.file.read(8))[0]}.get(second, lambda: second)()
        return first & 15, self.file.read(size)

    def everything(self):
        """The data up to the server's closing frame."""
        data = b""
        while True:
            opcode, piece = self.receive()
            if opcode == 8:
                return data
            data += piece


def test_a_websocket_carries_stdin_and_both_outputs(engine, container):
    identity = container("-i", "busybox", "sh", "-c", "while read x; do echo got $x; echo err >&2; [ $x = end ] && exit 4; done")
    client = WebSocket(engine, f"/containers/{identity}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1")
    client.send(b"one\n")
    client.send(b"?", opcode=9)
    client.send(b"end\n")
    frames = []
    while not frames or frames[-1][0] != 8:
        frames.append(client.receive())
    assert (10, b"?") in frames
    data = b"".join(piece for opcode, piece in frames if opcode == 2)
    assert sorted(data.split()) == sorted(b"got one err got end err".split())
    assert engine.inspect(identity)["State"]["ExitCode"] == 4


def test_a_websocket_shows_history_first_without_docker_frames(engine, container):
    identity = container("busybox", "sh", "-c", "echo early; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo late")
    wait_until(lambda: engine.docker("logs", identity).stdout, "the first line")
    client = WebSocket(engine, f"/containers/{identity}/attach/ws?logs=1&stream=1&stdout=1&stderr=1")
    assert client.receive() == (2, b"early\n")
    engine.docker("exec", identity, "touch", "/tmp/go")
    assert client.everything() == b"late\n"


def test_a_websocket_of_history_alone_ends(engine, container):
    identity = container("busybox", "echo", "over")
    engine.docker("wait", identity)
    assert WebSocket(engine, f"/containers/{identity}/attach/ws?logs=1&stdout=1").everything() == b"over\n"


def test_a_websocket_that_is_closed_leaves_the_container_alone(engine, container):
    identity = container("-it", "busybox", "sh")
    client = WebSocket(engine, f"/containers/{identity}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1")
    client.send(b"\x03\xe8", opcode=8)
    assert client.everything() is not None
    assert engine.inspect(identity)["State"]["Running"]


def test_detach_keys_end_a_websocket(engine, container):
    identity = container("-it", "busybox", "sh")
    client = WebSocket(engine, f"/containers/{identity}/attach/ws?stream=1&stdin=1&stdout=1&detachKeys=ctrl-a,b")
    client.send(b"\x01b")
    client.everything()
    assert engine.inspect(identity)["State"]["Running"]
    assert "detach" in [event["Action"] for event in engine.events(identity)]


def test_what_is_no_websocket_is_refused(engine, container):
    identity = container("busybox", "sleep", "1000")
    assert engine.api("GET", f"/containers/{identity}/attach/ws?stream=1")[0] == 400
    assert b" 404 " in WebSocket(engine, "/containers/absent/attach/ws?stream=1").status


def test_attach_with_history_and_stream(engine, container):
    identity = container("busybox", "sh", "-c", "echo early; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo late")
    wait_until(lambda: engine.docker("logs", identity).stdout, "the first line")
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(engine.socket)
    client.sendall(f"POST /containers/{identity}/attach?logs=1&stream=1&stdout=1 HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n".encode())
    seen = b""
    while b"early\n" not in seen:
        seen += client.recv(4096)
    assert engine.docker("exec", identity, "touch", "/tmp/go", check=False).returncode in (0, 137)  # the container may end first
    while piece := client.recv(4096):
        seen += piece
    assert seen.endswith(b"\x01\0\0\0\0\0\0\x06early\n\x01\0\0\0\0\0\0\x05late\n")


def test_attach_to_a_paused_or_absent_container_is_refused(engine):
    assert engine.api("POST", "/containers/absent/attach?stream=1")[0] == 404
    identity = engine.docker("create", "busybox", "true").stdout.strip()
    status, _, body = engine.api("POST", f"/containers/{identity}/attach?stream=1&detachKeys=ctrl-%3F%3F")
    assert status == 400 and "Invalid detach keys" in body["message"]
    engine.docker("rm", identity)
