"""load, import, pull, tag, list, inspect and rmi."""
import gzip
import io
import json
import tarfile

import pytest

from images import add_file, busybox_rootfs_tar, docker_archive, layer_tar


def ids(engine):
    return set(engine.docker("images", "-aq", "--no-trunc").stdout.split())


def test_load_names_the_image_and_runs(engine):
    archive = docker_archive(["loaded:1"], [busybox_rootfs_tar(), layer_tar({"etc/second": b"layer two\n"})])
    assert engine.docker("load", input=archive).stdout.decode() == "Loaded image: loaded:1\n"
    assert engine.docker("run", "--rm", "loaded:1", "cat", "/etc/second").stdout == "layer two\n"


def test_load_takes_gzip_and_compressed_layers(engine):
    archive = gzip.compress(docker_archive(["packed:1"], [busybox_rootfs_tar()], compress=True))
    engine.docker("load", input=archive)
    assert engine.docker("run", "--rm", "packed:1", "echo", "ok").stdout == "ok\n"


def test_whiteouts_and_opaque_directories_hide_lower_files(engine):
    second = layer_tar({"etc/.wh.group": b"", "home/.wh..wh..opq": b"", "home/new": b"n"})
    base = layer_tar({"home/old": b"o"})
    engine.docker("load", input=docker_archive(["white:1"], [busybox_rootfs_tar(), base, second]))
    out = engine.docker("run", "--rm", "white:1", "sh", "-c", "ls /home; ls /etc").stdout.split()
    assert out[0] == "new" and "group" not in out and "passwd" in out


def test_import_applies_changes(engine):
    engine.docker("import", "-c", 'CMD ["echo", "imported"]', "-c", "ENV A=1", "-m", "why", "-", "brought:in", input=busybox_rootfs_tar())
    assert engine.docker("run", "--rm", "brought:in").stdout == "imported\n"
    assert "A=1" in json.loads(engine.docker("inspect", "brought:in").stdout)[0]["Config"]["Env"]


def test_pull_from_a_registry_on_loopback(engine, registry):
    reference = registry.push("team/app:1", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"etc/pulled": b"yes\n"})]))
    out = engine.docker("pull", reference).stdout
    assert "Pulling from team/app" in out and "Digest: sha256:" in out and f"Status: Downloaded newer image for {reference}" in out
    assert engine.docker("run", "--rm", reference, "cat", "/etc/pulled").stdout == "yes\n"
    assert f"Status: Image is up to date for {reference}" in engine.docker("pull", reference).stdout


def test_run_pulls_what_is_absent_and_a_digest_names_an_image(engine, registry):
    reference = registry.push("auto:2", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"etc/auto": b"2\n"})]))
    assert engine.docker("run", "--rm", reference, "cat", "/etc/auto").stdout == "2\n"
    digest = json.loads(engine.docker("inspect", reference).stdout)[0]["RepoDigests"][0]
    engine.docker("rmi", reference)
    engine.docker("pull", digest)
    assert engine.docker("run", "--rm", digest, "cat", "/etc/auto").stdout == "2\n"


def test_a_zstd_layer_is_pulled(engine, registry):
    reference = registry.push("zstd:1", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"etc/z": b"z\n"})]),
                              "--dest-compress-format", "zstd", "--format", "oci")
    engine.docker("pull", reference)
    assert engine.docker("run", "--rm", reference, "cat", "/etc/z").stdout == "z\n"


def test_a_corrupt_blob_is_refused_and_nothing_is_left(engine, registry):
    reference = registry.push("corrupt:1", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"etc/c": b"c" * 70000})]))
    largest_first = sorted(registry.blobs(), key=lambda path: path.stat().st_mtime)
    before = ids(engine)
    saved = {path: path.read_bytes() for path in largest_first[-4:]}
    try:
        for path, content in saved.items():
            if content[:2] == b"\x1f\x8b":
                path.write_bytes(content[:-20] + bytes(byte ^ 255 for byte in content[-20:]))
        done = engine.docker("pull", reference, check=False)
    finally:
        for path, content in saved.items():
            path.write_bytes(content)
    assert done.returncode != 0
    assert ids(engine) == before
    engine.docker("pull", reference)


def test_absent_images_and_bad_references(engine, registry):
    done = engine.docker("pull", f"{registry.address}/none:1", check=False)
    assert done.returncode != 0 and ("not found" in done.stderr or "does not exist" in done.stderr)
    status, _, body = engine.api("POST", f"/images/create?fromImage={registry.address}/none&tag=1")
    assert status == 404, body
    assert engine.api("POST", "/images/create?fromImage=UPPER")[0] == 400
    status, _, body = engine.api("GET", "/images/not-here:9/json")
    assert status == 404 and body["message"] == "No such image: not-here:9"


def test_tag_list_inspect_and_rmi(engine):
    engine.docker("import", "-", "tagged:a", input=layer_tar({"only": b"here"}))
    engine.docker("tag", "tagged:a", "localhost:5000/tagged:b")
    identity = json.loads(engine.docker("inspect", "tagged:a").stdout)[0]["Id"]
    listed = engine.docker("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").stdout.splitlines()
    assert f"tagged:a {identity}" in listed and f"localhost:5000/tagged:b {identity}" in listed
    done = engine.docker("rmi", identity, check=False)
    assert "must be forced" in done.stderr
    assert engine.docker("rmi", "tagged:a").stdout == "Untagged: tagged:a\n"
    assert f"Deleted: {identity}" in engine.docker("rmi", "localhost:5000/tagged:b").stdout
    assert identity not in ids(engine)


def test_an_image_in_use_is_kept(engine, container):
    engine.docker("import", "-", "used:1", input=busybox_rootfs_tar() + b"\0" * 1024)
    container("used:1", "sleep", "1000")
    identity = json.loads(engine.docker("inspect", "used:1").stdout)[0]["Id"]
    done = engine.docker("rmi", identity, check=False)
    assert done.returncode != 0 and "is being used by running container" in done.stderr


def hostile_tar(kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        if kind == "dotdot":
            add_file(archive, "../../../../escaped", b"x")
        elif kind == "absolute":
            add_file(archive, "/escaped-absolute", b"x")
        elif kind == "through-link":
            link = tarfile.TarInfo("door")
            link.type, link.linkname = tarfile.SYMTYPE, "/tmp"
            archive.addfile(link)
            add_file(archive, "door/berth-escaped", b"x")
        elif kind == "hardlink":
            link = tarfile.TarInfo("stolen")
            link.type, link.linkname = tarfile.LNKTYPE, "../../../../../../etc/passwd"
            archive.addfile(link)
        elif kind == "device":
            node = tarfile.TarInfo("sda")
            node.type, node.devmajor, node.devminor = tarfile.BLKTYPE, 8, 0
            archive.addfile(node)
            add_file(archive, "beside", b"x")
        elif kind == "id":
            add_file(archive, "far", b"x", uid=4_000_000_000)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["dotdot", "absolute", "through-link", "hardlink"])
def test_nothing_in_a_tar_is_written_outside_its_layer(engine, kind):
    import pathlib
    engine.docker("import", "-", f"hostile:{kind}", input=hostile_tar(kind), check=False)
    outside = [path for name in ("escaped", "escaped-absolute", "berth-escaped") for path in
               (pathlib.Path("/") / name, pathlib.Path("/tmp") / name, engine.root / name, engine.root / "data" / name)]
    assert [path for path in outside if path.exists()] == []


def test_device_nodes_are_skipped_and_the_rest_unpacked(engine):
    engine.docker("import", "-", "device:1", input=hostile_tar("device"))


def test_an_id_above_the_mapped_range_is_named(engine):
    done = engine.docker("import", "-", "far:1", input=hostile_tar("id"), check=False)
    assert done.returncode != 0
    assert b"4000000000" in done.stderr + done.stdout


@pytest.mark.parametrize("content", [b"not a tar at all" * 100, busybox_rootfs_tar()[:300_000], b""])
def test_a_broken_archive_is_refused_and_leaves_nothing(engine, content):
    before = ids(engine)
    done = engine.docker("load", input=content, check=False)
    assert done.returncode != 0
    assert ids(engine) == before


def test_a_truncated_layer_is_refused_and_leaves_nothing(engine):
    before = ids(engine)
    done = engine.docker("import", "-", "cut:1", input=busybox_rootfs_tar()[:300_000], check=False)
    assert done.returncode != 0
    assert ids(engine) == before
    leftovers = [path for path in (engine.root / "data").rglob("*") if path.name.startswith("tmp-") or path.parent.name == "ingest"]
    assert [path for path in leftovers if path.is_file() or any(path.iterdir())] == []
