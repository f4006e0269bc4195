"""A machine that lacks what rootless needs, from its boot on: no delegation, no lingering, no ids. `berth doctor` leads from there to an
engine that runs, each step as printed. Run outside the user's session, which is not there at first; in this order."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from engine import wait_until  # noqa: E402
from machine import Machine  # noqa: E402
from service import PATIENCE, Service  # noqa: E402
from test_doctor import fix, mend  # noqa: E402


@pytest.fixture(scope="module")
def machine():
    instance = Machine()
    # Whoever started these tests may have made a session.
    instance.run("sudo", "systemctl", "stop", "user@1000.service", "user-runtime-dir@1000.service")
    return instance


def test_what_is_missing_is_named(machine):
    answer = machine.doctor()
    states = {check["name"]: check["state"] for check in answer["checks"]}
    assert answer["state"] == "broken"
    expected = {"subordinate-ids": "broken", "runtime-directory": "broken", "user-bus": "degraded", "delegation": "degraded", "lingering": "degraded"}
    assert {name: states[name] for name in expected} == expected


def test_ids(machine):
    mend(machine, "subordinate-ids", "broken", "no subordinate ids for user tester")


def test_a_session(machine):
    finding = machine.check("user-bus")
    assert "there is no systemd of this user" in finding["cause"]
    for command in finding["mend"]:
        machine.carry_out(command)
    wait_until(lambda: machine.check("user-bus")["state"] == "ok", "the user's manager answers on its bus", PATIENCE)
    assert machine.check("lingering")["state"] == machine.check("runtime-directory")["state"] == "ok"


def test_delegation(machine):
    finding = machine.check("delegation")
    assert finding["state"] == "degraded" and "cpuset (--cpuset-cpus)" in finding["cause"]
    for command in finding["mend"]:
        machine.carry_out(command)
    wait_until(lambda: machine.check("delegation")["state"] == "ok", "all controllers are delegated", PATIENCE)


def test_the_bus(machine):
    machine.run("systemctl", "--user", "stop", "dbus.socket", "dbus.service")
    fix(machine, "user-bus", "degraded", "D-Bus")


def test_an_engine(machine):
    # One that an earlier test installed has begun with the session.
    if machine.check("engine")["state"] != "ok":
        machine.doctor("--fix", "engine")
    wait_until(lambda: machine.check("engine")["state"] == "ok", "the engine answers", PATIENCE)
    info = Service().api("GET", "/info")[2]
    assert info["CPUSet"] and info["MemoryLimit"] and not info["Warnings"]
