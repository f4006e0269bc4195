"""Images that need no registry: made from busybox-static."""
import functools
import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile


def add_file(archive, name, content, mode=0o644, **fields):
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    for key, value in fields.items():
        setattr(entry, key, value)
    archive.addfile(entry, io.BytesIO(content))


def add_link(archive, name, target, kind=tarfile.SYMTYPE):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    archive.addfile(entry)


def add_directory(archive, name, mode=0o755, owner=0):
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    archive.addfile(entry)


def needed_by(programs):
    """The files that the dynamic linker loads for these programs, itself included."""
    listed = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", listed)))


@functools.lru_cache(maxsize=1)
def busybox_rootfs_tar():
    with open("/bin/busybox", "rb") as program:
        busybox = program.read()
    names = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for directory in ("bin", "etc", "proc", "sys", "dev", "root", "home", "var"):
            add_directory(archive, directory)
        add_directory(archive, "tmp", 0o1777)
        add_file(archive, "bin/busybox", busybox, 0o755)
        for name in names:
            if name != "busybox":
                add_link(archive, "bin/" + name, "busybox")
        add_file(archive, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/false\nuser:x:1000:1000::/home:/bin/sh\n")
        add_file(archive, "etc/group", b"root:x:0:\ndaemon:x:1:\nuser:x:1000:\nextra:x:2000:user\n")
        add_file(archive, "etc/notexecutable", b"#!/bin/sh\n", 0o644)
    return buffer.getvalue()


def layer_tar(files):
    """A layer of regular files {name: bytes}."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            add_file(archive, name, content)
    return buffer.getvalue()


def docker_archive(tags, layers, config=None, compress=False, created_by="test"):
    """A `docker save` archive of the given uncompressed layer tars."""
    digests = ["sha256:" + hashlib.sha256(layer).hexdigest() for layer in layers]
    document = {"architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
                "config": {"Cmd": ["/bin/sh"], "Env": ["PATH=/bin", "FROM_IMAGE=yes"], **(config or {})},
                "rootfs": {"type": "layers", "diff_ids": digests},
                "history": [{"created": "2024-01-01T00:00:00Z", "created_by": created_by} for _ in layers]}
    raw = json.dumps(document).encode()
    name = hashlib.sha256(raw).hexdigest() + ".json"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add_file(archive, name, raw)
        for number, layer in enumerate(layers):
            add_file(archive, f"{number}/layer.tar", gzip.compress(layer) if compress else layer)
        add_file(archive, "manifest.json", json.dumps([{"Config": name, "RepoTags": tags, "Layers": [
            f"{number}/layer.tar" for number in range(len(layers))]}]).encode())
    return buffer.getvalue()
