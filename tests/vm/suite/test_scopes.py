"""Where containers are in the user's tree of cgroups, and that nothing of them stays."""
import pathlib

from engine import wait_until

from service import PATIENCE

HIERARCHY = pathlib.Path("/sys/fs/cgroup")


def own_directories(service):
    """Every cgroup directory of the user's session that is of berth's containers."""
    session = HIERARCHY / "user.slice/user-1000.slice/user@1000.service"
    return sorted(str(path.relative_to(session)) for path in session.glob("berth*.slice/**/") if path.is_dir())


def cgls(service):
    return service.run("systemd-cgls", "--user", "--no-pager", "-l", "--full")


def test_a_container_is_in_a_scope_of_the_users_manager(service, container):
    identity = container("busybox", "sleep", "1000")
    group = service.cgroup_of(identity)
    (scope,) = [path for path in group.parents if path.name.endswith(".scope")]
    assert scope.parent.name == "berth.slice"
    assert service.property("ActiveState", scope.name) == "active"
    assert service.property("Delegate", scope.name) == "yes"
    tree = cgls(service)
    assert scope.name in tree and identity in tree and "sleep 1000" in tree


def test_the_engine_itself_is_in_its_service_and_the_shims_are_not(service, container):
    identity = container("busybox", "sleep", "1000")
    group = pathlib.Path(f"/proc/{service.main_pid()}/cgroup").read_text().strip()
    assert group.endswith("/app.slice/berth.service") or "/app.slice/berth.service/" in group
    parent = service.parent_of(service.inspect(identity)["State"]["Pid"])
    assert "berth.service" not in pathlib.Path(f"/proc/{parent}/cgroup").read_text()


def test_a_removed_container_leaves_no_cgroup_directory(service):
    before = own_directories(service)
    identity = service.docker("run", "-d", "--memory", "64m", "busybox", "sleep", "1000").stdout.strip()
    assert any(identity in path for path in own_directories(service))
    service.docker("exec", identity, "true")
    service.docker("rm", "-f", identity)
    wait_until(lambda: own_directories(service) == before, "the directories are those from before", PATIENCE)


def test_a_slice_of_ones_own_is_used_and_left_empty(service):
    identity = service.docker("run", "-d", "--cgroup-parent", "mine.slice", "busybox", "sleep", "1000").stdout.strip()
    group = service.cgroup_of(identity)
    assert "mine.slice" in group.parts
    service.docker("rm", "-f", identity)
    wait_until(lambda: not group.exists(), "the cgroup is gone", PATIENCE)
    wait_until(lambda: "mine.slice" not in service.run("systemctl", "--user", "--no-pager", "--plain", "list-units", "*.scope"),
               "no scope is left", PATIENCE)
    assert identity[:12] not in cgls(service)


def test_without_containers_a_stopped_service_leaves_no_scope(service):
    service.docker("rm", "-f", *service.docker("ps", "-aq").stdout.split() or ["none"], check=False)
    service.stop()
    wait_until(lambda: "berth" not in service.run("systemctl", "--user", "--no-pager", "--plain", "list-units", "*.scope"), "no scope is left", PATIENCE)
    wait_until(lambda: not [path for path in own_directories(service) if path != "berth.slice"], "no cgroup is left", PATIENCE)
    service.start()


def test_a_container_sees_its_own_cgroup_as_the_root_and_cannot_write_there(service):
    shown = service.docker("run", "--rm", "busybox", "sh", "-c", "cat /proc/self/cgroup; mkdir /sys/fs/cgroup/x 2>&1; cat /sys/fs/cgroup/cgroup.procs")
    lines = shown.stdout.splitlines()
    assert lines[0] == "0::/"
    assert "Read-only file system" in lines[1]
    assert "1" in lines[2:]
