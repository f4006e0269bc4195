"""Images travel between berth and other tools unchanged: by registry, and as archives in every form. BERTH_TRIP_MIB (8) for a large one."""
import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile

import pytest

from images import add_directory, add_file, add_link, busybox_rootfs_tar, docker_archive

MIB = int(os.environ.get("BERTH_TRIP_MIB", "8"))


class Podman:
    """Podman with a store of its own; its registry and archive code is skopeo's too."""

    def __init__(self, directory):
        (directory / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        self.policy = ["--signature-policy", directory / "policy.json"]
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(directory), "HOME": str(directory)}
        self.command = ["podman", "--root", directory / "store", "--runroot", directory / "run", "--storage-driver", "overlay",
                        "--cgroup-manager", "cgroupfs", "--events-backend", "file"]

    def __call__(self, verb, *arguments, policy=False):
        done = subprocess.run([*self.command, verb, *(self.policy if policy else []), *arguments], env=self.environment, check=False,
                              capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture
def podman():
    if not shutil.which("podman"):
        pytest.skip("podman is not installed (skopeo has the same code and is tried)")
    directory = pathlib.Path(tempfile.mkdtemp(prefix="pd-"))  # podman's run-time directory must have a short name
    yield Podman(directory)
    subprocess.run(["unshare", "--user", "--map-root-user", "--map-auto", "rm", "-rf", directory], check=True)


def skopeo(*arguments):
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed")
    done = subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def made_here(engine, registry):
    """An image that was committed and pushed here: (its id, its reference, its digest at the registry)."""
    engine.docker("run", "--name", "maker", "--network=none", "busybox", "sh", "-c", "echo made > /made; mkdir /d; ln /made /d/link; rm /etc/group")
    reference = f"{registry.address}/here/made:1"
    identity = engine.docker("commit", "-c", "CMD cat /made", "-m", "why", "maker", reference).stdout.strip()
    engine.docker("rm", "maker")
    engine.docker("push", "-q", reference)
    yield identity, reference, registry.digest_of("here/made:1")
    engine.docker("rmi", "-f", identity, check=False)


def test_an_image_made_here_comes_back_by_skopeo(engine, registry, made_here, tmp_path):
    identity, reference, digest = made_here
    back = f"{registry.address}/back/skopeo:1"
    skopeo("--preserve-digests", "--src-tls-verify=false", f"docker://{reference}", f"dir:{tmp_path}/image")
    skopeo("--preserve-digests", "--dest-tls-verify=false", f"dir:{tmp_path}/image", f"docker://{back}")
    assert registry.digest_of("back/skopeo:1") == digest
    engine.docker("rmi", "-f", identity)
    engine.docker("pull", "-q", back)
    image = engine.inspect(back)
    assert image["Id"] == identity and image["RepoDigests"] == [f"{back.rsplit(':', 1)[0]}@{digest}"]
    assert engine.docker("run", "--rm", "--network=none", back).stdout == "made\n"


def test_an_image_made_here_comes_back_by_podman(engine, registry, made_here, podman):
    identity, reference, digest = made_here
    back = f"{registry.address}/back/podman:1"
    assert podman("pull", "-q", "--tls-verify=false", reference, policy=True) == identity.removeprefix("sha256:")
    assert podman("image", "inspect", "--format", "{{.Digest}}", reference) == digest
    podman("push", "-q", "--tls-verify=false", reference, back, policy=True)
    engine.docker("rmi", "-f", identity)
    engine.docker("pull", "-q", back)
    assert engine.inspect(back)["Id"] == identity
    assert engine.docker("run", "--rm", "--network=none", back).stdout == "made\n"


def large_layer(number, size):
    """Files of all kinds; the content is half noise."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add_directory(tar, f"layer{number}", owner=number)
        for part in range(4):
            add_file(tar, f"layer{number}/part{part}", os.urandom(size // 8) + bytes(size // 8), uid=part, mtime=1700000000.25)
        add_link(tar, f"layer{number}/hard", f"layer{number}/part0", tarfile.LNKTYPE)
        add_link(tar, f"layer{number}/soft", "part1")
        add_file(tar, f"layer{number}/" + "long/" * 60 + "name", b"deep\n", 0o4711)
        if number:
            add_file(tar, f"layer{number - 1}/.wh.part3", b"")
    return buffer.getvalue()


def blobs_of(path):
    """Names of the blobs in an archive of ours; each has the content that its name says."""
    found = set()
    with tarfile.open(path) as tar:
        for member in tar:
            if member.name.startswith("blobs/sha256/") and member.isfile():
                content = hashlib.file_digest(tar.extractfile(member), "sha256")
                assert content.hexdigest() == member.name.rsplit("/", 1)[1]
                found.add(content.hexdigest())
    return found


@pytest.fixture(scope="module")
def large(engine, tmp_path_factory):
    """An image of five layers, saved: (what inspect says of it, the archive)."""
    path = tmp_path_factory.mktemp("large") / "large.tar"
    path.write_bytes(docker_archive(["large:1"], [busybox_rootfs_tar(), *(large_layer(number, MIB * (1 << 20) // 4) for number in range(4))]))
    engine.docker("load", "-q", "-i", str(path), timeout=600)
    image = engine.inspect("large:1")
    engine.docker("save", "-o", str(path), "large:1", timeout=600)
    yield image, path
    engine.docker("rmi", "-f", "large:1", check=False)
    path.unlink()


def by_docker_of_old(source, target, _podman):
    """The form of docker before 25: a directory a layer, manifest.json at the end."""
    with tarfile.open(source) as archive, tarfile.open(target, "w") as old:
        entry, = json.load(archive.extractfile("manifest.json"))
        for number, layer in enumerate(entry["Layers"]):
            member = archive.getmember(layer)
            content = archive.extractfile(member)
            member.name = f"{number:064}/layer.tar"
            old.addfile(member, content)
            add_file(old, f"{number:064}/VERSION", b"1.0")
            entry["Layers"][number] = member.name
        config = archive.extractfile(entry["Config"]).read()
        entry["Config"] = hashlib.sha256(config).hexdigest() + ".json"
        add_file(old, entry["Config"], config)
        add_file(old, "manifest.json", json.dumps([entry]).encode())
        add_file(old, "repositories", json.dumps({"large": {"1": f"{len(entry['Layers']) - 1:064}"}}).encode())


def by_gzip(source, target, _podman):
    with open(target, "wb") as packed:
        subprocess.run(["gzip", "-1c", source], stdout=packed, check=True)


def by_skopeo(form):
    return lambda source, target, _podman: skopeo(f"docker-archive:{source}", f"{form}:{target}:large:1")


def by_podman(form):
    def pass_on(source, target, podman):
        podman("load", "-q", "-i", source, policy=True)
        podman("save", "-q", "--format", form, "-o", target, "localhost/large:1" if "localhost" in podman("images", "--format", "{{.Repository}}") else "large:1")
    return pass_on


def by_nobody(source, target, _podman):
    shutil.copy(source, target)


WAYS = {"own": by_nobody, "docker-24": by_docker_of_old, "own-gzip": by_gzip,
        **{f"skopeo-{form}": by_skopeo(form) for form in ("docker-archive", "oci-archive")},
        **{f"podman-{form}": by_podman(form) for form in ("docker-archive", "oci-archive")}}


@pytest.mark.parametrize("way", WAYS)
def test_five_layers_come_back_as_they_were(engine, large, tmp_path, request, way):
    image, archive = large
    other = request.getfixturevalue("podman") if way.startswith("podman") else None
    WAYS[way](archive, tmp_path / "other.tar", other)
    engine.docker("rmi", "-f", "large:1")
    said = engine.docker("load", "-q", "-i", str(tmp_path / "other.tar"), timeout=600).stdout
    assert "Loaded image" in said
    # Who makes an OCI image of it writes the configuration anew.
    back = engine.inspect(said.split()[-1].strip() if "oci" in way else image["Id"])
    assert (back["RootFS"], back["Size"], back["Config"]) == (image["RootFS"], image["Size"], image["Config"])
    engine.docker("tag", back["Id"], "large:1")
    engine.docker("save", "-o", str(tmp_path / "again.tar"), "large:1", timeout=600)
    layers = {digest.removeprefix("sha256:") for digest in image["RootFS"]["Layers"]}
    assert blobs_of(tmp_path / "again.tar") & blobs_of(archive) >= layers
    out = engine.docker("run", "--rm", "--network=none", "large:1", "sh", "-c", "cat /layer3/" + "long/" * 60 + "name; ls /layer2; stat -c %h /layer3/hard")
    assert out.stdout.split() == ["deep", "hard", "long", "part0", "part1", "part2", "soft", "2"]
