"""`docker cp` and the archive routes with containers and archives that want to reach the host's files."""
import io
import os
import tarfile

import pytest

from hostile_layers import LAYERS, OUTSIDE
from images import add_file, layer_tar


@pytest.fixture
def host(engine):
    """A directory of the host that a container must not reach, and one that is bound into containers."""
    secret, bound = engine.root / "secret", engine.root / "bound"
    for directory in (secret, bound):
        directory.mkdir(exist_ok=True)
    (secret / "file").write_text("secret")
    yield secret, bound
    assert [entry.name for entry in secret.iterdir()] == ["file"] and (secret / "file").read_text() == "secret"


def put(engine, identity, path, tar):
    return engine.api("PUT", f"/containers/{identity}/archive?path={path}", tar, {"Content-Type": "application/x-tar"})


@pytest.mark.parametrize("state", ["running", "created"])
def test_hostile_archives_stay_inside_of_the_container(engine, state):
    command = ["create", "busybox", "sleep", "1000"] if state == "created" else ["run", "-d", "busybox", "sleep", "1000"]
    identity, pid = engine.docker(*command).stdout.strip(), engine.pids("berth-engine")
    for name, (tar, _, _) in sorted(LAYERS.items()):
        status, _, reply = put(engine, identity, "/home", tar)
        # What it may not be is a file of the host, or a failure without a reason.
        assert status == 200 or (status < 600 and reply["message"]), (name, status, reply)
        assert not os.path.exists(OUTSIDE), name
    assert engine.pids("berth-engine") == pid
    engine.docker("rm", "-f", identity)


@pytest.mark.parametrize("state", ["running", "created"])
def test_links_in_a_bound_directory_lead_nowhere_on_the_host(engine, host, state):
    secret, bound = host
    for name, target in (("absolute", secret), ("climbing", "../secret"), ("far", "../" * 30 + str(secret).lstrip("/"))):
        if not (bound / name).is_symlink():
            (bound / name).symlink_to(target)
    command = ["create"] if state == "created" else ["run", "-d"]
    identity = engine.docker(*command, "-v", f"{bound}:/bound", "busybox", "sleep", "1000").stdout.strip()
    for name in ("absolute", "climbing", "far"):
        status, _, body = engine.api("GET", f"/containers/{identity}/archive?path=/bound/{name}/file")
        assert status == 404, (name, body)
        status, _, _ = put(engine, identity, f"/bound/{name}", layer_tar({"new": b"new"}))
        assert status == 404, name
        # The link itself can be had, and shows no more than its text.
        status, _, body = engine.api("GET", f"/containers/{identity}/archive?path=/bound/{name}")
        assert status == 200 and b"secret" not in tarfile.open(fileobj=io.BytesIO(body)).next().tobuf()[:100]
    engine.docker("rm", "-f", identity)


def test_a_directory_that_becomes_a_link_meanwhile_leads_nowhere(engine, host):
    secret, _ = host
    swap = f"mkdir -p /d /keep; while :; do mv /d /keep/d; ln -s {secret} /d; rm /d; mv /keep/d /d; done"
    identity = engine.docker("run", "-d", "busybox", "sh", "-c", swap).stdout.strip()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number in range(20):
            add_file(archive, f"new{number}", b"new")
    for _ in range(40):
        assert put(engine, identity, "/d", buffer.getvalue())[0] in (200, 400, 404, 409, 500)
        status, _, body = engine.api("GET", f"/containers/{identity}/archive?path=/d/file")
        assert status != 200 or b"secret" not in body
    engine.docker("rm", "-f", identity)
