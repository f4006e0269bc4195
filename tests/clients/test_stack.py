"""A web server that counts its visitors in a database: the same by both composes and by the python SDK."""
import json
import shutil
import urllib.request

import pytest

from engine import wait_until

APP = """
import http.server, os, socket

class Visits(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        with socket.create_connection((os.environ["DATABASE"], 6379)) as database:
            database.sendall(b"INCR visits\\r\\n")
            count = database.recv(100)[1:].strip()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(count)
        print("visited", flush=True)

    def log_message(self, *arguments):
        pass

print("serving", flush=True)
http.server.ThreadingHTTPServer(("", 8000), Visits).serve_forever()
"""

PROJECT = """
services:
  app:
    image: python
    command: python3 /app/app.py
    init: true
    environment: {DATABASE: database}
    volumes: ["./app:/app:ro"]
    ports: ["127.0.0.1::8000"]
    networks: [front, back]
    restart: on-failure
    depends_on: {database: {condition: service_healthy}}
  database:
    image: redis
    command: redis-server --save 1 1 --bind 0.0.0.0 --protected-mode no
    volumes: ["kept:/data"]
    networks: [back]
    healthcheck: {test: [CMD, redis-cli, ping], interval: 300ms, retries: 20}
    stop_grace_period: 5s
volumes: {kept: {}}
networks: {front: {}, back: {internal: true}}
"""


def visit(address):
    def answer():
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=20) as reply:
                return int(reply.read())
        except OSError:
            return None
    return wait_until(answer, f"{address} answers")


@pytest.fixture(params=["docker-compose", "docker compose"])
def compose(request, engine, run, redis, python, tmp_path):
    # Debian 13's package has a docker-compose too, which is compose v2.
    older = request.param == "docker-compose"
    command = [shutil.which("docker-compose")] if older else ["docker", "compose"]
    if older and not command[0]:
        pytest.skip("docker-compose is not installed")
    if not older:
        request.getfixturevalue("compose_v2")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/app.py").write_text(APP)
    # compose 1.29 takes conditions in the formats before 3 only.
    (tmp_path / "docker-compose.yml").write_text(('version: "2.4"' if older else "") + PROJECT)
    name = "stack" + str(len(command))

    def call(*arguments, **options):
        return run(*command, "-p", name, *arguments, cwd=tmp_path, **options)

    yield call
    call("down", "-v", "-t", "0", check=False)


def test_compose_keeps_a_project_working(engine, compose):
    compose("up", "-d")
    address = compose("port", "app", "8000").stdout.strip()
    assert [visit(address), visit(address)] == [1, 2]
    assert "visited" in compose("logs", "app").stdout
    assert compose("exec", "-T", "database", "redis-cli", "get", "visits").stdout.strip().strip('"') == "2"
    # A stop saves, and what was saved is there after all containers were made anew.
    compose("down", "-t", "5")
    compose("up", "-d")
    assert visit(compose("port", "app", "8000").stdout.strip()) == 3
    compose("restart", "-t", "0", "app")
    assert visit(compose("port", "app", "8000").stdout.strip()) == 4
    compose("down", "-v", "-t", "0")
    assert "stack" not in engine.docker("volume", "ls", "-q").stdout + engine.docker("network", "ls").stdout + engine.docker("ps", "-a").stdout


def test_a_changed_service_alone_is_made_anew(compose, tmp_path):
    compose("up", "-d")
    database, app = compose("ps", "-q", "database").stdout, compose("ps", "-q", "app").stdout
    file = tmp_path / "docker-compose.yml"
    file.write_text(file.read_text().replace("DATABASE: database", "DATABASE: database, MORE: more"))
    compose("up", "-d")
    assert compose("ps", "-q", "database").stdout == database and compose("ps", "-q", "app").stdout != app
    assert compose("exec", "-T", "app", "sh", "-c", "echo $MORE").stdout.strip() == "more"


@pytest.mark.parametrize("compose", ["docker compose"], indirect=True)
def test_compose_v2_shows_its_projects(compose):
    compose("up", "-d", "--wait")
    assert [project["Name"] for project in json.loads(compose("ls", "--format", "json").stdout)] == ["stack2"]
    shown = [json.loads(line) for line in compose("ps", "--format", "json").stdout.splitlines()]
    assert {service["Service"]: (service["State"], service["Health"]) for service in shown} == {
        "app": ("running", ""), "database": ("running", "healthy")}
    assert "redis-server" in compose("top", "database").stdout
    assert "redis" in compose("images").stdout
    compose("kill", "app")
    compose("rm", "-f", "app")
    assert compose("ps", "-aq", "app").stdout == ""


def test_the_python_sdk_runs_the_same(engine, redis, python, tmp_path):
    docker = pytest.importorskip("docker", reason="python3-docker is not installed")
    client = docker.DockerClient(base_url="unix://" + engine.socket, version="auto", timeout=60)
    (tmp_path / "app.py").write_text(APP)
    network, made = client.networks.create("sdk-stack", driver="bridge"), []
    try:
        made.append(client.containers.run("redis", detach=True, name="sdk-database", network="sdk-stack",
                                          healthcheck={"test": ["CMD", "redis-cli", "ping"], "interval": 200_000_000}))
        made.append(client.containers.run("python", ["python3", "/app/app.py"], detach=True, init=True, network="sdk-stack",
                                          environment={"DATABASE": "sdk-database"}, ports={"8000/tcp": ("127.0.0.1", None)},
                                          volumes={str(tmp_path): {"bind": "/app", "mode": "ro"}}))
        database, app = made
        assert next(line for line in app.logs(stream=True, follow=True)) == b"serving\n"
        app.reload()
        assert visit("127.0.0.1:" + app.ports["8000/tcp"][0]["HostPort"]) == 1
        assert database.exec_run(["redis-cli", "get", "visits"]).output.strip() == b"1"
        wait_until(lambda: client.api.inspect_container(database.id)["State"]["Health"]["Status"] == "healthy", "the database is healthy")
        assert app.stats(stream=False)["id"] == app.id and app.top()["Processes"]
    finally:
        for container in made:
            container.remove(force=True, v=True)
        network.remove()
        client.close()
