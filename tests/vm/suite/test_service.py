"""The service of a plain user: its containers outlive it, its socket starts it."""
import os
import signal

import pytest

from engine import wait_until

from service import PATIENCE


def counted(service, name):
    return len(service.docker("logs", name).stdout.splitlines())


@pytest.fixture
def counter(service, container):
    """A limited container that writes a line every tenth of a second; its id."""
    identity = container("--memory", "64m", "--stop-timeout", "1", "busybox", "sh", "-c", "while :; do echo count; usleep 100000; done")
    wait_until(lambda: counted(service, identity) > 1, "the container counts", PATIENCE)
    return identity


def check_managed(service, container, pid):
    """The container that ran before a change still does, with its limits, and obeys."""
    state = service.inspect(container)["State"]
    assert state["Running"] and state["Pid"] == pid
    assert os.path.exists(f"/proc/{pid}"), "process 1 is still the same"
    assert (service.cgroup_of(container) / "memory.max").read_text() == "67108864\n"
    assert service.docker("exec", container, "cat", "/sys/fs/cgroup/memory.max").stdout == "67108864\n"
    lines = counted(service, container)
    wait_until(lambda: counted(service, container) > lines, "the log grows", PATIENCE)
    service.docker("update", "--memory", "128m", "--memory-swap", "-1", container)
    assert (service.cgroup_of(container) / "memory.max").read_text() == "134217728\n"
    service.docker("stop", "-t", "0", container)
    assert service.inspect(container)["State"]["ExitCode"] == 137


def test_the_service_runs_a_container(service):
    assert service.docker("run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"


def test_storage_is_the_kernels_own_overlay(service):
    assert service.api("GET", "/info")[2]["Driver"] == "overlay2"


def test_info_shows_cgroup_v2_by_systemd_with_every_controller_and_no_warning(service):
    info = service.api("GET", "/info")[2]
    assert (info["CgroupDriver"], info["CgroupVersion"]) == ("systemd", "2")
    fields = ("MemoryLimit", "SwapLimit", "CpuCfsPeriod", "CpuCfsQuota", "CPUShares", "CPUSet", "PidsLimit")
    assert {name: info[name] for name in fields} == dict.fromkeys(fields, True)
    assert not info["Warnings"]
    assert "WARNING" not in service.docker("info").stderr


def test_systemctl_status_has_a_line_about_the_engine(service):
    assert service.property("ActiveState") == "active"
    assert service.property("StatusText")


def test_containers_live_through_a_restart_of_the_service(service, counter):
    pid, main = service.inspect(counter)["State"]["Pid"], service.main_pid()
    service.restart()
    assert service.main_pid() != main
    check_managed(service, counter, pid)


def test_containers_live_through_kill_9_of_the_main_process(service, counter):
    pid, main = service.inspect(counter)["State"]["Pid"], service.main_pid()
    os.kill(main, signal.SIGKILL)
    wait_until(lambda: service.main_pid() not in (0, main) and service.answers(), "systemd starts it again", PATIENCE)
    check_managed(service, counter, pid)


def test_the_first_request_starts_the_engine_through_its_socket(service):
    service.systemctl("stop", "berth.service")
    assert service.property("ActiveState") == "inactive"
    assert service.property("ActiveState", "berth.socket") == "active"
    assert service.docker("version", "--format", "{{.Server.Os}}").stdout == "linux\n"
    wait_until(lambda: service.property("ActiveState") == "active", "the service is active", PATIENCE)


def test_requests_during_a_restart_wait_for_the_new_engine(service):
    service.systemctl("restart", "--no-block", "berth.service")
    for _ in range(5):
        assert service.docker("ps", "-q").returncode == 0
    wait_until(lambda: service.property("ActiveState") == "active", "the service is active again", PATIENCE)


def test_stopping_the_service_stops_containers(service, container):
    identity = container("--stop-timeout", "1", "busybox", "sleep", "1000")
    pid = service.inspect(identity)["State"]["Pid"]
    service.stop()
    assert not os.path.exists(f"/proc/{pid}")
    service.start()
    assert not service.inspect(identity)["State"]["Running"]
