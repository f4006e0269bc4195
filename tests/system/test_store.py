"""The store of images is whole whatever happens, and `berth doctor --store` finds and mends what is not. BERTH_KILLS (6) for a long run."""
import hashlib
import json
import os
import random
import signal
import subprocess
import time

import pytest

from engine import BUILD, wait_until
from images import busybox_rootfs_tar, docker_archive, layer_tar

KILLS = int(os.environ.get("BERTH_KILLS", "6"))


def doctor(engine, *flags):
    """(exit status, report) of a deep check."""
    done = subprocess.run([BUILD / "berth", "doctor", "--store", "--json", *flags], env=engine.environment, text=True, capture_output=True,
                          timeout=120, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def layers(engine):
    return {entry.name: entry for entry in (engine.root / "data/berth/layers").iterdir()}


def layer_with(engine, path):
    return next(entry / "fs" / path for entry in layers(engine).values() if (entry / "fs" / path).exists())


@pytest.fixture
def broken(own_engine):
    """An engine whose image `hurt:1` has lost the content of a file; `busybox` is whole."""
    own_engine.docker("load", input=docker_archive(["hurt:1"], [layer_tar({"base": b"b"}), layer_tar({"etc/hurt": b"sound"})]))
    layer_with(own_engine, "etc/hurt").write_bytes(b"spoil")
    return own_engine


def check_that_hurt_is_found_and_mended(engine):
    status, report = doctor(engine)
    assert status == 1
    image, = [fault for fault in report["faults"] if fault["kind"] == "image"]
    assert image["names"] == ["hurt:1"] and "files are not what was unpacked" in image["problem"]
    status, report = doctor(engine, "--fix")
    assert status == 0 and report["pull_again"] == ["hurt:1"]
    status, report = doctor(engine)
    assert (status, report["faults"]) == (0, [])


def test_doctor_mends_the_store_of_an_engine_that_runs(broken):
    check_that_hurt_is_found_and_mended(broken)
    assert broken.docker("images", "-q", "hurt").stdout == ""
    assert broken.docker("run", "--rm", "busybox", "echo", "works").stdout == "works\n"


def test_doctor_mends_the_store_of_an_engine_that_does_not_run(broken):
    broken.stop()
    check_that_hurt_is_found_and_mended(broken)


def test_doctor_leaves_an_image_that_a_running_container_uses(own_engine):
    engine = own_engine
    engine.docker("run", "-d", "--name", "user", "busybox", "sleep", "100")
    layer_with(engine, "etc/group").write_text("spoilt\n")
    status, report = doctor(engine, "--fix")
    assert status == 1 and "is being used by running container" in report["kept"][0]
    assert engine.docker("exec", "user", "echo", "lives").stdout == "lives\n"
    engine.docker("rm", "-f", "user")


def test_doctor_removes_a_layer_that_no_image_has(own_engine):
    engine = own_engine
    whole = set(layers(engine))
    engine.docker("load", input=docker_archive(["left:1"], [layer_tar({"left": b"over"})]))
    orphan, = set(layers(engine)) - whole
    engine.stop()
    index = engine.root / "data/berth/images/repositories.json"
    text = json.loads(index.read_text())
    gone = next(identity for identity, image in text["images"].items() if orphan in json.dumps(image))
    del text["images"][gone]
    text["references"] = {name: identity for name, identity in text["references"].items() if identity != gone}
    index.write_text(json.dumps(text))
    status, report = doctor(engine)
    assert status == 0 and {fault["kind"] for fault in report["faults"]} == {"unused-layer", "unused-blob"}
    doctor(engine, "--fix")
    assert set(layers(engine)) == whole


def test_an_image_without_a_layer_is_dropped_at_the_start(own_engine):
    engine = own_engine
    engine.docker("load", input=docker_archive(["half:1"], [layer_tar({"half": b"gone"})]))
    lost = layer_with(engine, "half").parents[1]
    engine.stop()
    lost.rename(engine.root / "lost")
    engine.start()
    assert engine.docker("images", "-q", "half").stdout == ""
    assert "half:1" in engine.log()


def test_a_stopped_container_keeps_its_layers_when_the_removal_of_its_image_is_forced(own_engine):
    engine = own_engine
    engine.docker("load", input=docker_archive(["kept:1"], [busybox_rootfs_tar(), layer_tar({"etc/kept": b"still here"})]))
    engine.docker("create", "--name", "heir", "--network=none", "kept:1", "cat", "/etc/kept")
    engine.docker("rmi", "-f", "kept:1")
    assert engine.docker("images", "-q", "kept").stdout == ""
    assert engine.docker("start", "-a", "heir").stdout == "still here"
    engine.stop()
    assert doctor(engine) == (0, {**doctor(engine)[1], "faults": []})
    engine.start()
    assert engine.docker("start", "-a", "heir").stdout == "still here"


def test_the_last_container_of_a_removed_image_takes_its_layers_along(own_engine):
    engine = own_engine
    engine.docker("load", input=docker_archive(["busybox:1"], [busybox_rootfs_tar()]))
    whole = set(layers(engine))
    engine.docker("load", input=docker_archive(["last:1"], [busybox_rootfs_tar(), layer_tar({"etc/low": b"1"}), layer_tar({"etc/high": b"2"})]))
    assert len(set(layers(engine)) - whole) == 2
    for name in ("one", "two"):
        engine.docker("create", "--name", name, "--network=none", "last:1", "cat", "/etc/high")
    engine.docker("create", "--name", "mounts", "--network=none", "--mount", "type=image,source=last:1,target=/m", "busybox:1", "cat", "/m/etc/low")
    engine.docker("rmi", "-f", "last:1")
    engine.docker("rm", "one")
    assert engine.docker("start", "-a", "two").stdout == "2"
    engine.docker("rm", "two")
    assert engine.docker("start", "-a", "mounts").stdout == "1"
    engine.docker("rm", "mounts")
    wait_until(lambda: set(layers(engine)) == whole, "the layers are gone")


@pytest.mark.parametrize("state", ["runs", "stopped"])
def test_doctor_finds_damaged_configurations_and_manifests(own_engine, registry, state):
    engine = own_engine
    reference = registry.push(f"hurt/blobs-{state}:1", docker_archive(["x:1"], [layer_tar({"etc/blob": state.encode()})]))
    engine.docker("pull", "-q", reference)
    engine.docker("load", input=docker_archive(["spoilt:1"], [layer_tar({"etc/other": b"2"})]))
    digest = engine.inspect(reference)["RepoDigests"][0].rsplit(":", 1)[1]
    blobs = engine.root / "data/berth/content/blobs/sha256"
    (blobs / digest).write_text("damaged")
    (blobs / engine.inspect("spoilt:1")["Id"].removeprefix("sha256:")).write_text("damaged")
    if state == "stopped":
        engine.stop()
    for _ in range(2):  # to look changes nothing
        status, report = doctor(engine)
        assert status == 1
        assert {fault["kind"]: fault["names"] for fault in report["faults"]} == {"image": ["spoilt:1"], "manifest": [reference]}
    assert sorted(doctor(engine, "--fix")[1]["pull_again"]) == sorted([reference, "spoilt:1"])
    assert doctor(engine) == (0, {**doctor(engine)[1], "faults": []})
    if state == "stopped":
        engine.start()
    engine.docker("pull", "-q", reference)
    assert hashlib.sha256((blobs / digest).read_bytes()).hexdigest() == digest
    assert engine.docker("images", "-q", "spoilt").stdout == ""


def test_kill_9_at_random_points_leaves_a_whole_store(own_engine, registry):
    engine = own_engine
    parts = [busybox_rootfs_tar(), *(layer_tar({f"d{number}/{file}": os.urandom(20_000) for file in range(60)}) for number in range(3))]
    reference = registry.push("killed:1", docker_archive(["x:1"], parts))
    other = docker_archive(["killed:load"], [*parts[:2], layer_tar({f"own/{file}": os.urandom(9_000) for file in range(99)})])
    operations = {"pull": ("pull", reference), "load": ("load",), "rmi": ("rmi", "-f", reference, "killed:load"),
                  "commit": ("commit", "base", "killed:commit")}
    generator = random.Random(int(os.environ.get("BERTH_KILL_SEED", "5")))
    engine.docker("create", "--name", "base", "busybox", "true")
    for number in range(KILLS):
        name = list(operations)[number % len(operations)]
        client = engine.popen(*operations[name], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if name == "load":
            try:
                client.stdin.write(other)
            except BrokenPipeError:
                pass
        time.sleep(generator.uniform(0.0, 0.25))  # the random point is the test
        for pid in engine.pids("berth-engine"):
            os.kill(pid, signal.SIGKILL)
        client.stdin.close()
        client.wait(30)
        # berthd would start it again by itself, but later and later.
        engine.stop()
        engine.start()
        status, report = doctor(engine)
        assert (status, report["faults"]) == (0, []), (number, name, report)
        assert not [entry for entry in layers(engine) if entry.startswith("tmp-")], (number, name)
        assert not list((engine.root / "data/berth/content/ingest").iterdir()), (number, name)
        engine.docker("pull", "-q", reference)
        assert engine.docker("run", "--rm", "--network=none", reference, "ls", "/d2").stdout.count("\n") == 60
        if name in ("pull", "load"):
            engine.docker("rmi", "-f", reference, check=False)
