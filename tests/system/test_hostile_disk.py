"""A full disk: each request ends with a clear message, nothing half-made is left, and the engine goes on."""
import json
import os
import subprocess

import pytest

from engine import wait_until
from images import busybox_rootfs_tar, docker_archive, layer_tar

SIZE_MB = 24


class SmallDisk:
    """The data directory as a small tmpfs in the engine's own mount namespace."""

    def __init__(self, engine):
        self.engine = engine
        self.data = engine.root / "data/berth"
        self.inside("mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=700", "none", str(self.data))
        engine.kill_9("berth-engine")
        wait_until(engine.answers, "the engine answers again")
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())

    def inside(self, *command):
        holder = json.loads((self.engine.root / "run/berth/holder.json").read_text())["pid"]
        return subprocess.run(["nsenter", "-t", str(holder), "-U", "-m", *command], check=True, capture_output=True, text=True).stdout

    def fill(self, left_kib=0):
        """Leaves so many KiB."""
        free = int(self.inside("df", "-k", "--output=avail", str(self.data)).split()[-1])
        self.inside("sh", "-c", f"head -c {max(free - left_kib, 0)}k /dev/zero > {self.data}/filler")

    def clear(self):
        self.inside("rm", "-f", str(self.data / "filler"))

    def entries(self):
        names = ("layers", "content", "containers", "volumes", "images", "tmp")
        found = self.inside("sh", "-c", "cd " + str(self.data) + "; for d in " + " ".join(names) + "; do [ -d $d ] && find $d -mindepth 1 -maxdepth 2; done; true")
        # Parsed forms that the engine keeps to be quick are no objects.
        return sorted(line for line in found.splitlines() if "cache" not in line)


@pytest.fixture
def disk(own_engine):
    small = SmallDisk(own_engine)
    yield small
    own_engine.docker("rm", "-f", *own_engine.docker("ps", "-aq").stdout.split(), check=False)


def no_space(text):
    return "no space left on device" in text.lower()


def works(engine):
    assert engine.docker("run", "--rm", "busybox", "echo", "works").stdout == "works\n"


def test_what_does_not_fit_is_not_loaded_or_imported(disk):
    engine = disk.engine
    before = disk.entries()
    big = layer_tar({"big": os.urandom(SIZE_MB << 20)})
    done = engine.docker("load", input=docker_archive(["big:1"], [big]), check=False)
    assert done.returncode != 0 and no_space(done.stderr.decode() + done.stdout.decode()), done
    done = engine.docker("import", "-", "big:2", input=big, check=False)
    assert done.returncode != 0 and no_space(done.stderr.decode()), done
    assert disk.entries() == before
    assert engine.docker("images", "-q", "big").stdout == ""
    works(engine)


def test_what_does_not_fit_is_not_pulled(disk, registry):
    engine = disk.engine
    reference = registry.push("big:1", docker_archive(["x:1"], [layer_tar({"big": os.urandom(SIZE_MB << 20)})]))
    before = disk.entries()
    done = engine.docker("pull", reference, check=False)
    assert done.returncode != 0 and no_space(done.stderr), done
    assert disk.entries() == before
    works(engine)


def test_a_container_is_not_half_made(disk):
    engine = disk.engine
    before = disk.entries()
    disk.fill()
    for number in range(3):
        done = engine.docker("create", "--name", f"full{number}", "busybox", "true", check=False)
        assert done.returncode != 0 and no_space(done.stderr), done
    status, _, reply = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"]})
    assert status == 500 and no_space(reply["message"])
    assert engine.docker("ps", "-aq").stdout == ""
    disk.clear()
    assert disk.entries() == before
    for number in range(3):
        engine.docker("run", "--rm", "--name", f"full{number}", "busybox", "true")


def test_a_container_that_exists_runs_or_says_why(disk):
    engine = disk.engine
    engine.docker("create", "--name", "made", "busybox", "sh", "-c", "exit 7")
    disk.fill()
    done = engine.docker("start", "-a", "made", check=False)
    assert done.returncode == 7 or no_space(done.stderr), done
    disk.clear()
    assert engine.docker("start", "-a", "made", check=False).returncode == 7
    assert engine.inspect("made")["State"]["ExitCode"] == 7


def test_a_log_that_does_not_fit_stops_neither_container_nor_engine(disk):
    engine = disk.engine
    engine.docker("run", "-d", "--name", "writer", "busybox", "sh", "-c",
                  "while [ ! -e /dev/shm/go ]; do sleep 0.05; done; head -c 3000000 /dev/zero | tr '\\0' a | fold -w 100; exit 5")
    disk.fill(64)
    engine.docker("exec", "writer", "touch", "/dev/shm/go")
    assert engine.docker("wait", "writer", timeout=30).stdout == "5\n"
    disk.clear()
    for line in engine.docker("logs", "writer").stdout.splitlines():
        assert line == "a" * len(line)
    works(engine)


def test_a_volume_is_not_filled_by_half(disk):
    engine = disk.engine
    content = os.urandom(2 << 20)
    engine.docker("load", input=docker_archive(["filled:1"], [busybox_rootfs_tar(), layer_tar({"data/a": content, "data/b": content})]))
    disk.fill(3 << 10)
    done = engine.docker("run", "--rm", "-v", "copied:/data", "filled:1", "true", check=False)
    assert done.returncode != 0 and no_space(done.stderr), done
    disk.clear()
    assert engine.docker("run", "--rm", "-v", "copied:/data", "filled:1", "sh", "-c", "cat /data/a /data/b | wc -c").stdout.strip() == str(2 * len(content))


def test_the_image_index_survives(disk):
    engine = disk.engine
    disk.fill()
    for number in range(20):
        engine.docker("tag", "busybox", f"name{number}:1", check=False)
    disk.clear()
    engine.kill_9("berth-engine")
    wait_until(engine.answers, "the engine answers again")
    works(engine)
    engine.docker("tag", "busybox", "after:1")
    assert engine.docker("images", "-q", "after").stdout
