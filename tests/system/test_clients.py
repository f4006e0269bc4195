"""Other clients at their everyday work: docker-compose of the machine (1.29 on Debian 12), and Debian 13's docker CLI with
compose v2 where tools/newer-clients could fetch them (BERTH_NEWER_CLIENTS names the directory)."""
import os
import pathlib
import shutil
import subprocess

import pytest

from engine import DOCKER

NEWER = pathlib.Path(os.environ.get("BERTH_NEWER_CLIENTS") or "/nonexistent")

PROJECT = """
services:
  web:
    image: busybox
    command: sh -c 'echo serving; exec sleep 1000'
    init: true
    network_mode: bridge
    environment: {NAME: value}
    volumes: ['data:/data', './src:/src:ro']
    tmpfs: ['/scratch:size=1m']
    labels: {role: web}
    ports: ['127.0.0.1::80']
  job:
    image: busybox
    network_mode: none
    command: sh -c 'echo working; exit 3'
volumes: {data: {}}
"""


def run(engine, *command, check=True, **options):
    # compose's exec and run call the docker CLI, which need not be a part of the machine.
    path = os.path.dirname(DOCKER) + ":" + engine.environment["PATH"]
    done = subprocess.run(command, env=dict(engine.environment, PATH=path, DOCKER_HOST="unix://" + engine.socket), text=True, timeout=120,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture
def newer(engine):
    if not (NEWER / "usr/bin/docker").exists():
        pytest.skip("no newer docker CLI: BERTH_NEWER_CLIENTS is not set or empty")
    plugins = pathlib.Path(engine.environment["HOME"]) / ".docker/cli-plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    if not (plugins / "docker-compose").exists():
        (plugins / "docker-compose").symlink_to(NEWER / "usr/libexec/docker/cli-plugins/docker-compose")
    return str(NEWER / "usr/bin/docker")


@pytest.fixture(params=["docker-compose", "docker compose"])
def compose(request, engine, tmp_path):
    if request.param == "docker compose":
        command = [request.getfixturevalue("newer"), "compose"]
    else:
        if not shutil.which("docker-compose"):
            pytest.skip("docker-compose is not installed")
        command = ["docker-compose"]
    name = "c1" if command == ["docker-compose"] else "c2"
    (tmp_path / "src").mkdir()
    (tmp_path / "src/file").write_text("from the host\n")
    (tmp_path / "docker-compose.yml").write_text(PROJECT)

    def call(*arguments, **options):
        return run(engine, *command, "-p", name, *arguments, cwd=tmp_path, **options)

    yield call
    call("down", "-v", "-t", "0", check=False)


def test_compose_brings_a_project_up_and_down(engine, compose):
    compose("up", "-d")
    # A second "up" finds everything as it should be and makes nothing anew.
    before = compose("ps", "-q", "web").stdout
    compose("up", "-d")
    assert compose("ps", "-q", "web").stdout == before != ""
    out = compose("exec", "-T", "web", "sh", "-c", "cat /src/file; echo $NAME; ls -d /data; grep -c ' /scratch ' /proc/mounts").stdout
    assert out == "from the host\nvalue\n/data\n1\n"
    logs = compose("logs").stdout
    assert "serving" in logs and "working" in logs
    assert compose("port", "web", "80").stdout.startswith("127.0.0.1:")
    compose("restart", "-t", "0", "web")
    compose("down", "-v", "-t", "0")
    assert engine.docker("ps", "-aq", "--filter", "label=role=web").stdout == ""
    assert engine.docker("volume", "ls", "-q", "--filter", "label=com.docker.compose.project").stdout == ""


NETWORKED = """
services:
  web:
    image: busybox
    command: sh -c 'while :; do echo served | nc -l -p 80; done'
    networks: {front: {aliases: [www]}, back: {}}
  db:
    image: busybox
    command: sleep 1000
    depends_on: [web]
    networks: {back: {ipv4_address: 10.86.0.10}}
  worker:
    image: busybox
    command: sleep 1000
    networks: [front]
networks:
  front: {}
  back:
    internal: true
    labels: {tier: back}
    ipam: {config: [{subnet: 10.86.0.0/24}]}
"""


def test_compose_connects_services_by_two_networks(engine, compose, tmp_path):
    (tmp_path / "docker-compose.yml").write_text(NETWORKED)
    compose("up", "-d")
    before = compose("ps", "-q").stdout
    compose("up", "-d")
    assert compose("ps", "-q").stdout == before and before.count("\n") == 3
    assert "10.86.0.10" in compose("exec", "-T", "db", "ip", "addr").stdout
    assert "default" not in compose("exec", "-T", "db", "ip", "route").stdout
    for service, name in (("db", "web"), ("worker", "web"), ("worker", "www")):
        asked = compose("exec", "-T", service, "sh", "-c", f"until nc -w 5 {name} 80 </dev/null; do :; done").stdout
        assert asked == "served\n", (service, name)
    assert compose("exec", "-T", "worker", "nslookup", "db", check=False).returncode != 0
    compose("up", "-d", "--scale", "worker=3")
    assert compose("ps", "-q", "worker").stdout.count("\n") == 3
    compose("down", "-v", "-t", "0")
    assert engine.docker("network", "ls", "-q", "--filter", "label=com.docker.compose.project").stdout == ""


def test_compose_run_gives_the_exit_code(compose):
    done = compose("run", "--rm", "job", check=False)
    assert done.returncode == 3 and "working" in done.stdout


def test_an_older_cli_negotiates_and_prints_without_complaint(engine, newer):
    out = run(engine, newer, "version", "--format", "{{.Client.APIVersion}} {{.Server.APIVersion}}").stdout.split()
    assert out[0] != out[1] == "1.51"
    info = run(engine, newer, "info")
    assert "rootless" in info.stdout and "expected" not in info.stdout
    name = "older-cli"
    assert run(engine, newer, "run", "-d", "--name", name, "-p", "127.0.0.1::80", "busybox", "sleep", "1000").returncode == 0
    assert run(engine, newer, "exec", name, "id", "-u").stdout == "0\n"
    assert run(engine, newer, "port", name).stdout.startswith("80/tcp -> 127.0.0.1:")
    assert name in run(engine, newer, "ps", "--format", "{{.Names}}").stdout.split()
    run(engine, newer, "rm", "-f", name)
    absent = run(engine, newer, "inspect", name, check=False)
    assert absent.returncode == 1 and "No such object: older-cli" in absent.stderr


NAMED = """
services:
  web:
    image: busybox
    command: sh -c 'echo page > /index.html; exec httpd -f -p 80 -h /'
    networks: [front, back]
    ports: ['127.0.0.1::80']
  worker:
    image: busybox
    command: sleep 1000
    init: true
    networks: {back: {aliases: [labourer]}}
  db:
    image: busybox
    command: sleep 1000
    init: true
    networks: [back]
networks: {front: {}, back: {internal: true}}
"""


def test_compose_services_reach_each_other_by_name(engine, newer, tmp_path):
    (tmp_path / "compose.yml").write_text(NAMED)

    def compose(*arguments, **options):
        return run(engine, newer, "compose", "-p", "named", *arguments, cwd=tmp_path, **options)

    try:
        compose("up", "-d", "--scale", "worker=2")
        assert compose("exec", "-T", "db", "wget", "-q", "-O", "-", "http://web/").stdout == "page\n"
        workers = {line.split(": ")[1] for line in compose("exec", "-T", "db", "nslookup", "labourer").stdout.splitlines()[2:]
                   if line.startswith("Address: ")}
        assert len(workers) == 2
        assert compose("exec", "-T", "web", "ping", "-c", "1", "-W", "5", "named-worker-2").returncode == 0
        assert "SERVFAIL" in compose("exec", "-T", "db", "nslookup", "example.org", check=False).stdout
        port = compose("port", "web", "80").stdout.strip()
        assert run(engine, "curl", "-s", "--retry-connrefused", "--retry", "5", f"http://{port}/index.html").stdout == "page\n"
    finally:
        compose("down", "-v", "-t", "0", check=False)
    assert engine.docker("network", "ls", "-q", "--filter", "label=com.docker.compose.project=named").stdout == ""


def test_compose_builds_its_services_with_the_classic_builder(engine, compose, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    monkeypatch.setitem(engine.environment, "DOCKER_BUILDKIT", "0")
    (tmp_path / "src/Dockerfile").write_text("FROM busybox AS base\nARG WORD\nRUN echo $WORD > /word\nCOPY file /\nFROM base\nCMD cat /word /file\n")
    (tmp_path / "docker-compose.yml").write_text(
        'version: "3.8"\nservices:\n  app:\n    image: composed-build:1\n    build: {context: src, target: base, args: {WORD: argued}, labels: {of: compose}}\n    command: cat /word /file\n')
    compose("build")
    assert compose("run", "--rm", "app").stdout.split() == ["argued", "from", "the", "host"]
    assert engine.inspect("composed-build:1")["Config"]["Labels"]["of"] == "compose"
    engine.docker("rmi", "-f", "composed-build:1")
