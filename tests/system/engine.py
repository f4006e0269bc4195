"""Starts and stops a berthd in directories of its own."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

BUILD = pathlib.Path(os.environ.get("BERTH_BUILD") or pathlib.Path(__file__).resolve().parents[2] / "build")
DOCKER = os.environ.get("BERTH_DOCKER") or shutil.which("docker")


def needs_cli(api_version):
    """Skips a test whose request the docker CLI at hand cannot make: Debian 12's is of 2020."""
    shown = subprocess.run([DOCKER, "version", "--format", "{{.Client.DefaultAPIVersion}}"], capture_output=True, text=True, check=False,
                           env={**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"}).stdout.strip()
    if shown and tuple(map(int, shown.split("."))) < tuple(map(int, api_version.split("."))):
        import pytest
        pytest.skip(f"the docker CLI speaks API {shown}, the test needs {api_version}")


def wait_until(condition, what, seconds=20):
    """Polls an outside fact that offers no event (a file, a process list) until a deadline."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(0.02)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def command_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class Engine:
    def __init__(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bt-"))
        for name in ("run", "data", "config", "home"):
            (self.root / name).mkdir(mode=0o700)
        self.socket = str(self.root / "run/docker.sock")
        self.log_path = self.root / "berthd.log"
        self.process = None
        self.build = BUILD
        self.environment = {
            "HOME": str(self.root / "home"), "PATH": os.environ["PATH"], "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": str(self.root / "run"), "XDG_DATA_HOME": str(self.root / "data"),
            "XDG_CONFIG_HOME": str(self.root / "config"),
        }

    def start(self, *arguments, wait=True):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([str(self.build / "berthd"), *arguments], env=self.environment, stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, start_new_session=True)
        log.close()
        if wait:
            wait_until(self.answers, f"the engine answers; its log: {self.log()[-3000:]}", 30)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"berthd ended with {self.process.returncode}: {self.log()[-4000:]}")
        try:
            return self.api("GET", "/_ping")[0] == 200
        except OSError:
            return False

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def processes(self):
        """Command lines by pid of everything of this engine that still lives."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                line = command_of(entry.name)
                variables = (entry / "environ").read_bytes() if os.access(entry / "environ", os.R_OK) else b""
            except OSError:
                continue
            if str(self.root) in line or str(self.root).encode() in variables:
                found[int(entry.name)] = line.strip()
        return found

    def pids(self, program):
        return [pid for pid, line in self.processes().items() if os.path.basename(line.split(" ")[0]) == program]

    def kill_9(self, program):
        """Kills a process of the engine and waits for the one that berthd starts in its place."""
        (old,) = self.pids(program)
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: [pid for pid in self.pids(program) if pid != old], f"a new {program}")

    def recorded(self, name):
        """The pid that berthd keeps of its holder, network or engine process; None: no such record."""
        try:
            return json.loads((self.root / f"run/berth/{name}.json").read_text())["pid"]
        except OSError:
            return None

    def inside_containers(self):
        """Processes of containers of this engine: what is mounted in them comes from its directories."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and any(self.is_source_of(line) for line in (entry / "mountinfo").read_text().splitlines()):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def is_source_of(self, line):
        """Whether a line of mountinfo shows something of this engine; where it is mounted does not count: a mount below our
        directory in the host's namespace (by fusermount) is seen by every process of the machine."""
        fields = line.split(" ")
        return any(str(self.root) in field for field in fields[:4] + fields[5:])

    def kill_containers(self):
        with contextlib.suppress(OSError):  # a test may have left no engine
            for container in self.api("GET", "/containers/json")[2]:
                self.api("POST", f"/containers/{container['Id']}/kill")

    def remove(self):
        # The holder has neither arguments nor an environment that tell whose it is.
        holder = self.recorded("holder")
        # A recorded pid may be another process's by now, or of another pid namespace.
        if holder and not command_of(holder).startswith("berthd holder"):
            holder = None
        for pid in [*self.inside_containers(), *self.processes(), *([holder] if holder else [])]:
            if pid == os.getpid() or "pytest" in command_of(pid):
                continue
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if os.environ.get("BERTH_KEEP"):
            return
        # Files of subordinate ids can be removed only from inside a user namespace that maps them.
        subprocess.run(["unshare", "--user", "--map-root-user", "--map-auto", "rm", "-rf", str(self.root)], check=False,
                       stderr=subprocess.DEVNULL)
        shutil.rmtree(self.root, ignore_errors=True)

    def docker(self, *arguments, input=None, check=True, timeout=120, **options):
        """Runs the docker CLI; text in and out unless `input` is bytes and text=False is given."""
        environment = dict(self.environment, DOCKER_HOST="unix://" + self.socket, **options.pop("env", {}))
        text = options.pop("text", not isinstance(input, bytes))
        done = subprocess.run([DOCKER, *arguments], env=environment, input=input, timeout=timeout, text=text,
                              stdin=None if input is not None else subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, **options)
        if check and done.returncode != 0:
            raise AssertionError(f"docker {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n"
                                 f"engine log: {self.log()[-3000:]}")
        return done

    def popen(self, *arguments, **options):
        environment = dict(self.environment, DOCKER_HOST="unix://" + self.socket, **options.pop("env", {}))
        return subprocess.Popen([DOCKER, *arguments], env=environment, **options)

    def api(self, method, path, body=None, headers=None, timeout=60):
        """(status, headers, body): body parsed when it is JSON."""
        connection = UnixConnection(self.socket, timeout)
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body=body, headers=headers)
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        if reply.headers.get("Content-Type") == "application/json" and data.count(b"\n") <= 1 and data.strip():
            data = json.loads(data)
        return reply.status, reply.headers, data

    def events(self, container):
        """Everything that has happened to a container so far."""
        return self.events_of({"container": [container]})

    def events_of(self, filters):
        filters = urllib.parse.quote(json.dumps(filters))
        connection = UnixConnection(self.socket)
        connection.request("GET", f"/events?since=0&until={time.time():.9f}&filters={filters}")
        return [json.loads(line) for line in connection.getresponse().read().splitlines()]

    def inspect(self, name):
        return json.loads(self.docker("inspect", name).stdout)[0]
