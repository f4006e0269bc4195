"""Tests inside the virtual machine (tests/vm/run): the berth.service of a plain user with systemd and cgroup v2, and the stock docker CLI."""
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "system"))

from engine import wait_until  # noqa: E402
from service import PATIENCE, Service  # noqa: E402
from images import busybox_rootfs_tar  # noqa: E402


def pytest_collection_modifyitems(items):
    if not os.environ.get("BERTH_VM"):
        for item in items:
            item.add_marker(pytest.mark.skip(reason="runs inside the virtual machine only: tests/vm/run"))


@pytest.fixture(scope="session")
def service():
    """berth.service installed and started, with the image `busybox`."""
    instance = Service()
    instance.install()
    instance.start()
    if "busybox" not in instance.docker("images", "--format", "{{.Repository}}").stdout.split():
        instance.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    return instance


@pytest.fixture
def container(service):
    """Runs a detached container and removes it after the test; returns a function."""
    made = []

    def run(*arguments):
        made.append(service.docker("run", "-d", *arguments).stdout.strip())
        return made[-1]

    yield run
    if made:
        service.docker("rm", "-f", *made, check=False)


@pytest.fixture(scope="session")
def root():
    """Runs a command as the machine's root: what an administrator does to it."""
    def run(*command, check=True, input=None):
        return subprocess.run(["sudo", "-n", *command], check=check, text=True, input=input, capture_output=True, timeout=120)
    return run


@pytest.fixture(scope="session")
def restart_session(root):
    """Ends the user's session and begins it anew, as a login after a change of its set-up does; for tests that run outside of it."""
    def restart():
        root("systemctl", "restart", "user@1000.service")
        wait_until(lambda: os.path.exists(os.environ["XDG_RUNTIME_DIR"] + "/bus"), "the user's bus is there", PATIENCE)
    return restart
