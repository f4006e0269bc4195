"""Names in user-defined networks, and the host by name."""
import socket
import subprocess
import threading

from engine import BUILD


def lookup(engine, container, name, *options):
    """The addresses that busybox finds, after the server's own."""
    done = engine.docker("exec", container, "nslookup", *options, name, check=False)
    return sorted(line.split(": ")[1] for line in done.stdout.splitlines()[2:] if line.startswith("Address: "))


def address(engine, container, network):
    return engine.inspect(container)["NetworkSettings"]["Networks"][network]["IPAddress"]


def sleeper(engine, name, *options):
    engine.docker("run", "-d", "--name", name, *options, "busybox", "sleep", "1000")
    return name


def test_containers_find_each_other_by_every_name(engine, network):
    network("dns-one")
    asking = sleeper(engine, "dns-asking", "--network", "dns-one")
    named = sleeper(engine, "dns-named", "--network", "dns-one", "--network-alias", "other-name", "--hostname", "its-host")
    own = [address(engine, named, "dns-one")]
    short = engine.inspect(named)["Id"][:12]
    for name in (named, named.upper(), "other-name", short, "its-host", f"{named}.dns-one"):
        assert lookup(engine, asking, name) == own, name
    assert lookup(engine, asking, asking) == [address(engine, asking, "dns-one")]
    reverse = engine.docker("exec", asking, "nslookup", own[0]).stdout
    assert f"name = {named}.dns-one" in reverse
    assert engine.docker("exec", asking, "cat", "/etc/resolv.conf").stdout.startswith("nameserver 127.0.0.11\n")


def test_an_alias_of_several_containers_is_all_of_them(engine, network):
    network("dns-many")
    names = [sleeper(engine, f"dns-many-{i}", "--network", "dns-many", "--network-alias", "service") for i in range(3)]
    assert lookup(engine, names[0], "service") == sorted(address(engine, name, "dns-many") for name in names)
    engine.docker("rm", "-f", names[2])
    assert lookup(engine, names[0], "service") == sorted(address(engine, name, "dns-many") for name in names[:2])


def test_names_follow_connect_disconnect_and_rename(engine, network):
    network("dns-left"), network("dns-right")
    left = sleeper(engine, "dns-on-left", "--network", "dns-left")
    right = sleeper(engine, "dns-on-right", "--network", "dns-right")
    assert lookup(engine, left, right) == []
    engine.docker("network", "connect", "--alias", "visitor", "dns-left", right)
    assert lookup(engine, left, right) == lookup(engine, left, "visitor") == [address(engine, right, "dns-left")]
    engine.docker("rename", right, "dns-renamed")
    assert lookup(engine, left, "dns-renamed") == [address(engine, "dns-renamed", "dns-left")]
    assert lookup(engine, left, right) == []
    engine.docker("network", "disconnect", "dns-left", "dns-renamed")
    assert lookup(engine, left, "dns-renamed") == []


def test_a_link_is_a_name_for_one_container_only(engine, network):
    network("dns-links")
    target = sleeper(engine, "dns-target", "--network", "dns-links")
    linking = sleeper(engine, "dns-linking", "--network", "dns-links", "--link", "dns-target:backend")
    assert lookup(engine, linking, "backend") == [address(engine, target, "dns-links")]
    assert lookup(engine, target, "backend") == []


def test_internal_networks_know_their_own_names_only(engine, network):
    network("dns-inside", "--internal")
    first = sleeper(engine, "dns-first", "--network", "dns-inside")
    assert lookup(engine, first, first) == [address(engine, first, "dns-inside")]
    assert "SERVFAIL" in engine.docker("exec", first, "nslookup", "example.org", check=False).stdout


def test_names_are_served_by_tcp_too(engine, network):
    network("dns-tcp")
    box = sleeper(engine, "dns-by-tcp", "--network", "dns-tcp")
    question = r"\0\034\022\064\1\0\0\1\0\0\0\0\0\0\012dns-by-tcp\0\0\1\0\1"
    out = engine.docker("exec", box, "sh", "-c", f"printf '{question}' | nc -w 2 127.0.0.11 53 | tail -c 4 | od -An -tu1").stdout
    assert ".".join(out.split()) == address(engine, box, "dns-tcp")


def test_a_container_may_have_port_53_itself(engine, network):
    network("dns-port")
    box = sleeper(engine, "dns-server", "--network", "dns-port", "-v", f"{BUILD / 'tests/test_tool'}:/test_tool:ro")
    with engine.popen("exec", box, "/test_tool", "who", "53", stdout=subprocess.PIPE) as server:
        assert server.stdout.readline() in (b"ready\n", "ready\n")
        assert lookup(engine, box, box) == [address(engine, box, "dns-port")]
        server.kill()


def test_the_host_is_reached_at_host_gateway(engine):
    with socket.create_server(("0.0.0.0", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(b"from the host\n"), daemon=True).start()
        out = engine.docker("run", "--rm", "-i", "--add-host", "host.docker.internal:host-gateway", "busybox", "nc", "-w", "5",
                            "host.docker.internal", str(server.getsockname()[1]), input="").stdout
    assert out == "from the host\n"
