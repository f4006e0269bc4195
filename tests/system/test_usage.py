"""docker stats and docker top."""
import json
import re
import threading

import pytest

from engine import UnixConnection, wait_until

BUSY = "while :; do :; done"


def sample(engine, name, query="stream=false"):
    status, _, body = engine.api("GET", f"/containers/{name}/stats?{query}")
    assert status == 200, body
    return body


def cpu_percent(value):
    used = value["cpu_stats"]["cpu_usage"]["total_usage"] - value["precpu_stats"]["cpu_usage"]["total_usage"]
    all_used = value["cpu_stats"]["system_cpu_usage"] - value["precpu_stats"]["system_cpu_usage"]
    return 100 * used / all_used * value["cpu_stats"]["online_cpus"]


def test_a_sample_has_a_rate_memory_pids_and_networks(engine, container):
    name = container("busybox", "sh", "-c", BUSY)
    value = sample(engine, name)
    assert value["id"] == name and value["name"].startswith("/")
    assert value["preread"] < value["read"]
    assert cpu_percent(value) > 10
    assert 0 < value["memory_stats"]["usage"] < value["memory_stats"]["limit"]
    assert value["pids_stats"]["current"] == 1
    assert list(value["networks"]) == ["eth0"]
    assert value["networks"]["eth0"]["rx_packets"] >= 0


def test_execs_and_children_are_counted(engine, container):
    name = container("busybox", "sleep", "1000")
    before = sample(engine, name, "stream=false&one-shot=true")["pids_stats"]["current"]
    engine.docker("exec", "-d", name, "sh", "-c", "sleep 1000 & sleep 1001")
    assert before == 1
    wait_until(lambda: sample(engine, name, "stream=false&one-shot=true")["pids_stats"]["current"] == 3, "the exec is counted")


def test_one_shot_is_one_sample_at_once(engine, container):
    name = container("busybox", "sleep", "1000")
    value = sample(engine, name, "stream=false&one-shot=true")
    assert value["precpu_stats"]["cpu_usage"]["total_usage"] == 0
    assert value["preread"] == "0001-01-01T00:00:00Z"
    assert engine.api("GET", f"/containers/{name}/stats?one-shot=true")[0] == 400


def test_networks_are_absent_without_a_network_of_its_own(engine, container):
    for network in ("host", "none"):
        assert "networks" not in sample(engine, container("--network", network, "busybox", "sleep", "1000"), "stream=false&one-shot=true")


def test_a_stopped_container_has_an_empty_sample(engine):
    name = engine.docker("create", "busybox", "true").stdout.strip()
    value = sample(engine, name)
    assert value["id"] == name and value["memory_stats"] == {} and value["read"].startswith("0001")
    engine.docker("rm", name)
    assert engine.api("GET", f"/containers/{name}/stats?stream=false")[0] == 404


def test_a_stream_follows_a_restart_and_ends_with_the_container(engine, container):
    name = container("busybox", "sleep", "1000")
    connection = UnixConnection(engine.socket)
    connection.request("GET", f"/containers/{name}/stats")
    reply = connection.getresponse()
    assert json.loads(reply.readline())["pids_stats"]["current"] == 1
    engine.docker("kill", name)
    while json.loads(reply.readline())["pids_stats"]:
        pass
    engine.docker("start", name)
    while not json.loads(reply.readline())["pids_stats"]:
        pass
    engine.docker("rm", "-f", name)
    assert len(reply.read().splitlines()) < 5


def test_clients_of_one_container_share_its_samples(engine, container):
    name = container("busybox", "sleep", "1000")
    reads = []

    def watch():
        connection = UnixConnection(engine.socket)
        connection.request("GET", f"/containers/{name}/stats")
        reply = connection.getresponse()
        reads.append([json.loads(reply.readline())["read"] for _ in range(3)])
        connection.close()
    threads = [threading.Thread(target=watch) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(reads) == 5
    assert len({read for client in reads for read in client}) <= 4


def test_the_cli_shows_all_containers(engine, container):
    names = [container("busybox", "sleep", "1000") for _ in range(3)]
    shown = engine.docker("stats", "--no-stream", "--format", "{{.ID}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}}").stdout.splitlines()
    for name in names:
        line = next(line for line in shown if line.startswith(name[:12]))
        assert re.fullmatch(r"\w+ [\d.]+% [\d.]+[KM]iB / [\d.]+[GM]iB 1", line), line
    stopped = engine.docker("create", "busybox", "true").stdout.strip()
    assert stopped[:12] in engine.docker("stats", "--no-stream", "--all", "--format", "{{.ID}}").stdout
    engine.docker("rm", stopped)


def test_top_shows_the_processes_of_the_container_only(engine, container):
    name = container("busybox", "sh", "-c", "sleep 1234; true")
    wait_until(lambda: len(engine.docker("top", name).stdout.splitlines()) == 3, "both processes are there")
    lines = engine.docker("top", name).stdout.splitlines()
    assert lines[0].split()[:3] == ["UID", "PID", "PPID"]
    assert any("sleep 1234" in line for line in lines)
    own = engine.docker("top", name, "-o", "pid,args").stdout.splitlines()
    assert own[0].split() == ["PID", "COMMAND"] and len(own) == 3


def test_top_refuses_what_docker_refuses(engine, container):
    name = container("busybox", "sleep", "1000")
    refused = engine.docker("top", name, "-o", "args", check=False)
    assert "Couldn't find PID field in ps output" in refused.stderr
    assert engine.api("GET", f"/containers/{name}/top?ps_args=-o%20args%3DPID")[0] == 400
    assert "ps: " in engine.docker("top", name, "--nonsense", check=False).stderr
    engine.docker("kill", name)
    assert engine.api("GET", f"/containers/{name}/top")[0] == 409
    assert "is not running" in engine.docker("top", name, check=False).stderr


@pytest.mark.parametrize("mode", ["host", "container:"])
def test_processes_of_a_shared_pid_namespace_are_told_apart(engine, container, mode):
    other = container("busybox", "sleep", "777") if mode != "host" else ""
    name = container("--pid", mode + other, "busybox", "sleep", "778")
    shown = engine.docker("top", name).stdout
    assert "sleep 778" in shown and "sleep 777" not in shown and len(shown.splitlines()) == 2
