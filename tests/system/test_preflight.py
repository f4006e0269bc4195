"""Each missing prerequisite gives its one message: what failed, why, the command that mends it. Real starts, in a user
namespace of the test where something has to be missing."""
import os
import shutil
import subprocess

import pytest

from engine import BUILD


def start_inside(engine, *preparation):
    """berthd as the same uid in namespaces that `preparation`, shell commands, changed as their root."""
    if subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "true"], check=False).returncode != 0:
        pytest.skip("no user namespaces here")
    ids = f"--map-user={os.getuid()} --map-group={os.getgid()}"
    script = " && ".join([*preparation, f"exec unshare --user {ids} {BUILD}/berthd"])
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script], env=engine.environment,
                          capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()


def only(lines, words):
    found = [line for line in lines if words in line]
    assert len(found) == 1, lines
    return found[0]


def test_no_subordinate_ids(bare_engine):
    empty = bare_engine.root / "empty"
    empty.touch()
    line = only(start_inside(bare_engine, f"mount --bind {empty} /etc/subuid"), "subordinate ids")
    assert line.startswith("berthd: no subordinate ids for user ") and "in /etc/subuid" in line
    assert "`sudo usermod --add-subuids " in line


def test_newuidmap_that_is_not_setuid(bare_engine):
    for name in ("newuidmap", "newgidmap"):
        shutil.copy(shutil.which(name), bare_engine.root / name)
    environment = {**bare_engine.environment, "PATH": f"{bare_engine.root}:{os.environ['PATH']}"}
    done = subprocess.run([str(BUILD / "berthd")], env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    for name in ("newuidmap", "newgidmap"):
        line = only(done.stderr.splitlines(), f"/{name} is neither setuid root")
        assert f"`sudo chown root:root {bare_engine.root}/{name} && sudo chmod u+s {bare_engine.root}/{name}`" in line


def test_newuidmap_that_is_absent(bare_engine):
    path = shutil.which("newuidmap")
    lines = start_inside(bare_engine, f"mount --bind /dev/null {path}")
    assert "`sudo " in only(lines, "newuidmap not found: it writes the id maps")


def test_user_namespaces_that_are_off(bare_engine):
    script = f"echo 0 > /proc/sys/user/max_user_namespaces && exec {BUILD}/berthd"
    done = subprocess.run(["unshare", "--user", "--map-root-user", "sh", "-c", script], env=bare_engine.environment,
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert only(done.stderr.splitlines(), "max_user_namespaces") == (
        "berthd: user namespaces are off (user.max_user_namespaces=0): "
        "`sudo sysctl -w user.max_user_namespaces=28633 && echo user.max_user_namespaces=28633 | sudo tee -a /etc/sysctl.d/99-berth.conf`")


def test_no_tun_device(bare_engine):
    line = only(start_inside(bare_engine, "mount -t tmpfs none /dev/net"), "/dev/net/tun")
    assert "No such file or directory" in line and "`sudo modprobe tun && " in line and "--bridge=none" in line


def test_a_tun_device_that_may_not_be_opened(bare_engine):
    closed = bare_engine.root / "closed"
    closed.touch(mode=0)
    line = only(start_inside(bare_engine, f"mount --bind {closed} /dev/net/tun"), "/dev/net/tun")
    assert "Permission denied" in line and "`sudo chmod 0666 /dev/net/tun`" in line


def test_a_data_directory_that_takes_no_other_ids_is_refused(bare_engine):
    """On FUSE of a plain user files belong to nobody else, so no image can be unpacked."""
    if not shutil.which("fuse-overlayfs") or not shutil.which("fusermount3"):
        pytest.skip("no fuse-overlayfs to make such a file system with")
    low, upper, work, place = (bare_engine.root / name for name in ("low", "upper", "work", "fuse"))
    for directory in (low, upper, work, place):
        directory.mkdir()
    if subprocess.run(["fuse-overlayfs", "-o", f"lowerdir={low},upperdir={upper},workdir={work}", str(place)], check=False).returncode != 0:
        pytest.skip("fuse-overlayfs does not mount here")
    try:
        done = subprocess.run([str(BUILD / "berthd"), "--data-root", str(place / "data")], env=bare_engine.environment,
                              capture_output=True, text=True, timeout=30)
    finally:
        subprocess.run(["fusermount3", "-u", str(place)], check=False)
    assert done.returncode == 1
    line = only([line for line in done.stderr.splitlines() if line.startswith("berthd: ")], "images cannot be unpacked")
    assert f"{place}/data is on fuse" in line and "--data-root" in line
