"""What containers reach outside: errors of connect as a plain host's, data whole, the way of it no matter."""
import hashlib
import os
import signal
import socket
import threading

import pytest

from engine import wait_until
from free_ports import free_port
from images import busybox_rootfs_tar


def own_address():
    """An address of the host that is not loopback; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("the host has no address but loopback")
        return probe.getsockname()[0]


def serve(payload=b"from the host\n"):
    """A server on the host for one connection after the other; gives its port."""
    server = socket.create_server((own_address(), 0))

    def run():
        while True:
            client, _ = server.accept()
            with client:
                client.sendall(payload)
    threading.Thread(target=run, daemon=True).start()
    return server.getsockname()[1]


def nc(engine, address, port, check=True):
    return engine.docker("run", "--rm", "busybox", "nc", "-w", "10", address, str(port), check=check)


def test_a_server_of_the_host_is_reached_at_its_own_address(engine):
    assert nc(engine, own_address(), serve()).stdout == "from the host\n"


def test_a_closed_port_refuses_at_connect(engine):
    done = nc(engine, own_address(), free_port(), check=False)
    assert done.returncode == 1
    assert "Connection refused" in done.stderr


def test_link_local_addresses_are_unreachable(engine):
    done = nc(engine, "169.254.169.254", 80, check=False)
    assert done.returncode == 1
    assert "Network is unreachable" in done.stderr


def test_the_hosts_loopback_is_out_of_reach(engine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert nc(engine, "10.0.2.2", server.getsockname()[1], check=False).returncode == 1


def test_many_megabytes_arrive_whole(engine):
    payload = os.urandom(1 << 20) * 64
    out = engine.docker("run", "--rm", "busybox", "sh", "-c", f"nc {own_address()} {serve(payload)} </dev/null | sha256sum").stdout
    assert out.split()[0] == hashlib.sha256(payload).hexdigest()


def test_an_internal_network_has_no_way_out(engine):
    port = serve()
    engine.docker("network", "create", "--internal", "inner")
    try:
        done = engine.docker("run", "--rm", "--network", "inner", "busybox", "nc", "-w", "2", own_address(), str(port), check=False)
        assert done.returncode != 0 and done.stdout == ""
    finally:
        engine.docker("network", "rm", "inner")


def test_a_new_network_process_carries_connections_again(own_engine):
    port = serve()
    own_engine.docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    old = own_engine.recorded("network")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: own_engine.recorded("network") not in (None, old), "a new network process")
    done = own_engine.docker("exec", "box", "nc", "-w", "10", own_address(), str(port))
    assert done.stdout == "from the host\n"


def test_the_spliced_path_can_be_turned_off(bare_engine):
    bare_engine.start("--feature", "spliced-egress=false")
    bare_engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    assert nc(bare_engine, own_address(), serve()).stdout == "from the host\n"
    warnings = bare_engine.docker("info", "--format", "{{json .Warnings}}").stdout
    assert "libslirp" not in warnings
