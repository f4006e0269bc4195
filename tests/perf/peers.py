"""Engines that bench.py can measure: berth, and rootless podman and dockerd where they are installed."""
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from engine import Engine


def pss_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except (OSError, StopIteration):  # it ended
        return 0


def descendants(pid):
    """`pid` and what it started, by their command lines."""
    found, parents = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    pending = [pid]
    while pending:
        one = pending.pop()
        try:
            found[one] = pathlib.Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        pending += [child for child, parent in parents.items() if parent == one]
    return found


def memory_directory():
    """Where a user's run-time directory is in real life: in memory."""
    for place in (os.environ.get("XDG_RUNTIME_DIR"), "/dev/shm"):
        if place and os.access(place, os.W_OK):
            return place
    return None


class Measured(Engine):
    """An Engine whose start is timed and whose memory is summed over its processes."""
    name = ""

    def __init__(self):
        super().__init__()
        self.run = tempfile.mkdtemp(prefix="bt-", dir=memory_directory())
        self.socket = self.run + "/docker.sock"
        self.environment["XDG_RUNTIME_DIR"] = self.run

    def remove(self):
        super().remove()
        subprocess.run(["unshare", "--user", "--map-root-user", "--map-auto", "rm", "-rf", self.run], check=False,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(self.run, ignore_errors=True)

    def timed_start(self):
        begin = time.perf_counter()
        self.launch()
        while not self.answers():
            if time.perf_counter() - begin > 60:
                raise RuntimeError(f"{self.name} does not answer: {self.log()[-500:]}")
            time.sleep(0.001)
        return (time.perf_counter() - begin) * 1000

    def launch(self):
        self.start(wait=False)

    def pss_mib(self):
        """All processes of the engine; those inside containers (`sleep`) do not count."""
        found = self.processes() | descendants(self.process.pid)
        return sum(pss_kib(pid) for pid, line in found.items() if not line.startswith("sleep ")) / 1024


class Berth(Measured):
    name = "berth"


class Peer(Measured):
    command = []

    def launch(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen(self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        start_new_session=True)
        log.close()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)


class Podman(Peer):
    name = "podman"

    def __init__(self):
        super().__init__()
        self.command = ["podman", "system", "service", "--time=0", "unix://" + self.socket]
        # It refuses to use half-delegated cgroups; without systemd there is no journal either.
        place = self.root / "config/containers"
        place.mkdir()
        (place / "containers.conf").write_text('[containers]\ncgroups="disabled"\nlog_driver="k8s-file"\n[engine]\n'
                                               'cgroup_manager="cgroupfs"\nevents_logger="file"\nruntime="crun"\n')
        (place / "storage.conf").write_text('[storage]\ndriver="overlay"\n')
        (place / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')

    def stop(self):
        super().stop()
        # The service is a process of its own, which outlives the one that was started.
        for pid, line in self.processes().items():
            if "system service" in line:
                os.kill(pid, signal.SIGKILL)
        pathlib.Path(self.socket).unlink(missing_ok=True)


class Dockerd(Peer):
    name = "dockerd"

    def __init__(self):
        super().__init__()
        self.command = ["dockerd-rootless.sh", "--host", "unix://" + self.socket, "--data-root", str(self.root / "data/docker")]


def available_peers(wanted):
    """Those of the names whose program is there."""
    known = {"podman": ("podman", Podman), "dockerd": ("dockerd-rootless.sh", Dockerd)}
    return [kind() for name, (program, kind) in known.items() if name in wanted and shutil.which(program)]
