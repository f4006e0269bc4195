"""docker commit, diff, export and import of what was exported."""
import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import tarfile
import threading

import pytest

from engine import wait_until
from images import busybox_rootfs_tar, docker_archive


@pytest.fixture
def changed(engine, container):
    """A running container that changed some files, of an image with a configuration."""
    engine.docker("load", input=docker_archive(["committed/base:1"], [busybox_rootfs_tar()], {"Labels": {"kept": "yes"}, "ExposedPorts": {"80/tcp": {}}}))
    name = container("committed/base:1", "sh", "-c", "echo new > /etc/new; rm /etc/group; echo more >> /etc/passwd; mkdir -m 0700 /made; "
                     "ln /etc/new /made/second; touch /ready; sleep 1000")
    engine.docker("exec", name, "sh", "-c", "until [ -e /ready ]; do true; done")
    return name


@pytest.fixture
def image(engine):
    """Commits and removes the image after the test."""
    made = []

    def commit(*arguments):
        made.append(engine.docker("commit", *arguments).stdout.strip())
        return made[-1]

    yield commit
    engine.docker("rmi", "-f", *made, check=False)


def diff(engine, name):
    return engine.docker("diff", name).stdout.splitlines()


def test_diff_shows_what_is_new_changed_and_gone(engine, changed):
    assert sorted(diff(engine, changed)) == sorted(
        ["C /etc", "A /etc/new", "C /etc/passwd", "D /etc/group", "A /made", "A /made/second", "A /ready"])


def test_diff_of_a_container_that_did_nothing_is_empty(engine, container):
    name = container("-v", "/some/volume", "--tmpfs", "/scratch", "busybox", "sleep", "1000")
    assert diff(engine, name) == []
    assert engine.api("GET", f"/containers/{name}/changes")[2] is None
    engine.docker("kill", name)
    assert diff(engine, name) == []


def test_a_commit_has_the_containers_files_and_configuration(engine, changed, image):
    made = image("-m", "a comment", "-a", "An Author <a@example.org>", changed, "committed/result:2")
    shown = engine.inspect("committed/result:2")
    assert shown["Id"] == made
    assert (shown["Comment"], shown["Author"]) == ("a comment", "An Author <a@example.org>")
    assert shown["Parent"] == engine.inspect("committed/base:1")["Id"]
    assert shown["Config"]["Labels"] == {"kept": "yes"} and "FROM_IMAGE=yes" in shown["Config"]["Env"]
    assert shown["Config"]["Cmd"][0] == "sh" and shown["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert len(shown["RootFS"]["Layers"]) == 2
    run = engine.docker("run", "--rm", "committed/result:2", "sh", "-c", "cat /etc/new /made/second; ls /etc/group; tail -1 /etc/passwd; stat -c %a:%h /made /etc/new",
                        check=False)
    assert run.stdout.splitlines() == ["new", "new", "more", "700:2", "644:2"]
    assert "No such file" in run.stderr


def test_changes_of_a_commit(engine, changed, image):
    made = image("-c", 'CMD ["echo", "changed"]', "-c", "ENV ADDED=1", "-c", "LABEL more=2", "-c", "USER user", "-c", "WORKDIR /made", changed)
    config = engine.inspect(made)["Config"]
    assert config["Cmd"] == ["echo", "changed"] and "ADDED=1" in config["Env"] and config["Labels"] == {"kept": "yes", "more": "2"}
    assert (config["User"], config["WorkingDir"]) == ("user", "/made")
    assert engine.docker("run", "--rm", "-w", "/", made).stdout == "changed\n"
    assert engine.docker("commit", "-c", "FROM x", changed, check=False).stderr.strip().endswith("from is not a valid change command") or \
        "not a valid change command" in engine.docker("commit", "-c", "FROM x", changed, check=False).stderr


def test_an_entrypoint_in_the_changes_drops_the_command_of_the_container(engine, changed, image):
    assert engine.inspect(image("-c", 'ENTRYPOINT ["echo"]', changed))["Config"]["Cmd"] is None


def test_history_of_a_commit(engine, changed, image):
    made = image("-m", "why", changed)
    top = engine.api("GET", f"/images/{made}/history")[2][0]
    assert top["Comment"] == "why" and top["CreatedBy"].startswith("sh -c echo new") and top["Size"] > 0


def test_a_commit_without_changes_adds_no_layer(engine, container, image):
    name = container("busybox", "sleep", "1000")
    made = image(name)
    assert engine.inspect(made)["RootFS"] == engine.inspect("busybox")["RootFS"]
    assert engine.docker("run", "--rm", made, "echo", "works").stdout == "works\n"


def test_mounts_are_not_committed(engine, container, image):
    name = container("-v", "/volume", "busybox", "sh", "-c", "echo 1 > /volume/x; echo 2 > /outside; touch /ready; sleep 1000")
    engine.docker("exec", name, "sh", "-c", "until [ -e /ready ]; do true; done")
    made = image(name)
    assert engine.docker("run", "--rm", made, "sh", "-c", "cat /outside; ls /volume", check=False).stdout == "2\n"


def test_a_commit_of_a_commit_saves_and_loads_with_equal_digests(engine, changed, image):
    first = image(changed, "committed/first")
    name = engine.docker("create", "committed/first", "true").stdout.strip()
    engine.docker("cp", "-", f"{name}:/etc", input=_tar("third", b"3"))
    second = image(name, "committed/second:tag")
    engine.docker("rm", name)
    archive = engine.docker("save", "committed/second:tag", text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        blobs = {m.name.rsplit("/", 1)[1]: tar.extractfile(m).read() for m in tar if m.name.startswith("blobs/sha256/") and m.isfile()}
    assert all(hashlib.sha256(content).hexdigest() == digest for digest, content in blobs.items())
    engine.docker("rmi", "committed/second:tag")
    engine.docker("load", input=archive)
    assert engine.inspect("committed/second:tag")["Id"] == second != first
    assert engine.docker("run", "--rm", "committed/second:tag", "cat", "/etc/third", "/etc/new").stdout == "3new\n"


def test_an_image_with_a_commit_above_it_keeps_its_layers(engine, changed, image):
    made = image(changed, "committed/top")
    engine.docker("rm", "-f", changed)
    engine.docker("rmi", "-f", "committed/base:1")
    assert engine.docker("run", "--rm", made, "cat", "/etc/new").stdout == "new\n"


def test_the_body_overrides_the_configuration(engine, changed, image):
    status, _, reply = engine.api("POST", f"/commit?container={changed}&repo=committed/body", {"Cmd": ["echo", "body"], "Env": ["ADDED=1"]})
    assert status == 201
    config = engine.inspect(reply["Id"])["Config"]
    assert config["Cmd"] == ["echo", "body"] and {"ADDED=1", "FROM_IMAGE=yes"} <= set(config["Env"])
    engine.docker("rmi", "committed/body")
    assert engine.api("POST", "/commit?container=absent")[0] == 404
    assert engine.api("POST", f"/commit?container={changed}&repo=UPPER")[0] == 400


def test_committing_and_exporting_tell_their_events(engine, changed, image):
    made = image("-m", "words", changed, "committed/told")
    engine.docker("export", changed, text=False)
    events = {e["Action"]: e["Actor"]["Attributes"] for e in engine.events(changed)}
    assert (events["commit"]["imageID"], events["commit"]["imageRef"], events["commit"]["comment"]) == (made, "committed/told:latest", "words")
    assert "export" in events


def test_an_export_is_the_root_without_mounts(engine, container, tmp_path):
    (tmp_path / "host").write_text("host")
    name = container("-v", f"{tmp_path}:/bound", "--user", "user", "busybox", "sh", "-c", "echo mine > /tmp/mine; sleep 1000")
    engine.docker("exec", name, "sh", "-c", "until [ -s /tmp/mine ]; do true; done")
    with tarfile.open(fileobj=io.BytesIO(engine.docker("export", name, text=False).stdout)) as tar:
        members = {m.name: m for m in tar}
        assert tar.extractfile("tmp/mine").read() == b"mine\n"
    assert (members["tmp/mine"].uid, members["tmp"].mode) == (1000, 0o1777)
    assert "bound/host" not in members and members["bin/sh"].linkname == "busybox"


def test_an_export_of_each_state_is_imported_again(engine, changed):
    engine.docker("kill", changed)
    archive = engine.docker("export", changed, text=False).stdout
    engine.docker("import", "-c", "CMD cat /etc/new", "-m", "from a container", "-", "committed/imported", input=archive)
    assert engine.docker("run", "--rm", "committed/imported").stdout == "new\n"
    assert engine.inspect("committed/imported")["Comment"] == "from a container"
    engine.docker("rmi", "committed/imported")


def test_import_from_an_url(engine, tmp_path):
    (tmp_path / "root.tar").write_bytes(busybox_rootfs_tar())
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            assert "Downloading from" in engine.docker("import", f"{url}/root.tar", "committed/url").stdout
            assert f"failed to GET {url}/absent.tar with status 404" in engine.docker("import", f"{url}/absent.tar", check=False).stderr
        finally:
            server.shutdown()
    assert engine.inspect("committed/url")["Comment"] == f"Imported from {url}/root.tar"
    assert engine.docker("run", "--rm", "committed/url", "echo", "works").stdout == "works\n"
    engine.docker("rmi", "committed/url")


def test_unknown_containers(engine):
    for command in ("diff", "export", "commit"):
        assert "No such container: absent" in engine.docker(command, "absent", check=False).stderr


def _tar(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("driver", ["vfs", "fuse-overlayfs"])
def test_the_other_storage_drivers_copy_compare_commit_and_export_alike(bare_engine, driver):
    engine = bare_engine
    if driver == "fuse-overlayfs" and not (shutil.which(driver) and os.access("/dev/fuse", os.R_OK | os.W_OK)):
        pytest.skip("fuse-overlayfs does not work here")
    engine.start("--storage-driver", driver)
    engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    name = engine.docker("create", "-v", "/volume", "busybox", "sh", "-c", "rm /etc/group; rm -r /home; mkdir /home; echo 1 > /home/x; touch /ready; sleep 1000").stdout.strip()
    engine.docker("cp", "-", f"{name}:/volume", input=_tar("before", b"start"))
    engine.docker("cp", "-", f"{name}:/etc", input=_tar("before", b"start"))
    engine.docker("start", name)
    engine.docker("exec", name, "sh", "-c", "until [ -e /ready ]; do true; done")
    engine.docker("cp", "-", f"{name}:/etc", input=_tar("while", b"running"))
    assert engine.docker("exec", name, "cat", "/etc/while", "/etc/before", "/volume/before").stdout == "runningstartstart"
    expected = ["A /etc/before", "A /etc/while", "A /home/x", "A /ready", "C /etc", "C /home", "D /etc/group"]
    assert set(expected) <= set(diff(engine, name)) <= {*expected, "A /volume"}
    engine.docker("commit", name, "result")
    engine.docker("kill", name)
    engine.docker("wait", name)
    assert engine.docker("run", "--rm", "result", "sh", "-c", "cat /home/x /etc/while; ls /etc/group", check=False).stdout == "1\nrunning"
    with tarfile.open(fileobj=io.BytesIO(engine.docker("export", name, text=False).stdout)) as tar:
        assert "home/x" in tar.getnames() and "etc/group" not in tar.getnames()
    # No FUSE server outlives what it was started for.
    wait_until(lambda: not engine.pids("fuse-overlayfs"), "the end of fuse-overlayfs")
