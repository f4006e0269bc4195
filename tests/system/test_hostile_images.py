"""Images made to do harm, by load, import and pull: a clear refusal or the right thing, nothing outside of the layer, nothing left in the
store, and an engine that answers meanwhile."""
import gzip
import io
import json
import os
import pathlib
import re
import subprocess
import tarfile
import time

import pytest

from engine import wait_until
from hostile_layers import LAYERS, OUTSIDE
from hostile_registry import CONFIG, INDEX, LAYER, MANIFEST, HostileRegistry, descriptor, digest_of
from images import add_file, busybox_rootfs_tar, docker_archive, layer_tar

# Text that tells of berth's inside, and of nothing that a user could mend.
INTERNAL = re.compile(r"json\.exception|std::|bad_alloc|basic_string|vector::|boost")


@pytest.fixture
def hostile():
    instance = HostileRegistry()
    yield instance
    instance.stop()


def stored(engine):
    """Everything below the store's directories; parsed forms that are kept to be quick are no objects."""
    data = engine.root / "data/berth"
    return sorted(str(path.relative_to(data)) for pattern in ("layers/*", "content/blobs/sha256/*", "content/ingest/*") for path in data.glob(pattern)
                  if "cache" not in path.name)


@pytest.fixture
def clean_store(engine):
    """The test leaves the store as it was, and the engine is the same process."""
    before, pid = stored(engine), engine.pids("berth-engine")
    yield
    assert stored(engine) == before
    assert engine.pids("berth-engine") == pid
    assert not os.path.exists(OUTSIDE)


def refused(done, pattern):
    text = (done.stdout or b"") + (done.stderr or b"") if isinstance(done.stderr, bytes) else done.stdout + done.stderr
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    assert done.returncode != 0, text
    assert re.search(pattern, text), text
    assert not INTERNAL.search(text) and len(text) < 20000, text
    return text


def shown(engine, image, command):
    return engine.docker("run", "--rm", "--entrypoint", "/bin/sh", image, "-c", command, text=False).stdout


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_a_hostile_layer_is_refused_or_stays_inside(engine, clean_store, name):
    tar, refusal, command = LAYERS[name]
    archive = docker_archive(["hostile:1"], [busybox_rootfs_tar(), tar])
    done = engine.docker("load", input=archive, check=False)
    if refusal:
        refused(done, refusal)
        refused(engine.docker("import", "-", "hostile:2", input=gzip.compress(tar), check=False), refusal)
        assert engine.docker("images", "-q", "hostile").stdout == ""
        return
    assert done.returncode == 0, done.stderr
    assert shown(engine, "hostile:1", command) in (b"hostile\n", b"after\n", b"last\n", b"latin\n", b"deep\n", b"nothing\n")
    engine.docker("rmi", "hostile:1")


@pytest.mark.parametrize("name", ["a name that climbs", "a file through an absolute link", "hard links in a circle", "a cut archive"])
def test_a_hostile_layer_of_a_registry_is_refused_or_stays_inside(engine, clean_store, hostile, name):
    tar, refusal, command = LAYERS[name]
    base = busybox_rootfs_tar()
    reference = hostile.image("a/b", [(gzip.compress(base, 1), base), (gzip.compress(tar), tar)])
    done = engine.docker("pull", reference, check=False)
    if refusal:
        refused(done, refusal)
    else:
        assert done.returncode == 0, done.stderr
        assert shown(engine, reference, command) == b"hostile\n"
        engine.docker("rmi", reference)


def empty_files(count):
    """A tar of so many empty files in directories of a thousand, in pieces."""
    template = bytearray(tarfile.TarInfo("d000000/f000000").tobuf(tarfile.USTAR_FORMAT))
    template[148:156] = b" " * 8
    for start in range(0, count, 1000):
        piece = bytearray()
        for number in range(start, min(start + 1000, count)):
            template[1:7] = b"%06d" % (number // 1000)
            template[9:15] = b"%06d" % number
            template[148:156] = b" " * 8
            template[148:156] = b"%06o\0 " % sum(template)
            piece += template
        yield bytes(piece)
    yield bytes(1024)


def peak_memory(engine):
    (pid,) = engine.pids("berth-engine")
    return int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))


def test_many_entries_take_bounded_memory(own_engine):
    """BERTH_ENTRIES=1000000 is the whole of it."""
    engine, count = own_engine, int(os.environ.get("BERTH_ENTRIES", "20000"))
    before = peak_memory(engine)
    process = engine.popen("import", "-", "entries:1", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for piece in empty_files(count):
        process.stdin.write(piece)
    process.stdin.close()
    assert process.wait(600) == 0
    grown = peak_memory(engine) - before
    print(f"{count} entries: {grown} KiB more at the peak")
    assert grown < 65536, f"{grown} KiB more for {count} entries"


def test_an_announced_size_beyond_all_limits_is_refused_at_once(engine, clean_store):
    entry = tarfile.TarInfo("bomb")
    entry.size = 5 << 40
    bomb = gzip.compress(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
    refused(engine.docker("import", "-", "hostile:bomb", input=bomb, check=False), r"limit of \d+ bytes")
    refused(engine.docker("load", input=docker_archive(["hostile:bomb"], [bomb]), check=False), "limit of|checksum|differs|diff")


def test_a_configuration_of_200_mib_is_refused(engine, clean_store):
    buffer = io.BytesIO()
    config = b'{"a":"' + b"a" * (200 << 20) + b'"}'
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add_file(archive, "c.json", config)
        add_file(archive, "l.tar", layer_tar({"a": b"b"}))
        add_file(archive, "manifest.json", json.dumps([{"Config": "c.json", "RepoTags": ["hostile:1"], "Layers": ["l.tar"]}]).encode())
    text = refused(engine.docker("load", input=buffer.getvalue(), check=False), "c.json.* larger than 8388608")
    assert len(text) < 1000


@pytest.mark.parametrize("manifest", [
    b"", b"{}", b"[{}]", b"null", b"[null]", b'[{"Config":"none.json","RepoTags":["a:1"],"Layers":[]}]', b'[{"Config":"../../../etc/passwd","RepoTags":[],"Layers":[]}]',
    b'[{"Config":"/etc/passwd","RepoTags":[],"Layers":[]}]', b'[{"Config":1,"RepoTags":2,"Layers":3}]', b"[" * 100000,
    b'[{"Config":"manifest.json","RepoTags":["a:1"],"Layers":["manifest.json"]}]'], ids=lambda text: repr(text[:30]))
def test_a_nonsense_manifest_of_an_archive_is_refused(engine, clean_store, manifest):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add_file(archive, "manifest.json", manifest)
    refused(engine.docker("load", input=buffer.getvalue(), check=False), "invalid|manifest|JSON|expected|archive|no image")


def good(hostile, name="good/image"):
    plain = layer_tar({"good": b"good"})
    return plain, gzip.compress(plain), name


def pull_error(engine, hostile, name, pattern):
    done = engine.docker("pull", f"{hostile.address}/{name}", check=False, timeout=60)
    return refused(done, pattern)


@pytest.mark.parametrize("content_type,data,pattern", [
    ("text/html", b"<html>not a manifest</html>", "manifest|JSON"),
    ("application/json", b"{}", "manifest"),
    (MANIFEST, b"[]", "expected an object|manifest"),
    (MANIFEST, b'{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:../../etc/passwd","size":2},"layers":[]}', "digest"),
    (MANIFEST, b'{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:' + b"a" * 64 + b'","size":-1},"layers":[]}', "size"),
    (MANIFEST, b'{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:' + b"a" * 64 + b'","size":209715200},"layers":[]}', "209715200 .*larger than 8388608"),
    ("application/vnd.docker.distribution.manifest.v1+prettyjws", b'{"schemaVersion":1,"fsLayers":[]}', "schema|v1|not supported|media type"),
    (MANIFEST, json.dumps({"schemaVersion": 2, "config": descriptor(b"{}", CONFIG), "layers": [descriptor(b"x", LAYER)] * 1000}).encode(), "127|layers"),
    (MANIFEST, b'{"a":' * 50000, "nested|JSON"),
    (MANIFEST, b" " * (5 << 20), "limit|larger|JSON")], ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else None)
def test_a_hostile_manifest_is_refused(engine, clean_store, hostile, content_type, data, pattern):
    hostile.manifest("h/m", data, content_type)
    pull_error(engine, hostile, "h/m", pattern)


def test_an_index_inside_of_an_index_ends(engine, clean_store, hostile):
    inner = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()
    platform = {"os": "linux", "architecture": "amd64"}
    for _ in range(5):
        hostile.manifest("h/loop", inner, INDEX)
        inner = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**descriptor(inner, INDEX), "platform": platform}]}).encode()
    pull_error(engine, hostile, "h/loop", "index inside of an index|no matching manifest")
    assert len(hostile.asked) < 20


def test_a_manifest_with_another_digest_than_asked_for_is_refused(engine, clean_store, hostile):
    hostile.replies["/v2/h/d/manifests/sha256:" + "a" * 64] = (MANIFEST, b'{"schemaVersion":2}')
    pull_error(engine, hostile, "h/d@sha256:" + "a" * 64, "digest")


def test_an_endless_manifest_is_cut_off(engine, clean_store, hostile):
    hostile.replies["/v2/h/e/manifests/latest"] = lambda handler: handler.endless(MANIFEST, b" " * 65536)
    pull_error(engine, hostile, "h/e", "4194304|larger|limit")
    assert hostile.left.wait(20)


@pytest.mark.parametrize("what", ["config", "layer"])
def test_a_blob_longer_than_announced_is_cut_off(engine, clean_store, hostile, what):
    plain, sent, name = good(hostile)
    hostile.image(name, [(sent, plain)])
    manifest = json.loads(hostile.replies[f"/v2/{name}/manifests/latest"][1])
    digest = manifest["config"]["digest"] if what == "config" else digest_of(sent)
    hostile.replies[f"/v2/{name}/blobs/{digest}"] = lambda handler: handler.endless("application/octet-stream", b"z" * 65536)
    pull_error(engine, hostile, name, "verification failed|announced|longer|larger|size")
    assert hostile.left.wait(20)


@pytest.mark.parametrize("damage", ["another content", "one byte less", "another size in the manifest", "another diff id"])
def test_a_layer_that_is_not_what_was_announced_is_refused(engine, clean_store, hostile, damage):
    plain, sent, name = good(hostile)
    if damage == "another diff id":
        hostile.image(name, [(sent, b"another")])
    elif damage == "another size in the manifest":
        hostile.image(name, [(sent, plain)], {"layers": [descriptor(sent, LAYER, size=len(sent) + 5)]})
    else:
        hostile.image(name, [(sent, plain)])
        hostile.blob(name, sent, ("x/y", sent[:-1] if damage == "one byte less" else b"x" * len(sent)))
    pull_error(engine, hostile, name, "verification failed|digest|differ|size|gzip|corrupt|expected|announced|ended|is not")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/v2/h/r/manifests/latest", "gopher://127.0.0.1:1/x"])
def test_a_redirect_leads_to_http_only_and_ends(engine, clean_store, hostile, target):
    # Closed each time: libcurl's few tries at a connection that was left to it end a loop of redirects earlier.
    hostile.replies["/v2/h/r/manifests/latest"] = lambda handler: handler.answer(307, "text/plain", b"", Location=target, Connection="close")
    pull_error(engine, hostile, "h/r", "redirect|protocol|Unsupported|unsupported|not supported|disabled")
    assert len(hostile.asked) < 60


def test_a_token_from_a_file_is_not_fetched(engine, clean_store, hostile):
    hostile.replies["/v2/h/t/manifests/latest"] = lambda handler: handler.answer(
        401, "application/json", b"{}", WWW_Authenticate='Bearer realm="file:///etc/passwd",service="x"')
    text = pull_error(engine, hostile, "h/t", "no usable token service")
    assert "root:" not in text


def test_headers_without_end_are_cut_off(engine, clean_store, hostile):
    def flood(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(200_000):
            handler.wfile.write(b"X-%d: " % number + b"y" * 500 + b"\r\n")
    hostile.replies["/v2/h/f/manifests/latest"] = flood
    pull_error(engine, hostile, "h/f", "header|large|limit")


def test_a_registry_that_drips_blocks_nobody_and_a_leaving_client_ends_it(engine, clean_store, hostile):
    plain, sent, name = good(hostile)
    hostile.image(name, [(sent, plain)])
    hostile.replies[f"/v2/{name}/blobs/{digest_of(sent)}"] = lambda handler: handler.endless("x/y", b"z", Content_Length=str(len(sent)))
    pulls = [engine.popen("pull", f"{hostile.address}/{name}", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(8)]
    wait_until(lambda: any("/blobs/" + digest_of(sent) in path for path in hostile.asked), "the drip")
    begin = time.monotonic()
    assert engine.api("GET", "/containers/json?all=1")[0] == 200 and engine.api("GET", "/images/json")[0] == 200
    assert engine.docker("run", "--rm", "busybox", "echo", "meanwhile").stdout == "meanwhile\n"
    assert time.monotonic() - begin < 20
    for pull in pulls:
        pull.kill()
        pull.communicate()
    assert hostile.left.wait(30), "the engine goes on though nobody waits"
    wait_until(lambda: not list((engine.root / "data/berth/content/ingest").iterdir()), "nothing is left of the download")
