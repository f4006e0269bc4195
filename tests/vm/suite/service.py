"""The user's own berth.service, as an installation leaves it."""
import os
import pathlib
import subprocess

from engine import Engine, wait_until

# TCG is 10 to 30 times slower than the processor it runs on.
PATIENCE = 120


class Service(Engine):
    def __init__(self):  # not Engine's: nothing here is the test's own directory
        self.runtime = pathlib.Path(os.environ["XDG_RUNTIME_DIR"])
        self.home = pathlib.Path(os.environ["HOME"])
        self.root = self.runtime
        self.socket = str(self.runtime / "docker.sock")
        self.environment = dict(os.environ)
        self.process = None

    def install(self):
        done = subprocess.run(["berth", "setup", "install"], capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
        assert done.returncode == 0, f"berth setup install: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()}"

    def run(self, *command):
        return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout

    def systemctl(self, *arguments, check=True):
        done = subprocess.run(["systemctl", "--user", "--no-pager", *arguments], capture_output=True, text=True, timeout=120, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"systemctl --user {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}\n{self.log()[-3000:]}")
        return done.stdout

    def property(self, name, unit="berth.service"):
        return self.systemctl("show", "--value", "-p", name, unit).strip()

    def log(self):
        return subprocess.run(["journalctl", "--user", "-u", "berth.service", "--no-pager", "-o", "cat", "-n", "60"], capture_output=True,
                              text=True, check=False).stdout

    def start(self):
        self.systemctl("start", "berth.service")
        wait_until(self.answers, f"the engine answers; its log: {self.log()}", PATIENCE)

    def stop(self):
        self.systemctl("stop", "berth.service")

    def restart(self):
        self.systemctl("restart", "berth.service")
        wait_until(self.answers, "the engine answers after a restart", PATIENCE)

    def answers(self):
        try:
            return self.api("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def main_pid(self):
        return int(self.property("MainPID"))

    def cgroup_of(self, container):
        """The directory of a container's process 1 in the host's hierarchy, by its id."""
        pid = self.inspect(container)["State"]["Pid"]
        path = pathlib.Path(f"/proc/{pid}/cgroup").read_text().strip().rpartition("::")[2]
        return pathlib.Path("/sys/fs/cgroup") / path.lstrip("/")

    @staticmethod
    def parent_of(pid):
        return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
