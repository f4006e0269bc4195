"""Published ports: whom the container sees, what is refused, and how containers reach them."""
import os
import socket
import subprocess
import time

import pytest

from engine import BUILD, wait_until
from free_ports import free_port, free_ports

TOOL = ("-v", f"{BUILD / 'tests/test_tool'}:/test_tool:ro")


def host_address():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return probe.getsockname()[0]


def connection(port):
    """None while it is refused."""
    try:
        return socket.create_connection(("127.0.0.1", port), 10)
    except ConnectionRefusedError:
        return None


def is_refused(port, address="127.0.0.1"):
    try:
        socket.create_connection((address, port), 10).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.fixture
def who(engine, container):
    """A container that tells its clients how they look; returns it and its port."""
    port = free_port()
    identity = container("-p", f"{port}:9", "-p", f"{port}:9/udp", *TOOL, "busybox", "/test_tool", "who", "9")
    wait_until(lambda: engine.docker("logs", identity).stdout.startswith("ready\n"), "the server listens")
    return identity, port


def ask(kind, address, port):
    """How the server sees this client, and how it is."""
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(10)
        client.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            client.send(b"?")
        return client.recv(100).decode().strip(), "%s %d" % client.getsockname()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_the_container_sees_the_clients_address(engine, who, kind):
    try:
        address = host_address()
    except OSError:
        pytest.skip("the host has no address but loopback")
    seen, own = ask(kind, address, who[1])
    assert seen == own
    assert own in engine.docker("logs", who[0]).stdout


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_loopback_client_is_seen_as_the_gateway(engine, who, kind):
    gateway = engine.inspect(who[0])["NetworkSettings"]["Gateway"]
    assert ask(kind, "127.0.0.1", who[1])[0].split()[0] == gateway


def test_a_port_is_refused_until_its_server_listens_and_after_it_ended(engine, container):
    port = free_port()
    identity = container("-p", f"127.0.0.1:{port}:9", *TOOL, "busybox", "sleep", "1000")
    assert is_refused(port)
    server = engine.popen("exec", identity, "/test_tool", "who", "9", stdout=subprocess.PIPE)
    assert server.stdout.readline() in (b"ready\n", "ready\n")
    began = time.monotonic()
    wait_until(lambda: not is_refused(port), "the port is open")
    assert time.monotonic() - began < 2, "the start of a server is seen in milliseconds"
    engine.docker("exec", identity, "killall", "test_tool")
    server.wait(10)
    wait_until(lambda: is_refused(port), "the port is refused again")


def test_an_address_in_the_binding_is_the_only_one(engine, container):
    port = free_port()
    identity = container("-p", f"127.0.0.2:{port}:9", *TOOL, "busybox", "/test_tool", "who", "9")
    wait_until(lambda: not is_refused(port, "127.0.0.2"), "the server listens")
    assert is_refused(port)
    assert engine.docker("port", identity).stdout == f"9/tcp -> 127.0.0.2:{port}\n"


def test_all_exposed_ports_are_published_by_p(engine, container):
    identity = container("-P", "--expose", "9", "--expose", "10-11/udp", "busybox", "sleep", "1000")
    ports = engine.inspect(identity)["NetworkSettings"]["Ports"]
    assert set(ports) == {"9/tcp", "10/udp", "11/udp"} and all(ports.values())
    for bindings in ports.values():
        assert len({binding["HostPort"] for binding in bindings}) == 1


def test_a_range_takes_the_first_that_is_free(engine, container):
    port = free_ports(6)
    with socket.create_server(("0.0.0.0", port)):
        identity = container("-p", f"{port}-{port + 5}:9", "busybox", "sleep", "1000")
        bound = int(engine.inspect(identity)["NetworkSettings"]["Ports"]["9/tcp"][0]["HostPort"])
        assert port < bound <= port + 5


def test_sctp_is_refused_clearly(engine):
    done = engine.docker("run", "--rm", "-p", "9:9/sctp", "busybox", "true", check=False)
    assert done.returncode != 0 and "sctp" in done.stderr


def test_a_privileged_port_names_the_sysctl(engine):
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        if int(file.read()) <= 80 or os.geteuid() == 0:
            pytest.skip("port 80 is not privileged here")
    done = engine.docker("run", "--rm", "-p", "80:80", "busybox", "true", check=False)
    assert done.returncode != 0 and "sysctl -w net.ipv4.ip_unprivileged_port_start=80" in done.stderr


@pytest.mark.parametrize("way", ["the host's address", "its own gateway"])
def test_a_container_reaches_a_published_port(engine, who, way):
    identity, port = who
    address = engine.inspect(identity)["NetworkSettings"]["Gateway"]
    if way == "the host's address":
        address = host_address()
    for options in ((), ("exec",)):
        command = ("nc", "-w", "5", address, str(port))
        if options:
            out = engine.docker("exec", "-i", identity, *command, input="").stdout
        else:
            out = engine.docker("run", "--rm", "-i", "busybox", *command, input="").stdout
        assert len(out.split()) == 2, out


def test_a_hundred_containers_have_ports(engine):
    names = [f"many-{number}" for number in range(100)]
    try:
        for name in names:
            engine.docker("run", "-d", "--name", name, "-p", "127.0.0.1::9", *TOOL, "busybox", "/test_tool", "who", "9")
        for name in names:
            port = int(engine.docker("port", name, "9").stdout.rsplit(":", 1)[1])
            wait_until(lambda: not is_refused(port), f"{name} listens")
    finally:
        engine.docker("rm", "-f", *names, check=False)


def test_a_thousand_ports_of_a_container_outlive_the_network_process(own_engine):
    first = free_ports(1000)
    own_engine.docker("run", "-d", "--name", "wide", "-p", f"127.0.0.1:{first}-{first + 999}:1000-1999", "busybox", "sleep", "1000")
    assert len(own_engine.inspect("wide")["NetworkSettings"]["Ports"]) == 1000
    own_engine.kill_9("berth-network")
    own_engine.docker("run", "--rm", "-p", "127.0.0.1::9", "busybox", "true")
    done = own_engine.docker("run", "--rm", "-p", f"127.0.0.1:{first + 999}:9", "busybox", "true", check=False)
    assert "port is already allocated" in done.stderr


def test_connections_outlive_a_crash_of_the_engine(own_engine):
    port = free_port()
    own_engine.docker("run", "-d", "--stop-signal", "KILL", "--name", "serving", "-p", f"127.0.0.1:{port}:9", "busybox", "nc", "-l", "-p", "9", "-e", "cat")
    with wait_until(lambda: connection(port), "the server listens") as client:
        client.sendall(b"before")
        assert client.recv(100) == b"before"
        before = own_engine.recorded("engine")
        os.kill(before, 9)
        client.sendall(b"between")
        assert client.recv(100) == b"between"
        wait_until(lambda: own_engine.recorded("engine") != before and own_engine.answers(), "a new engine")
        client.sendall(b"after")
        assert client.recv(100) == b"after"


def test_ports_are_back_within_a_second_of_a_crash_of_the_network(own_engine):
    port = free_port()
    own_engine.docker("run", "-d", "--stop-signal", "KILL", "--name", "serving", "-p", f"127.0.0.1:{port}:9", *TOOL, "busybox", "/test_tool", "who", "9")
    wait_until(lambda: not is_refused(port), "the server listens")
    before = own_engine.recorded("network")
    os.kill(before, 9)
    wait_until(lambda: own_engine.recorded("network") != before, "a new network process")
    began = time.monotonic()
    wait_until(lambda: not is_refused(port), "the port is back", 5)
    assert time.monotonic() - began < 2
    assert ask(socket.SOCK_STREAM, "127.0.0.1", port)[0]
