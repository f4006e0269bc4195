"""Limits where no cgroup is delegated: nothing is dropped in silence, everything runs. tests/vm has the other half."""
import os
import pathlib

import pytest

LIMITS = {"Memory": 64 << 20, "MemoryReservation": 32 << 20, "NanoCpus": 500000000, "CpuShares": 512, "CpusetCpus": "0", "PidsLimit": 20,
          "BlkioWeight": 300, "BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1}]}


@pytest.fixture(scope="module")
def plain(engine):
    """The shared engine, when nothing is delegated to it."""
    info = engine.api("GET", "/info")[2]
    if info["CgroupDriver"] != "none":
        pytest.skip("cgroups are delegated to this engine: tests/vm/suite/test_limits.py has those")
    return engine


@pytest.fixture
def problem(plain):
    """What the engine says is missing: the last of its warnings."""
    return plain.api("GET", "/info")[2]["Warnings"][-1].removeprefix("WARNING: ")


def create(engine, host_config):
    status, _, reply = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": host_config})
    if status == 201:
        engine.docker("rm", "-f", reply["Id"])
    return status, reply


@pytest.mark.parametrize("key", sorted(LIMITS))
def test_each_limit_that_cannot_hold_has_a_warning_with_what_mends_it(plain, problem, key):
    status, reply = create(plain, {key: LIMITS[key]})
    assert status == 201
    assert len(reply["Warnings"]) == 1 and problem in reply["Warnings"][0]
    assert "`" in problem, "a command that mends it"


def test_a_container_runs_without_the_limits_it_asked_for(plain):
    done = plain.docker("run", "--rm", "-m", "64m", "--cpus", "0.5", "--pids-limit", "20", "busybox", "echo", "runs")
    assert done.stdout == "runs\n" and done.stderr.count("WARNING") == 3


def test_info_tells_what_is_missing(plain, problem):
    info = plain.api("GET", "/info")[2]
    fields = ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit", "OomKillDisable")
    assert not any(info[name] for name in fields)
    pure = pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists()
    assert info["CgroupVersion"] == ("2" if pure else "1")
    assert "WARNING: No memory limit support" in info["Warnings"]
    assert problem in plain.log().replace("\\\"", "\"")


def test_a_pause_without_a_cgroup_says_why_and_what_mends_it(plain, problem, container):
    identity = container("busybox", "sleep", "1000")
    done = plain.docker("pause", identity, check=False)
    assert done.returncode != 0 and f"cannot pause container {identity}" in done.stderr and problem in done.stderr
    assert plain.inspect(identity)["State"]["Status"] == "running"


def test_what_is_no_pause_is_refused_in_dockers_words(engine):
    identity = engine.docker("create", "busybox", "true").stdout.strip()
    assert f"container {identity} is not running" in engine.docker("pause", identity, check=False).stderr
    assert f"Container {identity} is not paused" in engine.docker("unpause", identity, check=False).stderr
    assert engine.api("POST", f"/containers/{identity}/pause")[0] == 409
    assert engine.api("POST", "/containers/nobody/pause")[0] == 404
    engine.docker("rm", identity)


def test_an_update_is_kept_and_warned_of(plain, problem, container):
    identity = container("busybox", "sleep", "1000")
    status, _, reply = plain.api("POST", f"/containers/{identity}/update", {"Memory": 64 << 20, "RestartPolicy": {"Name": "unless-stopped"}})
    assert status == 200 and len(reply["Warnings"]) == 1 and problem in reply["Warnings"][0]
    host = plain.inspect(identity)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["RestartPolicy"]["Name"]) == (64 << 20, 128 << 20, "unless-stopped")


@pytest.mark.parametrize("body,status,text", [
    ({"Memory": 1}, 400, "Minimum memory limit allowed is 6MB"),
    ({"NanoCpus": 10 ** 12}, 400, "range of CPUs is from 0.01 to"),
    ({"CpusetCpus": "4000"}, 400, "Requested CPUs are not available - requested 4000, available: "),
    ({"RestartPolicy": {"Name": "sometimes"}}, 400, "invalid restart policy"),
    ({"Memory": 256 << 20}, 409, "Memory limit should be smaller than already set memoryswap limit"),
    ({"CpuQuota": 50000}, 409, "CPU Quota cannot be updated as NanoCPUs has already been set"),
    ({"RestartPolicy": {"Name": "always"}}, 409, "Restart policy cannot be updated because AutoRemove is enabled"),
])
def test_what_cannot_be_updated_is_refused_and_nothing_changes(engine, body, status, text):
    identity = engine.docker("create", "--rm", "-m", "64m", "--cpus", "1", "busybox", "true").stdout.split()[-1]
    before = engine.inspect(identity)["HostConfig"]
    answered, _, reply = engine.api("POST", f"/containers/{identity}/update", body)
    assert answered == status and text in reply["message"], reply
    assert engine.inspect(identity)["HostConfig"] == before
    engine.docker("rm", identity)


def test_an_update_is_an_event(engine):
    identity = engine.docker("create", "busybox", "true").stdout.strip()
    engine.docker("update", "--restart", "on-failure:3", identity)
    assert [event["Action"] for event in engine.events(identity)] == ["create", "update"]
    engine.docker("rm", identity)


def test_an_oom_score_that_the_user_may_not_set_is_the_lowest_that_he_may(engine):
    own = int(pathlib.Path("/proc/self/oom_score_adj").read_text())
    if os.geteuid() == 0:
        pytest.skip("root may set any")
    done = engine.docker("run", "--rm", "--oom-score-adj", "-500", "busybox", "cat", "/proc/self/oom_score_adj")
    assert -500 < int(done.stdout) <= own
    assert f"OomScoreAdj -500 is below the lowest that this user may set: {done.stdout.strip()} is used." in done.stderr
    assert engine.docker("run", "--rm", "--oom-score-adj", "500", "busybox", "cat", "/proc/self/oom_score_adj").stdout == "500\n"


def test_without_a_cgroup_of_its_own_a_container_sees_none(plain):
    assert plain.docker("run", "--rm", "busybox", "ls", "/sys/fs/cgroup").stdout == ""
