"""The first network: none, host, the default bridge, published ports."""
import json
import socket
import threading

from engine import BUILD, wait_until
from free_ports import free_port


def test_network_none_has_only_loopback(engine):
    out = engine.docker("run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net").stdout.split()
    assert out == ["lo"]


def test_loopback_is_up_without_a_network(engine):
    assert "UP" in engine.docker("run", "--rm", "--network", "none", "busybox", "ip", "link", "show", "lo").stdout


def test_network_host_is_the_real_host(engine):
    own = sorted(name for _, name in socket.if_nameindex())
    assert sorted(engine.docker("run", "--rm", "--network", "host", "busybox", "ls", "/sys/class/net").stdout.split()) == own


def test_host_network_reaches_a_server_on_the_hosts_loopback(engine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(b"from the host\n"), daemon=True).start()
        out = engine.docker("run", "--rm", "--network", "host", "busybox", "nc", "127.0.0.1", str(server.getsockname()[1])).stdout
    assert out == "from the host\n"


def test_the_bridge_gives_an_address_that_inspect_shows(engine, container):
    identity = container("busybox", "sleep", "1000")
    network = engine.inspect(identity)["NetworkSettings"]["Networks"]["bridge"]
    out = engine.docker("exec", identity, "ip", "-4", "addr", "show", "eth0").stdout
    assert f"inet {network['IPAddress']}/{network['IPPrefixLen']} " in out
    routes = engine.docker("exec", identity, "ip", "route").stdout
    assert f"default via {network['Gateway']} dev eth0" in routes
    assert network["MacAddress"] in engine.docker("exec", identity, "ip", "link", "show", "eth0").stdout
    assert identity[:12] in engine.docker("exec", identity, "cat", "/etc/hosts").stdout


def test_containers_reach_each_other_on_the_bridge(engine, container):
    server = container("busybox", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
    address = engine.inspect(server)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    out = engine.docker("run", "--rm", "busybox", "sh", "-c", f"until nc -w 5 {address} 80 </dev/null; do :; done").stdout
    assert out == "hello\n"


def test_a_published_port_answers_on_the_hosts_loopback(engine, container):
    port = free_port()
    identity = container("-p", f"127.0.0.1:{port}:80", "busybox", "sh", "-c", "while :; do nc -l -p 80 -e cat; done")
    wait_until(lambda: engine.docker("exec", identity, "sh", "-c", "netstat -ltn | grep -q ':80 '", check=False).returncode == 0, "the server listens")
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(b"through the port")
        client.shutdown(socket.SHUT_WR)
        received = b""
        while chunk := client.recv(4096):
            received += chunk
    assert received == b"through the port"
    assert engine.docker("port", identity).stdout.strip() == f"80/tcp -> 127.0.0.1:{port}"


def test_an_ephemeral_port_is_one_number_for_both_families(engine, container):
    identity = container("-p", "80", "busybox", "sleep", "1000")
    bindings = engine.inspect(identity)["NetworkSettings"]["Ports"]["80/tcp"]
    assert {binding["HostIp"] for binding in bindings} == {"0.0.0.0", "::"}
    assert len({binding["HostPort"] for binding in bindings}) == 1


def test_a_taken_port_is_named_and_the_container_stays_created(engine, container):
    port = free_port()
    container("-p", f"127.0.0.1:{port}:80", "busybox", "sleep", "1000")
    done = engine.docker("run", "-d", "--name", "unlucky", "-p", f"127.0.0.1:{port}:80", "busybox", "true", check=False)
    assert done.returncode == 125 and "port is already allocated" in done.stderr
    assert engine.inspect("unlucky")["State"]["Status"] == "created"
    engine.docker("rm", "unlucky")
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        done = engine.docker("run", "--rm", "-p", f"127.0.0.1:{foreign.getsockname()[1]}:80", "busybox", "true", check=False)
    assert done.returncode == 125 and "address already in use" in done.stderr


def test_a_port_is_free_again_after_the_container(engine):
    port = free_port()
    for _ in range(2):
        engine.docker("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true")


def test_a_published_udp_port(engine, container):
    port = free_port()
    identity = container("-p", f"127.0.0.1:{port}:9/udp", "-v", f"{BUILD / 'tests/test_tool'}:/test_tool:ro", "busybox", "/test_tool", "udp-echo", "9")
    wait_until(lambda: engine.docker("logs", identity).stdout == "ready\n", "the server listens")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.sendto(b"datagram", ("127.0.0.1", port))
        assert client.recv(100) == b"datagram"


def test_the_hosts_loopback_is_not_reachable_from_a_container(engine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = engine.docker("run", "--rm", "busybox", "nc", "-w", "3", "10.0.2.2", str(server.getsockname()[1]), check=False, input="")
    assert done.returncode != 0


def test_networks_are_listed_and_inspected(engine):
    assert set(engine.docker("network", "ls", "--format", "{{.Name}}").stdout.split()) == {"bridge", "host", "none"}
    bridge = json.loads(engine.docker("network", "inspect", "bridge").stdout)[0]
    assert bridge["IPAM"]["Config"][0]["Subnet"] and bridge["Driver"] == "bridge"


def test_a_container_can_share_anothers_network(engine, container):
    first = container("busybox", "sleep", "1000")
    own = engine.docker("exec", first, "ip", "addr", "show", "eth0").stdout
    assert engine.docker("run", "--rm", "--network", f"container:{first}", "busybox", "ip", "addr", "show", "eth0").stdout == own


def test_who_shares_the_network_of_a_container_that_ended_does_not_keep_its_address(engine, container):
    first = container("--init", "busybox", "sleep", "1000")
    second = container("--init", "--network", f"container:{first}", "busybox", "sleep", "1000")
    engine.docker("stop", "-t", "0", first)
    wait_until(lambda: "eth0" not in engine.docker("exec", second, "ip", "addr").stdout, "the interface went")
    # As with docker: what shares the former namespace is not moved into the new one.
    engine.docker("start", first)
    assert "eth0" in engine.docker("exec", first, "ip", "addr").stdout
