"""Small archives that want to become large: memory, disk and time stay bounded, and what is refused says which limit it met."""
import gzip
import io
import pathlib
import re
import subprocess
import tarfile
import time

import pytest

from images import busybox_rootfs_tar, docker_archive, layer_tar


def peak_memory(engine):
    """Of the engine since the last call, in KiB."""
    (pid,) = engine.pids("berth-engine")
    peak = int(re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1))
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak


def block(kind, name, size):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode = kind, size, 0o755
    return info.tobuf(tarfile.USTAR_FORMAT)


def record(key, value):
    """A pax header of one record."""
    length = len(key) + len(value) + 3
    length += len(str(length + len(str(length))))
    data = f"{length} {key}={value}\n".encode()
    return data + bytes(-len(data) % 512), len(data)


def imported(engine, tar, name="bomb"):
    return engine.docker("import", "-", name, input=tar, check=False)


def text_of(done):
    return "".join(part.decode(errors="replace") if isinstance(part, bytes) else part or "" for part in (done.stdout, done.stderr))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_extended_headers_without_end_take_bounded_memory(engine, kind):
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=1) as packed:
        for number in range(300):
            data, size = record(f"comment.{number}", "v" * 900_000)
            packed.write(block(kind, "x", size) + data)
        packed.write(block(tarfile.REGTYPE, "file", 0) + bytes(1024))
    peak_memory(engine)
    before = peak_memory(engine)
    done = imported(engine, out.getvalue())
    assert done.returncode != 0 and re.search(r"the limit is \d+|hold more than \d+ bytes", text_of(done)), text_of(done)
    assert peak_memory(engine) - before < 65536


def test_an_archive_of_many_members_is_refused(engine):
    done = engine.docker("load", input=b"".join(block(tarfile.REGTYPE, str(number), 0) for number in range(50001)) + bytes(1024), check=False)
    assert done.returncode != 0 and "more than 50000 entries" in text_of(done), text_of(done)


def test_a_sparse_file_of_a_tebibyte_takes_neither_time_nor_space(engine):
    fields = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "sparse", "GNU.sparse.realsize": str(1 << 40)}
    data = b"".join(record(key, value)[0].rstrip(b"\0") for key, value in fields.items())
    sparse_map = b"1\n1024\n3\n".ljust(512, b"\0")
    tar = (block(tarfile.XHDTYPE, "x", len(data)) + data + bytes(-len(data) % 512) +
           block(tarfile.REGTYPE, "f", 515) + sparse_map + b"abc".ljust(512, b"\0") + bytes(1024))
    begin = time.monotonic()
    done = engine.docker("load", input=docker_archive(["bomb"], [busybox_rootfs_tar(), tar]), check=False)
    assert done.returncode == 0, done.stderr
    assert engine.docker("run", "--rm", "bomb", "stat", "-c", "%s", "/sparse").stdout == f"{1 << 40}\n"
    assert time.monotonic() - begin < 20
    engine.docker("rmi", "bomb")


def test_a_layer_of_zeros_is_loaded(engine):
    """Some real images hold such files."""
    size = 64 << 20
    engine.docker("load", input=docker_archive(["zeros"], [busybox_rootfs_tar(), layer_tar({"zeros": bytes(size)})], compress=True))
    assert engine.docker("run", "--rm", "zeros", "stat", "-c", "%s", "/zeros").stdout == f"{size}\n"
    engine.docker("rmi", "zeros")


@pytest.fixture
def strict(bare_engine):
    bare_engine.start("--max-layer-entries", "600", "--max-layer-size", "8m")
    bare_engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    return bare_engine


def test_a_layer_beyond_a_limit_names_layer_limit_and_setting(strict):
    many = layer_tar({f"f{number}": b"" for number in range(700)})
    large = layer_tar({"large": bytes(9 << 20)})
    for tar, limit, key in ((many, "more than 600 entries", "max-layer-entries"), (large, "limit of 8388608 bytes", "max-layer-size")):
        for done in (strict.docker("load", input=docker_archive(["bomb"], [tar]), check=False), imported(strict, tar)):
            text = text_of(done)
            assert done.returncode != 0 and limit in text and f'"{key}" in daemon.json' in text and re.search("layer [0-9a-f]{12}:", text), text
    assert strict.docker("images", "-q").stdout.count("\n") == 1


def test_an_engine_says_what_a_wrong_limit_is(bare_engine):
    done = subprocess.run([str(bare_engine.build / "berthd"), "--validate", "--max-layer-entries", "0"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "invalid limit of a layer: 0" in done.stderr
