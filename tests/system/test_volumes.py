"""Volumes of the driver local, mounts of images, and the forms of --mount."""
import json
import os

import pytest

from engine import needs_cli, wait_until
from images import docker_archive, layer_tar


def create(engine, name, **options):
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return engine.docker("volume", "create", *flags, name, check=False)


def run(engine, *arguments, **options):
    return engine.docker("run", "--rm", *arguments, **options).stdout


@pytest.fixture
def bound(engine):
    """A volume that binds a directory of the user's."""
    directory = engine.root / "device"
    directory.mkdir(exist_ok=True)
    (directory / "file").write_text("of the host\n")
    assert create(engine, "bound", type="none", o="bind", device=directory).returncode == 0
    yield directory
    engine.docker("volume", "rm", "bound")


def test_a_volume_can_bind_a_directory(engine, bound):
    assert run(engine, "-v", "bound:/data", "busybox", "sh", "-c", "cat /data/file; echo new > /data/made") == "of the host\n"
    assert (bound / "made").read_text() == "new\n" and (bound / "made").stat().st_uid == os.getuid()
    shown = json.loads(engine.docker("volume", "inspect", "bound").stdout)[0]
    assert shown["Options"] == {"type": "none", "o": "bind", "device": str(bound)} and shown["Mountpoint"].endswith("/bound/_data")


def test_removing_a_volume_that_binds_leaves_the_directory(engine):
    directory = engine.root / "survives"
    directory.mkdir()
    (directory / "file").write_text("1")
    create(engine, "passing", type="none", o="bind", device=directory)
    run(engine, "-v", "passing:/data", "busybox", "true")
    engine.docker("volume", "rm", "passing")
    assert (directory / "file").read_text() == "1"


def test_an_empty_directory_behind_a_volume_takes_the_images_content(engine):
    directory = engine.root / "to-fill"
    directory.mkdir()
    create(engine, "filled", type="none", o="bind", device=directory)
    run(engine, "-v", "filled:/etc", "busybox", "true")
    assert "root:" in (directory / "passwd").read_text()
    engine.docker("volume", "rm", "filled")


def test_a_missing_directory_behind_a_volume_is_named(engine):
    create(engine, "nowhere", type="none", o="bind", device="/not/there")
    done = engine.docker("run", "--rm", "-v", "nowhere:/data", "busybox", "true", check=False)
    assert done.returncode != 0 and "failed to mount local volume: mount /not/there:" in done.stderr
    assert "no such file or directory" in done.stderr
    engine.docker("volume", "rm", "nowhere")


def test_a_tmpfs_volume_is_shared_while_it_is_used_and_empty_afterwards(engine, container):
    create(engine, "memory", type="tmpfs", device="tmpfs", o="size=1m,mode=1777")
    first = container("-v", "memory:/m", "busybox", "sh", "-c", "echo kept > /m/file; exec sleep 1000")
    wait_until(lambda: "kept" in engine.docker("exec", first, "cat", "/m/file", check=False).stdout, "the file")
    out = run(engine, "-v", "memory:/m", "busybox", "sh", "-c", "cat /m/file; df -k /m | tail -1 | awk '{print $2}'; mount | grep ' /m '")
    assert out.split()[:2] == ["kept", "1024"] and "tmpfs" in out
    engine.docker("rm", "-f", first)
    assert run(engine, "-v", "memory:/m", "busybox", "ls", "/m") == ""
    engine.docker("volume", "rm", "memory")


def test_a_tmpfs_volume_outlives_the_engine_with_its_container(own_engine):
    create(own_engine, "memory", type="tmpfs", device="tmpfs")
    own_engine.docker("run", "-d", "--name", "first", "-v", "memory:/m", "busybox", "sh", "-c", "echo kept > /m/file; exec sleep 1000")
    wait_until(lambda: own_engine.docker("exec", "first", "cat", "/m/file", check=False).stdout == "kept\n", "the file")
    own_engine.kill_9("berth-engine")
    wait_until(lambda: own_engine.docker("ps", check=False).returncode == 0, "the engine answers")
    assert run(own_engine, "-v", "memory:/m", "busybox", "cat", "/m/file") == "kept\n"
    own_engine.docker("rm", "-f", "first")


@pytest.mark.parametrize("options,text", [
    ({"type": "nfs", "o": "addr=192.0.2.1", "device": ":/x"}, 'a volume of type "nfs" needs a mount that only root may make'),
    ({"color": "blue"}, 'invalid option: "color"'),
    ({"type": "tmpfs"}, 'missing required option: "device"'),
    ({"device": "/x"}, 'missing required option: "type"'),
    ({"size": "1g"}, "quota size requested but no quota support"),
    ({"type": "tmpfs", "device": "tmpfs", "o": "size=lots"}, 'invalid tmpfs option "size=lots"'),
    ({"type": "none", "o": "bind", "device": "relative"}, "device relative must be an absolute path")])
def test_options_that_cannot_be_are_refused(engine, options, text):
    done = create(engine, "refused", **options)
    assert done.returncode != 0 and text in done.stderr
    assert "refused" not in engine.docker("volume", "ls", "-q").stdout.split()


def test_an_unknown_volume_driver_is_named(engine):
    done = engine.docker("volume", "create", "-d", "absent", check=False)
    assert 'error looking up volume plugin absent: plugin "absent" not found' in done.stderr


def test_a_volume_is_updated_in_a_swarm_only(engine):
    status, _, body = engine.api("PUT", "/v1.42/volumes/any?version=1", {})
    assert status == 503 and body["message"] == "volume update only valid for cluster volumes, but swarm is unavailable"


def test_volume_ls_filters(engine):
    engine.docker("volume", "create", "--label", "color=blue", "blue")
    run(engine, "--name", "user-of-blue", "-v", "blue:/x", "busybox", "true")
    listed = lambda *filters: engine.docker("volume", "ls", "-q", *(word for f in filters for word in ("--filter", f))).stdout.split()
    assert listed("label=color=blue") == ["blue"] and listed("name=^blue$", "driver=local") == ["blue"]
    assert "blue" in listed("dangling=true") and "blue" not in listed("dangling=false")
    engine.docker("volume", "rm", "blue")


def test_volumes_from_with_modes(engine):
    identity = engine.docker("create", "-v", "given:/given", "--tmpfs", "/t", "busybox", "true").stdout.strip()
    run(engine, "--volumes-from", identity, "busybox", "touch", "/given/file")
    done = engine.docker("run", "--rm", "--volumes-from", f"{identity}:ro", "busybox", "touch", "/given/file", check=False)
    assert "Read-only file system" in done.stderr
    refused = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"VolumesFrom": [identity + ":mode"]}})
    assert refused[0] == 400 and refused[2]["message"] == "invalid mode: mode"
    missing = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"VolumesFrom": ["absent"]}})
    # Not a 404, for which the CLI would pull the image.
    assert missing[0] == 400 and "No such container: absent" in missing[2]["message"]
    engine.docker("rm", identity)
    engine.docker("volume", "rm", "given")


@pytest.fixture(scope="module")
def content(engine):
    layers = [layer_tar({"data/low": b"low\n", "data/both": b"low\n"}), layer_tar({"data/both": b"high\n", "single": b"file\n"})]
    engine.docker("load", input=docker_archive(["content"], layers))
    return "content"


def test_an_image_is_mounted_read_only(engine, content):
    needs_cli("1.48")
    mount = f"type=image,src={content},dst=/image"
    assert run(engine, "--mount", mount, "busybox", "cat", "/image/data/both", "/image/data/low", "/image/single") == "high\nlow\nfile\n"
    done = engine.docker("run", "--rm", "--mount", mount, "busybox", "touch", "/image/new", check=False)
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("subpath,command,out", [("data", ["ls", "/image"], "both\nlow\n"), ("single", ["cat", "/image"], "file\n")])
def test_a_part_of_an_image_is_mounted(engine, content, subpath, command, out):
    needs_cli("1.48")
    assert run(engine, "--mount", f"type=image,src={content},dst=/image,image-subpath={subpath}", "busybox", *command) == out


def test_a_mounted_image_is_in_use(engine, content):
    needs_cli("1.48")
    identity = engine.docker("create", "--mount", f"type=image,src={content},dst=/image", "busybox", "ls", "/image/data").stdout.strip()
    assert "image" == engine.inspect(identity)["Mounts"][0]["Type"]
    done = engine.docker("rmi", content, check=False)
    assert done.returncode != 0 and "is using its referenced image" in done.stderr or "must be forced" in done.stderr
    assert engine.docker("start", "-a", identity).stdout == "both\nlow\n"
    engine.docker("rm", identity)


def test_an_absent_image_to_mount_is_named(engine):
    status, _, body = engine.api("POST", "/v1.48/containers/create", {
        "Image": "busybox", "Cmd": ["true"], "HostConfig": {"Mounts": [{"Type": "image", "Source": "absent-image", "Target": "/x"}]}})
    assert status == 400 and body["message"].startswith('invalid mount config for type "image": No such image')


@pytest.mark.parametrize("propagation", ["private", "rprivate", "slave", "rslave", "shared", "rshared"])
def test_propagations(engine, propagation):
    directory = engine.root / "propagated"
    directory.mkdir(exist_ok=True)
    done = engine.docker("run", "--rm", "--mount", f"type=bind,src={directory},dst=/p,bind-propagation={propagation}", "busybox",
                         "grep", " /p ", "/proc/self/mountinfo")
    assert ("shared:" in done.stdout) == propagation.endswith("shared")
    assert ("those that it makes do not leave it" in done.stderr) == propagation.endswith("shared")


@pytest.mark.parametrize("word,writable", [("enabled", False), ("writable", True), ("readonly", False)])
def test_read_only_binds_with_mounts_below(engine, word, writable):
    """A read-only bind of /dev, whose /dev/shm is a mount of its own."""
    needs_cli("1.44")
    if not os.path.ismount("/dev/shm"):
        pytest.skip("/dev/shm is not a mount here")
    out = run(engine, "--mount", f"type=bind,src=/dev,dst=/d,readonly,bind-propagation=rprivate,bind-recursive={word}", "busybox", "sh", "-c",
              "touch /d/shm/berth-test && rm /d/shm/berth-test && echo writable; true")
    assert ("writable" in out) == writable


def test_a_bind_without_the_mounts_below(engine):
    """The kernel shows nobody but the host's root what lies under a mount."""
    needs_cli("1.44")
    mount = "type=bind,dst=/d,bind-recursive=disabled,src="
    assert run(engine, "--mount", mount + str(engine.root), "busybox", "ls", "/d")
    done = engine.docker("run", "--rm", "--mount", mount + "/proc", "busybox", "true", check=False)
    if any(line.split()[4].startswith("/proc/") for line in open("/proc/self/mountinfo")):
        assert done.returncode != 0 and "the host has mounts below /proc, which a plain user cannot leave out" in done.stderr


def test_a_bind_makes_its_source_when_asked(engine):
    missing = engine.root / "asked-for"
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Mounts": [
        {"Type": "bind", "Source": str(missing), "Target": "/x", "BindOptions": {"CreateMountpoint": True}}]}}
    status, _, made = engine.api("POST", "/v1.44/containers/create", body)
    assert status == 201 and missing.is_dir()
    engine.api("DELETE", f"/containers/{made['Id']}")


def test_tmpfs_mounts(engine):
    out = run(engine, "--mount", "type=tmpfs,dst=/t,tmpfs-size=65536,tmpfs-mode=0711", "busybox", "sh", "-c", "stat -c %a /t; grep ' /t ' /proc/mounts")
    assert out.startswith("711\n") and "size=64k" in out and "noexec" in out


@pytest.mark.parametrize("volume,text", [
    ("/a:/b:c:d", "invalid volume specification"), ("/a:/b:zz", "invalid mode: zz"), ("rel/ative:/b", "includes invalid characters"),
    ("/a:b", "mount path must be absolute"), ("/a:/", "destination can't be '/'"), ("x:/b:nocopy,nocopy", "invalid mode: nocopy,nocopy")])
def test_malformed_volumes_are_refused(engine, volume, text):
    status, _, body = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"Binds": [volume]}})
    assert status == 400 and text in body["message"]


def test_a_destination_can_be_taken_once(engine):
    done = engine.docker("create", "-v", "/tmp:/x/", "-v", "/tmp:/x", "busybox", "true", check=False)
    assert "Duplicate mount point: /x" in done.stderr


def test_usage_counts_who_has_a_volume(engine):
    needs_cli("1.42")
    engine.docker("create", "--name", "counted", "-v", "counted:/x", "busybox", "true")
    (volume,) = [v for v in engine.api("GET", "/system/df?type=volume")[2]["Volumes"] if v["Name"] == "counted"]
    assert volume["UsageData"]["RefCount"] == 1
    engine.docker("rm", "counted")
    assert "counted" not in engine.docker("volume", "prune", "-f").stdout
    assert "counted" in engine.docker("volume", "prune", "-af").stdout


def test_a_restored_volume_without_a_record_is_one_and_foreign_files_stay(own_engine):
    data = own_engine.root / "data/berth"
    (data / "volumes/restored/_data").mkdir(parents=True)
    (data / "volumes/restored/_data/file").write_text("kept")
    (data / "volumes/half-made/_data").mkdir(parents=True)
    for place in ("volumes", "containers"):
        (data / place / ".DS_Store").write_text("of a desktop")
    (data / "volumes/lost+found").mkdir()
    own_engine.kill_9("berth-engine")
    wait_until(own_engine.answers, "the engine answers again")
    assert own_engine.docker("volume", "ls", "-q").stdout.split() == ["restored"]
    assert own_engine.docker("run", "--rm", "-v", "restored:/r", "busybox", "cat", "/r/file").stdout == "kept"
    assert (data / "volumes/.DS_Store").exists() and (data / "volumes/lost+found").exists()
    own_engine.docker("volume", "rm", "restored")
    assert not (data / "volumes/restored").exists()
