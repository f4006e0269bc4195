"""HTTP as clients really speak it, and as they should not."""
import os
import socket
import subprocess

import pytest

from engine import DOCKER


def raw(engine, data, *, shutdown=False):
    """Sends bytes and reads until the engine closes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(engine.socket)
        connection.sendall(data)
        if shutdown:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
        return received


def request(method, path, *headers, body=b""):
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: docker", "Connection: close", *headers, "", ""]).encode() + body


def test_ping_headers(engine):
    status, headers, body = engine.api("GET", "/_ping")
    assert status == 200 and body == b"OK"
    assert headers["Api-Version"] == "1.51" and headers["Ostype"] == "linux" and headers["Docker-Experimental"] == "false"
    assert headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
    status, headers, body = engine.api("HEAD", "/_ping")
    assert status == 200 and headers["Content-Length"] == "0"


def test_versions_outside_the_range_are_refused(engine):
    status, _, body = engine.api("GET", "/v1.23/info")
    assert status == 400 and body["message"] == "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
    status, _, body = engine.api("GET", "/v1.99/info")
    assert status == 400 and body["message"] == "client version 1.99 is too new. Maximum supported API version is 1.51"


@pytest.mark.parametrize("method,path", [("GET", "/nothing"), ("PUT", "/_ping"), ("GET", "/v1.40/containers/x/start")])
def test_unknown_paths_and_methods_are_page_not_found(engine, method, path):
    status, _, body = engine.api(method, path)
    assert (status, body) == (404, {"message": "page not found"})


@pytest.mark.parametrize("data", [b"\x00\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
                                  b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * (2 << 20) + b"\r\n\r\n"])
def test_malformed_http_is_refused_and_the_engine_lives(engine, data):
    received = raw(engine, data, shutdown=True)
    assert received == b"" or received.startswith(b"HTTP/1.1 4"), received[:100]
    assert engine.answers()


@pytest.mark.parametrize("body,named", [
    (b"{", "JSON"), (b'{"Image": 5}', "Image"), (b'{"Image":"busybox","HostConfig":{"Memory":"much"}}', "Memory"),
    (b'{"Image":"busybox"} {}', "JSON"), (b'{"a":' * 500 + b"1" + b"}" * 500, "")])
def test_json_of_the_wrong_shape_is_named(engine, body, named):
    status, _, reply = engine.api("POST", "/containers/create", body, {"Content-Type": "application/json"})
    assert status == 400 and named.lower() in reply["message"].lower(), reply


def test_another_content_type_is_refused(engine):
    status, _, reply = engine.api("POST", "/containers/create", b"{}", {"Content-Type": "text/plain"})
    assert status == 400 and "must be 'application/json'" in reply["message"]


def test_keys_match_in_any_case(engine):
    status, _, reply = engine.api("POST", "/containers/create", {"image": "busybox", "CMD": ["true"]})
    assert status == 201, reply
    assert engine.api("DELETE", f"/containers/{reply['Id']}")[0] == 204


def test_an_absent_image_is_404_with_dockers_text(engine):
    status, _, reply = engine.api("POST", "/containers/create", {"Image": "absent:1", "Cmd": ["true"]})
    assert status == 404 and reply["message"] == "No such image: absent:1"


def test_wait_sends_its_headers_before_the_container_starts(engine):
    identity = engine.docker("create", "busybox", "true").stdout.strip()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(engine.socket)
        connection.sendall(request("POST", f"/v1.51/containers/{identity}/wait?condition=next-exit"))
        head = connection.recv(65536)
        assert head.startswith(b"HTTP/1.1 200")
        engine.docker("start", identity)
        rest = head
        while chunk := connection.recv(65536):
            rest += chunk
    assert b'"StatusCode":0' in rest
    engine.docker("rm", identity)


def test_an_attach_without_upgrade_is_a_plain_200_stream(engine):
    identity = engine.docker("create", "busybox", "echo", "raw").stdout.strip()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(engine.socket)
        connection.sendall(f"POST /v1.41/containers/{identity}/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: d\r\n\r\n".encode())
        received = connection.recv(65536)
        engine.docker("start", identity)
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK") and b"application/vnd.docker.raw-stream" in head
    assert body == b"\x01\0\0\0\0\0\0\x04raw\n"
    engine.docker("rm", identity)


def test_an_upgraded_attach_is_101_and_multiplexed(engine):
    identity = engine.docker("create", "-i", "busybox", "cat").stdout.strip()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(engine.socket)
        # The stream's first bytes travel in the same packet as the request.
        connection.sendall(f"POST /v1.44/containers/{identity}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\n"
                           "Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly bytes\n".encode())
        connection.shutdown(socket.SHUT_WR)
        received = connection.recv(65536)
        engine.docker("start", identity)
        while chunk := connection.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 UPGRADED") and b"application/vnd.docker.multiplexed-stream" in head
    assert body == b"\x01\0\0\0\0\0\0\x0cearly bytes\n"
    engine.docker("rm", "-f", identity)


def test_requests_can_be_pipelined_on_one_connection(engine):
    two = b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n" + request("GET", "/version")
    received = raw(engine, two)
    assert received.count(b"HTTP/1.1 200 OK") == 2 and b'"ApiVersion":"1.51"' in received


def test_events_arrive_in_dockers_order(engine):
    identity = engine.docker("run", "-d", "busybox", "true").stdout.strip()
    engine.docker("wait", identity)
    engine.docker("rm", identity)
    actions = [event["Action"] for event in engine.events(identity)]
    assert [action for action in actions if action in ("create", "start", "die", "destroy")] == ["create", "start", "die", "destroy"]


def test_filters_in_both_forms_and_unknown_ones(engine):
    for filters in ('{"status":["running"]}', '{"status":{"running":true}}'):
        assert engine.api("GET", f"/containers/json?filters={filters}")[0] == 200
    status, _, reply = engine.api("GET", '/containers/json?filters={"colour":["red"]}')
    assert status == 400 and reply["message"] == "invalid filter 'colour'"


def test_the_cli_reaches_the_engine_over_ssh(engine, tmp_path):
    """With a stand-in for ssh: the far end is `docker system dial-stdio`, which half-closes both ways."""
    (tmp_path / "ssh").write_text('#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift 2\n'
                                  f'DOCKER_HOST=unix://{engine.socket} exec "$@"\n')
    (tmp_path / "ssh").chmod(0o755)
    far = {**engine.environment, "DOCKER_HOST": "ssh://user@far", "PATH": f"{tmp_path}:{os.path.dirname(DOCKER)}:{engine.environment['PATH']}"}
    done = subprocess.run([DOCKER, "run", "--rm", "-i", "busybox", "wc", "-c"], env=far, input=b"x" * 1000000, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, b"1000000\n"), done
