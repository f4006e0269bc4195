"""User-defined networks through the docker CLI: made, shown, removed; containers on one or several, connected while they run."""
import json
import re

import pytest

from engine import needs_cli, wait_until


def show(engine, name):
    return json.loads(engine.docker("network", "inspect", name).stdout)[0]


def endpoints(engine, name):
    shown = engine.docker("network", "inspect", name, check=False)
    return json.loads(shown.stdout)[0]["Containers"] if shown.returncode == 0 else {}


def on(engine, identity, name):
    return engine.inspect(identity)["NetworkSettings"]["Networks"][name]


def routes(engine, identity):
    return engine.docker("exec", identity, "ip", "route").stdout


def refusal(engine, *arguments):
    done = engine.docker(*arguments, check=False)
    assert done.returncode != 0
    return done.stderr


def reaches(engine, identity, address):
    return engine.docker("exec", identity, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def test_what_was_asked_for_is_shown_again(engine, network):
    network("net-shown", "--subnet", "10.91.0.0/24", "--ip-range", "10.91.0.128/25", "--gateway", "10.91.0.254",
            "--aux-address", "router=10.91.0.130", "--label", "a=b", "--internal", "--attachable", "-o", "com.example.x=y")
    shown = show(engine, "net-shown")
    assert shown["IPAM"]["Config"] == [{"Subnet": "10.91.0.0/24", "IPRange": "10.91.0.128/25", "Gateway": "10.91.0.254",
                                        "AuxiliaryAddresses": {"router": "10.91.0.130"}}]
    assert shown["Labels"] == {"a": "b"} and shown["Options"] == {"com.example.x": "y"}
    assert shown["Internal"] and shown["Attachable"] and shown["Driver"] == "bridge" and shown["Scope"] == "local"
    assert shown["Containers"] == {}


def test_the_range_holds_and_the_auxiliary_address_is_spared(engine, network, container):
    network("net-range", "--subnet", "10.92.0.0/24", "--ip-range", "10.92.0.128/30", "--aux-address", "router=10.92.0.129")
    first = container("--network", "net-range", "busybox", "sleep", "1000")
    second = container("--network", "net-range", "busybox", "sleep", "1000")
    assert [on(engine, c, "net-range")["IPAddress"] for c in (first, second)] == ["10.92.0.128", "10.92.0.130"]


def test_two_networks_do_not_overlap(engine, network):
    network("net-one", "--subnet", "10.93.0.0/16")
    assert "Pool overlaps with other one on this address space" in refusal(engine, "network", "create", "--subnet", "10.93.4.0/24", "net-two")


def test_names_are_unique_and_predefined_ones_stay(engine, network):
    network("net-unique")
    assert "network with name net-unique already exists" in refusal(engine, "network", "create", "net-unique")
    assert "operation is not permitted on predefined bridge network" in refusal(engine, "network", "create", "bridge")
    assert "bridge is a pre-defined network and cannot be removed" in refusal(engine, "network", "rm", "bridge")
    status, _, answer = engine.api("DELETE", "/networks/net-absent")
    assert status == 404 and answer["message"] == "network net-absent not found"


@pytest.mark.parametrize("driver,words", [("overlay", "not a swarm manager"), ("macvlan", 'plugin "macvlan" not found'), ("ipvlan", "rootless")])
def test_other_drivers_are_refused_with_a_reason(engine, driver, words):
    assert words in refusal(engine, "network", "create", "-d", driver, "net-driver")


def test_a_network_in_use_is_not_removed(engine, network):
    network("net-used")
    engine.docker("run", "-d", "--name", "net-user", "--network", "net-used", "busybox", "sleep", "1000")
    identity = engine.inspect("net-user")["Id"]
    assert f'network net-used has active endpoints (name:"net-user" id:"{identity[:12]}")' in refusal(engine, "network", "rm", "net-used")
    engine.docker("stop", "-t", "0", "net-user")
    engine.docker("network", "rm", "net-used")
    assert "network net-used not found" in refusal(engine, "start", "net-user")
    engine.docker("rm", "net-user")


def test_containers_of_one_network_reach_each_other_and_no_others(engine, network, container):
    network("net-a")
    network("net-b")
    one, two, other = (container("--network", name, "busybox", "sleep", "1000") for name in ("net-a", "net-a", "net-b"))
    assert reaches(engine, one, on(engine, two, "net-a")["IPAddress"])
    assert not reaches(engine, one, on(engine, other, "net-b")["IPAddress"])


def test_an_internal_network_leads_nowhere(engine, network, container):
    network("net-internal", "--internal")
    identity = container("--network", "net-internal", "busybox", "sleep", "1000")
    assert "default" not in routes(engine, identity)
    assert on(engine, identity, "net-internal")["Gateway"] == ""


def test_containers_without_icc_do_not_reach_each_other(engine, network, container):
    network("net-apart", "-o", "com.docker.network.bridge.enable_icc=false")
    one, two = (container("--network", "net-apart", "busybox", "sleep", "1000") for _ in range(2))
    assert not reaches(engine, one, on(engine, two, "net-apart")["IPAddress"])


def test_both_families(engine, network, container):
    network("net-dual", "--ipv6")
    ours, theirs = (container("--network", "net-dual", "busybox", "sleep", "1000") for _ in range(2))
    shown = on(engine, theirs, "net-dual")
    assert shown["GlobalIPv6Address"].startswith("fd") and shown["GlobalIPv6PrefixLen"] == 64 and shown["IPv6Gateway"]
    assert reaches(engine, ours, shown["IPAddress"])
    assert engine.docker("exec", ours, "ping", "-6", "-c", "1", "-W", "2", shown["GlobalIPv6Address"], check=False).returncode == 0
    assert shown["GlobalIPv6Address"] in engine.docker("exec", theirs, "cat", "/etc/hosts").stdout
    assert f"default via {shown['IPv6Gateway']}" in engine.docker("exec", ours, "ip", "-6", "route").stdout


def test_static_addresses_and_mac(engine, network, container):
    network("net-static", "--subnet", "10.94.0.0/24", "--ipv6", "--subnet", "fd94::/64")
    identity = container("--network", "net-static", "--ip", "10.94.0.77", "--ip6", "fd94::77", "--mac-address", "02:42:00:00:00:77", "busybox", "sleep", "1000")
    link = engine.docker("exec", identity, "ip", "addr", "show", "eth0").stdout
    assert "inet 10.94.0.77/24" in link and "inet6 fd94::77/64" in link and "02:42:00:00:00:77" in link
    taken = refusal(engine, "run", "--rm", "--network", "net-static", "--ip", "10.94.0.77", "busybox", "true")
    assert "Address already in use" in taken
    outside = refusal(engine, "run", "--rm", "--network", "net-static", "--ip", "10.95.0.1", "busybox", "true")
    assert "no configured subnet" in outside and "10.95.0.1" in outside


def test_static_addresses_need_a_chosen_subnet(engine, network):
    network("net-automatic")
    words = "user specified IP address is supported only when connecting to networks with user configured subnets"
    assert words in refusal(engine, "run", "--rm", "--network", "net-automatic", "--ip", "172.30.0.9", "busybox", "true")
    for config, words in (({"IPAMConfig": {"IPv4Address": "172.17.0.9"}}, "user specified IP address is supported on user defined networks only"),
                          ({"Aliases": ["x"]}, "network-scoped alias is supported only for containers in user defined networks")):
        status, _, answer = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "NetworkingConfig": {
            "EndpointsConfig": {"bridge": config}}})
        assert status == 400 and words in answer["message"]


def test_a_running_container_is_connected_and_disconnected(engine, network, container):
    network("net-later", "--subnet", "10.96.0.0/24")
    identity = container("busybox", "sleep", "1000")
    engine.docker("network", "connect", "--ip", "10.96.0.9", "--alias", "later", "net-later", identity)
    assert "inet 10.96.0.9/24" in engine.docker("exec", identity, "ip", "addr", "show", "eth1").stdout
    assert "10.96.0.9\t" in engine.docker("exec", identity, "cat", "/etc/hosts").stdout
    assert "nameserver 127.0.0.11" in engine.docker("exec", identity, "cat", "/etc/resolv.conf").stdout
    assert on(engine, identity, "net-later")["Aliases"][0] == "later"
    name = engine.inspect(identity)["Name"][1:]
    assert f"endpoint with name {name} already exists in network net-later" in refusal(engine, "network", "connect", "net-later", identity)
    engine.docker("network", "disconnect", "net-later", identity)
    assert engine.docker("exec", identity, "ip", "addr", "show", "eth1", check=False).returncode != 0
    assert "10.96.0.9" not in engine.docker("exec", identity, "cat", "/etc/hosts").stdout
    assert "127.0.0.11" not in engine.docker("exec", identity, "cat", "/etc/resolv.conf").stdout
    assert f"container {identity} is not connected to network net-later" in refusal(engine, "network", "disconnect", "net-later", identity)


def test_what_a_container_wrote_into_hosts_stays(engine, network, container):
    network("net-hosts")
    identity = container("busybox", "sleep", "1000")
    engine.docker("exec", identity, "sh", "-c", "echo '192.0.2.9 mine' >> /etc/hosts")
    engine.docker("network", "connect", "net-hosts", identity)
    hosts = engine.docker("exec", identity, "cat", "/etc/hosts").stdout
    assert "192.0.2.9 mine" in hosts and on(engine, identity, "net-hosts")["IPAddress"] in hosts


def test_the_default_route_moves_with_the_networks(engine, network, container):
    network("net-aaa", "--subnet", "10.97.1.0/24")
    network("net-bbb", "--subnet", "10.97.2.0/24")
    identity = container("--network", "net-bbb", "busybox", "sleep", "1000")
    assert "default via 10.97.2.1" in routes(engine, identity)
    engine.docker("network", "connect", "net-aaa", identity)
    assert "default via 10.97.1.1 dev eth1" in routes(engine, identity)
    engine.docker("network", "disconnect", "net-aaa", identity)
    assert "default via 10.97.2.1 dev eth0" in routes(engine, identity)
    engine.docker("network", "disconnect", "net-bbb", identity)
    assert routes(engine, identity) == ""


def test_the_gateway_priority_decides(engine, network, container):
    network("net-low", "--subnet", "10.98.1.0/24")
    network("net-zhigh", "--subnet", "10.98.2.0/24")
    status, _, created = engine.api("POST", "/v1.48/containers/create?name=net-priority", {
        "Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "net-low"},
        "NetworkingConfig": {"EndpointsConfig": {"net-low": {}, "net-zhigh": {"GwPriority": 1}}}})
    assert status == 201
    engine.docker("start", "net-priority")
    assert "default via 10.98.2.1 dev eth0" in routes(engine, "net-priority")
    assert "10.98.1.0/24 dev eth1" in routes(engine, "net-priority")
    engine.docker("rm", "-f", "net-priority")


def test_older_versions_take_one_network_at_create(engine, network):
    network("net-old")
    status, _, answer = engine.api("POST", "/v1.43/containers/create", {
        "Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"net-old": {}, "bridge": {}}}})
    assert status == 400 and "Container cannot be connected to network endpoints: bridge, net-old" in answer["message"]


def test_a_stopped_container_keeps_what_it_is_connected_to(engine, network):
    network("net-stopped", "--subnet", "10.99.0.0/24")
    engine.docker("create", "--name", "net-waits", "busybox", "sleep", "1000")
    for _ in range(2):
        engine.docker("network", "connect", "--ip", "10.99.0.5", "net-stopped", "net-waits")
    assert endpoints(engine, "net-stopped") == {}
    engine.docker("start", "net-waits")
    assert on(engine, "net-waits", "net-stopped")["IPAddress"] == "10.99.0.5"
    engine.docker("restart", "-t", "0", "net-waits")
    assert on(engine, "net-waits", "net-stopped")["IPAddress"] == "10.99.0.5"
    engine.docker("stop", "-t", "0", "net-waits")
    shown = on(engine, "net-waits", "net-stopped")
    assert shown["IPAddress"] == "" and shown["NetworkID"] == show(engine, "net-stopped")["Id"]
    engine.docker("rm", "net-waits")


def test_host_none_and_shared_networks_are_alone(engine, network, container):
    network("net-lonely")
    for mode in ("host", "none", "container:" + container("busybox", "sleep", "1000")):
        identity = container("--network", mode, "busybox", "sleep", "1000")
        assert "cannot be" in refusal(engine, "network", "connect", "net-lonely", identity)


def test_inspect_shows_who_is_on_a_network(engine, network, container):
    network("net-inspected")
    identity = container("--network", "net-inspected", "--network-alias", "www", "busybox", "sleep", "1000")
    mine = on(engine, identity, "net-inspected")
    entry = show(engine, "net-inspected")["Containers"][identity]
    assert entry["EndpointID"] == mine["EndpointID"] and entry["MacAddress"] == mine["MacAddress"]
    assert entry["IPv4Address"] == f"{mine['IPAddress']}/{mine['IPPrefixLen']}" and entry["IPv6Address"] == ""
    assert mine["DNSNames"] == [engine.inspect(identity)["Name"][1:], "www", identity[:12]]


def test_filters_of_the_list(engine, network):
    network("net-listed", "--label", "team=blue")

    def names(*filters):
        options = [word for one in filters for word in ("--filter", one)]
        return set(engine.docker("network", "ls", "--format", "{{.Name}}", *options).stdout.split())

    assert "net-listed" in names("label=team=blue") and "bridge" not in names("label=team=blue")
    assert names("type=builtin") == {"bridge", "host", "none"} and "bridge" not in names("type=custom")
    assert names("name=net-list") == {"net-listed"} and names("driver=null") == {"none"}
    assert "net-listed" in names("dangling=true") and "net-listed" not in names("dangling=false")
    assert names("id=" + show(engine, "net-listed")["Id"][:12]) == {"net-listed"}
    assert "invalid filter" in refusal(engine, "network", "ls", "--filter", "type=odd")
    assert engine.api("GET", "/networks/net-listed?scope=swarm")[0] == 404 != engine.api("GET", "/networks/net-listed?scope=local")[0]


def test_prune_takes_what_nobody_runs_on(engine, network, container):
    network("net-idle", "--label", "prune=me")
    network("net-busy", "--label", "prune=me")
    container("--network", "net-busy", "busybox", "sleep", "1000")
    assert engine.docker("network", "prune", "-f", "--filter", "until=1h", "--filter", "label=prune=me").stdout == ""
    assert "more than one until" in refusal(engine, "network", "prune", "-f", "--filter", "until=1h", "--filter", "until=2h")
    assert engine.docker("network", "prune", "-f", "--filter", "label=prune=me").stdout.split() == ["Deleted", "Networks:", "net-idle"]
    assert "net-busy" in engine.docker("network", "ls").stdout


def test_events_of_a_network(engine, network):
    network("net-events")
    identity = show(engine, "net-events")["Id"]
    engine.docker("run", "--rm", "--network", "net-events", "busybox", "true")
    engine.docker("network", "rm", "net-events")
    seen = [event for event in engine.events_of({"network": [identity]}) if event["Type"] == "network"]
    assert [event["Action"] for event in seen] == ["create", "connect", "disconnect", "destroy"]
    assert {(event["Actor"]["Attributes"]["name"], event["Actor"]["Attributes"]["type"]) for event in seen} == {("net-events", "bridge")}


def test_a_link_on_the_default_bridge(engine, container):
    engine.docker("run", "-d", "--name", "linked-db", "-e", "USER=me", "--expose", "5432", "busybox", "sleep", "1000")
    identity = container("--link", "linked-db:db", "busybox", "sleep", "1000")
    address = engine.inspect("linked-db")["NetworkSettings"]["IPAddress"]
    assert re.search(rf"^{re.escape(address)}\tdb .*linked-db$", engine.docker("exec", identity, "cat", "/etc/hosts").stdout, re.M)
    assert engine.inspect(identity)["HostConfig"]["Links"] == [f"/linked-db:{engine.inspect(identity)['Name']}/db"]
    variables = engine.docker("exec", identity, "env").stdout
    assert f"DB_PORT_5432_TCP=tcp://{address}:5432" in variables and "DB_ENV_USER=me" in variables
    container("busybox", "sleep", "1000")
    engine.docker("restart", "-t", "0", "linked-db")
    moved = engine.inspect("linked-db")["NetworkSettings"]["IPAddress"]
    wait_until(lambda: f"{moved}\tdb" in engine.docker("exec", identity, "cat", "/etc/hosts").stdout, "hosts has the new address")
    engine.docker("stop", "-t", "0", "linked-db")
    assert "Cannot link to a non running container: /linked-db" in refusal(engine, "run", "--rm", "--link", "linked-db", "busybox", "true")
    engine.docker("rm", "-f", "linked-db")
    assert "No such container" in refusal(engine, "run", "--rm", "--link", "linked-absent", "busybox", "true")


def test_a_link_of_the_default_bridge_to_another_network_is_refused_at_the_start(engine, network, container):
    network("net-linked")
    target = container("--name", "linked-elsewhere", "--network", "net-linked", "busybox", "sleep", "1000")
    words = refusal(engine, "run", "--name", "linking", "--link", "linked-elsewhere:it", "busybox", "true")
    assert f"container {target} not attached to default bridge network" in words
    assert engine.inspect("linking")["State"]["Status"] == "created"
    engine.docker("rm", "linking")


def test_the_engines_own_name_server_is_none_to_ask(engine, network):
    network("net-own-dns")
    done = engine.docker("run", "--rm", "--network", "net-own-dns", "--dns", "127.0.0.11", "busybox", "nslookup", "localhost.invalid.", check=False)
    assert "DNS server 127.0.0.11 is not asked" in done.stderr
    assert "NXDOMAIN" in done.stdout or "SERVFAIL" in done.stdout


def test_several_networks_on_one_command_line(engine, network):
    needs_cli("1.44")
    network("net-first", "--subnet", "10.90.1.0/24")
    network("net-second")
    engine.docker("run", "-d", "--name", "net-several", "--network", "name=net-first,ip=10.90.1.9,alias=nine", "--network", "net-second", "busybox", "sleep", "1000")
    assert on(engine, "net-several", "net-first")["IPAddress"] == "10.90.1.9" and on(engine, "net-several", "net-second")["IPAddress"]
    engine.docker("rm", "-f", "net-several")


def test_driver_options_reach_the_interface(engine, network, container):
    network("net-options", "-o", "com.docker.network.driver.mtu=1400", "-o", "com.docker.network.container_iface_prefix=lan")
    identity = container("--network", "net-options", "busybox", "sleep", "1000")
    assert "mtu 1400" in engine.docker("exec", identity, "ip", "link", "show", "lan0").stdout
    assert "is no MTU" in refusal(engine, "network", "create", "-o", "com.docker.network.driver.mtu=big", "net-bad")
