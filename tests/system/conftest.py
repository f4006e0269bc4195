"""Black-box tests: a real berthd of the plain user who runs pytest, driven by the stock docker CLI.

One engine a pytest-xdist worker, with run-time, data and configuration directories of its own. Environment:
BERTH_BUILD (directory with the built programs), BERTH_DOCKER (docker client), BERTH_KEEP (keep the directories)."""
import shutil

import pytest

from engine import Engine
from registry import Registry
from running import running_engine


@pytest.fixture(scope="session")
def engine():
    """An engine that all tests of a worker share."""
    yield from running_engine()


@pytest.fixture
def own_engine():
    """An engine for one test, which may kill it."""
    yield from running_engine()


@pytest.fixture
def bare_engine():
    """Directories and environment of an engine that is not started."""
    instance = Engine()
    yield instance
    instance.kill_containers()
    instance.stop()
    instance.remove()


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """Debian's docker-registry on a free loopback port."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    instance = Registry(tmp_path_factory.mktemp("registry"))
    instance.start()
    yield instance
    instance.stop()


@pytest.fixture
def container(engine):
    """Runs a detached container and removes it after the test; returns a function."""
    made = []

    def run(*arguments):
        made.append(engine.docker("run", "-d", *arguments).stdout.strip())
        return made[-1]

    yield run
    if made:
        engine.docker("rm", "-f", *made, check=False)


@pytest.fixture
def network(engine):
    """Makes networks and removes them, with the containers on them, after the test; returns a function that gives the name."""
    made = []

    def create(name, *options):
        engine.docker("network", "create", *options, name)
        made.append(name)
        return name

    yield create
    for name in made:
        for identity in engine.docker("ps", "-aq", "--filter", f"network={name}").stdout.split():
            engine.docker("rm", "-f", identity, check=False)
        engine.docker("network", "rm", name, check=False)


@pytest.fixture(scope="module")
def client(engine):
    """Docker's Python SDK on the shared engine."""
    docker = pytest.importorskip("docker", reason="python3-docker is not installed")
    instance = docker.DockerClient(base_url="unix://" + engine.socket, version="auto", timeout=60)
    yield instance
    instance.close()


@pytest.fixture
def made(client):
    """Containers of the SDK that the test adds here are removed after it."""
    from docker import errors
    containers = []
    yield containers
    for container in containers:
        try:
            container.remove(force=True, v=True)
        except errors.NotFound:
            pass
