"""Clients that others wrote, at their everyday work on a real berthd of the plain user who runs pytest.

One engine a pytest-xdist worker, as in tests/system, whose fixtures these are. Environment besides theirs: BERTH_CLIENTS (directory
that tools/client-packages filled), BERTH_NEWER_CLIENTS (that tools/newer-clients filled), BERTH_DEBIAN_IMAGE (archive that
tools/debian-image made)."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from engine import DOCKER  # noqa: E402
from running import running_engine  # noqa: E402
import programs  # noqa: E402

MODULES = pathlib.Path(os.environ.get("BERTH_CLIENTS") or "/nonexistent") / "node_modules"
NEWER = pathlib.Path(os.environ.get("BERTH_NEWER_CLIENTS") or "/nonexistent")


@pytest.fixture(scope="session")
def engine():
    """An engine with the image `busybox` that all tests of a worker share."""
    yield from running_engine()


@pytest.fixture(scope="session")
def redis(engine):
    """The image `redis`."""
    if not os.path.exists(programs.REDIS):
        pytest.skip("redis-server is not installed")
    engine.docker("load", input=programs.redis())


@pytest.fixture(scope="session")
def python(engine):
    """The image `python`."""
    engine.docker("load", input=programs.python())


@pytest.fixture(scope="session")
def ryuk(engine):
    """The image of Testcontainers' reaper."""
    engine.docker("load", input=programs.ryuk())


@pytest.fixture(scope="session")
def debian(engine):
    """The image `debian`, with the servers that tools/debian-image put into it."""
    archive = os.environ.get("BERTH_DEBIAN_IMAGE")
    if not archive or not os.path.exists(archive):
        pytest.skip("no image of Debian: BERTH_DEBIAN_IMAGE is not set, or tools/debian-image could not make it")
    engine.docker("import", archive, "debian")


@pytest.fixture(scope="session")
def compose_v2():
    """`docker compose` is at hand."""
    if not (NEWER / "usr/libexec/docker/cli-plugins/docker-compose").exists():
        pytest.skip("no compose v2: BERTH_NEWER_CLIENTS is not set or empty")


@pytest.fixture(scope="session")
def run(engine):
    """Runs a client as it would be run by hand: DOCKER_HOST says where the engine is."""
    # The newer CLI has compose v2; both clients of node call the CLI.
    cli = NEWER / "usr/bin/docker" if (NEWER / "usr/bin/docker").exists() else pathlib.Path(DOCKER)
    plugins = pathlib.Path(engine.environment["HOME"]) / ".docker/cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    if (NEWER / "usr/libexec/docker/cli-plugins/docker-compose").exists():
        (plugins / "docker-compose").symlink_to(NEWER / "usr/libexec/docker/cli-plugins/docker-compose")
    environment = dict(engine.environment, DOCKER_HOST="unix://" + engine.socket, NODE_PATH=str(MODULES), TMPDIR=engine.environment["HOME"],
                       PATH=f"{cli.parent}:{engine.environment['PATH']}")

    def call(*command, check=True, timeout=120, variables=None, **options):
        done = subprocess.run(command, env={**environment, **(variables or {})}, text=True, timeout=timeout, stdin=options.pop("stdin", subprocess.DEVNULL),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **options)
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}\nengine: {engine.log()[-2000:]}"
        return done

    return call


@pytest.fixture(scope="session")
def node():
    """The path of node; the modules of tests/clients/node are at hand."""
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if not MODULES.is_dir():
        pytest.skip("the clients of node are not there: BERTH_CLIENTS is not set, or tools/client-packages could not fetch them")
    return shutil.which("node")
