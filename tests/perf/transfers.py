#!/usr/bin/env python3
"""Cold pulls and loads of a Debian image (one layer) and of the same files in ten layers, beside peers and floors.

  transfers.py [--samples N] [--only KIND,...] [--directory DIR]

Run as a plain user; BERTH_BUILD names the build directory. The Debian tar is made once by mmdebstrap and kept in DIR. Peers: podman
(rootless, its own command line), skopeo (into a directory: transfer only). Floors: `tar -x`, `tar -xzf` and `cp -a` of the same files with
a sync, plain decompression. Nothing is removed before the end: ext4 is slow where inodes were freed a moment ago. Samples are
interleaved; a cell is the median of wall seconds, of CPU seconds in brackets. Asserts nothing."""
import argparse
import gzip
import io
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tarfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))

from engine import Engine  # noqa: E402
from images import docker_archive  # noqa: E402
from registry import Registry  # noqa: E402

PACKAGES = "systemd,dbus-user-session,libpam-systemd,uidmap,python3,perl,git,vim"
IN_NAMESPACE = ["unshare", "--user", "--map-root-user", "--map-auto"]


def debian_tar(directory):
    path = directory / "debian.tar"
    if not path.exists():
        subprocess.run(["mmdebstrap", "--quiet", "--mode=unshare", "--variant=minbase", "--include=" + PACKAGES, "--format=tar", "bookworm",
                        directory / "new.tar"], check=True)
        (directory / "new.tar").rename(path)
    return path


def split_layers(path, count):
    """The tar's files in `count` layers of about one size; each brings the directories that it has files in, as overlay's do."""
    limit, layers, directories = path.stat().st_size / count, [], {}
    archive = buffer = None
    brought = set()
    with tarfile.open(path) as whole:
        for entry in whole:
            if entry.isdir():
                directories[entry.name] = entry
                continue
            if archive is None or (buffer.tell() > limit and len(layers) + 1 < count):
                if archive:
                    archive.close()
                    layers.append(buffer.getvalue())
                buffer, brought = io.BytesIO(), set()
                archive = tarfile.open(fileobj=buffer, mode="w")
            for ancestor in reversed(pathlib.PurePosixPath(entry.name).parents):
                name = str(ancestor) if entry.name[:2] != "./" else "./" + str(ancestor)
                found = directories.get(name) or directories.get(str(ancestor))
                if found and found.name not in brought:
                    brought.add(found.name)
                    archive.addfile(found)
            archive.addfile(entry, whole.extractfile(entry) if entry.isreg() else None)
    archive.close()
    return [*layers, buffer.getvalue()]


def prepare(directory):
    """The archives of both images; their names by kind."""
    directory.mkdir(exist_ok=True)
    plain = debian_tar(directory)
    packed = directory / "debian.tar.gz"
    if not packed.exists():
        with open(plain, "rb") as source, gzip.open(directory / "new.gz", "wb", 6) as target:
            shutil.copyfileobj(source, target, 1 << 20)
        (directory / "new.gz").rename(packed)
    for kind, layers in (("one", lambda: [plain.read_bytes()]), ("ten", lambda: split_layers(plain, 10))):
        archive = directory / f"{kind}.tar"
        if not archive.exists():
            archive.write_bytes(docker_archive([f"perf/{kind}:1"], layers()))
    return plain, packed


def cpu_of_tree(pid):
    """User and system time of a process and its descendants so far, those that ended and were waited for included."""
    times, parents = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
            times[int(entry.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    pending, total = [pid], 0.0
    while pending:
        one = pending.pop()
        total += times.get(one, 0)
        pending += [child for child, parent in parents.items() if parent == one]
    return total


class Berth:
    name = "berth"

    def __init__(self, _directory):
        self.engines = []

    def clean(self, _kind):
        if self.engines:
            self.engine.stop()
        self.engine = Engine().start()
        self.engines.append(self.engine)

    def measured(self, *arguments):
        before = cpu_of_tree(self.engine.process.pid)
        begin = time.perf_counter()
        self.engine.docker(*arguments, timeout=600)
        return time.perf_counter() - begin, cpu_of_tree(self.engine.process.pid) - before

    def load(self, archive):
        return self.measured("load", "-q", "-i", str(archive))

    def pull(self, reference):
        return self.measured("pull", "-q", reference)

    def close(self):
        for engine in self.engines:
            engine.stop()
            engine.remove()


def timed(*command, environment=None):
    before, begin = os.times(), time.perf_counter()
    done = subprocess.run(list(map(str, command)), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr[-500:]}")
    after = os.times()
    return (time.perf_counter() - begin, after.children_user + after.children_system - before.children_user - before.children_system)


class Podman:
    name = "podman"

    def __init__(self, directory):
        self.root = directory / "podman"
        self.root.mkdir(exist_ok=True)
        (self.root / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(self.root)}
        self.command = ["podman", "--root", self.root / "store", "--runroot", self.root / "run", "--storage-driver", "overlay",
                        "--cgroup-manager", "cgroupfs", "--events-backend", "file"]
        self.stores = 0

    def clean(self, _kind):
        self.stores += 1
        self.command[2] = self.root / f"store{self.stores}"

    def load(self, archive):
        return timed(*self.command, "load", "-q", "--signature-policy", self.root / "policy.json", "-i", archive, environment=self.environment)

    def pull(self, reference):
        return timed(*self.command, "pull", "-q", "--tls-verify=false", "--signature-policy", self.root / "policy.json", reference,
                     environment=self.environment)

    def close(self):
        subprocess.run([*IN_NAMESPACE, "rm", "-rf", self.root], check=False)


class Skopeo:
    name = "skopeo (dir)"

    def __init__(self, directory):
        self.target = directory / "skopeo"

    def clean(self, _kind):
        shutil.rmtree(self.target, ignore_errors=True)

    def load(self, archive):
        return timed("skopeo", "--insecure-policy", "copy", "-q", f"docker-archive:{archive}", f"dir:{self.target}")

    def pull(self, reference):
        return timed("skopeo", "--insecure-policy", "copy", "-q", "--src-tls-verify=false", f"docker://{reference}", f"dir:{self.target}")

    def close(self):
        self.clean("")


def floors(directory, plain, packed):
    """Each gives (wall, CPU); all but the decompressions write the files and sync."""
    tree = directory / "tree"
    if not tree.exists():
        tree.mkdir()
        subprocess.run([*IN_NAMESPACE, "tar", "-xf", plain, "-C", tree, "--exclude=./dev/*"], check=True)

    def written(command):
        target = directory / "unpacked" / str(random.getrandbits(64))
        target.mkdir(parents=True)
        subprocess.run(["sync", "-f", directory], check=True)
        return timed(*IN_NAMESPACE, "sh", "-c", f"cd {target} && {command} && sync -f .")
    found = {"tar -x": lambda: written(f"tar -xf {plain} --exclude='./dev/*'"),
             "tar -xzf": lambda: written(f"tar -xzf {packed} --exclude='./dev/*'"),
             "cp -a": lambda: written(f"cp -a --reflink=never {tree} copy"),
             "gzip -dc": lambda: timed("gzip", "-dc", packed)}
    if shutil.which("igzip"):
        found["igzip -dc"] = lambda: timed("igzip", "-dc", packed)
    return found


def measure(runs, samples):
    results = {key: [] for key in runs}
    for _ in range(samples):
        for key in random.sample(list(runs), len(runs)):
            results[key].append(runs[key]())
            print(key, "{:.2f} s ({:.2f} CPU)".format(*results[key][-1]), flush=True)
    return results


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=5)
    parser.add_argument("--only", default="", help="engines and floors to run")
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path(f"/tmp/berth-perf-{os.getuid()}"))
    options = parser.parse_args()
    plain, packed = prepare(options.directory)
    store = options.directory / "registry"
    store.mkdir(exist_ok=True)
    registry = Registry(store)
    registry.start()
    engines = [kind(options.directory) for kind, program in ((Berth, "sh"), (Podman, "podman"), (Skopeo, "skopeo"))
               if shutil.which(program) and (not options.only or kind.name in options.only)]
    runs = {key: run for key, run in floors(options.directory, plain, packed).items() if not options.only or key in options.only}

    def add(engine, kind, verb, argument):
        def run():
            engine.clean(kind)
            subprocess.run(["sync", "-f", options.directory], check=True)
            return getattr(engine, verb)(argument)
        runs[f"{engine.name}: {verb} {kind}"] = run
    try:
        for kind in ("one", "ten"):
            reference = f"{registry.address}/perf/{kind}:1"
            if not (store / f"store/docker/registry/v2/repositories/perf/{kind}").exists():
                timed("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"docker-archive:{options.directory}/{kind}.tar",
                      f"docker://{reference}")
            for engine in engines:
                add(engine, kind, "load", options.directory / f"{kind}.tar")
                add(engine, kind, "pull", reference)
        results = measure(runs, options.samples)
    finally:
        registry.stop()
        for engine in engines:
            engine.close()
        subprocess.run([*IN_NAMESPACE, "rm", "-rf", options.directory / "unpacked"], check=True)
    print(f"\n{plain.stat().st_size >> 20} MiB of tar, {packed.stat().st_size >> 20} MiB as gzip; {options.samples} samples, load {os.getloadavg()[0]:.1f}")
    print("| what | wall s: median / min | CPU s: median |\n| --- | --- | --- |")
    for key, values in results.items():
        walls, cpus = zip(*values)
        print(f"| {key} | {statistics.median(walls):.2f} / {min(walls):.2f} | {statistics.median(cpus):.2f} |")


if __name__ == "__main__":
    main()
