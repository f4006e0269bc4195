"""Binds, volumes, and who owns what is written."""
import os

import pytest

from engine import needs_cli


def test_a_file_made_by_container_root_belongs_to_the_user(engine):
    directory = engine.root / "shared"
    directory.mkdir()
    engine.docker("run", "--rm", "-v", f"{directory}:/data", "busybox", "sh", "-c", "echo made > /data/file")
    status = (directory / "file").stat()
    assert (status.st_uid, status.st_gid) == (os.getuid(), os.getgid())
    assert (directory / "file").read_text() == "made\n"


def test_another_user_of_the_container_is_a_subordinate_id_outside(engine):
    directory = engine.root / "shared2"
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    engine.docker("run", "--rm", "-u", "1000", "-v", f"{directory}:/data", "busybox", "touch", "/data/file")
    assert (directory / "file").stat().st_uid > 65536


def test_a_read_only_bind_refuses_writes(engine):
    directory = engine.root / "ro"
    directory.mkdir()
    done = engine.docker("run", "--rm", "-v", f"{directory}:/data:ro", "busybox", "touch", "/data/x", check=False)
    assert done.returncode == 1 and "Read-only file system" in done.stderr


def test_a_single_file_can_be_bound(engine):
    path = engine.root / "one-file"
    path.write_text("content\n")
    assert engine.docker("run", "--rm", "-v", f"{path}:/etc/one:ro", "busybox", "cat", "/etc/one").stdout == "content\n"


def test_a_bind_makes_its_source_and_mount_refuses_a_missing_one(engine):
    missing = engine.root / "not-there"
    done = engine.docker("run", "--rm", "--mount", f"type=bind,src={missing},dst=/x", "busybox", "true", check=False)
    assert done.returncode == 125 and "bind source path does not exist" in done.stderr
    engine.docker("run", "--rm", "-v", f"{missing}:/x", "busybox", "true")
    assert missing.is_dir()


def test_a_named_volume_keeps_data_and_is_protected_while_used(engine):
    engine.docker("run", "--rm", "-v", "kept:/data", "busybox", "sh", "-c", "echo 1 > /data/f")
    assert engine.docker("run", "--rm", "-v", "kept:/data", "busybox", "cat", "/data/f").stdout == "1\n"
    identity = engine.docker("create", "-v", "kept:/data", "busybox", "true").stdout.strip()
    done = engine.docker("volume", "rm", "kept", check=False)
    assert "volume is in use" in done.stderr
    engine.docker("rm", identity)
    engine.docker("volume", "rm", "kept")
    assert "kept" not in engine.docker("volume", "ls", "-q").stdout.split()


def test_an_empty_volume_takes_the_images_content(engine):
    out = engine.docker("run", "--rm", "-v", "copied:/etc", "busybox", "ls", "/etc").stdout.split()
    assert "passwd" in out
    engine.docker("volume", "rm", "copied")


def test_an_anonymous_volume_goes_with_its_container(engine):
    before = engine.docker("volume", "ls", "-q").stdout.split()
    engine.docker("run", "--rm", "-v", "/data", "busybox", "touch", "/data/x")
    assert engine.docker("volume", "ls", "-q").stdout.split() == before


def test_the_engines_socket_can_be_bound(engine):
    out = engine.docker("run", "--rm", "-v", f"{engine.socket}:/var/run/docker.sock", "busybox", "sh", "-c",
                        "test -S /var/run/docker.sock && echo socket").stdout
    assert out == "socket\n"


def reaches_an_engine(engine, *bind):
    """Whether a container reaches the engine's own API at the socket that it binds."""
    return engine.docker("run", "--rm", *bind, "busybox", "test", "-S", "/docker.sock", check=False).returncode == 0


@pytest.mark.skipif(any(os.access(path, os.W_OK) for path in ("/run/docker.sock", "/var/run/docker.sock")), reason="the user has a root's engine")
def test_the_socket_of_an_engine_that_the_user_does_not_have_is_our_own(engine):
    engine.docker("create", "--name", "reaper", "-v", "/var/run/docker.sock:/docker.sock:ro", "busybox", "true")
    (mount,) = engine.inspect("reaper")["Mounts"]
    assert mount["Source"] == engine.socket and mount["RW"] is False
    engine.docker("rm", "reaper")
    for bind in (("-v", "/run/docker.sock:/docker.sock"), ("--mount", "type=bind,src=/var/run/docker.sock,dst=/docker.sock")):
        assert reaches_an_engine(engine, *bind)


def test_a_directory_bound_onto_a_file_is_explained(engine, tmp_path):
    (tmp_path / "file").touch()
    for bind in (f"{tmp_path}:/etc/passwd", f"{tmp_path}/file:/etc"):
        done = engine.docker("run", "--rm", "-v", bind, "busybox", "true", check=False)
        assert done.returncode != 0 and "not a directory: Are you trying to mount a directory onto a file (or vice-versa)?" in done.stderr, done


@pytest.fixture(scope="module")
def links(engine):
    """A volume with links that a container made; returns a function that lists what a subpath of it shows."""
    needs_cli("1.45")
    engine.docker("run", "--rm", "-v", "links:/v", "busybox", "sh", "-c", """
        mkdir -p /v/a..b/deep /v/by && echo in > /v/a..b/file && ln -s a..b /v/inside && ln -s ../a..b/deep/.. /v/by/way && ln -s file /v/a..b/name
        ln -s /etc /v/absolute && ln -s ../../../.. /v/climbs && ln -s ../inside/../.. /v/by/steps && ln -s loop /v/loop && ln -s /proc/self/root /v/magic""")

    def show(subpath, *command, check=True):
        return engine.docker("run", "--rm", "--mount", f"type=volume,src=links,dst=/m,volume-subpath={subpath}", "busybox", *command, check=check)

    yield show
    engine.docker("volume", "rm", "links")


@pytest.mark.parametrize("subpath", ["a..b", "inside", "by/way"])
def test_a_subpath_follows_links_that_stay_in_the_volume(links, subpath):
    assert links(subpath, "cat", "/m/file").stdout == "in\n"


def test_a_subpath_may_be_a_link_to_a_file(links):
    assert links("inside/name", "cat", "/m").stdout == "in\n"


@pytest.mark.parametrize("subpath", ["absolute", "climbs", "by/steps", "magic", "magic/etc"])
def test_a_subpath_does_not_follow_a_link_out_of_the_volume(links, subpath):
    done = links(subpath, "ls", "/m", check=False)
    assert done.returncode != 0 and f"subpath {subpath} of the volume links: a link leads out of the volume" in done.stderr


@pytest.mark.parametrize("subpath,text", [("absent", "No such file or directory"), ("loop", "Too many levels of symbolic links")])
def test_a_subpath_that_cannot_be_found_is_named(links, subpath, text):
    done = links(subpath, "ls", "/m", check=False)
    assert done.returncode != 0 and f"subpath {subpath} of the volume links: {text}" in done.stderr


def test_a_refused_create_leaves_no_anonymous_volume(engine):
    before = engine.docker("volume", "ls", "-q").stdout
    done = engine.docker("create", "--pull", "never", "-v", "/anon", "--mount",
                         "type=volume,src=named,dst=/zz/y,volume-driver=absent", "busybox", "true", check=False)
    assert done.returncode != 0 and "absent" in done.stderr
    assert engine.docker("volume", "ls", "-q").stdout == before
