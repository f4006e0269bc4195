"""What clients that cannot run here ask for, in their order: Portainer, Watchtower, the runners of GitLab and GitHub, Drone, act.
The requests are replayed as these programs make them; the checks are of what they use."""
import json
import socket
import urllib.parse

import pytest

from engine import UnixConnection, wait_until


@pytest.fixture
def made(engine):
    """Containers whose ids a test adds here are removed after it."""
    identities = []
    yield identities
    for identity in identities:
        engine.api("DELETE", f"/containers/{identity}?force=1&v=1")


def ask(engine, method, path, body=None, expected=200):
    status, _, reply = engine.api(method, path, body)
    assert status == expected, (method, path, status, reply)
    return reply


def create(engine, made, body, name=""):
    made.append(ask(engine, "POST", f"/v1.43/containers/create?name={name}", body, 201)["Id"])
    return made[-1]


def filters(**chosen):
    return "filters=" + urllib.parse.quote(json.dumps({key: {value: True} for key, value in chosen.items()}))


def nulls(value, path=""):
    """Where a reply has null."""
    if isinstance(value, dict):
        return [found for key, item in value.items() for found in nulls(item, f"{path}.{key}")]
    if isinstance(value, list):
        return [found for item in value for found in nulls(item, path + "[]")]
    return [path] if value is None else []


def test_portainer_makes_a_snapshot(engine, made):
    create(engine, made, {"Image": "busybox", "Cmd": ["true"], "Labels": {"com.docker.compose.project": "shown"}}, "portainer-one")
    ask(engine, "GET", "/_ping")
    info = ask(engine, "GET", "/v1.41/info")
    assert info["Swarm"]["LocalNodeState"] == "inactive" and info["NCPU"] > 0 and info["MemTotal"] > 0
    assert ask(engine, "GET", "/v1.41/version")["Components"][0]["Name"] == "Engine"
    (listed,) = [one for one in ask(engine, "GET", "/v1.41/containers/json?all=1") if one["Id"] == made[0]]
    assert listed["Labels"] and listed["NetworkSettings"]["Networks"]["bridge"] is not None and listed["Ports"] == [] and listed["Mounts"] == []
    assert all(image["RepoTags"] is not None for image in ask(engine, "GET", "/v1.41/images/json?all=0"))
    volumes = ask(engine, "GET", "/v1.41/volumes?" + filters(dangling="true"))
    assert isinstance(volumes["Volumes"], list)
    for network in ask(engine, "GET", "/v1.41/networks"):
        assert network["IPAM"]["Driver"] and isinstance(network["Containers"], dict) and isinstance(network["Options"], dict)
    assert ask(engine, "GET", "/v1.41/plugins") == []
    for path in ("swarm", "services", "tasks", "nodes", "secrets", "configs"):
        assert "This node is not a swarm manager" in ask(engine, "GET", f"/v1.41/{path}", expected=503)["message"]
    assert {"LayersSize", "Images", "Containers", "Volumes"} <= set(ask(engine, "GET", "/v1.41/system/df"))


def test_portainer_shows_a_container_without_nulls_that_break_it(engine, made):
    identity = create(engine, made, {"Image": "busybox", "Cmd": ["sleep", "1000"]})
    ask(engine, "POST", f"/v1.41/containers/{identity}/start", expected=204)
    shown = ask(engine, "GET", f"/v1.41/containers/{identity}/json")
    for key in ("Config", "HostConfig", "NetworkSettings", "State", "Mounts", "GraphDriver"):
        assert shown[key] is not None, key
    for key in ("Env", "Labels", "Cmd"):
        assert shown["Config"][key] is not None, key
    assert not [path for path in nulls(ask(engine, "GET", f"/v1.41/containers/{identity}/stats?stream=false")) if "blkio" not in path]
    image = ask(engine, "GET", f"/v1.41/images/{shown['Image']}/json")
    assert image["Config"] is not None and image["RepoTags"] == ["busybox:latest"]
    top = ask(engine, "GET", f"/v1.41/containers/{identity}/top")
    assert len(top["Titles"]) == len(top["Processes"][0])


def test_portainer_makes_a_volume_without_a_name(engine):
    volume = ask(engine, "POST", "/v1.41/volumes/create", {"Name": "", "Driver": "local", "DriverOpts": {}}, 201)
    assert len(volume["Name"]) == 64 and volume["Scope"] == "local"
    ask(engine, "DELETE", "/v1.41/volumes/" + volume["Name"], expected=204)


def test_watchtower_makes_a_container_anew_from_its_inspection(engine, made):
    """Also Portainer's "recreate": what inspect says is taken by create, and gives the same container."""
    network = ask(engine, "POST", "/v1.41/networks/create", {"Name": "watched"}, 201)["Id"]
    first = create(engine, made, {
        "Image": "busybox", "Cmd": ["sleep", "1000"], "Env": ["A=1"], "Labels": {"own": "label"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/anonymous": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9}, "StopSignal": "SIGINT",
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}, "RestartPolicy": {"Name": "always"}, "Binds": ["watched-volume:/data"],
                       "NetworkMode": "watched", "CapAdd": ["NET_RAW"], "Tmpfs": {"/scratch": "size=1m"}},
        "NetworkingConfig": {"EndpointsConfig": {"watched": {"Aliases": ["again"]}}}}, "watchtower-one")
    ask(engine, "POST", f"/v1.41/containers/{first}/start", expected=204)
    before = ask(engine, "GET", f"/v1.41/containers/{first}/json")
    ask(engine, "POST", f"/v1.41/containers/{first}/stop?t=0", expected=204)
    ask(engine, "DELETE", f"/v1.41/containers/{first}?v=0&force=0", expected=204)
    networks = {name: {**settings, "Aliases": ["again"]} for name, settings in before["NetworkSettings"]["Networks"].items()}
    body = {**before["Config"], "HostConfig": before["HostConfig"], "NetworkingConfig": {"EndpointsConfig": networks}}
    second = create(engine, made, body, before["Name"].lstrip("/"))
    ask(engine, "POST", f"/v1.41/containers/{second}/start", expected=204)
    after = ask(engine, "GET", f"/v1.41/containers/{second}/json")
    ask(engine, "DELETE", f"/containers/{made.pop()}?force=1&v=1", expected=204)
    ask(engine, "DELETE", f"/v1.41/networks/{network}", expected=204)
    ask(engine, "DELETE", "/v1.41/volumes/watched-volume", expected=204)
    assert after["HostConfig"] == before["HostConfig"]
    # Its host name, made of the first id, is taken over too.
    assert after["Config"] == before["Config"]


def test_gitlab_runner_feeds_a_script_and_waits(engine, made):
    labels = {"com.gitlab.gitlab-runner.job.id": "7", "com.gitlab.gitlab-runner.managed": "true"}
    volume = ask(engine, "POST", "/v1.43/volumes/create", {"Name": "runner-cache", "Driver": "", "DriverOpts": {}, "Labels": labels}, 201)["Name"]
    network = ask(engine, "POST", "/v1.43/networks/create", {"Name": "runner-net", "Labels": labels, "EnableIPv6": False, "CheckDuplicate": True}, 201)["Id"]
    service = create(engine, made, {"Image": "busybox", "Cmd": ["sleep", "1000"], "Labels": labels, "HostConfig": {"NetworkMode": network},
                                    "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": ["db"]}}}}, "runner-service")
    ask(engine, "POST", f"/v1.43/containers/{service}/start", expected=204)
    build = create(engine, made, {
        "Image": "busybox", "Cmd": ["sh"], "Labels": labels, "Tty": False, "AttachStdin": True, "AttachStdout": True, "AttachStderr": True, "OpenStdin": True,
        "StdinOnce": True, "HostConfig": {"NetworkMode": network, "Binds": [f"{volume}:/cache"], "RestartPolicy": {"Name": "no"}, "LogConfig": {"Type": "json-file"},
                                          "DnsSearch": None, "ShmSize": 0}, "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": ["build"]}}}}, "runner-build")
    # The same container is attached to and started for each step of the job.
    for step in range(2):
        attached = attach(engine, build)
        waiting = UnixConnection(engine.socket)
        ask(engine, "POST", f"/v1.43/containers/{build}/start", expected=204)
        attached.sendall(f"nslookup db >/dev/null && echo step {step}; exit {step}\n".encode())
        attached.shutdown(socket.SHUT_WR)
        waiting.request("POST", f"/v1.43/containers/{build}/wait?condition=not-running")
        assert frames(attached) == f"step {step}\n".encode()
        assert json.loads(waiting.getresponse().read())["StatusCode"] == step
    assert len(ask(engine, "GET", "/v1.43/containers/json?all=1&" + filters(label="com.gitlab.gitlab-runner.job.id=7"))) == 2
    ask(engine, "POST", f"/v1.43/networks/{network}/disconnect", {"Container": service, "Force": True})
    for identity in made:
        ask(engine, "DELETE", f"/v1.43/containers/{identity}?force=1&v=1", expected=204)
    made.clear()
    ask(engine, "DELETE", f"/v1.43/networks/{network}", expected=204)
    ask(engine, "DELETE", f"/v1.43/volumes/{volume}?force=1", expected=204)


def attach(engine, identity):
    """The socket of an upgraded attach to all three streams."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(engine.socket)
    connection.sendall(f"POST /v1.43/containers/{identity}/attach?stdin=1&stdout=1&stderr=1&stream=1 HTTP/1.1\r\nHost: docker\r\n"
                       "Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\nContent-Type: text/plain\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return connection


def frames(connection):
    """What comes until the end, without the heads of the frames."""
    with connection, connection.makefile("rb") as stream:
        payload = b""
        while head := stream.read(8):
            payload += stream.read(int.from_bytes(head[4:], "big"))
    return payload


def test_github_runner_runs_a_job_container(engine, tmp_path):
    docker = engine.docker
    label = "label=6a8d12"
    assert docker("version", "--format", "{{.Server.APIVersion}}").stdout and docker("version", "--format", "{{.Client.APIVersion}}").stdout
    assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).stdout == ""
    docker("network", "prune", "--force", "--filter", label)
    docker("network", "create", "--label", "6a8d12", "github_network_1")
    (tmp_path / "step.sh").write_text("echo in $PWD with $INPUT\nexit 3\n")
    identity = docker("create", "--name", "github-job", "--label", "6a8d12", "--workdir", "/__w/repo", "--network", "github_network_1", "-e", "HOME=/github/home",
                      "-e", "CI=true", "-v", f"{engine.socket}:/var/run/docker.sock", "-v", f"{tmp_path}:/__w/_temp", "--entrypoint", "tail", "busybox",
                      "-f", "/dev/null").stdout.strip()
    try:
        docker("start", identity)
        shown = docker("ps", "--all", "--filter", f"id={identity}", "--filter", "status=running", "--no-trunc", "--format", "{{.ID}} {{.Status}}").stdout
        assert shown.startswith(identity + " Up ")
        assert "CI=true\n" in docker("inspect", "--format", "{{range .Config.Env}}{{println .}}{{end}}", identity).stdout
        assert docker("inspect", "--format={{if .Config.Healthcheck}}{{print .State.Health.Status}}{{end}}", identity).stdout == "\n"
        assert docker("port", identity).stdout == ""
        step = docker("exec", "-i", "--workdir", "/__w/repo", "-e", "INPUT=it", identity, "sh", "-e", "/__w/_temp/step.sh", check=False)
        assert (step.returncode, step.stdout) == (3, "in /__w/repo with it\n")
        assert docker("logs", "--details", identity).stdout == ""
    finally:
        docker("rm", "--force", identity)
        docker("network", "rm", "github_network_1")
    assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).stdout == ""


def test_drone_follows_the_logs_of_a_step_to_its_end(engine, made):
    step = create(engine, made, {"Image": "busybox", "Entrypoint": ["/bin/sh", "-c"], "Cmd": ["echo \"$SCRIPT\" | sh"], "Env": ["SCRIPT=echo one; sleep 0.3; echo two; exit 2"],
                                 "AttachStdin": False, "AttachStdout": True, "AttachStderr": True, "WorkingDir": "/drone/src",
                                 "Volumes": {"/drone": {}}, "HostConfig": {"LogConfig": {"Type": "json-file"}, "Privileged": False, "ShmSize": 0}})
    ask(engine, "POST", f"/v1.40/containers/{step}/start", expected=204)
    logs = UnixConnection(engine.socket)
    logs.request("GET", f"/v1.40/containers/{step}/logs?follow=1&stdout=1&stderr=1&details=0&timestamps=0")
    assert ask(engine, "POST", f"/v1.40/containers/{step}/wait")["StatusCode"] == 2
    body = logs.getresponse().read()
    assert body[8:12] == b"one\n" and body[20:] == b"two\n"
    assert ask(engine, "GET", f"/v1.40/containers/{step}/json")["State"]["OOMKilled"] is False
    ask(engine, "POST", f"/v1.40/containers/{step}/kill?signal=9", expected=409)


def test_a_log_viewer_sees_containers_come_and_go(engine, made):
    """Dozzle, Traefik: the list, then events, then each container's log."""
    events = UnixConnection(engine.socket)
    events.request("GET", "/v1.41/events?" + filters(type="container"))
    stream = events.getresponse()
    identity = create(engine, made, {"Image": "busybox", "Cmd": ["echo", "hello"], "Labels": {"traefik.enable": "true"}})
    ask(engine, "POST", f"/v1.41/containers/{identity}/start", expected=204)
    seen = []
    while "die" not in seen:
        event = json.loads(stream.readline())
        if event["id"] == identity:
            seen.append(event["status"])
            assert event["Actor"]["Attributes"]["traefik.enable"] == "true"
    assert seen == ["create", "start", "die"]
    events.close()
    assert wait_until(lambda: engine.api("GET", f"/v1.41/containers/{identity}/logs?stdout=1&tail=1")[2], "the log has the line") == b"\x01\0\0\0\0\0\0\x06hello\n"
