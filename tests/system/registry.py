"""Debian's docker-registry on loopback, filled by skopeo."""
import http.client
import pathlib
import shutil
import socket
import subprocess

from engine import wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Registry:
    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        self.process = None

    def start(self):
        config = self.directory / "config.yml"
        config.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {self.directory}/store}}\n"
                          f"  delete: {{enabled: true}}\nhttp: {{addr: '{self.address}'}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_until(self.answers, "the registry answers")

    def answers(self):
        try:
            connection = http.client.HTTPConnection(self.address, timeout=2)
            connection.request("GET", "/v2/")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def push(self, name, archive: bytes, *options):
        """Pushes a docker-archive by skopeo; the registry's reference of it."""
        if not shutil.which("skopeo"):
            import pytest
            pytest.skip("skopeo is not installed")
        path = self.directory / "push.tar"
        path.write_bytes(archive)
        reference = f"{self.address}/{name}"
        subprocess.run(["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", *options,
                        f"docker-archive:{path}", f"docker://{reference}"], check=True, capture_output=True)
        return reference

    def blobs(self):
        return list((self.directory / "store/docker/registry/v2/blobs").glob("*/*/*/data"))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
