"""Requests that meet: every answer is one that dockerd gives, and nothing is left over."""
import concurrent.futures
import os
import signal
import subprocess

import pytest

from engine import UnixConnection, wait_until

ROUNDS = 8


@pytest.fixture
def ended(engine, container):
    """Makes containers whose process was killed this moment, before anybody could hear of it."""
    def make(prepare=lambda identity: None):
        identity = container("busybox", "sleep", "1000")
        prepared = prepare(identity)
        os.kill(engine.inspect(identity)["State"]["Pid"], signal.SIGKILL)
        return identity, prepared
    return make


def at_once(*calls):
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


def message(reply):
    return reply[2]["message"] if isinstance(reply[2], dict) else ""


def created(engine, name, command="sleep 1000", **options):
    status, _, reply = engine.api("POST", f"/containers/create?name={name}", {"Image": "busybox", "Cmd": ["sh", "-c", command], **options})
    assert status == 201, reply
    return reply["Id"]


@pytest.mark.parametrize("detach", [True, False])
def test_an_exec_into_a_container_that_has_just_ended(engine, ended, detach):
    for _ in range(ROUNDS):
        identity, made = ended(lambda one: engine.api("POST", f"/containers/{one}/exec", {"Cmd": ["true"], "AttachStdout": True})[2]["Id"])
        status, _, reply = engine.api("POST", f"/exec/{made}/start", {"Detach": detach})
        if isinstance(reply, bytes):
            assert reply in (b"", b"container %s is not running\r\n" % identity.encode()) or reply[8:] == b"container %s is not running\r\n" % identity.encode()
        elif status != 200:
            assert (status, reply["message"]) in [(409, f"container {identity} is not running"), (409, f"exec command {made} has already run")]


def test_a_copy_out_of_a_container_that_has_just_ended(engine, ended):
    for _ in range(ROUNDS):
        identity, _ = ended()
        assert engine.api("GET", f"/containers/{identity}/archive?path=/etc/passwd")[0] == 200


def test_two_starts_are_one(engine):
    identity = created(engine, "race-start")
    try:
        replies = at_once(*[lambda: engine.api("POST", f"/containers/{identity}/start")] * 4)
        assert sorted(reply[0] for reply in replies) == [204, 304, 304, 304]
    finally:
        engine.docker("rm", "-f", identity)


def test_a_removal_meets_a_start(engine):
    for number in range(ROUNDS):
        identity = created(engine, f"race-remove-{number}")
        start, remove = at_once(lambda: engine.api("POST", f"/containers/{identity}/start"), lambda: engine.api("DELETE", f"/containers/{identity}?force=1"))
        assert remove[0] == 204
        assert start[0] == 204 or (start[0], message(start)) in [
            (409, f"container is marked for removal and cannot be started: {identity}"), (404, f"No such container: {identity}")]
        assert engine.api("GET", f"/containers/{identity}/json")[0] == 404
    wait_until(lambda: not list((engine.root / "data/berth/containers").glob(f"{identity}*")), "its files are gone")


def test_a_stop_meets_a_start(engine):
    identity = created(engine, "race-stop")
    try:
        start, stop = at_once(lambda: engine.api("POST", f"/containers/{identity}/start"), lambda: engine.api("POST", f"/containers/{identity}/stop?t=0"))
        assert start[0] == 204 and stop[0] in (204, 304)
        assert engine.inspect(identity)["State"]["Running"] == (stop[0] == 304)
    finally:
        engine.docker("rm", "-f", identity)


def test_one_of_two_gets_the_name(engine):
    identities = [created(engine, f"race-name-{number}") for number in range(2)]
    try:
        replies = at_once(*[lambda one=one: engine.api("POST", f"/containers/{one}/rename?name=race-prize") for one in identities])
        assert sorted(reply[0] for reply in replies) == [204, 409]
        winner = identities[[reply[0] for reply in replies].index(204)]
        (lost,) = [message(reply) for reply in replies if reply[0] == 409]
        assert lost.removeprefix("Error when allocating new name: ").startswith(f'Conflict. The container name "/race-prize" is already in use by container "{winner}".')
        assert engine.inspect("race-prize")["Id"] == winner
    finally:
        engine.docker("rm", "-f", *identities)


@pytest.mark.parametrize("condition", ["not-running", "next-exit", "removed"])
def test_a_removal_ends_each_wait(engine, condition):
    identity = created(engine, "race-wait")
    engine.docker("start", identity)
    connection = UnixConnection(engine.socket)
    connection.request("POST", f"/containers/{identity}/wait?condition={condition}")
    reply = connection.getresponse()  # its head is there before the removal begins
    engine.docker("rm", "-f", identity)
    assert reply.status == 200 and reply.read() == b'{"StatusCode":137}\n'


def test_a_kill_names_what_it_was_asked_for(engine, container):
    identity = container("--name", "race-kill", "busybox", "true")
    engine.docker("wait", identity)
    assert f"cannot kill container: race-kill: container {identity} is not running" in engine.docker("kill", "race-kill", check=False).stderr


def wakeups(pid):
    with open(f"/proc/{pid}/status") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))


def test_followers_of_a_quiet_log_cost_nothing(own_engine):
    own_engine.docker("run", "-d", "--name", "quiet", "busybox", "sh", "-c", "echo once; sleep 2; echo twice")
    (pid,) = own_engine.pids("berth-engine")
    readers = [own_engine.popen("logs", "-f", "quiet", stdout=subprocess.PIPE, text=True) for _ in range(10)]
    assert [reader.stdout.readline() for reader in readers] == ["once\n"] * 10
    before = wakeups(pid)
    readers[0].stdout.readline()
    after = wakeups(pid)
    assert [reader.communicate(timeout=20)[0] for reader in readers] == [""] + ["twice\n"] * 9
    assert after - before < 60, "they look for news four times a second each"
