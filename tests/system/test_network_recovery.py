"""Networks outlive the processes that serve them, and leave nothing when they go."""
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from engine import wait_until
from free_ports import free_port
from test_leaks import container_network_links
from test_recovery import kill_and_wait_for_another

CYCLES = int(os.environ.get("BERTH_NETWORK_CYCLES", "100"))  # a soak asks for 10000
AT_A_TIME = 4


def two_networks(engine):
    """A server on two networks and a client on one of them; gives the server's addresses by network."""
    engine.docker("network", "create", "--subnet", "10.81.0.0/24", "kept-a")
    engine.docker("network", "create", "--ipv6", "kept-b")
    engine.docker("run", "-d", "--stop-timeout", "1", "--name", "kept-server", "--network", "kept-a", "busybox", "sleep", "1000")
    engine.docker("network", "connect", "kept-b", "kept-server")
    engine.docker("run", "-d", "--stop-timeout", "1", "--name", "kept-client", "--network", "kept-b", "busybox", "sleep", "1000")
    return addresses(engine, "kept-server")


def addresses(engine, name):
    return {network: shown["IPAddress"] for network, shown in engine.inspect(name)["NetworkSettings"]["Networks"].items()}


def reaches(engine, name, address):
    return engine.docker("exec", name, "ping", "-c", "1", "-W", "1", address, check=False).returncode == 0


def test_kill_9_of_the_network_process(own_engine):
    engine = own_engine
    server = two_networks(engine)
    begin = time.monotonic()
    engine.kill_9("berth-network")
    engine.docker("run", "-d", "--name", "kept-new", "--network", "kept-b", "busybox", "sleep", "1000")
    assert time.monotonic() - begin < 10
    assert reaches(engine, "kept-client", server["kept-b"]) and reaches(engine, "kept-new", server["kept-b"])
    assert addresses(engine, "kept-new")["kept-b"] not in server.values()
    wait_until(lambda: server["kept-b"] in engine.docker("exec", "kept-client", "nslookup", "kept-server", check=False).stdout, "names are served again")


def test_kill_9_of_the_holder(own_engine):
    engine = own_engine
    server = two_networks(engine)
    identity = engine.docker("run", "-d", "--init", "-p", "127.0.0.1::80", "busybox", "nc", "-ll", "-p", "80", "-e", "echo", "served").stdout.strip()
    address = engine.docker("port", identity, "80").stdout.strip()
    (old,) = engine.pids("berth-network")
    os.kill(engine.recorded("holder"), signal.SIGKILL)
    wait_until(lambda: [pid for pid in engine.pids("berth-network") if pid != old], "a new network process")
    # The interfaces are in the new container network namespace, and the ports are published again.
    wait_until(lambda: reaches(engine, "kept-client", server["kept-b"]), "containers reach each other again")
    wait_until(lambda: answer_of(address) == b"served\n", "the port answers again")


def answer_of(address):
    try:
        with socket.create_connection(address.split(":"), timeout=5) as connection:
            return connection.recv(100)
    except OSError:
        return b""


def test_kill_9_of_the_engine_process(own_engine):
    engine = own_engine
    server = two_networks(engine)
    kill_and_wait_for_another(engine, "berth-engine")
    assert addresses(engine, "kept-server") == server
    used = {*server.values(), *addresses(engine, "kept-client").values()}
    engine.docker("run", "-d", "--name", "kept-new", "--network", "kept-b", "busybox", "sleep", "1000")
    assert addresses(engine, "kept-new")["kept-b"] not in used
    assert reaches(engine, "kept-new", server["kept-b"])
    engine.docker("network", "disconnect", "kept-a", "kept-server")
    engine.docker("network", "rm", "kept-a")


def test_networks_survive_an_orderly_restart(own_engine):
    engine = own_engine
    two_networks(engine)
    before = json.loads(engine.docker("network", "inspect", "kept-a", "kept-b", "bridge").stdout)
    engine.stop()
    engine.start()
    after = json.loads(engine.docker("network", "inspect", "kept-a", "kept-b", "bridge").stdout)
    for one in (*before, *after):
        one.pop("Containers")
    assert before == after
    engine.docker("start", "kept-server", "kept-client")
    assert reaches(engine, "kept-client", addresses(engine, "kept-server")["kept-b"])


def test_the_port_of_a_container_that_ended_unseen_is_free_again(own_engine):
    engine = own_engine
    port = free_port()  # a random one may be another engine's as soon as it is free
    engine.docker("run", "-d", "--name", "kept-port", "-p", f"127.0.0.1:{port}:80", "busybox", "sleep", "1000")
    state = engine.inspect("kept-port")["State"]
    (pid,) = engine.pids("berth-engine")
    os.kill(pid, signal.SIGSTOP)
    # The container ends while nobody can hear of it, and then the engine dies.
    inside = [process for process in engine.inside_containers() if process == state["Pid"]]
    for process in inside:
        os.kill(process, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: [other for other in engine.pids("berth-engine") if other != pid], "a new engine")
    wait_until(engine.answers, "the engine answers again")
    wait_until(lambda: not engine.inspect("kept-port")["State"]["Running"], "the end is noticed")
    engine.docker("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true")


@contextlib.contextmanager
def ended_unheard(engine, name):
    """Process 1 of the container is dead, and its shim, which would say so, is stopped."""
    pid = engine.inspect(name)["State"]["Pid"]
    stat = pathlib.Path(f"/proc/{pid}/stat")
    shim = int(stat.read_text().rsplit(")", 1)[1].split()[1])
    os.kill(shim, signal.SIGSTOP)
    try:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: stat.read_text().rsplit(")", 1)[1].split()[0] == "Z", "the process ends")
        yield
    finally:
        os.kill(shim, signal.SIGCONT)
    wait_until(lambda: not engine.inspect(name)["State"]["Running"], "the end is noticed")


def test_a_connect_at_the_very_end_counts_for_the_next_start(own_engine):
    engine = own_engine
    two_networks(engine)
    engine.docker("network", "create", "kept-c")
    with ended_unheard(engine, "kept-server"):
        engine.docker("network", "connect", "--alias", "late", "kept-c", "kept-server")
    engine.docker("start", "kept-server")
    assert set(addresses(engine, "kept-server")) == {"kept-a", "kept-b", "kept-c"} and all(addresses(engine, "kept-server").values())


def test_a_disconnect_at_the_very_end_frees_the_address(own_engine):
    engine = own_engine
    address = two_networks(engine)["kept-a"]
    with ended_unheard(engine, "kept-server"):
        engine.docker("network", "disconnect", "kept-a", "kept-server")
    engine.docker("run", "-d", "--name", "kept-new", "--network", "kept-a", "--ip", address, "busybox", "sleep", "1000")
    engine.docker("start", "kept-server")
    assert set(addresses(engine, "kept-server")) == {"kept-b"}


@pytest.mark.parametrize("content, words", [('{"v": 99}', "networks.json is of version 99"), ("{garbage", "networks.json: invalid JSON")])
def test_a_record_that_cannot_be_read_is_named_and_not_touched(bare_engine, content, words):
    engine = bare_engine
    engine.start()
    engine.stop()
    path = engine.root / "data/berth/networks/networks.json"
    path.write_text(content)
    engine.start(wait=False)
    assert engine.process.wait(30) != 0
    assert words in engine.log()
    assert path.read_text() == content


def test_networks_that_come_and_go_leave_nothing(own_engine):
    engine = own_engine
    holder = json.loads((engine.root / "run/berth/holder.json").read_text())["pid"]
    for worker in range(AT_A_TIME):
        engine.docker("run", "-d", "--name", f"churn-{worker}", "busybox", "sleep", "1000000")  # a soak takes long
    before = container_network_links(holder)
    (network_pid,) = engine.pids("berth-network")
    come_and_go(engine, 2 * AT_A_TIME)
    descriptors = len(os.listdir(f"/proc/{network_pid}/fd"))
    come_and_go(engine, CYCLES)
    assert container_network_links(holder) == before
    assert len(os.listdir(f"/proc/{network_pid}/fd")) <= descriptors
    assert "br-" not in network_rules(holder)
    for worker in range(AT_A_TIME):
        assert engine.docker("exec", f"churn-{worker}", "ls", "/sys/class/net").stdout.split() == ["eth0", "lo"]
        engine.docker("rm", "-f", f"churn-{worker}")


def come_and_go(engine, times):
    """So many cycles in all, some at a time, each worker with a network and a container of its own."""
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        for done in [pool.submit(cycle, engine, worker, times // AT_A_TIME) for worker in range(AT_A_TIME)]:
            done.result()


def cycle(engine, worker, times):
    network, container = f"churned-{worker}", {"Container": f"churn-{worker}"}
    for number in range(times):
        status, _, made = engine.api("POST", "/networks/create", {"Name": network, "EnableIPv6": number % 2 == 0})
        assert status == 201, made
        assert engine.api("POST", f"/networks/{network}/connect", container)[0] == 200
        if number % 3:
            assert engine.api("POST", f"/networks/{network}/disconnect", container)[0] == 200
            assert engine.api("DELETE", f"/networks/{network}")[0] == 204
        else:
            assert engine.api("DELETE", f"/networks/{network}")[0] == 403
            assert engine.api("POST", f"/networks/{network}/disconnect", {**container, "Force": True})[0] == 200
            assert engine.api("DELETE", f"/networks/{network}")[0] == 204


def network_rules(holder):
    nft = shutil.which("nft", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    if not nft:
        return ""
    done = subprocess.run(["nsenter", "--preserve-credentials", "-U", "-n", "-t", str(holder), nft, "list", "ruleset"],
                          capture_output=True, text=True, check=False)
    return done.stdout
