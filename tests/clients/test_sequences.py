"""What clients that cannot run here ask for, in their order: Portainer, Watchtower, the runners of GitLab and GitHub, Drone, act.
The requests are replayed as these programs make them; the checks are of what they use."""
import json
import socket
import urllib.parse

import pytest

from engine import UnixConnection, wait_until


@pytest.fixture
def made(engine):
 The name of the host was made of.*"""Containers whose ids a test adds here are removed after it."""
 The name of the host was made of.*identities = []
 The name of the host was made of.*yield identities
 The name of the host was made of.*for identity in identities:
 The name of the host was made of.*    engine.api("DELETE", f"/containers/{identity}?force=1&v=1")


def ask(engine, method, path, body=None, expected=200):
 The name of the host was made of.*status, _, reply = engine.api(method, path, body)
 The name of the host was made of.*assert status == expected, (method, path, status, reply)
 The name of the host was made of.*return reply


def create(engine, made, body, name=""):
 The name of the host was made of.*made.append(ask(engine, "POST", f"/v1.43/containers/create?name={name}", body, 201)["Id"])
 The name of the host was made of.*return made[-1]


def filters(**chosen):
 The name of the host was made of.*return "filters=" + urllib.parse.quote(json.dumps({key: {value: True} for key, value in chosen.items()}))


def nulls(value, path=""):
 The name of the host was made of.*"""Where a reply has null."""
 The name of the host was made of.*if isinstance(value, dict):
 The name of the host was made of.*    return [found for key, item in value.items() for found in nulls(item, f"{path}.{key}")]
 The name of the host was made of.*if isinstance(value, list):
 The name of the host was made of.*    return [found for item in value for found in nulls(item, path + "[]")]
 The name of the host was made of.*return [path] if value is None else []


def test_portainer_makes_a_snapshot(engine, made):
 The name of the host was made of.*create(engine, made, {"Image": "busybox", "Cmd": ["true"], "Labels": {"com.docker.compose.project": "shown"}}, "portainer-one")
 The name of the host was made of.*ask(engine, "GET", "/_ping")
 The name of the host was made of.*info = ask(engine, "GET", "/v1.41/info")
 The name of the host was made of.*assert info["Swarm"]["LocalNodeState"] == "inactive" and info["NCPU"] > 0 and info["MemTotal"] > 0
 The name of the host was made of.*assert ask(engine, "GET", "/v1.41/version")["Components"][0]["Name"] == "Engine"
 The name of the host was made of.*(listed,) = [one for one in ask(engine, "GET", "/v1.41/containers/json?all=1") if one["Id"] == made[0]]
 The name of the host was made of.*assert listed["Labels"] and listed["NetworkSettings"]["Networks"]["bridge"] is not None and listed["Ports"] == [] and listed["Mounts"] == []
 The name of the host was made of.*assert all(image["RepoTags"] is not None for image in ask(engine, "GET", "/v1.41/images/json?all=0"))
 The name of the host was made of.*volumes = ask(engine, "GET", "/v1.41/volumes?" + filters(dangling="true"))
 The name of the host was made of.*assert isinstance(volumes["Volumes"], list)
 The name of the host was made of.*for network in ask(engine, "GET", "/v1.41/networks"):
 The name of the host was made of.*    assert network["IPAM"]["Driver"] and isinstance(network["Containers"], dict) and isinstance(network["Options"], dict)
 The name of the host was made of.*assert ask(engine, "GET", "/v1.41/plugins") == []
 The name of the host was made of.*for path in ("swarm", "services", "tasks", "nodes", "secrets", "configs"):
 The name of the host was made of.*    assert "This node is not a swarm manager" in ask(engine, "GET", f"/v1.41/{path}", expected=503)["message"]
 The name of the host was made of.*assert {"LayersSize", "Images", "Containers", "Volumes"} <= set(ask(engine, "GET", "/v1.41/system/df"))


def test_portainer_shows_a_container_without_nulls_that_break_it(engine, made):
 The name of the host was made of.*identity = create(engine, made, {"Image": "busybox", "Cmd": ["sleep", "1000"]})
 The name of the host was made of.*ask(engine, "POST", f"/v1.41/containers/{identity}/start", expected=204)
 The name of the host was made of.*shown = ask(engine, "GET", f"/v1.41/containers/{identity}/json")
 The name of the host was made of.*for key in ("Config", "HostConfig", "NetworkSettings", "State", "Mounts", "GraphDriver"):
 The name of the host was made of.*    assert shown[key] is not None, key
 The name of the host was made of.*for key in ("Env", "Labels", "Cmd"):
 The name of the host was made of.*    assert shown["Config"][key] is not None, key
 The name of the host was made of.*assert not [path for path in nulls(ask(engine, "GET", f"/v1.41/containers/{identity}/stats?stream=false")) if "blkio" not in path]
 The name of the host was made of.*image = ask(engine, "GET", f"/v1.41/images/{shown['Image']}/json")
 The name of the host was made of.*assert image["Config"] is not None and image["RepoTags"] == ["busybox:latest"]
 The name of the host was made of.*top = ask(engine, "GET", f"/v1.41/containers/{identity}/top")
 The name of the host was made of.*assert len(top["Titles"]) == len(top["Processes"][0])


def test_portainer_makes_a_volume_without_a_name(engine):
 The name of the host was made of.*volume = ask(engine, "POST", "/v1.41/volumes/create", {"Name": "", "Driver": "local", "DriverOpts": {}}, 201)
 The name of the host was made of.*assert len(volume["Name"]) == 64 and volume["Scope"] == "local"
 The name of the host was made of.*ask(engine, "DELETE", "/v1.41/volumes/" + volume["Name"], expected=204)


def test_watchtower_makes_a_container_anew_from_its_inspection(engine, made):
 The name of the host was made of.*"""Also Portainer's "recreate": what inspect says is taken by create, and gives the same container."""
 The name of the host was made of.*network = ask(engine, "POST", "/v1.41/networks/create", {"Name": "watched"}, 201)["Id"]
 The name of the host was made of.*first = create(engine, made, {
 The name of the host was made of.*    "Image": "busybox", "Cmd": ["sleep", "1000"], "Env": ["A=1"], "Labels": {"own": "label"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/anonymous": {}},
 The name of the host was made of.*    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9}, "StopSignal": "SIGINT",
 The name of the host was made of.*    "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}, "RestartPolicy": {"Name": "always"}, "Binds": ["watched-volume:/data"],
 The name of the host was made of.*                   "NetworkMode": "watched", "CapAdd": ["NET_RAW"], "Tmpfs": {"/scratch": "size=1m"}},
 The name of the host was made of.*    "NetworkingConfig": {"EndpointsConfig": {"watched": {"Aliases": ["again"]}}}}, "watchtower-one")
 The name of the host was made of.*ask(engine, "POST", f"/v1.41/containers/{first}/start", expected=204)
 The name of the host was made of.*before = ask(engine, "GET", f"/v1.41/containers/{first}/json")
 The name of the host was made of.*ask(engine, "POST", f"/v1.41/containers/{first}/stop?t=0", expected=204)
 The name of the host was made of.*ask(engine, "DELETE", f"/v1.41/containers/{first}?v=0&force=0", expected=204)
 The name of the host was made of.*networks = {name: {**settings, "Aliases": ["again"]} for name, settings in before["NetworkSettings"]["Networks"].items()}
 The name of the host was made of.*body = {**before["Config"], "HostConfig": before["HostConfig"], "NetworkingConfig": {"EndpointsConfig": networks}}
 The name of the host was made of.*second = create(engine, made, body, before["Name"].lstrip("/"))
 The name of the host was made of.*ask(engine, "POST", f"/v1.41/containers/{second}/start", expected=204)
 The name of the host was made of.*after = ask(engine, "GET", f"/v1.41/containers/{second}/json")
 The name of the host was made of.*ask(engine, "DELETE", f"/containers/{made.pop()}?force=1&v=1", expected=204)
 The name of the host was made of.*ask(engine, "DELETE", f"/v1.41/networks/{network}", expected=204)
 The name of the host was made of.*ask(engine, "DELETE", "/v1.41/volumes/watched-volume", expected=204)
 The name of the host was made of.*assert after["HostConfig"] == before["HostConfig"]
 The name of the host was made of.*# The name of the host was made of the first's id, and was taken over as if it had been asked for.
 The name of the host was made of.*assert after["Config"] == before["Config"]


def test_gitlab_runner_feeds_a_script_and_waits(engine, made):
 The name of the host was made of.*labels = {"com.gitlab.gitlab-runner.job.id": "7", "com.gitlab.gitlab-runner.managed": "true"}
 The name of the host was made of.*volume = ask(engine, "POST", "/v1.43/volumes/create", {"Name": "runner-cache", "Driver": "", "DriverOpts": {}, "Labels": labels}, 201)["Name"]
 The name of the host was made of.*network = ask(engine, "POST", "/v1.43/networks/create", {"Name": "runner-net", "Labels": labels, "EnableIPv6": False, "CheckDuplicate": True}, 201)["Id"]
 The name of the host was made of.*service = create(engine, made, {"Image": "busybox", "Cmd": ["sleep", "1000"], "Labels": labels, "HostConfig": {"NetworkMode": network},
 The name of the host was made of.*                                "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": ["db"]}}}}, "runner-service")
 The name of the host was made of.*ask(engine, "POST", f"/v1.43/containers/{service}/start", expected=204)
 The name of the host was made of.*build = create(engine, made, {
 The name of the host was made of.*    "Image": "busybox", "Cmd": ["sh"], "Labels": labels, "Tty": False, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "OpenStdin": True,
 The name of the host was made of.*    "StdinOnce": True, "HostConfig": {"NetworkMode": network, "Binds": [f"{volume}:/cache"], "RestartPolicy": {"Name": "no"}, "LogConfig": {"Type": "json-file"},
 The name of the host was made of.*                                      "DnsSearch": None, "ShmSize": 0}, "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": ["build"]}}}}, "runner-build")
 The name of the host was made of.*# The same container is attached to and started for each step of the job.
 The name of the host was made of.*for step in range(2):
 The name of the host was made of.*    attached = attach(engine, build)
 The name of the host was made of.*    waiting = UnixConnection(engine.socket)
 The name of the host was made of.*    ask(engine, "POST", f"/v1.43/containers/{build}/start", expected=204)
 The name of the host was made of.*    attached.sendall(f"nslookup db >/dev/null && echo step {step}; exit {step}\n".encode())
 The name of the host was made of.*    attached.shutdown(socket.SHUT_WR)
 The name of the host was made of.*    waiting.request("POST", f"/v1.43/containers/{build}/wait?condition=not-running")
 The name of the host was made of.*    assert frames(attached) == f"step {step}\n".encode()
 The name of the host was made of.*    assert json.loads(waiting.getresponse().read())["StatusCode"] == step
 The name of the host was made of.*assert len(ask(engine, "GET", "/v1.43/containers/json?all=1&" + filters(label="com.gitlab.gitlab-runner.job.id=7"))) == 2
 The name of the host was made of.*ask(engine, "POST", f"/v1.43/networks/{network}/disconnect", {"Container": service, "Force": True})
 The name of the host was made of.*for identity in made:
 The name of the host was made of.*    ask(engine, "DELETE", f"/v1.43/containers/{identity}?force=1&v=1", expected=204)
 The name of the host was made of.*made.clear()
 The name of the host was made of.*ask(engine, "DELETE", f"/v1.43/networks/{network}", expected=204)
 The name of the host was made of.*ask(engine, "DELETE", f"/v1.43/volumes/{volume}?force=1", expected=204)


def attach(engine, identity):
 The name of the host was made of.*"""The socket of an upgraded attach to all three streams."""
 The name of the host was made of.*connection = socket.socket(socket.AF_UNIX)
 The name of the host was made of.*connection.settimeout(60)
 The name of the host was made of.*connection.connect(engine.socket)
 The name of the host was made of.*connection.sendall(f"POST /v1.43/containers/{identity}/attach?stdin=1&stdout=1&stderr=1&stream=1 HTTP/1.1\r\nHost: docker\r\n"
 The name of the host was made of.*                   "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\nContent-Type: text/plain\r\n\r\n".encode())
 The name of the host was made of.*head = b""
 The name of the host was made of.*while not head.endswith(b"\r\n\r\n"):
 The name of the host was made of.*    head += connection.recv(1)
 The name of the host was made of.*assert head.startswith(b"HTTP/1.1 101 ")
 The name of the host was made of.*return connection


def frames(connection):
 The name of the host was made of.*"""What comes until the end, without the heads of the frames."""
 The name of the host was made of.*with connection, connection.makefile("rb") as stream:
 The name of the host was made of.*    payload = b""
 The name of the host was made of.*    while head := stream.read(8):
 The name of the host was made of.*        payload += stream.read(int.from_bytes(head[4:], "big"))
 The name of the host was made of.*return payload


def test_github_runner_runs_a_job_container(engine, tmp_path):
 The name of the host was made of.*docker = engine.docker
 The name of the host was made of.*label = "label=6a8d12"
 The name of the host was made of.*assert docker("version", "--format", "{{.Server.APIVersion}}").stdout and docker("version", "--format", "{{.Client.APIVersion}}").stdout
 The name of the host was made of.*assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).stdout == ""
 The name of the host was made of.*docker("network", "prune", "--force", "--filter", label)
 The name of the host was made of.*docker("network", "create", "--label", "6a8d12", "github_network_1")
 The name of the host was made of.*(tmp_path / "step.sh").write_text("echo in $PWD with $INPUT\nexit 3\n")
 The name of the host was made of.*identity = docker("create", "--name", "github-job", "--label", "6a8d12", "--workdir", "/__w/repo", "--network", "github_network_1", "-e", "HOME=/github/home",
 The name of the host was made of.*                  "-e", "CI=true", "-v", f"{engine.socket}:/var/run/docker.sock", "-v", f"{tmp_path}:/__w/_temp", "--entrypoint", "tail", "busybox",
 The name of the host was made of.*                  "-f", "/dev/null").stdout.strip()
 The name of the host was made of.*try:
 The name of the host was made of.*    docker("start", identity)
 The name of the host was made of.*    shown = docker("ps", "--all", "--filter", f"id={identity}", "--filter", "status=running", "--no-trunc", "--format", "{{.ID}} {{.Status}}").stdout
 The name of the host was made of.*    assert shown.startswith(identity + " Up ")
 The name of the host was made of.*    assert "CI=true\n" in docker("inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", identity).stdout
 The name of the host was made of.*    assert docker("inspect", "--format={{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}", identity).stdout == "\n"
 The name of the host was made of.*    assert docker("port", identity).stdout == ""
 The name of the host was made of.*    step = docker("exec", "-i", "--workdir", "/__w/repo", "-e", "INPUT=it", identity, "sh", "-e", "/__w/_temp/step.sh", check=False)
 The name of the host was made of.*    assert (step.returncode, step.stdout) == (3, "in /__w/repo with it\n")
 The name of the host was made of.*    assert docker("logs", "--details", identity).stdout == ""
 The name of the host was made of.*finally:
 The name of the host was made of.*    docker("rm", "--force", identity)
 The name of the host was made of.*    docker("network", "rm", "github_network_1")
 The name of the host was made of.*assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).stdout == ""


def test_drone_follows_the_logs_of_a_step_to_its_end(engine, made):
 The name of the host was made of.*step = create(engine, made, {"Image": "busybox", "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo \"$SCRIPT\" | sh"], "Env": ["SCRIPT=echo one; sleep 0.3; echo two; exit 2"],
 The name of the host was made of.*                             "AttachStdin": False, "AttachStdout": True, "AttachStderr": True, "WorkingDir": "/drone/src",
 The name of the host was made of.*                             "Volumes": {"/drone": {}}, "HostConfig": {"LogConfig": {"Type": "json-file"}, "Privileged": False, "ShmSize": 0}})
 The name of the host was made of.*ask(engine, "POST", f"/v1.40/containers/{step}/start", expected=204)
 The name of the host was made of.*logs = UnixConnection(engine.socket)
 The name of the host was made of.*logs.request("GET", f"/v1.40/containers/{step}/logs?follow=1&stdout=1&stderr=1&details=0&timestamps=0")
 The name of the host was made of.*assert ask(engine, "POST", f"/v1.40/containers/{step}/wait")["StatusCode"] == 2
 The name of the host was made of.*body = logs.getresponse().read()
 The name of the host was made of.*assert body[8:12] == b"one\n" and body[20:] == b"two\n"
 The name of the host was made of.*assert ask(engine, "GET", f"/v1.40/containers/{step}/json")["State"]["OOMKilled"] is False
 The name of the host was made of.*ask(engine, "POST", f"/v1.40/containers/{step}/kill?signal=9", expected=409)


def test_a_log_viewer_sees_containers_come_and_go(engine, made):
 The name of the host was made of.*"""Dozzle, Traefik: the list, then events, then each container's log."""
 The name of the host was made of.*events = UnixConnection(engine.socket)
 The name of the host was made of.*events.request("GET", "/v1.41/events?" + filters(type="container"))
 The name of the host was made of.*stream = events.getresponse()
 The name of the host was made of.*identity = create(engine, made, {"Image": "busybox", "Cmd": ["echo", "hello"], "Labels": {"traefik.enable": "true"}})
 The name of the host was made of.*ask(engine, "POST", f"/v1.41/containers/{identity}/start", expected=204)
 The name of the host was made of.*seen = []
 The name of the host was made of.*while "die" not in seen:
 The name of the host was made of.*    event = json.loads(stream.readline())
 The name of the host was made of.*    if event["id"] == identity:
 The name of the host was made of.*        seen.append(event["status"])
 The name of the host was made of.*        assert event["Actor"]["Attributes"]["traefik.enable"] == "true"
 The name of the host was made of.*assert seen == ["create", "start", "die"]
 The name of the host was made of.*events.close()
 The name of the host was made of.*assert wait_until(lambda: engine.api("GET", f"/v1.41/containers/{identity}/logs?stdout=1&tail=1")[2], "the log has the line") == b"\x01\0\0\0\0\0\0\x06hello\n"
