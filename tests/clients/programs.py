"""Images with real programs in them, without a registry: busybox, and above it a layer of this machine's own program
with the libraries that it needs."""
import functools
import io
import os
import pathlib
import subprocess
import sys
import tarfile

from images import add_directory, add_file, busybox_rootfs_tar, docker_archive, needed_by

REDIS = "/usr/bin/redis-server"


def layer_of(files, directories=()):
    """A layer of files of this machine at their own paths; directories: (path, mode, uid)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in files:
            add_file(archive, path.lstrip("/"), pathlib.Path(path).read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
        for path, mode, uid in directories:
            add_directory(archive, path.lstrip("/"), mode, uid)
    return buffer.getvalue()


def image(tag, layer, **config):
    config["Env"] = ["PATH=/usr/local/bin:/usr/bin:/bin", *config.pop("Env", [])]
    return docker_archive([tag], [busybox_rootfs_tar(), layer], config)


@functools.lru_cache(maxsize=1)
def redis():
    """`redis`, as Docker Hub's: a user of its own, a volume that belongs to it, an exposed port."""
    programs = [REDIS, "/usr/bin/redis-cli"]
    return image("redis:latest", layer_of([*programs, *needed_by(programs)], [("/data", 0o755, 999)]), User="999", WorkingDir="/data",
                 Cmd=["redis-server", "--bind", "0.0.0.0", "--protected-mode", "no"],
                 ExposedPorts={"6379/tcp": {}}, Volumes={"/data": {}})


@functools.lru_cache(maxsize=1)
def python_layer():
    found = subprocess.run(["/usr/bin/python3", "-c", "import sys, sysconfig; print(sys.executable); print(sysconfig.get_path('stdlib'))"],
                           capture_output=True, text=True, check=True).stdout.split()
    library = pathlib.Path(found[1])
    spared = {"test", "__pycache__", "idlelib", "ensurepip", "lib2to3", "pydoc_data", "tkinter", "distutils"}
    modules = [str(path) for path in sorted(library.rglob("*.[ps][yo]"))
               if not any(part in spared or part.startswith("config-") for part in path.relative_to(library).parts)]
    programs = ["/usr/bin/python3", *(path for path in modules if path.endswith(".so"))]
    return layer_of(sorted({"/usr/bin/python3", *needed_by(programs), *modules}))


def python(tag="python:latest", files=None, **config):
    """`python`: the machine's own, with its standard library; files: {path: content} more."""
    buffer = io.BytesIO(python_layer())
    with tarfile.open(fileobj=buffer, mode="a") as archive:
        for path, content in (files or {}).items():
            add_file(archive, path.lstrip("/"), content)
    return image(tag, buffer.getvalue(), Cmd=["python3"], **config)


def ryuk():
    """A stand-in for testcontainers/ryuk, which only a registry of the internet has: the same protocol and port."""
    program = pathlib.Path(__file__).with_name("ryuk.py").read_bytes()
    return python("testcontainers/ryuk:0.11.0", {"/ryuk.py": program}, Entrypoint=["python3", "/ryuk.py"],
                  ExposedPorts={"8080/tcp": {}}, Env=["RYUK_RECONNECTION_TIMEOUT=1s"])


if __name__ == "__main__":
    for name in sys.argv[1:]:
        pathlib.Path(f"{name}.tar").write_bytes(globals()[name]())
