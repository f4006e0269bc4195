"""What root in a container may leave in its files, and the engine then reads, walks or removes."""
import re

import pytest

from engine import wait_until
from images import busybox_rootfs_tar, docker_archive, layer_tar

# Each move puts 50 levels on top: one call takes 4095 bytes of a path at most.
LEVELS = "/".join(["d" * 40] * 50)
DEEP = f"mkdir /deep; i=0; while [ $i -lt 60 ]; do mkdir -p /next/{LEVELS}; mv /deep /next/{LEVELS}/; mv /next /deep; i=$((i+1)); done"


def alive(engine, pid):
    assert engine.pids("berth-engine") == [pid], "the engine ended"


def test_a_tree_of_3000_levels_is_walked_and_removed(engine, container):
    (pid,) = engine.pids("berth-engine")
    identity = container("busybox", "sh", "-c", f"{DEEP}; touch /done; sleep 1000")
    wait_until(lambda: engine.docker("exec", identity, "test", "-e", "/done", check=False).returncode == 0, "the tree is there", 60)
    for command in (["diff", identity], ["ps", "-s"], ["export", identity], ["commit", identity, "deep"], ["cp", f"{identity}:/deep", "-"]):
        done = engine.docker(*command, check=False, text=False)
        assert done.returncode == 0 or re.search(rb"too long|levels|deep|unexpected EOF", done.stderr), (command, done.stderr[-500:])
        alive(engine, pid)
    engine.docker("rm", "-f", identity)
    alive(engine, pid)
    wait_until(lambda: not (engine.root / "data/berth/containers" / identity).exists(), "its files are gone: " + engine.log()[-1500:])
    engine.docker("rmi", "-f", "deep", check=False)


def test_a_deep_tree_of_an_image_fills_a_volume_and_goes(engine):
    (pid,) = engine.pids("berth-engine")
    levels = layer_tar({"top/" + "d/" * 1900 + "end": b"x"})
    engine.docker("load", input=docker_archive(["deep"], [busybox_rootfs_tar(), levels]))
    engine.docker("run", "--rm", "-v", "deep-volume:/top", "deep", "true")
    engine.docker("volume", "rm", "deep-volume")
    engine.docker("rmi", "deep")
    alive(engine, pid)


@pytest.mark.parametrize("script", ["mkfifo /etc/passwd /etc/group", "ln -s /dev/zero /etc/passwd; ln -s /dev/zero /etc/group",
                                    "truncate -s 1T /etc/passwd; truncate -s 1T /etc/group", "mkdir /etc/passwd /etc/group"],
                         ids=["fifo", "endless device", "huge", "directory"])
def test_hostile_account_files_stop_nobody(engine, container, script):
    (pid,) = engine.pids("berth-engine")
    identity = container("busybox", "sh", "-c", f"rm -f /etc/passwd /etc/group; {script}; touch /done; sleep 1000")
    wait_until(lambda: engine.docker("exec", identity, "test", "-e", "/done", check=False).returncode == 0, "the files are there")
    assert engine.docker("exec", "-u", "nobody-here", identity, "true", check=False, timeout=20).returncode != 0
    # Not `id`, which reads them itself.
    assert "Uid:\t7\t7" in engine.docker("exec", "-u", "7:8", identity, "cat", "/proc/self/status", timeout=20).stdout
    alive(engine, pid)


def test_names_of_processes_and_files_do_not_break_lists(engine, container):
    identity = container("busybox", "sh", "-c", "cp /bin/busybox '/tmp/a) S 1 (b'; ln -s /bin/sleep \"$(printf '/tmp/x\\ny')\"; printf new > \"$(printf '/tmp/n\\001\\377')\";"
                         " '/tmp/a) S 1 (b' sleep 1000 & touch /done; sleep 1000")
    wait_until(lambda: engine.docker("exec", identity, "test", "-e", "/done", check=False).returncode == 0, "the processes are there")
    assert engine.docker("top", identity).returncode == 0
    status, _, changes = engine.api("GET", f"/containers/{identity}/changes")
    assert status == 200 and any(change["Path"].startswith("/tmp/n") for change in changes)
    assert engine.api("GET", f"/containers/{identity}/top")[0] == 200


def test_files_of_the_engine_in_a_container_may_grow(engine, container):
    name = "grown"
    engine.docker("network", "create", name)
    identity = container("busybox", "sh", "-c", "for f in hosts resolv.conf hostname; do head -c 20000000 /dev/zero >> /etc/$f; done; touch /done; sleep 1000")
    wait_until(lambda: engine.docker("exec", identity, "test", "-e", "/done", check=False).returncode == 0, "the files have grown")
    engine.docker("network", "connect", name, identity)
    engine.docker("network", "disconnect", name, identity)
    engine.docker("restart", "-t", "0", identity)
    assert engine.docker("rename", identity, "renamed-hostile", check=False).returncode == 0
    engine.docker("network", "rm", name)


def test_a_file_of_holes_takes_no_space_in_an_image(engine, container):
    identity = container("busybox", "sh", "-c", "truncate -s 100G /holes; touch /done; sleep 1000")
    wait_until(lambda: engine.docker("exec", identity, "test", "-e", "/done", check=False).returncode == 0, "the file is there")
    engine.docker("commit", identity, "holes", timeout=60)
    assert engine.docker("run", "--rm", "holes", "stat", "-c", "%s", "/holes").stdout == f"{100 << 30}\n"
    engine.docker("rmi", "-f", "holes")
