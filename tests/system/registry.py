"""Debian's docker-registry on loopback, filled by skopeo."""
import http.client
import pathlib
import shutil
import ssl
import subprocess

from engine import wait_until
from free_ports import free_port


class Registry:
    """With `password`, a pair of user and password, it asks for them; with `certificate`, a pair of files, it speaks TLS."""

    def __init__(self, directory: pathlib.Path, password=None, certificate=None):
        self.directory = directory
        self.address = f"127.0.0.1:{free_port()}"
        self.password = password
        self.certificate = certificate
        self.process = None

    def start(self):
        config = self.directory / "config.yml"
        text = (f"version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {self.directory}/store}}\n"
                f"  delete: {{enabled: true}}\nhttp:\n  addr: '{self.address}'\n")
        if self.certificate:
            text += f"  tls: {{certificate: {self.certificate[0]}, key: {self.certificate[1]}}}\n"
        if self.password:
            subprocess.run(["htpasswd", "-cbB", str(self.directory / "htpasswd"), *self.password], check=True, capture_output=True)
            text += f"auth:\n  htpasswd: {{realm: test, path: {self.directory}/htpasswd}}\n"
        config.write_text(text)
        self.serve(config)
        wait_until(lambda: self.answers() or self.serve_again(config), "the registry answers")

    def serve(self, config):
        self.process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)

    def serve_again(self, config):
        """A connection of somebody else may have had the port for a moment."""
        if self.process.poll() is not None:
            self.serve(config)

    def answers(self):
        try:
            if self.certificate:
                connection = http.client.HTTPSConnection(self.address, timeout=2, context=ssl._create_unverified_context())
            else:
                connection = http.client.HTTPConnection(self.address, timeout=2)
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
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

    def digest_of(self, name):
        """What skopeo, an independent client, finds there."""
        done = subprocess.run(["skopeo", "inspect", "--tls-verify=false", "--format", "{{.Digest}}", f"docker://{self.address}/{name}"],
                              check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def blobs(self):
        return list((self.directory / "store/docker/registry/v2/blobs").glob("*/*/*/data"))

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
