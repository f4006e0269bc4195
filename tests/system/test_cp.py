"""docker cp: Docker's table of what becomes of which source at which destination, links, owners, hostile containers."""
import base64
import http.client
import io
import json
import os
import tarfile
import urllib.parse

import pytest

from engine import UnixConnection, needs_cli, wait_until
from images import add_directory, add_file, add_link


@pytest.fixture
def created(engine):
    """A container that was never started; removed at the end."""
    made = []

    def create(*arguments):
        made.append(engine.docker("create", *arguments).stdout.strip())
        return made[-1]

    yield create
    engine.docker("rm", "-fv", *made, check=False)


@pytest.fixture
def idle(container):
    return container("busybox", "sleep", "1000")


@pytest.fixture(params=["created", "running", "stopped"])
def box(request, engine, created, container):
    """A container in each state."""
    if request.param == "created":
        return created("busybox", "true")
    name = container("busybox", "sleep", "1000")
    if request.param == "stopped":
        engine.docker("kill", name)
        engine.docker("wait", name)
    return name


def tar_of(engine, source):
    """{name: member} of `docker cp SOURCE -`."""
    with tarfile.open(fileobj=io.BytesIO(engine.docker("cp", source, "-", text=False).stdout)) as tar:
        return {m.name: (m, tar.extractfile(m).read() if m.isfile() else None) for m in tar}


def content(engine, name, path):
    return tar_of(engine, f"{name}:{path}")[os.path.basename(path)][1]


def error_of(engine, *arguments):
    done = engine.docker("cp", *arguments, check=False)
    assert done.returncode != 0
    return done.stderr.strip()


def put(engine, name, path, archive, **query):
    """(status, message)."""
    status, _, body = engine.api("PUT", f"/containers/{name}/archive?" + urllib.parse.urlencode({"path": path, **query}), archive,
                                 {"Content-Type": "application/x-tar"})
    return status, body and body["message"]


def raw(engine, path):
    """The body, also of a reply that was cut off: a file was gone when its turn came."""
    connection = UnixConnection(engine.socket)
    connection.request("GET", path)
    try:
        return connection.getresponse().read()
    except http.client.HTTPException as cut:
        return getattr(cut, "partial", b"")
    finally:
        connection.close()


def archive_of(fill):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        fill(tar)
    return buffer.getvalue()


def test_a_file_goes_in_and_comes_out_in_every_state(engine, box, tmp_path):
    (tmp_path / "in").write_bytes(b"there and back\0" * 1000)
    os.chmod(tmp_path / "in", 0o640)
    engine.docker("cp", str(tmp_path / "in"), f"{box}:/etc/taken")
    engine.docker("cp", f"{box}:/etc/taken", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640


def test_a_running_container_sees_what_came_at_once(engine, idle, tmp_path):
    assert engine.docker("exec", idle, "ls", "/etc/new", check=False).returncode != 0
    (tmp_path / "new").write_text("hello\n")
    engine.docker("cp", str(tmp_path / "new"), f"{idle}:/etc/new")
    assert engine.docker("exec", idle, "cat", "/etc/new").stdout == "hello\n"


def test_what_was_copied_is_there_at_the_first_start(engine, created, tmp_path):
    (tmp_path / "greeting").write_text("hello\n")
    name = created("busybox", "cat", "/srv/greeting")
    engine.docker("cp", str(tmp_path), f"{name}:/srv")
    assert engine.docker("start", "-a", name).stdout == "hello\n"


@pytest.mark.parametrize("source,destination,expected", [
    ("file", "/tmp/name", ["tmp/name"]),                    # to a name that is not there
    ("file", "/tmp", ["tmp/file"]),                         # into a directory
    ("file", "/tmp/", ["tmp/file"]),
    ("dir", "/tmp/copy", ["tmp/copy", "tmp/copy/inside"]),  # becomes the directory
    ("dir", "/tmp/copy/", ["tmp/copy", "tmp/copy/inside"]),
    ("dir", "/tmp", ["tmp/dir", "tmp/dir/inside"]),         # goes into it
    ("dir/.", "/tmp", ["tmp/inside"]),                      # only what is in it
    ("dir/.", "/tmp/copy", ["tmp/copy", "tmp/copy/inside"]),
])
def test_into_the_container(engine, created, tmp_path, source, destination, expected):
    (tmp_path / "file").write_text("1")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/inside").write_text("2")
    name = created("busybox", "true")
    engine.docker("cp", f"{tmp_path}/{source}", f"{name}:{destination}")
    assert sorted(n for n in tar_of(engine, f"{name}:/tmp") if n != "tmp") == sorted(expected)


@pytest.mark.parametrize("source,destination,expected", [
    ("/srv/file", "name", ["name"]),
    ("/srv/file", "there", ["there/file"]),
    ("/srv/file", "there/", ["there/file"]),
    ("/srv/dir", "copy", ["copy/inside"]),
    ("/srv/dir", "there", ["there/dir/inside"]),
    ("/srv/dir/", "there", ["there/dir/inside"]),
    ("/srv/dir/.", "there", ["there/inside"]),
    ("/srv/dir/.", "copy", ["copy/inside"]),
    ("srv/dir", "there", ["there/dir/inside"]),             # relative to the root
])
def test_out_of_the_container(engine, created, tmp_path, source, destination, expected):
    name = created("busybox", "true")
    assert put(engine, name, "/", archive_of(lambda tar: (add_file(tar, "srv/file", b"1"), add_file(tar, "srv/dir/inside", b"2"))))[0] == 200
    (tmp_path / "there").mkdir()
    engine.docker("cp", f"{name}:{source}", f"{tmp_path}/{destination}")
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()) == expected


def test_the_whole_root_comes_out(engine, created, tmp_path):
    name = created("busybox", "true")
    engine.docker("cp", f"{name}:/", str(tmp_path / "root"))
    assert (tmp_path / "root/etc/passwd").is_file()
    assert "/etc/passwd" in tar_of(engine, f"{name}:/")


@pytest.mark.parametrize("source,destination,text", [
    ("{c}:/absent", "{t}/x", "Could not find the file /absent in container {c}"),
    ("{t}/file", "{c}:/absent/x", "Could not find the file /absent in container {c}"),
    ("{t}/dir", "{c}:/etc/passwd", "cannot copy directory"),
    ("{t}/file", "{c}:/absent/", "no such directory"),
    ("{c}:/etc", "{t}/file", "cannot copy directory"),
])
def test_what_cannot_be_copied_is_said_in_dockers_words(engine, created, tmp_path, source, destination, text):
    (tmp_path / "file").write_text("1")
    (tmp_path / "dir").mkdir()
    name = created("busybox", "true")
    places = {"c": name, "t": tmp_path}
    error = error_of(engine, source.format(**places), destination.format(**places))
    # Clients of 2020 make a text of their own of a 404.
    assert text.format(**places) in error or (text.startswith("Could not find") and f"No such container:path: {name}:/absent" in error)


def test_a_directory_does_not_take_a_files_place(engine, created):
    name = created("busybox", "true")
    archive = archive_of(lambda tar: add_directory(tar, "passwd"))
    status, message = put(engine, name, "/etc", archive, noOverwriteDirNonDir="true")
    assert status == 400 and "cannot overwrite non-directory" in message
    assert put(engine, name, "/etc", archive)[0] == 200


def test_a_link_comes_as_a_link_and_with_L_as_what_it_names(engine, created, tmp_path):
    name = created("busybox", "true")
    put(engine, name, "/srv", archive_of(lambda tar: None))
    put(engine, name, "/", archive_of(lambda tar: (add_file(tar, "srv/real", b"real"), add_link(tar, "srv/link", "/srv/real"))))
    engine.docker("cp", f"{name}:/srv/link", str(tmp_path / "link"))
    assert os.readlink(tmp_path / "link") == "/srv/real"
    engine.docker("cp", "-L", f"{name}:/srv/link", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "real"


def test_links_on_the_way_are_followed_inside_the_container(engine, idle, tmp_path):
    engine.docker("exec", idle, "sh", "-c", "mkdir -p /real/deep; echo yes > /real/deep/file; ln -s /real /middle; ln -s ../../../../real/deep /up")
    assert content(engine, idle, "/middle/deep/file") == b"yes\n"
    assert content(engine, idle, "/up/file") == b"yes\n"
    (tmp_path / "new").write_text("new")
    engine.docker("cp", str(tmp_path / "new"), f"{idle}:/middle/deep/")
    assert engine.docker("exec", idle, "cat", "/real/deep/new").stdout == "new"


def test_the_stat_header_tells_kind_size_and_where_a_link_leads(engine, created):
    name = created("busybox", "true")
    put(engine, name, "/", archive_of(lambda tar: add_link(tar, "srv", "etc/passwd")))

    def stat(path):
        status, headers, body = engine.api("HEAD", f"/containers/{name}/archive?path={path}")
        assert (status, body) == (200, b"")
        return json.loads(base64.b64decode(headers["X-Docker-Container-Path-Stat"]))

    assert stat("/tmp") | {"mtime": ""} == {"name": "tmp", "size": stat("/tmp")["size"], "mode": 1 << 31 | 1 << 20 | 0o777, "mtime": "", "linkTarget": ""}
    link = stat("/srv")
    assert link["mode"] >> 27 & 1 and link["linkTarget"] == "/etc/passwd"
    assert stat("/etc/passwd")["size"] > 50
    assert engine.api("HEAD", f"/containers/{name}/archive?path=/absent")[0] == 404
    assert engine.api("HEAD", f"/containers/{name}/archive")[0] == 400


def test_owners_of_the_archive_are_kept_and_a_takes_the_containers_user(engine, created):
    name = created("--user", "user", "busybox", "true")
    archive = archive_of(lambda tar: add_file(tar, "owned", b"", uid=7, gid=8))
    put(engine, name, "/tmp", archive)
    member = tar_of(engine, f"{name}:/tmp/owned")["owned"][0]
    assert (member.uid, member.gid) == (7, 8)
    put(engine, name, "/tmp", archive, copyUIDGID="true")
    member = tar_of(engine, f"{name}:/tmp/owned")["owned"][0]
    assert (member.uid, member.gid) == (1000, 1000)


def test_volumes_and_binds_are_there_in_every_state(engine, created, container, tmp_path):
    (tmp_path / "host").write_text("of the host\n")
    arguments = ["-v", "/volume", "-v", f"{tmp_path}:/deep/bound", "busybox"]
    for name in (created(*arguments, "true"), container(*arguments, "sleep", "1000")):
        assert content(engine, name, "/deep/bound/host") == b"of the host\n"
        put(engine, name, "/volume", archive_of(lambda tar: add_file(tar, "inside", b"kept")))
        assert content(engine, name, "/volume/inside") == b"kept"
    assert engine.docker("exec", name, "cat", "/volume/inside").stdout == "kept"


def test_a_volume_that_binds_a_directory_shows_that_one(engine, created, tmp_path):
    (tmp_path / "host").write_text("bound")
    engine.docker("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", f"device={tmp_path}", "cp-bound")
    name = created("-v", "cp-bound:/data", "busybox", "true")
    assert content(engine, name, "/data/host") == b"bound"
    engine.docker("rm", name)
    engine.docker("volume", "rm", "cp-bound")


@pytest.mark.parametrize("state", ["created", "running", "stopped"])
def test_a_mounted_image_is_there_in_every_state(engine, created, tmp_path, state):
    needs_cli("1.48")
    name = created("--mount", "type=image,source=busybox,target=/of/image", "--mount", "type=image,source=busybox,target=/etc-only,image-subpath=etc",
                   "busybox", "sleep", "1000")
    if state != "created":
        engine.docker("start", name)
    if state == "stopped":
        engine.docker("kill", name)
        engine.docker("wait", name)
    assert content(engine, name, "/of/image/etc/passwd").startswith(b"root")
    assert content(engine, name, "/etc-only/passwd").startswith(b"root")
    assert put(engine, name, "/of/image/etc", archive_of(lambda tar: add_file(tar, "x", b""))) == (400, "mounted volume is marked read-only")
    engine.docker("rm", "-f", name)


def test_a_volume_in_memory_is_empty_while_no_container_runs(engine, created, container):
    engine.docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "cp-memory")
    name = created("-v", "cp-memory:/memory", "busybox", "ls", "/memory")
    assert put(engine, name, "/memory", archive_of(lambda tar: add_file(tar, "lost", b"1")))[0] == 200
    assert list(tar_of(engine, f"{name}:/memory")) == ["memory"]
    volume, = json.loads(engine.docker("volume", "inspect", "cp-memory").stdout)
    assert os.listdir(volume["Mountpoint"]) == []
    other = container("-v", "cp-memory:/memory", "busybox", "sleep", "1000")
    put(engine, other, "/memory", archive_of(lambda tar: add_file(tar, "shared", b"1")))
    assert content(engine, name, "/memory/shared") == content(engine, other, "/memory/shared") == b"1"
    engine.docker("rm", "-f", name, other)
    engine.docker("volume", "rm", "cp-memory")


def test_what_only_processes_see_is_not_copied(engine, container):
    name = container("--tmpfs", "/scratch", "busybox", "sh", "-c", "echo 1 > /scratch/x; sleep 1000")
    wait_until(lambda: engine.docker("exec", name, "ls", "/scratch").stdout, "the file")
    assert list(tar_of(engine, f"{name}:/scratch")) == ["scratch"]
    assert list(tar_of(engine, f"{name}:/proc")) == ["proc"]


def test_read_only_places_are_refused(engine, created, tmp_path):
    name = created("--read-only", "-v", f"{tmp_path}:/ro:ro", "-v", "/rw", "busybox", "true")
    archive = archive_of(lambda tar: add_file(tar, "x", b""))
    for path, text in (("/tmp", "container rootfs is marked read-only"), ("/ro", "mounted volume is marked read-only")):
        assert put(engine, name, path, archive) == (400, text)
    assert put(engine, name, "/rw", archive)[0] == 200
    assert put(engine, name, "/etc/passwd", archive)[0] == 400


def test_the_files_that_the_engine_makes_can_be_read_and_written(engine, idle, tmp_path):
    assert b"localhost" in content(engine, idle, "/etc/hosts")
    (tmp_path / "hosts").write_text("127.0.0.1 mine\n")
    engine.docker("cp", str(tmp_path / "hosts"), f"{idle}:/etc/hosts")
    assert engine.docker("exec", idle, "cat", "/etc/hosts").stdout == "127.0.0.1 mine\n"


def test_compressed_archives_are_taken(engine, created):
    name = created("busybox", "true")
    for kind in ("gz", "bz2", "xz"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode=f"w:{kind}") as tar:
            add_file(tar, kind, b"packed")
        assert put(engine, name, "/tmp", buffer.getvalue())[0] == 200
        assert content(engine, name, f"/tmp/{kind}") == b"packed"


def test_a_bad_archive_is_refused_and_the_engine_goes_on(engine, created):
    name = created("busybox", "true")
    assert put(engine, name, "/tmp", b"no archive at all" * 1000)[0] == 400
    assert put(engine, name, "/tmp", archive_of(lambda tar: add_file(tar, "../../x", b"")))[0] == 400


def test_large_and_sparse_files_keep_their_size_and_holes(engine, idle, tmp_path):
    engine.docker("exec", idle, "sh", "-c", "dd if=/dev/urandom of=/tmp/large bs=1M count=24; truncate -s 3G /tmp/sparse; echo end >> /tmp/sparse")
    engine.docker("cp", f"{idle}:/tmp/large", str(tmp_path / "large"))
    engine.docker("cp", str(tmp_path / "large"), f"{idle}:/tmp/again")
    assert engine.docker("exec", idle, "cmp", "/tmp/large", "/tmp/again").returncode == 0
    status, _, body = engine.api("GET", f"/containers/{idle}/archive?path=/tmp/sparse")
    assert status == 200 and len(body) < 1 << 20


def test_a_stalled_reader_holds_nobody_up(engine, idle):
    engine.docker("exec", idle, "dd", "if=/dev/zero", "of=/tmp/large", "bs=1M", "count=20")
    connection = UnixConnection(engine.socket)
    connection.request("GET", f"/containers/{idle}/archive?path=/tmp/large")
    response = connection.getresponse()
    assert response.read(512)
    assert content(engine, idle, "/etc/passwd").startswith(b"root")
    engine.docker("kill", idle)
    engine.docker("start", idle)
    connection.close()


def test_a_container_that_swaps_links_gets_nothing_of_the_host(engine, container, tmp_path):
    (tmp_path / "secret").write_text("of the host")
    name = container("busybox", "sh", "-c", f"mkdir -p /swap/real{tmp_path} /other{tmp_path}; echo inside > /swap/real/secret; while true; do "
                     f"ln -s {tmp_path} /swap/x; rm -rf /swap/x; mkdir /swap/x; echo inside > /swap/x/secret; rm -rf /swap/x; done")
    for _ in range(30):
        for path in ("/swap/x/secret", "/swap"):
            assert b"of the host" not in raw(engine, f"/containers/{name}/archive?path={path}")
        put(engine, name, "/swap/x", archive_of(lambda tar: add_file(tar, "secret", b"overwritten")))
    assert (tmp_path / "secret").read_text() == "of the host"
    assert sorted(os.listdir(tmp_path)) == ["secret"]


def test_copying_tells_its_events(engine, created, tmp_path):
    name = created("busybox", "true")
    engine.docker("cp", f"{name}:/etc/passwd", str(tmp_path / "x"))
    engine.docker("cp", str(tmp_path / "x"), f"{name}:/tmp/x")
    assert {"archive-path", "extract-to-dir"} <= {event["Action"] for event in engine.events(name)}


def test_nothing_stays_mounted(engine, box):
    tar_of(engine, f"{box}:/etc")
    put(engine, box, "/tmp", archive_of(lambda tar: add_file(tar, "x", b"")))
    (pid,) = engine.pids("berth-engine")
    # A mount namespace that is not closed holds the container's root.
    assert not [fd for fd in os.scandir(f"/proc/{pid}/fd") if os.readlink(fd).startswith("mnt:")]
