"""Networks out of the ordinary: of one family, made from a configuration, renamed containers, own bridge names."""
import json

from engine import wait_until


def refused(engine, method, path, body, status):
    answer = engine.api(method, path, body)
    assert answer[0] == status, answer
    return answer[2]["message"]


def test_ipv6_alone(engine):
    status, _, made = engine.api("POST", "/networks/create", {"Name": "net-six", "EnableIPv4": False, "EnableIPv6": True})
    assert status == 201, made
    for name in ("six-one", "six-two"):
        engine.docker("run", "-d", "--name", name, "--network", "net-six", "busybox", "sleep", "1000")
    there = engine.inspect("six-two")["NetworkSettings"]["Networks"]["net-six"]
    assert there["IPAddress"] == "" and there["GlobalIPv6Address"].startswith("fd")
    engine.docker("exec", "six-one", "ping", "-6", "-c", "1", "-W", "2", there["GlobalIPv6Address"])
    assert "inet " not in engine.docker("exec", "six-one", "ip", "addr", "show", "eth0").stdout
    engine.docker("rm", "-f", "six-one", "six-two")
    engine.docker("network", "rm", "net-six")


def test_a_network_takes_its_configuration_from_another(engine):
    engine.docker("network", "create", "--config-only", "--subnet", "10.71.0.0/24", "net-config")
    engine.docker("network", "create", "--config-from", "net-config", "net-configured")
    shown = json.loads(engine.docker("network", "inspect", "net-configured").stdout)[0]
    assert shown["ConfigFrom"] == {"Network": "net-config"} and shown["IPAM"]["Config"] == [{"Subnet": "10.71.0.0/24"}]
    assert "configuration network" in refused(engine, "DELETE", "/networks/net-config", None, 403)
    engine.docker("create", "--name", "config-user", "--network", "none", "busybox", "true")
    assert "configuration-only network" in engine.docker("run", "--rm", "--network", "net-config", "busybox", "true", check=False).stderr
    assert 'configuration network "net-none" does not exist' in refused(
        engine, "POST", "/networks/create", {"Name": "net-x", "ConfigFrom": {"Network": "net-none"}}, 404)
    engine.docker("rm", "config-user")
    engine.docker("network", "rm", "net-configured", "net-config")


def test_a_renamed_container_is_found_by_its_new_name(engine):
    engine.docker("network", "create", "net-renamed")
    engine.docker("run", "-d", "--name", "renamed-old", "--network", "net-renamed", "busybox", "sleep", "1000")
    engine.docker("run", "-d", "--name", "renamed-asks", "--network", "net-renamed", "busybox", "sleep", "1000")
    address = engine.inspect("renamed-old")["NetworkSettings"]["Networks"]["net-renamed"]["IPAddress"]
    engine.docker("rename", "renamed-old", "renamed-new")
    wait_until(lambda: address in engine.docker("exec", "renamed-asks", "nslookup", "renamed-new", check=False).stdout, "the new name is known")
    assert engine.docker("exec", "renamed-asks", "nslookup", "renamed-old", check=False).returncode != 0
    engine.docker("rm", "-f", "renamed-new", "renamed-asks")
    engine.docker("network", "rm", "net-renamed")


def test_bridge_names_are_unique_and_not_the_engines_own(engine):
    option = "com.docker.network.bridge.name"
    engine.docker("network", "create", "-o", f"{option}=br-mine", "net-mine")
    assert "networks have same bridge name" in refused(engine, "POST", "/networks/create", {"Name": "net-too", "Options": {option: "br-mine"}}, 403)
    for name in ("tap0", "lo", "docker0"):
        assert engine.api("POST", "/networks/create", {"Name": "net-own", "Options": {option: name}})[0] in (400, 403)
    engine.docker("network", "rm", "net-mine")


def test_faults_of_an_address_plan_are_named(engine):
    plan = {"Name": "net-faulty", "IPAM": {"Config": [{"Subnet": "10.72.0.5/24", "Gateway": "10.73.0.1"}]}}
    message = refused(engine, "POST", "/networks/create", plan, 400)
    assert "it should be 10.72.0.0/24" in message and "invalid gateway 10.73.0.1" in message


def test_hosts_that_share_a_network_share_its_files(engine):
    engine.docker("network", "create", "net-shared")
    engine.docker("run", "-d", "--name", "shared-first", "--network", "net-shared", "busybox", "sleep", "1000")
    address = engine.inspect("shared-first")["NetworkSettings"]["Networks"]["net-shared"]["IPAddress"]
    out = engine.docker("run", "--rm", "--network", "container:shared-first", "busybox", "cat", "/etc/hosts", "/etc/resolv.conf").stdout
    assert address in out and "nameserver 127.0.0.11" in out
    engine.docker("run", "-d", "--name", "shared-second", "--network", "container:shared-first", "busybox", "sleep", "1000")
    assert engine.docker("run", "--rm", "--network", "container:shared-second", "busybox", "cat", "/etc/hosts", "/etc/resolv.conf").stdout == out
    engine.docker("rm", "-f", "shared-first", "shared-second")
    engine.docker("network", "rm", "net-shared")
