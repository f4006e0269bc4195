"""Registries that break in the middle of a transfer, hang, or limit it."""
import os
import shutil
import signal
import subprocess

import pytest

from engine import wait_until
from images import docker_archive, layer_tar
from registry import Registry
from tap import Tap


@pytest.fixture
def tapped(tmp_path):
    """A registry of the test's own, with a tap in front of it."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    registry = Registry(tmp_path)
    registry.start()
    host, port = registry.address.split(":")
    tap = Tap((host, int(port)))
    yield registry, tap
    registry.stop()
    tap.close()


def restart(registry):
    registry.process.kill()
    registry.process.wait()
    registry.start()


def big_image(name):
    return docker_archive([name], [layer_tar({"noise": os.urandom(4 << 20)})])


def test_a_pull_goes_on_where_the_registry_was_killed(engine, tapped):
    registry, tap = tapped
    registry.push("broken:1", big_image("x:1"))
    tap.cut("down", 1 << 20, lambda: restart(registry))
    out = engine.docker("pull", f"{tap.address}/broken:1").stdout
    assert "Retrying in" in out and "Download complete" in out
    ranges = [line for line in tap.sent.split(b"\r\n") if line.lower().startswith(b"range: bytes=")]
    assert len(ranges) == 1 and int(ranges[0].split(b"=")[1].rstrip(b"-")) > 0
    engine.docker("rmi", f"{tap.address}/broken:1")


def test_a_push_is_tried_again_after_the_registry_was_killed(engine, tapped):
    registry, tap = tapped
    name = f"{tap.address}/broken:1"
    engine.docker("load", input=big_image(name))
    tap.cut("up", 1 << 20, lambda: restart(registry))
    out = engine.docker("push", name).stdout
    assert "Retrying in" in out and registry.digest_of("broken:1") in out
    engine.docker("rmi", name)


def test_a_push_ends_when_its_client_leaves(engine, tapped):
    registry, tap = tapped
    name = f"{tap.address}/left:1"
    engine.docker("load", input=big_image(name))
    os.kill(registry.process.pid, signal.SIGSTOP)
    try:
        client = engine.popen("push", name, stdout=subprocess.PIPE)
        wait_until(lambda: b"GET /v2/" in tap.sent or tap.threads, "the push has begun")
        client.kill()
        client.wait()
        client.stdout.close()
        wait_until(lambda: not transfers(engine), "the engine's push ended")
    finally:
        os.kill(registry.process.pid, signal.SIGCONT)
    engine.docker("rmi", name)


def transfers(engine):
    """Names of the engine's threads that push."""
    (pid,) = engine.pids("berth-engine")
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as name:
                found.append(name.read().strip())
        except OSError:
            continue
    return [name for name in found if "push" in name]
