"""docker save: what comes out is what went in, and other tools take it."""
import hashlib
import io
import json
import platform
import subprocess
import tarfile
import urllib.parse

import pytest

from images import busybox_rootfs_tar, docker_archive, layer_tar


@pytest.fixture
def saved_image(engine):
    def make(tag, **files):
        archive = docker_archive([tag], [busybox_rootfs_tar(), layer_tar({f"etc/{name}": text.encode() for name, text in files.items()})])
        engine.docker("load", input=archive)
        return tag

    return make


def members(archive):
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}


def save(engine, *names):
    return engine.docker("save", *names, text=False).stdout


def test_each_blob_has_the_content_of_its_name(engine, saved_image):
    files = members(save(engine, saved_image("saved:1", a="1\n")))
    blobs = [name for name in files if name.startswith("blobs/sha256/")]
    assert len(blobs) == 4
    for name in blobs:
        assert hashlib.sha256(files[name]).hexdigest() == name.rsplit("/", 1)[1]
    manifest = json.loads(files["manifest.json"])[0]
    assert manifest["RepoTags"] == ["saved:1"]
    assert set([manifest["Config"], *manifest["Layers"]]) < set(blobs)
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads(files["index.json"])["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/library/saved:1"


def test_save_and_load_keep_the_image_id(engine, saved_image):
    tag = saved_image("trip:1", trip="there and back\n")
    before = engine.inspect(tag)["Id"]
    archive = save(engine, tag)
    engine.docker("rmi", tag)
    assert engine.docker("load", input=archive).stdout.decode() == "Loaded image: trip:1\n"
    assert engine.inspect(tag)["Id"] == before
    assert engine.docker("run", "--rm", tag, "cat", "/etc/trip").stdout == "there and back\n"


def test_a_name_without_a_tag_saves_every_tag(engine, saved_image):
    saved_image("many:1", n="1")
    saved_image("many:2", n="2")
    engine.docker("tag", "many:1", "many:one")
    entries = json.loads(members(save(engine, "many"))["manifest.json"])
    assert sorted(sorted(entry["RepoTags"]) for entry in entries) == [["many:1", "many:one"], ["many:2"]]


def test_an_id_saves_the_image_without_names(engine, saved_image):
    image = engine.inspect(saved_image("nameless:1", n="x"))["Id"]
    files = members(save(engine, image))
    assert json.loads(files["manifest.json"])[0]["RepoTags"] is None
    assert "repositories" not in files


def test_several_images_share_their_layers_in_one_archive(engine, saved_image):
    files = members(save(engine, saved_image("share:1", n="1"), saved_image("share:2", n="2")))
    first, second = json.loads(files["manifest.json"])
    assert first["Layers"][0] == second["Layers"][0] and first["Layers"][1] != second["Layers"][1]


def test_an_absent_image_is_an_error_of_its_own(engine):
    refused = engine.docker("save", "nowhere:1", check=False, text=False)
    assert refused.returncode == 1 and b"No such image: nowhere:1" in refused.stderr and not refused.stdout


def test_skopeo_reads_both_forms(engine, saved_image, tmp_path):
    tag = saved_image("reader:1", n="1")
    path = tmp_path / "saved.tar"
    path.write_bytes(save(engine, tag))
    for transport in ("docker-archive", "oci-archive"):
        shown = subprocess.run(["skopeo", "inspect", "--config", "--raw", f"{transport}:{path}"], capture_output=True, timeout=60)
        assert shown.returncode == 0, shown.stderr
        assert "sha256:" + hashlib.sha256(shown.stdout).hexdigest() == engine.inspect(tag)["Id"]


@pytest.mark.parametrize("path", ["images/busybox/get", "images/busybox/json", "images/busybox/history"])
def test_another_platform_than_the_images_is_not_found(engine, path):
    ours, other = (urllib.parse.quote(json.dumps({"os": "linux", "architecture": name})) for name in (platform.machine(), "s390x"))
    assert engine.api("GET", f"/{path}?platform={ours}")[0] == 200
    status, _, body = engine.api("GET", f"/{path}?platform={other}")
    assert status == 404 and body["message"].endswith("does not match the specified platform (linux/s390x)")
    assert engine.api("GET", f"/{path}?platform=linux")[0] == 400
