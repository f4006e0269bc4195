"""docker container/image/volume prune, docker system prune and docker system df."""
import json
import urllib.parse

import pytest

from engine import needs_cli, wait_until
from images import busybox_rootfs_tar

KEEP = "berth.test=keep"


@pytest.fixture(scope="module")
def prune_engine():
    """An engine of its own: a prune takes what other tests left."""
    from conftest import running_engine
    yield from running_engine()


def prune(engine, kind, version="v1.51", **filters):
    query = urllib.parse.quote(json.dumps({key.replace("_not", "!"): value if isinstance(value, list) else [value] for key, value in filters.items()}))
    status, _, body = engine.api("POST", f"/{version}/{kind}/prune?filters={query}")
    assert status == 200, body
    return body


def test_containers_that_do_not_run_are_removed(prune_engine):
    running = prune_engine.docker("run", "-d", "busybox", "sleep", "1000").stdout.strip()
    made = prune_engine.docker("create", "busybox", "true").stdout.strip()
    ended = prune_engine.docker("run", "-d", "busybox", "dd", "if=/dev/zero", "of=/big", "bs=1M", "count=3").stdout.strip()
    kept = prune_engine.docker("create", "--label", KEEP, "busybox", "true").stdout.strip()
    prune_engine.docker("wait", ended)
    assert prune(prune_engine, "containers", until="1h") == {"ContainersDeleted": None, "SpaceReclaimed": 0}
    body = prune(prune_engine, "containers", label_not=KEEP)
    assert sorted(body["ContainersDeleted"]) == sorted([made, ended]) and body["SpaceReclaimed"] >= 3 << 20
    left = prune_engine.docker("ps", "-aq", "--no-trunc").stdout.split()
    assert sorted(left) == sorted([running, kept])
    prune_engine.docker("rm", "-f", running, kept)


def test_unknown_filters_and_types_are_refused(prune_engine):
    for kind in ("containers", "images", "volumes"):
        assert prune_engine.api("POST", f"/{kind}/prune?filters=%7B%22color%22%3A%5B%22red%22%5D%7D")[0] == 400
    status, _, body = prune_engine.api("GET", "/system/df?type=shoe")
    assert (status, body["message"]) == (400, "unknown object type: shoe")


def test_dangling_images_are_removed_and_with_all_the_unused_ones(prune_engine):
    base = busybox_rootfs_tar()
    prune_engine.docker("import", "-m", "one", "-", "pruned:a", input=base)
    prune_engine.docker("import", "-m", "two", "-", "pruned:a", input=base)
    prune_engine.docker("import", "-m", "three", "-", "used:a", input=base)
    holder = prune_engine.docker("create", "used:a", "true").stdout.strip()
    body = prune(prune_engine, "images")
    assert [list(entry) for entry in body["ImagesDeleted"]].count(["Deleted"]) >= 1
    names = prune_engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert "pruned:a" in names and "<none>:<none>" not in names
    deleted = prune(prune_engine, "images", dangling="false", label_not="none")["ImagesDeleted"]
    assert {"Untagged": "pruned:a"} in deleted
    names = prune_engine.docker("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert names == ["used:a"]
    prune_engine.docker("rm", holder)
    prune_engine.docker("import", "-", "busybox", input=base)


def test_anonymous_volumes_are_removed_and_with_all_the_named_ones(prune_engine):
    prune_engine.docker("volume", "create", "named")
    holder = prune_engine.docker("create", "-v", "held:/h", "busybox", "true").stdout.strip()
    anonymous = prune_engine.api("POST", "/volumes/create", {})[2]["Name"]
    assert prune(prune_engine, "volumes")["VolumesDeleted"] == [anonymous]
    assert prune(prune_engine, "volumes", all="true")["VolumesDeleted"] == ["named"]
    prune_engine.docker("volume", "create", "named")
    assert prune(prune_engine, "volumes", version="v1.41")["VolumesDeleted"] == ["named"]
    prune_engine.docker("rm", holder)
    prune_engine.docker("volume", "rm", "held")


def test_a_prune_is_an_event_with_the_bytes(prune_engine):
    watcher = prune_engine.popen("events", "--filter", "event=prune", "--format", "{{.Type}} {{.Actor.Attributes.reclaimed}}", stdout=-1, text=True)
    wait_until(lambda: prune_engine.api("GET", "/info")[2]["NEventsListener"] > 0, "the watcher listens")
    prune(prune_engine, "containers")
    assert watcher.stdout.readline() == "container 0\n"
    watcher.kill()
    watcher.wait()


def test_df_counts_shared_layers_once(prune_engine):
    prune_engine.docker("import", "-m", "again", "-", "twin", input=busybox_rootfs_tar())
    name = prune_engine.docker("run", "-d", "-v", "filled:/v", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /v/x; head -c 50000 /dev/zero > /x").stdout.strip()
    prune_engine.docker("wait", name)
    usage = prune_engine.api("GET", "/system/df")[2]
    assert len(usage["Images"]) >= 2
    assert all(image["SharedSize"] == image["Size"] == usage["LayersSize"] for image in usage["Images"])
    shown = next(one for one in usage["Containers"] if one["Id"] == name)
    assert 50000 <= shown["SizeRw"] < 200000 and shown["SizeRootFs"] >= usage["LayersSize"]
    volume = next(one for one in usage["Volumes"] if one["Name"] == "filled")["UsageData"]
    assert volume["RefCount"] == 1 and volume["Size"] >= 100000
    only = prune_engine.api("GET", "/system/df?type=volume")[2]
    assert only["Images"] is None and only["Volumes"]
    lines = prune_engine.docker("system", "df").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["TYPE", "Images", "Containers", "Local", "Build"]
    assert "busybox" in prune_engine.docker("system", "df", "-v").stdout
    prune_engine.docker("rm", name)


def test_prune_commands_of_the_cli(prune_engine):
    needs_cli("1.42")
    name = prune_engine.docker("create", "busybox", "true").stdout.strip()
    assert name in prune_engine.docker("container", "prune", "-f").stdout
    for command in (("image", "prune", "-f"), ("volume", "prune", "-f"), ("volume", "prune", "-af"), ("image", "prune", "-af")):
        assert "Total reclaimed space:" in prune_engine.docker(*command).stdout


def test_a_system_prune_ends_well(prune_engine):
    done = prune_engine.docker("system", "prune", "-f", "--volumes")
    assert "Total reclaimed space: " in done.stdout and done.stderr == ""
