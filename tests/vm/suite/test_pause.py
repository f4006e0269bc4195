"""Pausing by the freezer, and what is left of containers after kill -9."""
import os
import pathlib
import signal

from engine import wait_until

from service import PATIENCE


def status(service, identity):
    return service.inspect(identity)["State"]["Status"]


def frozen(service, identity):
    return "frozen 1" in (service.cgroup_of(identity) / "cgroup.events").read_text()


def kill_main(service):
    main = service.main_pid()
    os.kill(main, signal.SIGKILL)
    wait_until(lambda: service.main_pid() not in (0, main) and service.answers(), "systemd starts it again", PATIENCE)


def test_a_paused_container_stands_still(service, container):
    identity = container("busybox", "sh", "-c", "while :; do :; done")
    service.docker("pause", identity)
    assert status(service, identity) == "paused" and frozen(service, identity)
    assert "(Paused)" in service.docker("ps", "--filter", f"id={identity}").stdout
    usage = (service.cgroup_of(identity) / "cpu.stat").read_text().split()[1]
    assert service.docker("exec", identity, "true", check=False).returncode != 0
    assert (service.cgroup_of(identity) / "cpu.stat").read_text().split()[1] == usage
    service.docker("unpause", identity)
    assert status(service, identity) == "running" and not frozen(service, identity)
    assert service.docker("exec", identity, "echo", "on").stdout == "on\n"
    actions = [event["Action"] for event in service.events(identity)]
    assert [action for action in actions if "pause" in action] == ["pause", "unpause"]


def test_a_container_stays_paused_while_the_engine_comes_back(service, container):
    identity = container("-m", "64m", "busybox", "sleep", "1000")
    service.docker("pause", identity)
    kill_main(service)
    assert status(service, identity) == "paused" and frozen(service, identity)
    service.docker("unpause", identity)
    assert status(service, identity) == "running" and not frozen(service, identity)


def test_a_pause_that_no_client_asked_for_ends_with_the_engine(service, container):
    """That of a commit, or one that the engine did not live to book."""
    identity = container("-m", "64m", "busybox", "sleep", "1000")
    (service.cgroup_of(identity) / "cgroup.freeze").write_text("1")
    wait_until(lambda: frozen(service, identity), "it is frozen", PATIENCE)
    kill_main(service)
    assert status(service, identity) == "running" and not frozen(service, identity)


def test_a_commit_that_was_killed_leaves_nothing_paused(service, container):
    identity = container("-m", "64m", "busybox", "sh", "-c", "yes | head -c 200000000 > /large; touch /ready; exec sleep 1000")
    service.docker("exec", identity, "sh", "-c", "until [ -e /ready ]; do sleep 0.1; done")
    commit = service.popen("commit", identity, "never")
    wait_until(lambda: status(service, identity) == "paused" and frozen(service, identity), "the commit has paused it", PATIENCE)
    kill_main(service)
    commit.wait(PATIENCE)
    assert status(service, identity) == "running" and not frozen(service, identity)


def test_a_paused_container_can_be_stopped_killed_and_removed(service, container):
    trap = ("busybox", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    stopped = container(*trap)
    service.docker("pause", stopped)
    service.docker("stop", "-t", "30", stopped)
    assert service.inspect(stopped)["State"]["ExitCode"] == 7, "it was let run to take the signal"
    for order in (("kill",), ("rm", "-f")):
        identity = container(*trap)
        service.docker("pause", identity)
        service.docker(*order, identity)
    assert service.docker("ps", "-q", "--filter", "status=paused").stdout == ""


def test_nothing_is_left_after_kill_9_of_shims_engine_and_supervisor(service, container):
    identities = [container("--pids-limit", "50", "busybox", "sh", "-c", "sleep 1000 & sleep 1000") for _ in range(2)]
    directories = [service.cgroup_of(identity) for identity in identities]
    shims = {service.parent_of(service.inspect(identity)["State"]["Pid"]) for identity in identities}
    engine = int(pathlib.Path(service.runtime / "berth/engine.json").read_text().partition('"pid":')[2].split(",")[0].strip(" }"))
    for pid in [service.main_pid(), engine, *shims]:
        os.kill(pid, signal.SIGKILL)
    wait_until(service.answers, "the engine answers again", PATIENCE)
    for identity, directory in zip(identities, directories):
        wait_until(lambda d=directory: not d.exists(), "its cgroup is gone", PATIENCE)
        assert not service.inspect(identity)["State"]["Running"]


def test_a_cgroup_goes_with_its_container(service):
    identity = service.docker("run", "-d", "--rm", "busybox", "sleep", "1000").stdout.strip()
    directory = service.cgroup_of(identity)
    assert directory.name == identity
    service.docker("kill", identity)
    wait_until(lambda: not directory.exists(), "its cgroup is gone", PATIENCE)
