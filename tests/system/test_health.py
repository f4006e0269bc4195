"""Health checks: status, events, timing, restarts of container and engine."""
import json
import shutil
import subprocess

import pytest

from engine import wait_until
from images import busybox_rootfs_tar

FAST = ("--health-interval", "200ms")


def health(engine, name):
    return engine.inspect(name)["State"].get("Health")


def wait_status(engine, name, status):
    return wait_until(lambda: (found := health(engine, name)) and found["Status"] == status and found, f"health {status}")


def shown(engine, name):
    return engine.docker("ps", "--no-trunc", "--filter", f"id={name}", "--format", "{{.Status}}").stdout.strip()


def test_a_container_becomes_healthy_unhealthy_and_healthy_again(engine, container):
    name = container(*FAST, "--health-cmd", "cat /tmp/ok", "--health-retries", "2", "busybox", "sleep", "1000")
    assert health(engine, name)["Status"] == "starting" and shown(engine, name).endswith("(health: starting)")
    failed = wait_status(engine, name, "unhealthy")
    assert failed["FailingStreak"] >= 2 and "/tmp/ok" in failed["Log"][-1]["Output"] and failed["Log"][-1]["ExitCode"] == 1
    assert shown(engine, name).endswith("(unhealthy)")
    engine.docker("exec", name, "sh", "-c", "echo fine > /tmp/ok")
    good = wait_status(engine, name, "healthy")
    assert good["FailingStreak"] == 0 and good["Log"][-1]["Output"] == "fine\n" and good["Log"][-1]["ExitCode"] == 0
    assert shown(engine, name).endswith("(healthy)")
    actions = [event["Action"] for event in engine.events(name)]
    assert [action for action in actions if action.startswith("health_status")] == ["health_status: unhealthy", "health_status: healthy"]
    assert "exec_create: /bin/sh -c cat /tmp/ok" in actions and "exec_start: /bin/sh -c cat /tmp/ok" in actions


def test_filters_find_containers_by_health(engine, container):
    name = container(*FAST, "--health-cmd", "true", "busybox", "sleep", "1000")
    plain = container("busybox", "sleep", "1000")
    wait_status(engine, name, "healthy")

    def found(status):
        return engine.docker("ps", "-q", "--no-trunc", "--filter", f"health={status}").stdout.split()
    assert name in found("healthy") and plain not in found("healthy")
    assert plain in found("none") and name not in found("none")


def test_the_log_keeps_five_results_and_cuts_output(engine, container):
    name = container("--health-interval", "50ms", "--health-cmd", "head -c 9000 /dev/zero | tr '\\0' x", "busybox", "sleep", "1000")
    log = wait_until(lambda: len(found := health(engine, name)["Log"]) == 5 and found, "five results")
    assert log[0]["Output"] == "x" * 4096 + "..."
    assert log[0]["Start"] <= log[0]["End"] <= log[1]["Start"]


def test_a_probe_that_takes_too_long_is_killed_with_its_children(engine, container):
    name = container(*FAST, "--health-cmd", "echo begun; sleep 4321 & sleep 4322", "--health-timeout", "300ms", "--health-retries", "1", "busybox", "sleep", "1000")
    failed = wait_status(engine, name, "unhealthy")
    assert failed["Log"][0]["ExitCode"] == -1
    assert failed["Log"][0]["Output"] == "Health check exceeded timeout (300ms): begun\n"
    # Of at most one probe, the one that runs now.
    assert engine.docker("top", name).stdout.count("sleep 4321") <= 1


def test_a_probe_that_cannot_start_is_a_failure_with_the_reason(engine, container):
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"], "Healthcheck": {"Test": ["CMD", "/nothing"], "Interval": 10**8, "Retries": 1}}
    name = engine.api("POST", "/containers/create", body)[2]["Id"]
    engine.docker("start", name)
    failed = wait_status(engine, name, "unhealthy")
    assert failed["Log"][0]["ExitCode"] == -1 and "no such file or directory" in failed["Log"][0]["Output"]
    engine.docker("rm", "-f", name)


def test_failures_in_the_start_period_do_not_count(engine, container):
    name = container(*FAST, "--health-cmd", "false", "--health-start-period", "1h", "busybox", "sleep", "1000")
    engine.docker("rm", "-f", name)
    body = {"Image": "busybox", "Cmd": ["sleep", "1000"],
            "Healthcheck": {"Test": ["CMD", "false"], "StartInterval": 10**8, "StartPeriod": 10**12, "Interval": 10**12, "Retries": 1}}
    name = engine.api("POST", "/containers/create", body)[2]["Id"]
    engine.docker("start", name)
    found = wait_until(lambda: len((h := health(engine, name))["Log"]) >= 3 and h, "three probes of the start interval")
    assert found["Status"] == "starting" and found["FailingStreak"] == 0
    engine.docker("rm", "-f", name)


def test_no_healthcheck_has_no_health(engine, container):
    for arguments in ((), ("--no-healthcheck",)):
        assert health(engine, container(*arguments, "busybox", "sleep", "1000")) is None


def test_the_images_check_is_used_and_can_be_switched_off(engine, container):
    change = "HEALTHCHECK --interval=100ms CMD true"
    engine.docker("import", "--change", change, "-", "checked", input=busybox_rootfs_tar())
    wait_status(engine, container("checked", "sleep", "1000"), "healthy")
    assert health(engine, container("--no-healthcheck", "checked", "sleep", "1000")) is None


def test_a_stop_ends_the_probes_and_a_start_begins_anew(engine, container):
    name = container(*FAST, "--health-cmd", "true", "busybox", "sleep", "1000")
    wait_status(engine, name, "healthy")
    engine.docker("kill", name)
    assert health(engine, name)["Status"] == "unhealthy"
    engine.docker("start", name)
    found = health(engine, name)
    assert found["Status"] == "starting" or found["Log"]
    wait_status(engine, name, "healthy")


def test_health_survives_a_kill_of_the_engine(own_engine):
    name = own_engine.docker("run", "-d", *FAST, "--health-cmd", "cat /tmp/ok", "--health-retries", "1", "busybox", "sleep", "1000").stdout.strip()
    wait_status(own_engine, name, "unhealthy")
    own_engine.kill_9("berth-engine")
    wait_until(own_engine.answers, "the new engine answers")
    assert health(own_engine, name)["Status"] == "unhealthy"
    own_engine.docker("exec", name, "touch", "/tmp/ok")
    wait_status(own_engine, name, "healthy")
    record = json.loads(next(own_engine.root.glob(f"data/berth/containers/{name}/container.json")).read_text())
    assert record["state"]["health"]["Status"] == "healthy"


def test_a_health_filter_of_events_takes_all_statuses(engine, container):
    watcher = engine.popen("events", "--filter", "event=health_status", "--format", "{{.Action}}", stdout=-1, text=True)
    name = container(*FAST, "--health-cmd", "true", "busybox", "sleep", "1000")
    assert watcher.stdout.readline() == "health_status: healthy\n"
    watcher.kill()
    watcher.wait()
    engine.docker("rm", "-f", name)


PROJECT = """
services:
  base:
    image: busybox
    network_mode: none
    command: sh -c "sleep 1; touch /tmp/ok; sleep 1000"
    healthcheck: {test: [CMD, test, -e, /tmp/ok], interval: 200ms, retries: 100}
  user:
    image: busybox
    network_mode: none
    command: sleep 1000
    depends_on: {base: {condition: service_healthy}}
"""


def test_compose_waits_until_a_dependency_is_healthy(engine, tmp_path):
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed")
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    environment = dict(engine.environment, DOCKER_HOST="unix://" + engine.socket)

    def compose(*arguments):
        return subprocess.run(["docker-compose", "-p", "healthy", *arguments], cwd=tmp_path, env=environment, check=True, timeout=60,
                              capture_output=True, text=True).stdout
    compose("up", "-d")
    base, user = (compose("ps", "-q", service).strip() for service in ("base", "user"))
    healthy = next(event["timeNano"] for event in engine.events(base) if event["Action"] == "health_status: healthy")
    started = next(event["timeNano"] for event in engine.events(user) if event["Action"] == "start")
    assert healthy < started
    compose("down", "-t", "0")
