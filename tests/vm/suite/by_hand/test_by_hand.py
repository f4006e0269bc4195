"""An engine that is started by hand outside of the user manager's units, as from an ssh session."""
import os
import pathlib
import subprocess

from engine import Engine, wait_until
from images import busybox_rootfs_tar

from service import PATIENCE


def cgroup_of(pid):
    return pathlib.Path(pathlib.Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition("::")[2])


def test_it_moves_into_a_scope_and_its_containers_have_limits():
    assert "user@1000.service" not in str(cgroup_of("self"))
    engine = Engine()
    engine.environment["DBUS_SESSION_BUS_ADDRESS"] = os.environ["DBUS_SESSION_BUS_ADDRESS"]
    engine.start()
    try:
        assert cgroup_of(engine.process.pid).name == f"berth-engine-{engine.process.pid}.scope"
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
        identity = engine.docker("run", "-d", "--stop-timeout", "1", "-m", "32m", "busybox", "sleep", "1000").stdout.strip()
        group = cgroup_of(engine.inspect(identity)["State"]["Pid"])
        assert group.parent.parent.name == "berth.slice"
        scopes = {group.parent.name, cgroup_of(engine.process.pid).name}
        assert engine.docker("exec", identity, "cat", "/sys/fs/cgroup/memory.max").stdout == "33554432\n"
        assert not engine.api("GET", "/info")[2]["Warnings"]
    finally:
        engine.stop()

    def living():
        return subprocess.run(["systemctl", "--user", "--no-pager", "list-units", "*.scope"], capture_output=True, text=True, check=True).stdout
    wait_until(lambda: not any(scope in living() for scope in scopes), "both scopes are gone", PATIENCE)
