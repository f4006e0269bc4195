"""Requests damaged at random, on all routes: the engine neither ends nor hangs, and what it refuses it refuses in Docker's form.
BERTH_DAMAGED=10000 is the whole run, BERTH_DAMAGED_SEED another one of them."""
import json
import os
import random
import re
import socket

from damage import ROUTES, damaged_request

COUNT = int(os.environ.get("BERTH_DAMAGED", "500"))
SEED = int(os.environ.get("BERTH_DAMAGED_SEED", "1"))
# May wait for what is outside of the engine (a container's end, a registry), or for the rest of a request.
WAITS = re.compile(rb"/(stop|restart|create|wait|push|attach|start|distribution|search|auth|build|load|commit|stats|logs|events|import|archive|json|prune)\b")
# dockerd says 500 to these as well; each names what was asked for.
FAILURES = re.compile(r"(is not paused|is not connected to|connection refused|no such host|could not resolve|failed to|dial tcp|Get \"|executable file not found|starting|"
                      r"creating|mount|no space|not found|not a directory|No such file|invalid|cannot)", re.IGNORECASE)
INTERNAL = re.compile(r"json\.exception|nlohmann|std::|basic_string|bad_alloc|vector::|map::at|stoi|stoul|bad_optional|regex_error|boost|asio|assert|\.cc:|map_range_check|bad variant", re.IGNORECASE)


def exchange(path, request, seconds):
    """What the engine sends until it closes, its reply is whole, or nothing more comes; None: nothing came at all in time."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(seconds)
        connection.connect(path)
        received = b""
        try:
            connection.sendall(request)
            while not whole(received):
                piece = connection.recv(1 << 16)
                if not piece:
                    break
                received += piece
        except (BrokenPipeError, ConnectionResetError):
            pass
        except TimeoutError:
            return received or None
        return received


def whole(received):
    head, end, body = received.partition(b"\r\n\r\n")
    if not end or head.startswith(b"HTTP/1.1 100"):
        return False
    # What succeeds may go on for ever; an error is short and has a length.
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return int(head.split(b" ")[1]) < 400 or (length and len(body) >= int(length.group(1)))


def complaint(damages, request, received):
    """What is wrong with a reply; None: nothing."""
    if received is None:
        return None if WAITS.search(request.split(b"\r\n")[0]) or is_broken(request) else "no answer"
    if not received:
        return None if is_broken(request) else "closed without an answer"
    head, _, body = received.partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1]) if head else 100
    if status < 400:
        return None
    # What is no HTTP is answered as by dockerd's server: in plain text.
    if not {"headers", "line", "path", "query"}.isdisjoint(damages) and body in (b"400 Bad Request", b"431 Request Header Fields Too Large"):
        return None
    if request.startswith(b"HEAD"):
        return "a body in reply to HEAD" if body else None
    try:
        reply = json.loads(body)
    except ValueError:
        return f"an error that is no JSON: {body[:200]!r}"
    if set(reply) != {"message"} or not reply["message"] or b"application/json" not in head:
        return f"not Docker's form: {received[:300]!r}"
    if INTERNAL.search(reply["message"]) or (status == 500 and not FAILURES.search(reply["message"])):
        return f"{status} with an internal text: {reply['message']}"
    return "too long a message" if len(reply["message"]) > 12000 else None


def is_broken(request):
    """Whether more of the request may still be waited for, or it is none at all."""
    head, _, body = request.partition(b"\r\n\r\n")
    lengths = re.findall(rb"(?i)\r\ncontent-length: (\S*)", head)
    return b"\n" in head.replace(b"\r\n", b"") or not re.match(rb"[A-Z]+ \S+ HTTP/1\.1\r\n", head) or re.search(rb"(?i)\r\n(transfer-encoding|expect|upgrade)", head) \
        or len(set(lengths)) > 1 or any(not value.isdigit() or int(value) > len(body) for value in lengths)


def furnish(engine):
    """What the requests ask for, where a request before took it away."""
    if engine.api("GET", "/images/busybox/json")[0] == 404:
        from images import busybox_rootfs_tar
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    for name, command in (("damaged", ["true"]), ("damaged-run", ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1000 & wait $!; done"])):
        if engine.api("GET", f"/containers/{name}/json")[0] == 404:
            body = {"Image": "busybox", "Cmd": command, "HostConfig": {"NetworkMode": "none"}}
            assert engine.api("POST", f"/containers/create?name={name}", body)[0] in (201, 409)
    assert engine.api("POST", "/containers/damaged-run/start")[0] in (204, 304, 404, 409)


def test_a_damaged_request_is_refused_in_dockers_form(own_engine):
    engine = own_engine
    (pid,) = engine.pids("berth-engine")
    source, problems = random.Random(SEED), []
    for number in range(COUNT):
        if number % 100 == 0:
            furnish(engine)
        damages, route, request = damaged_request(source)
        received = exchange(engine.socket, request, 3 if COUNT > 1000 else 1)
        problem = complaint(damages, request, received)
        if problem:
            problems.append(f"{number} {route}: {problem}\n    {request[:1500]!r}")
        if number % 50 == 49:
            assert engine.api("GET", "/_ping", timeout=10)[0] == 200
        assert engine.pids("berth-engine") == [pid] if number % 500 == 499 else True, problems[-3:]
    assert engine.pids("berth-engine") == [pid], "the engine ended"
    assert engine.api("GET", "/containers/json?all=1")[0] == 200
    assert not problems, f"{len(problems)} of {COUNT} with seed {SEED}:\n" + "\n".join(problems[:40])


def test_all_routes_are_among_the_damaged():
    assert len(ROUTES) > 80 and ("POST", "/containers/create") in ROUTES
