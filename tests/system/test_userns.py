"""keep-id: the user has an id of their own in the container, as dev containers want it."""
import io
import os
import tarfile

import pytest

from engine import BUILD
from images import add_file, busybox_rootfs_tar, docker_archive

LABEL = "io.berth.userns=keep-id:uid=1000,gid=1000"


@pytest.fixture(scope="module")
def developer(engine):
    """An image with a user of its own, whose home is theirs, and a program that root lends."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        entry = tarfile.TarInfo("home/user")
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o755, 1000, 1000
        archive.addfile(entry)
        add_file(archive, "home/user/profile", b"mine\n", 0o600, uid=1000, gid=1000)
        add_file(archive, "bin/set-user-id", (BUILD / "berth-init").read_bytes(), 0o4755)
    engine.docker("load", input=docker_archive(["developer"], [busybox_rootfs_tar(), buffer.getvalue()], {"User": "1000:1000"}))
    return "developer"


def run(engine, image, *arguments, options=()):
    return engine.docker("run", "--rm", "--label", LABEL, *options, image, *arguments).stdout


def test_what_the_images_user_writes_into_a_bind_belongs_to_the_user(engine, developer):
    directory = engine.root / "workspace"
    directory.mkdir()
    (directory / "source").write_text("text\n")
    out = run(engine, developer, "sh", "-c", "id -u; stat -c %u:%g /w/source; echo new > /w/new; echo more >> /w/source",
              options=("-v", f"{directory}:/w"))
    assert out == "1000\n1000:1000\n"
    status = (directory / "new").stat()
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
    assert (directory / "source").read_text() == "text\nmore\n"


def test_files_of_the_image_keep_their_owners(engine, developer):
    out = run(engine, developer, "stat", "-c", "%u:%g", "/bin/busybox", "/home/user", "/home/user/profile", "/etc/hosts")
    assert out.split() == ["0:0", "1000:1000", "1000:1000", "0:0"]


def test_the_images_user_can_use_their_home_and_not_roots_files(engine, developer):
    out = engine.docker("run", "--rm", "--label", LABEL, "-w", "/home/user", developer, "sh", "-c",
                        "cat profile; touch new; stat -c %u new; touch /etc/new; true")
    assert out.stdout == "mine\n1000\n" and "Permission denied" in out.stderr


def test_a_set_user_id_program_becomes_root_of_the_container(engine, developer, container):
    identity = container("--label", LABEL, developer, "/bin/set-user-id", "--", "sleep", "1000")
    real, effective = engine.docker("exec", identity, "grep", "Uid:", "/proc/1/status").stdout.split()[1:3]
    assert (real, effective) == ("1000", "0")


def test_root_of_the_container_is_a_subordinate_id_outside(engine, developer):
    directory = engine.root / "of-root"
    directory.mkdir()
    directory.chmod(0o777)
    run(engine, developer, "touch", "/w/file", options=("-u", "0", "-v", f"{directory}:/w"))
    assert (directory / "file").stat().st_uid > 65536


def test_exec_stop_and_start_again(engine, developer, container):
    identity = container("--label", LABEL, developer, "sleep", "1000")
    assert engine.docker("exec", identity, "sh", "-c", "id -u; echo kept > /home/user/f").stdout == "1000\n"
    assert engine.docker("exec", "-u", "0", identity, "sh", "-c", "id -u; stat -c %u /home/user/f").stdout == "0\n1000\n"
    engine.docker("stop", "-t", "0", identity)
    engine.docker("start", identity)
    assert engine.docker("exec", identity, "cat", "/home/user/f").stdout == "kept\n"
    assert engine.inspect(identity)["HostConfig"]["UsernsMode"] == "keep-id:uid=1000,gid=1000"


def test_a_volume_is_filled_with_the_containers_owners(engine, developer):
    out = run(engine, developer, "stat", "-c", "%u:%g", "/home/user", "/home/user/profile", options=("-v", "/home/user",))
    assert out.split() == ["1000:1000", "1000:1000"]


@pytest.mark.parametrize("state", ["created", "running"])
def test_archives_have_the_containers_owners(engine, developer, state):
    identity = engine.docker("create", "--label", LABEL, "-v", "/home/user", developer, "sleep", "1000").stdout.strip()
    if state == "running":
        engine.docker("start", identity)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for owner in (0, 7, 1000):
            add_file(archive, f"of-{owner}", b"", uid=owner, gid=owner)
    archived = {"etc/passwd": 0, "home/user/profile": 1000}
    for place in ("tmp", "home/user"):  # in the root and in a volume
        engine.docker("cp", "-", f"{identity}:/{place}", input=buffer.getvalue())
        archived |= {f"{place}/of-{owner}": owner for owner in (0, 7, 1000)}

    def owner_of(path):
        out = engine.docker("cp", f"{identity}:/{path}", "-", text=False).stdout
        with tarfile.open(fileobj=io.BytesIO(out)) as archive:
            return archive.next().uid
    assert {path: owner_of(path) for path in archived} == archived
    exported = engine.docker("export", identity, text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        assert {member.name: member.uid for member in archive if "/of-" in member.name} == {f"tmp/of-{owner}": owner for owner in (0, 7, 1000)}
    engine.docker("start", identity)
    seen = engine.docker("exec", identity, "stat", "-c", "%u", *("/" + path for path in archived)).stdout.split()
    assert list(map(int, seen)) == list(archived.values())
    engine.docker("rm", "-fv", identity)


def test_an_image_without_a_user_runs_as_the_user(engine):
    out = engine.docker("run", "--rm", "--label", "io.berth.userns=keep-id", "busybox", "sh", "-c", "id -u; id -g").stdout
    assert out.split() == [str(os.getuid()), str(os.getgid())]


def test_network_and_names_work_in_such_a_container(engine, developer, network):
    name = network("kept-ids")
    out = engine.docker("run", "--rm", "--label", LABEL, "--network", name, "--hostname", "box", developer, "sh", "-c",
                        "hostname; ip -4 addr show eth0 | grep -c inet; cat /proc/sys/net/ipv4/ip_unprivileged_port_start").stdout
    assert out.split() == ["box", "1", "0"]


@pytest.mark.parametrize("mode, text", [("keep-id:uid=4000000,gid=1", "is not below"), ("auto", "invalid userns mode: auto")])
def test_a_mode_that_cannot_be_is_refused(engine, mode, text):
    status, _, body = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"UsernsMode": mode}})
    assert status == 400 and text in body["message"]


def test_daemon_json_can_make_it_the_default(own_engine):
    own_engine.stop()
    own_engine.start("--default-userns-mode", "keep-id:uid=7,gid=8")
    assert own_engine.docker("run", "--rm", "busybox", "id", "-u").stdout == "7\n"
    assert own_engine.docker("run", "--rm", "--userns", "host", "busybox", "id", "-u").stdout == "0\n"
