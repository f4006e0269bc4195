"""Every served route answers as Docker's definition of the API says, in success and in failure; keys that clients never expect to be null
are not; and older versions of the API get the fields of their time. What the definition judges is skipped where it cannot be read."""
import json
import re
import socket

import pytest

from images import busybox_rootfs_tar, docker_archive, layer_tar
from schema import DEFINITION, Schema
from test_compatibility import ROUTES

SERVED = [(method, route) for method, route, state, *_ in ROUTES if state == "works"]
# What is no WebSocket is refused before its container is looked for.
NAMED = [(method, route) for method, route in SERVED if "{" in route and not route.endswith("/ws") and method != "OPTIONS"]
VERSIONS = [f"1.{minor}" for minor in range(24, 52)]


@pytest.fixture(scope="module")
def schema():
    yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")
    if not DEFINITION.exists():
        pytest.skip(f"the API's definition is not here: {DEFINITION}")
    return Schema(yaml.load(DEFINITION.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@pytest.fixture(scope="module")
def running(engine):
    identity = engine.docker("run", "-d", "--name", "contract", "-p", "127.0.0.1::80", "--expose", "81", "-v", "contract-volume:/data", "-l", "a=b",
                             "busybox", "sleep", "1000").stdout.strip()
    yield identity
    engine.docker("rm", "-fv", "contract")
    engine.docker("volume", "rm", "contract-volume")


def defined(schema, method, route):
    """The documented replies of a route; ours names its variable by what it is, the definition by "name" or "id"."""
    for variable in ("{id}", "{name}"):
        path = re.sub(r"\{\w+\}", variable, route)
        if method.lower() in schema.document["paths"].get(path, {}):
            return schema.responses(method, path)
    return None


def check(schema, method, route, answer):
    """An answer of the engine is one of the documented ones, in form and content type."""
    status, headers, body = answer
    replies = defined(schema, method, route)
    assert replies and status in replies, (status, body)
    expected = replies[status].get("schema")
    if status in (204, 304) or method == "HEAD":
        assert body == b""
    elif status >= 400:
        assert headers["Content-Type"] == "application/json" and set(body) == {"message"} and body["message"]
    elif expected and expected.get("type") != "string" and isinstance(body, (dict, list)):
        assert headers["Content-Type"] == "application/json"
        assert schema.check(body, expected, nullable=NULLABLE.get((method, route), ())) == []
    return body


# What dockerd itself sends as null, though the definition does not say so.
NULLABLE = {("POST", "/containers/prune"): [".ContainersDeleted"], ("POST", "/images/prune"): [".ImagesDeleted"], ("POST", "/networks/prune"): [".NetworksDeleted"],
            ("POST", "/build/prune"): [".CachesDeleted"], ("GET", "/containers/{id}/changes"): ["."],
            ("POST", "/volumes/create"): [".Labels", ".Options"], ("GET", "/volumes"): [".Warnings", ".Volumes.*.Labels", ".Volumes.*.Options"]}


@pytest.mark.parametrize("method,route", NAMED)
def test_an_unknown_name_is_a_documented_error(engine, schema, method, route):
    path = re.sub(r"\{\w+\}", "contract-none", route)
    if "/networks/{id}/" in route:
        path = path.replace("contract-none", "bridge")
    if route.startswith("/distribution"):
        path = path.replace("contract-none", "127.0.0.1:1/contract-none")
    body = {"Container": "contract-none", "Cmd": ["x"]} if method == "POST" else b"" if method == "PUT" else None
    if route.endswith("/start"):
        body = None  # refused before the name is looked at
    query = {"/archive": "?path=/", "/rename": "?name=contract-x", "/resize": "?h=1&w=1", "/tag": "?repo=a", "/push": "?tag=a"}
    path += next((text for end, text in query.items() if route.endswith(end)), "")
    answer = engine.api(method, "/v1.51" + path, body, {"X-Registry-Auth": "e30="} if route.endswith("/push") else None)
    if answer[0] < 400:
        # A forced or idempotent one: nothing to find is fine for dockerd as well.
        assert route in ("/images/{name}/push", "/images/{name}/get"), answer
        return
    assert answer[0] == (503 if route.startswith("/distribution") else 404), answer
    # The definition knows no 404 of some, which dockerd gives all the same.
    if answer[0] in (defined(schema, method, route) or ()):
        check(schema, method, route, answer)


# In this order: each finds what those before left. (method, route, path, body, status)
LIFE = [
    ("POST", "/containers/create", "/containers/create?name=contract-life", {"Image": "busybox", "Cmd": ["sleep", "1000"], "Tty": True, "StopSignal": "KILL"}, 201),
    ("POST", "/containers/create", "/containers/create?name=contract-life", {"Image": "busybox"}, 409),
    ("POST", "/containers/create", "/containers/create", {"Image": "contract-none"}, 404),
    ("POST", "/containers/create", "/containers/create?name=%2F%2F", {"Image": "busybox"}, 400),
    ("POST", "/containers/{id}/start", "/containers/contract-life/start", None, 204),
    ("POST", "/containers/{id}/start", "/containers/contract-life/start", None, 304),
    ("POST", "/containers/{id}/resize", "/containers/contract-life/resize?h=30&w=90", None, 200),
    ("POST", "/containers/{id}/resize", "/containers/contract-life/resize?h=x&w=90", None, 400),
    ("GET", "/containers/{id}/top", "/containers/contract-life/top", None, 200),
    ("POST", "/containers/{id}/update", "/containers/contract-life/update", {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 1}}, 200),
    ("POST", "/containers/{id}/exec", "/containers/contract-life/exec", {"Cmd": ["true"]}, 201),
    ("POST", "/containers/{id}/exec", "/containers/contract-life/exec", {"Cmd": []}, 400),
    ("POST", "/containers/{id}/rename", "/containers/contract-life/rename?name=contract-other", None, 204),
    ("POST", "/containers/{id}/rename", "/containers/contract-other/rename?name=contract", None, 409),
    ("GET", "/containers/{id}/stats", "/containers/contract-other/stats?stream=false&one-shot=true", None, 200),
    ("GET", "/containers/{id}/logs", "/containers/contract-other/logs", None, 400),
    ("POST", "/containers/{id}/kill", "/containers/contract-other/kill?signal=NONSENSE", None, 400),
    ("DELETE", "/containers/{id}", "/containers/contract-other", None, 409),
    ("POST", "/containers/{id}/restart", "/containers/contract-other/restart?t=0", None, 204),
    ("POST", "/containers/{id}/stop", "/containers/contract-other/stop?t=0", None, 204),
    ("POST", "/containers/{id}/stop", "/containers/contract-other/stop", None, 304),
    ("POST", "/containers/{id}/kill", "/containers/contract-other/kill", None, 409),
    ("POST", "/containers/{id}/wait", "/containers/contract-other/wait", None, 200),
    ("GET", "/containers/{id}/top", "/containers/contract-other/top", None, 409),
    ("POST", "/containers/{id}/exec", "/containers/contract-other/exec", {"Cmd": ["true"]}, 409),
    ("POST", "/images/{name}/tag", "/images/busybox/tag?repo=contract-image&tag=1", None, 201),
    ("POST", "/images/{name}/tag", "/images/busybox/tag?repo=UPPER", None, 400),
    ("DELETE", "/images/{name}", "/images/contract-image:1", None, 200),
    ("POST", "/networks/create", "/networks/create", {"Name": "contract-network", "Internal": True}, 201),
    ("POST", "/networks/create", "/networks/create", {"Name": "contract-network"}, 409),
    ("POST", "/networks/{id}/connect", "/networks/contract-network/connect", {"Container": "contract-other"}, 200),
    ("POST", "/networks/{id}/disconnect", "/networks/contract-network/disconnect", {"Container": "contract-other"}, 200),
    ("DELETE", "/networks/{id}", "/networks/contract-network", None, 204),
    ("POST", "/volumes/create", "/volumes/create", {"Name": "contract-volume-2"}, 201),
    ("POST", "/volumes/create", "/volumes/create", {"Name": "contract-volume-2", "Driver": "contract-none"}, 404),
    ("DELETE", "/volumes/{name}", "/volumes/contract-volume-2?force=1", None, 204),
    ("DELETE", "/containers/{id}", "/containers/contract-other?v=1", None, 204),
    ("GET", "/containers/json", "/containers/json?limit=x", None, 400),
    ("GET", "/events", "/events?filters=[]", None, 400),
    ("GET", "/plugins", "/plugins", None, 200),
    ("POST", "/containers/prune", "/containers/prune?filters=%7B%22label%22%3A%5B%22contract-none%22%5D%7D", None, 200),
    ("POST", "/images/prune", "/images/prune?filters=%7B%22label%22%3A%5B%22contract-none%22%5D%7D", None, 200),
    ("POST", "/networks/prune", "/networks/prune?filters=%7B%22label%22%3A%5B%22contract-none%22%5D%7D", None, 200),
    ("POST", "/volumes/prune", "/volumes/prune?filters=%7B%22label%22%3A%5B%22contract-none%22%5D%7D", None, 200)]


def test_the_life_of_things_is_answered_as_documented(engine, schema, running):
    problems = []
    for method, route, path, body, status in LIFE:
        answer = engine.api(method, "/v1.51" + path, body)
        try:
            assert answer[0] == status, answer[2]
            # The definition knows no 400 of logs, and no 409 of a volume of another driver; dockerd gives both.
            if defined(schema, method, route) and (status in defined(schema, method, route) or status < 400):
                check(schema, method, route, answer)
        except AssertionError as error:
            problems.append(f"{method} {path}: {answer[0]} {error}")
    assert not problems, "\n".join(problems)


def value_at(document, path):
    """Every value at a path, "*" standing for all items."""
    key, _, rest = path.partition(".")
    members = (document.values() if isinstance(document, dict) else document) if key == "*" else [document[key]]
    for member in members:
        if rest:
            yield from value_at(member, rest)
        else:
            yield member


# Portainer, docker-py, dockerode and Testcontainers take these without asking whether they are there.
NEVER_NULL = {
    "/info": ["Plugins.Volume", "Plugins.Network", "Plugins.Log", "DriverStatus", "Swarm.LocalNodeState", "RegistryConfig.IndexConfigs",
              "RegistryConfig.InsecureRegistryCIDRs", "SecurityOptions", "Runtimes", "Warnings", "Labels"],
    "/version": ["Components", "ApiVersion", "MinAPIVersion", "Platform.Name", "KernelVersion"],
    "/containers/json?all=1": ["*.Names", "*.Ports", "*.Labels", "*.Mounts", "*.NetworkSettings.Networks", "*.HostConfig.NetworkMode", "*.State", "*.Status"],
    "/containers/contract/json": ["Config", "Config.Labels", "Config.Env", "Config.Cmd", "HostConfig", "HostConfig.LogConfig.Type", "HostConfig.PortBindings",
                                  "HostConfig.RestartPolicy.Name", "HostConfig.NetworkMode", "NetworkSettings.Ports", "NetworkSettings.Networks",
                                  "NetworkSettings.Networks.bridge.IPAddress", "NetworkSettings.Networks.bridge.NetworkID",
                                  "NetworkSettings.Networks.bridge.Gateway", "Mounts", "State.Status", "State.StartedAt", "State.FinishedAt", "Args", "Path", "Name", "Image",
                                  "HostConfig.MaskedPaths", "HostConfig.ReadonlyPaths", "Platform", "Driver", "GraphDriver.Name", "ResolvConfPath", "LogPath"],
    "/images/json": ["*.RepoTags", "*.RepoDigests", "*.ParentId", "*.Id", "*.SharedSize", "*.Containers"],
    "/images/busybox/json": ["RepoTags", "RepoDigests", "Config", "RootFS.Layers", "Parent", "Comment", "Author", "DockerVersion", "GraphDriver.Name", "Metadata.LastTagTime"],
    "/networks": ["*.IPAM", "*.Containers", "*.Options", "*.Labels", "*.ConfigFrom.Network", "*.Scope", "*.Created"],
    "/networks/bridge": ["IPAM.Config", "Containers", "Options", "Labels"],
    "/volumes": ["Volumes", "Volumes.*.Mountpoint", "Volumes.*.Scope", "Volumes.*.CreatedAt"],
    "/system/df": ["LayersSize", "Images", "Containers", "Volumes", "BuildCache"]}


@pytest.mark.parametrize("version", ["1.24", "1.40", "1.51"])
@pytest.mark.parametrize("path", sorted(NEVER_NULL))
def test_keys_that_clients_rely_on_are_never_null(engine, running, path, version):
    status, _, document = engine.api("GET", f"/v{version}{path}")
    assert status == 200
    for key in NEVER_NULL[path]:
        assert None not in list(value_at(document, key)), key


@pytest.mark.parametrize("path", ["/containers/json?filters=%7B%22name%22%3A%5B%22contract-none%22%5D%7D", "/images/json?filters=%7B%22reference%22%3A%5B%22contract-none%22%5D%7D",
                                  "/networks?filters=%7B%22name%22%3A%5B%22contract-none%22%5D%7D", "/plugins"])
def test_an_empty_list_is_a_list(engine, path):
    assert engine.api("GET", path)[2] == []


READ = ["/info", "/version", "/containers/json?all=1&size=1", "/containers/contract/json", "/images/json", "/images/busybox/json", "/images/busybox/history", "/networks",
        "/networks/bridge", "/volumes", "/volumes/contract-volume", "/system/df", "/containers/contract/top", "/containers/contract/stats?stream=0&one-shot=1"]


def test_every_version_of_the_api_is_served(engine, running):
    for version in VERSIONS:
        for path in READ:
            status, headers, body = engine.api("GET", f"/v{version}{path}")
            assert status == 200 and headers["Content-Type"] == "application/json" and headers["Api-Version"] == "1.51", (version, path)
            assert isinstance(body, (dict, list))


@pytest.mark.parametrize("version,text", [("1.23", "too old. Minimum supported API version is 1.24"), ("1.52", "too new. Maximum supported API version is 1.51"),
                                          ("2.0", "too new"), ("1.9999999999999999999", "too new")])
def test_other_versions_are_refused(engine, version, text):
    status, _, body = engine.api("GET", f"/v{version}/info")
    assert status == 400 and text in body["message"]


def test_streams_are_called_multiplexed_from_1_42_on(engine, running):
    kinds = {version: engine.api("GET", f"/v{version}/containers/contract/logs?stdout=1")[1]["Content-Type"] for version in ("1.24", "1.41", "1.42", "1.51")}
    assert kinds == {"1.24": "application/vnd.docker.raw-stream", "1.41": "application/vnd.docker.raw-stream",
                     "1.42": "application/vnd.docker.multiplexed-stream", "1.51": "application/vnd.docker.multiplexed-stream"}


def test_images_have_the_fields_of_their_version(engine):
    engine.docker("load", input=docker_archive([], [busybox_rootfs_tar(), layer_tar({"contract": b"dangling"})]))
    by_version = {version: engine.api("GET", f"/v{version}/images/json")[2] for version in ("1.42", "1.43", "1.44", "1.50", "1.51")}
    dangling = {version: next(image for image in images if image["RepoTags"] in ([], ["<none>:<none>"])) for version, images in by_version.items()}
    assert dangling["1.42"]["RepoTags"] == ["<none>:<none>"] and dangling["1.43"]["RepoTags"] == []
    assert "VirtualSize" in dangling["1.43"] and "VirtualSize" not in dangling["1.44"]
    assert dangling["1.50"]["Containers"] == -1
    inspected = {version: engine.api("GET", f"/v{version}/images/{dangling['1.51']['Id']}/json")[2] for version in ("1.43", "1.44", "1.51")}
    assert "VirtualSize" in inspected["1.43"] and "VirtualSize" not in inspected["1.44"]
    counted = {version: engine.api("GET", f"/v{version}/system/df")[2]["Images"][0] for version in ("1.43", "1.44")}
    assert counted["1.43"]["VirtualSize"] == counted["1.43"]["Size"] and "VirtualSize" not in counted["1.44"]
    engine.docker("rmi", dangling["1.51"]["Id"])


def test_several_networks_at_create_came_with_1_44(engine, network):
    network("contract-a", "--internal")
    body = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "contract-a"},
            "NetworkingConfig": {"EndpointsConfig": {"contract-a": {}, "bridge": {}}}}
    status, _, reply = engine.api("POST", "/v1.43/containers/create", body)
    assert status == 400 and "Container cannot be connected to network endpoints" in reply["message"]
    status, _, reply = engine.api("POST", "/v1.44/containers/create", body)
    assert status == 201, reply
    engine.docker("rm", reply["Id"])


def test_volume_prune_spares_named_ones_from_1_42_on(own_engine):
    engine = own_engine
    engine.docker("volume", "create", "named")
    engine.docker("volume", "create", "named2")
    assert engine.api("POST", "/v1.42/volumes/prune")[2]["VolumesDeleted"] == []
    assert sorted(engine.api("POST", "/v1.41/volumes/prune")[2]["VolumesDeleted"]) == ["named", "named2"]


def raw(engine, request):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(20)
        connection.connect(engine.socket)
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65536):
            received += piece
        return received


def test_pipelined_requests_are_answered_in_turn_also_after_a_refused_body(engine):
    body = json.dumps({"Image": "contract-none"}).encode()
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 7]), body[i:i + 7]) for i in range(0, len(body), 7)) + b"0\r\n\r\n"
    received = raw(engine, b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked
                   + b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"404", b"200"] and received.endswith(b"OK")
