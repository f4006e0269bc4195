"""Two machines: the plain user's, with berth, and another one on its network, from which clients come."""
import pathlib
import subprocess
import tempfile

import pytest

from engine import BUILD, DOCKER, wait_until
from images import busybox_rootfs_tar
from simulated_host import SimulatedHost

OWN, OTHER = ("192.0.2.1", "2001:db8::1"), ("192.0.2.7", "2001:db8::7")
# $1 address, $2 port, $3 stream or dgram: prints how the server sees this client, and how it is.
CLIENT = """
import socket, sys
address, port, kind = sys.argv[1], int(sys.argv[2]), getattr(socket, "SOCK_" + sys.argv[3])
client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
client.settimeout(10)
client.connect((address, port))
client.send(b"?")
print(client.recv(100).decode().strip())
print("%s %d" % client.getsockname()[:2])
"""


class TwoHosts:
    def __init__(self):
        self.host = SimulatedHost()
        if self.host.problem:
            return
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bt-"))
        self.root.chmod(0o755)
        self.host.root(f"""
            cd {self.root}; mkdir run data config home; chmod 700 *; chown 1000:1000 *
            ip address add {OWN[1]}/64 dev uplink nodad
            unshare --net sleep infinity </dev/null >/dev/null 2>&1 & echo $! >{self.root}/other""")
        self.other = (self.root / "other").read_text().strip()
        wait_until(lambda: self.host.root(f"readlink /proc/{self.other}/ns/net") != self.host.root("readlink /proc/$$/ns/net"), "the other machine")
        self.host.root(f"ip link set outside netns {self.other}")
        self.at_other("ip", "link", "set", "lo", "up")
        for address in (f"{OTHER[0]}/24", f"{OTHER[1]}/64"):
            self.at_other("ip", "address", "add", address, "dev", "outside", *(("nodad",) if ":" in address else ()))
        self.at_other("ip", "link", "set", "outside", "up")
        self.host.environment |= {"HOME": f"{self.root}/home", "XDG_RUNTIME_DIR": f"{self.root}/run", "XDG_DATA_HOME": f"{self.root}/data",
                                  "XDG_CONFIG_HOME": f"{self.root}/config", "DOCKER_HOST": f"unix://{self.root}/run/docker.sock"}
        self.log = self.root / "log"
        with self.log.open("wb") as log:
            self.engine = subprocess.Popen(
                ["nsenter", "--target", str(self.host.process.pid), "--user", "--mount", "--net", "--", "setpriv", "--reuid", "1000", "--regid", "1000",
                 "--clear-groups", "--inh-caps=-all", str(BUILD / "berthd")], env=self.host.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True)
        wait_until(lambda: self.host.user(DOCKER, "version").returncode == 0 or self.engine.poll() is not None, "the engine answers")
        assert self.engine.poll() is None, self.log.read_text()
        image = self.root / "busybox.tar"
        image.write_bytes(busybox_rootfs_tar())
        self.docker("import", str(image), "busybox")

    def docker(self, *arguments):
        done = self.host.user(DOCKER, *arguments)
        assert done.returncode == 0, f"docker {arguments}: {done.stdout}{done.stderr}{self.log.read_text()[-3000:]}"
        return done.stdout

    def at_other(self, *command):
        done = self.host.enter("nsenter", "--target", self.other, "--net", "--", *command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def close(self):
        if not self.host.problem:
            names = self.host.user(DOCKER, "ps", "-aq").stdout.split()
            self.host.user(DOCKER, "rm", "-f", *names)
            # Its process is the user's of the other namespace, who alone may end it.
            self.host.root(f"kill {self.engine.pid} {self.other}")
            self.engine.wait(60)
            self.host.root(f"rm -rf {self.root}")
        self.host.close()


@pytest.fixture(scope="module")
def hosts():
    both = TwoHosts()
    if both.host.problem:
        both.close()
        pytest.skip("no namespaces for a simulated host: " + both.host.problem)
    yield both
    both.close()


@pytest.fixture(scope="module")
def published(hosts):
    """A server that tells its clients how they look, on a network of both families; its port."""
    hosts.docker("network", "create", "--ipv6", "both")
    hosts.docker("run", "-d", "--name", "server", "--network", "both", "-p", "8080:9", "-p", "8080:9/udp", "-v",
                 f"{BUILD / 'tests/test_tool'}:/test_tool:ro", "busybox", "/test_tool", "who", "9")
    wait_until(lambda: hosts.docker("logs", "server").startswith("ready\n"), "the server listens")
    return 8080


@pytest.mark.parametrize("kind", ["STREAM", "DGRAM"])
@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_the_server_logs_the_other_machines_address(hosts, published, family, kind):
    seen, own = hosts.at_other("python3", "-c", CLIENT, OWN[family], str(published), kind).splitlines()
    assert own.startswith(OTHER[family] + " ")
    assert seen == own
    assert own in hosts.docker("logs", "server").splitlines()


def test_a_port_without_server_is_refused_to_the_other_machine(hosts):
    hosts.docker("run", "-d", "--name", "idle", "-p", "8081:9", "busybox", "sleep", "1000")
    out = hosts.host.enter("nsenter", "--target", hosts.other, "--net", "--", "python3", "-c", CLIENT, OWN[0], "8081", "STREAM")
    assert "ConnectionRefusedError" in out.stderr
