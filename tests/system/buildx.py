"""docker with the plugins buildx and compose (Debian 13's, fetched by tools/newer-clients), on an engine of the test file's own."""
import pathlib
import subprocess

import pytest

from running import running_engine
from test_clients import NEWER

PLUGINS = NEWER / "usr/libexec/docker/cli-plugins"


@pytest.fixture(scope="module")
def engine():
    """An engine of their own: the images of their steps would be in the way of tests that count images."""
    yield from running_engine()


@pytest.fixture(scope="module")
def plugins(engine):
    """The directory of a docker configuration whose plugins are buildx and compose."""
    if not (PLUGINS / "docker-buildx").exists():
        pytest.skip("no buildx: BERTH_NEWER_CLIENTS is not set or tools/newer-clients could not fetch it")
    directory = pathlib.Path(engine.environment["HOME"]) / "with-buildx"
    (directory / "cli-plugins").mkdir(parents=True, exist_ok=True)
    for name in ("docker-buildx", "docker-compose"):
        if not (directory / "cli-plugins" / name).exists():
            (directory / "cli-plugins" / name).symlink_to(PLUGINS / name)
    return directory


@pytest.fixture
def command(engine, plugins, tmp_path):
    """Starts a docker command with the plugins, in a directory of its own that may hold a build context."""
    environment = dict(engine.environment, DOCKER_HOST="unix://" + engine.socket, DOCKER_CONFIG=str(plugins), BUILDKIT_PROGRESS="plain")

    def start(*arguments, **options):
        return subprocess.Popen([str(NEWER / "usr/bin/docker"), *arguments], env=environment, cwd=tmp_path, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **{"stdin": subprocess.DEVNULL, **options})

    return start


@pytest.fixture
def docker(command):
    """Runs one to its end."""
    def run(*arguments, check=True, input=None):
        process = command(*arguments, stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
        out, err = process.communicate(input, timeout=120)
        assert not check or process.returncode == 0, (arguments, process.returncode, out, err)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    return run


def write(directory, **files):
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def steps_under_way(engine):
    """Ids of the containers of RUN, which no list of containers shows."""
    return [path.name for path in (engine.root / "data/berth/containers").iterdir()]
