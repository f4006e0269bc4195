"""Flags of the docker CLI that no other file has: detaching from a terminal, passing signals on, commit, cp, update, volumes and networks."""
import json
import os
import pty
import re
import signal
import subprocess

import pytest

from engine import needs_cli, wait_until
from test_cli_containers import TRAP


class Terminal:
    """A docker CLI in a terminal of its own."""

    def __init__(self, engine, *arguments):
        self.ours, theirs = pty.openpty()
        self.process = engine.popen(*arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
        os.close(theirs)

    def read_until(self, words):
        seen = b""
        while words not in seen:
            seen += os.read(self.ours, 4096)
        return seen

    def type(self, keys):
        os.write(self.ours, keys)

    def end(self):
        """The exit code; what is still printed is read meanwhile."""
        while True:
            try:
                if not os.read(self.ours, 4096):
                    break
            except OSError:  # nobody has the other side any more
                break
        code = self.process.wait(20)
        os.close(self.ours)
        return code


ECHO = ("busybox", "sh", "-c", "while read line; do echo got $line; done")
KEYS = ("--detach-keys", "ctrl-x,y")


def test_run_and_attach_end_by_their_detach_keys(engine):
    first = Terminal(engine, "run", "-it", "--name", "rest-detach", *KEYS, *ECHO)
    first.type(b"one\n")
    first.read_until(b"got one")
    first.type(b"\x18y")
    assert first.end() == 0
    second = Terminal(engine, "attach", *KEYS, "rest-detach")
    second.type(b"two\n")
    second.read_until(b"got two")
    second.type(b"\x18z\n")
    second.read_until(b"got \x18z")
    second.type(b"\x18y")
    second.end()
    assert engine.inspect("rest-detach")["State"]["Running"]
    engine.docker("rm", "-f", "rest-detach")


def test_start_ends_by_its_detach_keys(engine):
    engine.docker("create", "-it", "--name", "rest-start", *ECHO)
    terminal = Terminal(engine, "start", "-ai", *KEYS, "rest-start")
    terminal.type(b"one\n")
    terminal.read_until(b"got one")
    terminal.type(b"\x18y")
    terminal.end()
    assert engine.inspect("rest-start")["State"]["Running"]
    engine.docker("rm", "-f", "rest-start")


def test_exec_ends_by_its_detach_keys_and_goes_on(engine, container):
    identity = container("busybox", "sleep", "1000")
    terminal = Terminal(engine, "exec", "-it", *KEYS, identity, *ECHO[1:])
    terminal.type(b"one\n")
    terminal.read_until(b"got one")
    terminal.type(b"\x18y")
    terminal.end()
    assert "read line" in engine.docker("top", identity).stdout


@pytest.mark.parametrize("verb", ["run", "attach"])
def test_a_signal_is_passed_on(engine, container, verb):
    arguments = ("--name", f"rest-{verb}", "busybox", "sh", "-c", TRAP)
    if verb == "attach":
        container(*arguments)
    client = engine.popen(*(["attach"] if verb == "attach" else ["run", "--rm"]), *([f"rest-{verb}"] if verb == "attach" else arguments),
                          stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    wait_until(lambda: "ready" in engine.docker("logs", f"rest-{verb}", check=False).stdout, "the traps are set")
    wait_until(lambda: "attach" in [event["Action"] for event in engine.events(f"rest-{verb}")], "the client is attached")
    client.send_signal(signal.SIGUSR1)
    assert "got USR1" in client.communicate(timeout=20)[0] and client.returncode == 5


def test_without_sig_proxy_no_signal_is_passed_on(engine, container):
    identity = container("--name", "rest-noproxy", "busybox", "sh", "-c", TRAP)
    client = engine.popen("attach", "--sig-proxy=false", identity, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wait_until(lambda: "attach" in [event["Action"] for event in engine.events(identity)], "the client is attached")
    client.send_signal(signal.SIGTERM)
    client.kill()
    client.wait()
    assert engine.inspect(identity)["State"]["Running"] and "got" not in engine.docker("logs", identity).stdout


def test_commit_keeps_author_and_message(engine, container):
    identity = container("busybox", "sleep", "1000")
    engine.docker("commit", "--author", "Ann <ann@example.test>", "--message", "a change", "--pause=false", "--change", "ENV A=b", identity, "rest-commit")
    shown = json.loads(engine.docker("image", "inspect", "rest-commit").stdout)[0]
    assert (shown["Author"], shown["Comment"]) == ("Ann <ann@example.test>", "a change") and "A=b" in shown["Config"]["Env"]
    engine.docker("rmi", "rest-commit")


def test_cp_keeps_owners_when_told_and_is_quiet(engine, container, tmp_path):
    needs_cli("1.42")
    (tmp_path / "file").write_text("x")
    identity = container("-u", "1000:2000", "busybox", "sleep", "1000")
    engine.docker("cp", "--archive", "--quiet", str(tmp_path / "file"), f"{identity}:/tmp/kept")
    assert engine.docker("exec", identity, "stat", "-c", "%u:%g", "/tmp/kept").stdout == "1000:2000\n"
    done = engine.docker("cp", "-q", f"{identity}:/tmp/kept", str(tmp_path / "back"))
    assert done.stdout + done.stderr == "" and (tmp_path / "back").read_text() == "x"


@pytest.mark.parametrize("flag,value,key,kept", [("--cpu-period", "50000", "CpuPeriod", 50000), ("--cpu-quota", "25000", "CpuQuota", 25000),
                                                 ("--cpuset-mems", "0", "CpusetMems", "0")])
def test_update_keeps_a_limit_of_the_cpu(engine, container, flag, value, key, kept):
    identity = container("busybox", "sleep", "1000")
    engine.docker("update", flag, value, identity)
    assert engine.inspect(identity)["HostConfig"][key] == kept


@pytest.mark.parametrize("flag", ["--cpu-rt-period", "--cpu-rt-runtime"])
def test_update_says_what_it_does_not_change(engine, container, flag):
    identity = container("busybox", "sleep", "1000")
    done = engine.docker("update", flag, "1000", identity)
    assert re.search("CpuRealtime(Period|Runtime) is discarded", done.stdout + done.stderr)


def test_checkpoints_are_refused(engine, container):
    identity = container("busybox", "true")
    assert engine.docker("start", "--checkpoint", "x", identity, check=False).returncode != 0
    assert engine.docker("checkpoint", "ls", identity, check=False).returncode != 0


def test_a_volume_of_a_swarm_is_refused(engine):
    body = {"Name": "rest-cluster", "Driver": "csi", "ClusterVolumeSpec": {"AccessMode": {"Scope": "single"}}}
    status, _, reply = engine.api("POST", "/v1.44/volumes/create", body)
    assert status == 503 and reply["message"].startswith("This node is not a swarm manager")


def test_connect_takes_aliases_links_and_options(engine, container, network):
    needs_cli("1.48")
    network("rest-one")
    network("rest-two", "--subnet", "10.88.0.0/24")
    container("--name", "rest-target", "--network", "rest-two", "busybox", "sleep", "1000")
    identity = container("--network", "rest-one", "busybox", "sleep", "1000")
    done = engine.docker("network", "connect", "--alias", "also", "--ip", "10.88.0.9", "--link", "rest-target:friend", "--gw-priority", "7",
                         "--driver-opt", "com.docker.network.endpoint.ifname=second0", "rest-two", identity)
    assert done.returncode == 0
    inside = engine.docker("exec", identity, "sh", "-c", "ip -4 addr show second0; ip route; nslookup friend; nslookup also").stdout
    assert "10.88.0.9/24" in inside and "default via 10.88.0.1" in inside
    target = engine.inspect("rest-target")["NetworkSettings"]["Networks"]["rest-two"]["IPAddress"]
    assert f"Address: {target}" in inside and "Address: 10.88.0.9" in inside
    engine.docker("network", "disconnect", "-f", "rest-two", identity)
    assert "rest-two" not in engine.inspect(identity)["NetworkSettings"]["Networks"]
    assert "is not connected to" in engine.docker("network", "disconnect", "rest-two", identity, check=False).stderr


CREATE = {
    "ipam driver": (["--ipam-driver", "absent"], 'plugin "absent" not found'), "no family": (["--ipv4=false"], "IPv4 or IPv6 must be enabled"),
    "scope": (["--scope", "swarm"], "cannot create a swarm scoped network"), "ingress": (["--ingress"], "Ingress network can only be global scope network"), "subnet": (["--subnet", "10.1.2.3/24"], "it should be 10.1.2.0/24"),
    "gateway": (["--subnet", "10.1.2.0/24", "--gateway", "10.1.3.1"], "no matching subnet for gateway")}


@pytest.mark.parametrize("name", CREATE)
def test_a_network_that_cannot_be_is_refused(engine, name):
    flags, words = CREATE[name]
    if "--ipv4=false" in flags:
        needs_cli("1.48")
    assert words in engine.docker("network", "create", *flags, "rest-refused", check=False).stderr


def test_options_of_ipam_are_shown_again(engine, network):
    network("rest-ipam", "--ipam-driver", "default", "--ipam-opt", "a=b", "--config-only")
    assert json.loads(engine.docker("network", "inspect", "rest-ipam").stdout)[0]["IPAM"]["Options"] == {"a": "b"}
