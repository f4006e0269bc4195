"""How the supervisor gets its part of the cgroup tree, and what becomes of it when processes are lost."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from engine import BUILD, Engine, wait_until
from images import busybox_rootfs_tar

from service import PATIENCE

HIERARCHY = pathlib.Path("/sys/fs/cgroup")


def cgroup_of(pid):
    return HIERARCHY / pathlib.Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition("::")[2].lstrip("/")


def recorded(name):
    try:
        return json.loads((pathlib.Path(os.environ["XDG_RUNTIME_DIR"]) / f"berth/{name}.json").read_text())["pid"]
    except (OSError, ValueError):
        return 0


@pytest.fixture
def engine():
    """An engine of its own beside the service's, which knows the user's bus."""
    instance = Engine()
    instance.environment["DBUS_SESSION_BUS_ADDRESS"] = os.environ["DBUS_SESSION_BUS_ADDRESS"]
    yield instance
    instance.stop()


def with_image(engine):
    engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    return engine


def test_the_scope_takes_holder_network_and_shims_apart_from_containers(service, container):
    identity = container("--stop-timeout", "1", "busybox", "sleep", "1000")
    scope = service.cgroup_of(identity).parent
    for process in (recorded("holder"), recorded("network"), service.parent_of(service.inspect(identity)["State"]["Pid"])):
        assert cgroup_of(process) == scope / "support"
    assert {"cpu", "cpuset", "io", "memory", "pids"} <= set((scope / "cgroup.subtree_control").read_text().split())
    assert not (scope / "cgroup.procs").read_text()


def test_systemd_stops_the_service_before_the_containers(service):
    assert "berth.service" in service.property("Before", "berth-containers.scope").split()
    assert service.property("TasksMax", "berth-containers.scope") == "infinity"
    assert service.property("OOMPolicy", "berth-containers.scope") == "continue"


def test_a_scope_that_was_lost_with_its_holder_is_made_again(service):
    holder = recorded("holder")
    for process in (recorded("network"), holder):
        os.kill(process, signal.SIGKILL)
    wait_until(lambda: recorded("holder") not in (0, holder), "there is another holder", PATIENCE)
    wait_until(lambda: service.docker("run", "--rm", "-m", "32m", "busybox", "cat", "/sys/fs/cgroup/memory.max", check=False).stdout == "33554432\n",
               "containers run with limits again", PATIENCE)
    assert cgroup_of(recorded("holder")).parent.name == "berth-containers.scope"


def test_a_new_holder_joins_the_scope_of_containers_that_live(service, container):
    identity = container("-m", "32m", "busybox", "sleep", "1000")
    holder = recorded("holder")
    os.kill(holder, signal.SIGKILL)
    wait_until(lambda: recorded("holder") not in (0, holder), "there is another holder", PATIENCE)
    wait_until(service.answers, "the engine answers again", PATIENCE)
    assert cgroup_of(recorded("holder")) == service.cgroup_of(identity).parent / "support"
    assert service.docker("exec", identity, "cat", "/sys/fs/cgroup/memory.max").stdout == "33554432\n"


def test_a_scope_in_a_slice_outlives_a_restart_of_container_and_service(service, container):
    identity = container("--stop-timeout", "1", "--cgroup-parent", "team-mine.slice", "-m", "64m", "busybox", "sleep", "1000")
    group = service.cgroup_of(identity)
    assert group.parts[-4:] == ("team.slice", "team-mine.slice", f"berth-{identity[:12]}.scope", identity)
    service.docker("restart", "-t", "0", identity)
    pid = service.inspect(identity)["State"]["Pid"]
    service.restart()
    assert service.inspect(identity)["State"]["Pid"] == pid
    assert service.cgroup_of(identity) == group
    assert (group / "memory.max").read_text() == "67108864\n"


def test_another_engine_of_the_user_has_a_scope_of_its_own(service, engine):
    with_image(engine.start("--cgroup-parent", "second.slice"))
    identity = engine.docker("run", "-d", "--stop-timeout", "1", "busybox", "sleep", "1000").stdout.strip()
    scope = cgroup_of(engine.inspect(identity)["State"]["Pid"]).parent
    assert scope.name.startswith("berth-containers-") and scope.parent.name == "second.slice"
    assert service.property("ActiveState", "berth-containers.scope") == "active"
    engine.stop()
    wait_until(lambda: not scope.exists(), "nothing is left", PATIENCE)


def test_a_directory_that_was_chowned_serves_as_cgroup_parent(engine, root):
    place = HIERARCHY / "berth-mine"
    root("sh", "-c", f"mkdir -p {place} && chown -R tester {place}")
    # What the engine's warning says to somebody who starts it outside of the directory.
    engine.process = subprocess.Popen(["bash", "-c", f'sudo -n sh -c "echo $$ > {place}/cgroup.procs"; exec {BUILD}/berthd --cgroup-parent /berth-mine'],
                                      env=engine.environment, stderr=open(engine.log_path, "ab"), start_new_session=True)
    wait_until(engine.answers, "the engine answers", PATIENCE)
    identity = with_image(engine).docker("run", "-d", "--stop-timeout", "1", "-m", "32m", "busybox", "sleep", "1000").stdout.strip()
    group = cgroup_of(engine.inspect(identity)["State"]["Pid"])
    assert group == place / identity and (group / "memory.max").read_text() == "33554432\n"
    assert engine.api("GET", "/info")[2]["CgroupDriver"] == "cgroupfs"
    engine.stop()
    assert [path.name for path in place.iterdir() if path.is_dir()] == []
    root("rmdir", str(place))


def test_a_directory_of_somebody_else_is_refused_with_the_command(engine):
    engine.start("--cgroup-parent", "/not-mine")
    warnings = engine.api("GET", "/info")[2]["Warnings"]
    assert any("sudo mkdir -p /sys/fs/cgroup/not-mine && sudo chown -R" in warning for warning in warnings), warnings


def test_cgroups_can_be_declined(engine):
    with_image(engine.start("--exec-opt", "native.cgroupdriver=none"))
    assert engine.docker("run", "--rm", "busybox", "echo", "runs").stdout == "runs\n"
    assert engine.api("GET", "/info")[2]["CgroupDriver"] == "none"
