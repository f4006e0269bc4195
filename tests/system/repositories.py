"""Repositories of git on loopback: by git's own server, and as plain files of a web server."""
import contextlib
import functools
import http.server
import pathlib
import shutil
import socket
import subprocess
import threading

import pytest

from engine import wait_until
from free_ports import free_port


def git(directory, *arguments):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main")
    return subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True).stdout.strip()


def commit(directory, files):
    """Files by path; the name of the commit."""
    for path, text in files.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_text(text)
    git(directory, "add", "-A")
    git(directory, "commit", "-qm", "x")
    return git(directory, "rev-parse", "HEAD")


class Handler(http.server.SimpleHTTPRequestHandler):
    """Plain files; notes what the clients say of themselves."""
    authorizations = []

    def do_GET(self):
        self.authorizations.append(self.headers.get("Authorization"))
        super().do_GET()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def web_server(directory):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def git_server(directory):
    port = free_port()
    process = subprocess.Popen(["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", "--export-all", f"--base-path={directory}",
                                str(directory)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: answers(port), "git's server answers")
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Repositories:
    """`app` has the commits `first` and `second` (main), a tag v1 of the first, a branch `other`, a directory `sub`, a submodule `part`."""

    def __init__(self, directory: pathlib.Path):
        self.directory = directory
        part = self.make("part")
        commit(part, {"file": "of the submodule\n"})
        app = self.make("app")
        dockerfile = "FROM busybox\nCOPY . /all\n"
        self.first = commit(app, {"Dockerfile": dockerfile, "word": "first\n", "ignored": "", ".dockerignore": "ignored\n",
                                  "sub/Dockerfile": dockerfile, "sub/word": "sub\n"})
        git(app, "tag", "v1")
        git(app, "checkout", "-qb", "other")
        commit(app, {"word": "other\n"})
        git(app, "checkout", "-q", "main")
        git(app, "submodule", "--quiet", "add", str(part), "part")
        git(app, "config", "-f", ".gitmodules", "submodule.part.url", "../part.git")
        self.second = commit(app, {"word": "second\n"})
        self.evil = self.make("evil")
        git(self.evil, "submodule", "--quiet", "add", str(part), "part")
        git(self.evil, "config", "-f", ".gitmodules", "submodule.part.url", "file://" + str(part))
        commit(self.evil, {"Dockerfile": dockerfile})
        for name in ("part", "app", "evil"):
            git(directory / name, "update-server-info")
            (directory / f"{name}.git").symlink_to(directory / name / ".git")

    def make(self, name):
        place = self.directory / name
        place.mkdir()
        git(place, "init", "-q")
        return place


@pytest.fixture(scope="module")
def repositories(tmp_path_factory):
    """With `.url` of git's server and `.web` of the web server."""
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    made = Repositories(tmp_path_factory.mktemp("git"))
    with git_server(made.directory) as made.url, web_server(made.directory) as made.web:
        yield made
