"""berth setup with a real systemd: units, socket, lingering, docker context; and what `berth doctor` says of them when they are broken."""
import json
import pathlib
import subprocess

import pytest

from engine import wait_until
from test_doctor import fix, mend

from machine import Machine
from service import PATIENCE


@pytest.fixture
def machine(service):
    return Machine()


def installed(service):
    done = subprocess.run(["berth", "setup", "install"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\n{service.log()}"
    return done.stdout


def test_a_second_install_changes_nothing(service, container):
    installed(service)
    identity, main = container("busybox", "sleep", "1000"), service.main_pid()
    said = installed(service)
    assert "found the systemd user units" in said and f"export DOCKER_HOST=unix://{service.socket}" in said
    assert service.main_pid() == main and service.inspect(identity)["State"]["Running"]


def test_the_units_are_enabled_and_the_status_says_what_is_served(service):
    installed(service)
    for unit in ("berth.socket", "berth.service"):
        assert service.property("UnitFileState", unit) == "enabled" and service.property("ActiveState", unit) == "active"
    assert "Status: " in service.systemctl("status", "berth")


def test_the_docker_context_reaches_the_engine(service):
    installed(service)
    environment = {name: value for name, value in service.environment.items() if name != "DOCKER_HOST"}
    shown = subprocess.run(["docker", "--context", "berth", "version", "--format", "{{.Server.Os}}"], env=environment, capture_output=True, text=True,
                           timeout=PATIENCE, check=False)
    assert shown.stdout == "linux\n", shown


def test_uninstall_undoes_all_but_the_data(service):
    said = subprocess.run(["berth", "setup", "uninstall"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    data = service.home / ".local/share/berth"
    try:
        assert f"kept in {data}" in said and (data / "images").exists()
        units = service.home / ".config/systemd/user"
        assert not list(units.rglob("berth.*")), "units and their links are gone"
        assert service.property("ActiveState") == "inactive" and str(units) not in service.property("FragmentPath")
        assert not list((service.home / ".docker/contexts/meta").glob("*"))
    finally:
        installed(service)
    wait_until(service.answers, "the engine answers again", PATIENCE)
    assert "busybox" in service.docker("images").stdout


def test_doctor_is_content_with_this_machine(service, machine):
    installed(service)
    states = {check["name"]: check["state"] for check in machine.doctor()["checks"]}
    wanted = ("cgroup", "user-bus", "delegation", "lingering", "engine", "units", "namespaces", "storage", "runtime-directory", "subordinate-ids", "tun")
    assert {name: states[name] for name in wanted} == dict.fromkeys(wanted, "ok")


def test_user_namespaces_switched_off(machine, root):
    switch = pathlib.Path("/proc/sys/kernel/unprivileged_userns_clone")
    if not switch.exists():
        pytest.skip("this kernel has no switch kernel.unprivileged_userns_clone")
    root("sysctl", "-w", "kernel.unprivileged_userns_clone=0")
    mend(machine, "user-namespaces", "broken", "kernel.unprivileged_userns_clone=0")


def test_map_programs_without_their_rights(machine, root):
    root("chmod", "u-s", "/usr/bin/newuidmap")
    mend(machine, "newuidmap", "broken", "neither setuid root nor has file capabilities")


def test_no_tun_device(machine, root):
    root("rm", "/dev/net/tun")
    mend(machine, "tun", "broken", "cannot open /dev/net/tun (No such file or directory)")
    assert pathlib.Path("/dev/net/tun").is_char_device()


def test_lingering_is_off(machine, root):
    # By its file: logind would end this very session otherwise.
    root("rm", "/var/lib/systemd/linger/tester")
    finding = mend(machine, "lingering", "degraded", "off: containers end at the last logout")
    assert finding["mend"] == ["sudo loginctl enable-linger tester"] and finding["fixable"]


def test_a_stopped_engine_is_started(service, machine):
    service.systemctl("stop", "berth.socket", "berth.service")
    fix(machine, "engine", "degraded", "the engine does not run")


def test_units_of_another_version(service, machine):
    unit = service.home / ".config/systemd/user/berth.service"
    unit.write_text(unit.read_text().replace("KillMode=process", "KillMode=mixed"))
    fix(machine, "units", "degraded", "written by another version or changed")
    assert service.property("KillMode") == "process"


def test_a_docker_context_elsewhere(service, machine):
    machine.environment.pop("DOCKER_HOST", None)
    fix(machine, "docker-host", "degraded", 'the docker context is "default"')
    config = json.loads((service.home / ".docker/config.json").read_text())
    assert config["currentContext"] == "berth"
    machine.run("docker", "context", "use", "default")
