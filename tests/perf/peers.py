"""Engines that bench.py can measure: berth, and rootless podman and dockerd where they are installed."""
import shutil
import signal
import subprocess
import time

from engine import Engine


def pss_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    except OSError:
        return 0


class Measured(Engine):
    """An Engine whose start is timed and whose memory is summed over its processes."""
    name = ""

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

    def pss_mib(self, containers=False):
        """All processes of the engine; those inside containers (`sleep`) do not count."""
        del containers
        return sum(pss_kib(pid) for pid, line in self.processes().items() if not line.startswith("sleep ")) / 1024


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


class Dockerd(Peer):
    name = "dockerd"

    def __init__(self):
        super().__init__()
        self.command = ["dockerd-rootless.sh", "--host", "unix://" + self.socket, "--data-root", str(self.root / "data/docker")]


def available_peers():
    peers = []
    if shutil.which("podman"):
        peers.append(Podman())
    if shutil.which("dockerd-rootless.sh"):
        peers.append(Dockerd())
    return peers
