"""Real replies against Docker's own definition of the API; skipped where the definition cannot be read."""
import json

import pytest

from engine import needs_cli
from images import busybox_rootfs_tar, docker_archive, layer_tar
from schema import DEFINITION, Schema

# What dockerd itself answers, though the definition does not say so.
CONFIG_NULLABLE = ["Cmd", "Entrypoint", "OnBuild", "Volumes", "Labels", "Env", "ExposedPorts"]
WINDOWS = ["CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth", "Isolation"]
HOST_NULLABLE = ["Binds", "BlkioDeviceReadBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteBps", "BlkioDeviceWriteIOps", "CapAdd",
                 "CapDrop", "BlkioWeightDevice", "DeviceCgroupRules", "DeviceRequests", "Devices", "ExtraHosts", "GroupAdd", "Links",
                 "MaskedPaths", "MemorySwappiness", "OomKillDisable", "PidsLimit", "PortBindings", "ReadonlyPaths", "SecurityOpt",
                 "Ulimits", "VolumesFrom", "Dns", "DnsOptions", "DnsSearch"]
# Sent only when set (or, KernelMemoryTCP, gone from the newest version).
HOST_ABSENT = ["Annotations", "Init", "KernelMemoryTCP", "Mounts", "StorageOpt", "Sysctls", "Tmpfs"]
ENDPOINT_NULLABLE = ["IPAMConfig", "Links", "Aliases", "DriverOpts", "DNSNames"]
SETTINGS_NULLABLE = ["SecondaryIPAddresses", "SecondaryIPv6Addresses"]


def at(prefix, names):
    return [f"{prefix}.{name}" for name in names]


@pytest.fixture(scope="module")
def schema():
    yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")
    if not DEFINITION.exists():
        pytest.skip(f"the API's definition is not here: {DEFINITION}")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Schema(yaml.load(DEFINITION.read_text(), Loader=loader))


@pytest.fixture(scope="module")
def made(engine):
    """A running container with everything that its inspect can show."""
    identity = engine.docker(
        "run", "-d", "--name", "schema-full", "-p", "127.0.0.1::80", "--expose", "90/udp", "-v", "schema-volume:/data", "-v",
        "/anonymous", "--tmpfs", "/scratch:size=1m", "-e", "A=1", "-l", "k=v", "--ulimit", "nofile=100:200", "--add-host", "a:1.2.3.4",
        "--mount", "type=tmpfs,dst=/t2,tmpfs-size=4096", "--restart", "on-failure:2", "--sysctl", "net.ipv4.ip_forward=0", "busybox", "sleep", "1000").stdout.strip()
    yield identity
    engine.docker("rm", "-fv", "schema-full")
    engine.docker("volume", "rm", "schema-volume")


def reply(engine, schema, method, path, route, status, body=None, **allowed):
    """Sends a request and returns the checked body."""
    got, headers, data = engine.api(method, "/v1.51" + path, body)
    assert got == status, data
    expected = schema.reply_schema(method, route, status)
    if expected and expected.get("type") != "string":
        assert headers["Content-Type"] == "application/json"
        assert schema.check(data, expected, **allowed) == []
    return data


def test_ping_and_version(engine, schema):
    _, headers, _ = engine.api("GET", "/_ping")
    for name, kind in schema.responses("GET", "/_ping")[200]["headers"].items():
        assert name in headers, name
        assert headers[name] in kind.get("enum", [headers[name]])
    reply(engine, schema, "GET", "/version", "/version", 200, complete=[""], absent=[".Experimental"])


def test_info(engine, schema, made):
    info = reply(engine, schema, "GET", "/info", "/info", 200, complete=["", ".Plugins", ".RegistryConfig"],
                 nullable=[".Plugins.Authorization", ".Swarm.RemoteManagers", ".GenericResources", ".RegistryConfig.Mirrors"],
                 extra=[".RegistryConfig.AllowNondistributableArtifactsCIDRs", ".RegistryConfig.AllowNondistributableArtifactsHostnames"],
                 absent=[".Containerd", ".KernelMemoryTCP"])
    assert info["ContainersRunning"] >= 1 and info["Images"] >= 1


def container_rules():
    return {
        "nullable": at(".Config", CONFIG_NULLABLE) + at(".HostConfig", HOST_NULLABLE) + at(".NetworkSettings", SETTINGS_NULLABLE)
        + at(".NetworkSettings.Networks.*", ENDPOINT_NULLABLE) + [".ExecIDs", ".GraphDriver.Data"],
        "complete": ["", ".State", ".HostConfig", ".Config", ".NetworkSettings", ".NetworkSettings.Networks.*"],
        "absent": at(".HostConfig", HOST_ABSENT) + at(".Config", ["ArgsEscaped", "Healthcheck", "NetworkDisabled", "Shell", "StopSignal",
                                                               "StopTimeout", "ExposedPorts", "MacAddress"])
        + [".SizeRw", ".SizeRootFs", ".ImageManifestDescriptor", ".Storage", ".State.Health"],
    }


def test_container_inspect(engine, schema, made):
    needs_cli("1.44")
    reply(engine, schema, "GET", f"/containers/{made}/json?size=1", "/containers/{id}/json", 200, **container_rules())


def test_container_inspect_of_one_that_was_only_created(engine, schema):
    body = {"Image": "busybox", "Cmd": ["true"]}
    created = reply(engine, schema, "POST", "/containers/create", "/containers/create", 201, body, complete=[""])
    assert created["Warnings"] == []
    path = f"/containers/{created['Id']}"
    reply(engine, schema, "GET", path + "/json", "/containers/{id}/json", 200, **container_rules())
    reply(engine, schema, "DELETE", path, "/containers/{id}", 204)


def test_container_list(engine, schema, made):
    listed = reply(engine, schema, "GET", "/containers/json?all=1&size=1", "/containers/json", 200,
                   nullable=at(".*.NetworkSettings.Networks.*", ENDPOINT_NULLABLE), complete=[".*"],
                   absent=[".*.ImageManifestDescriptor", ".*.Health"])
    mine = next(entry for entry in listed if entry["Id"] == made)
    assert {"PrivatePort": 90, "Type": "udp"} in mine["Ports"]
    assert any(port["PrivatePort"] == 80 and port["IP"] == "127.0.0.1" and port["PublicPort"] > 0 for port in mine["Ports"])
    assert {mount["Type"] for mount in mine["Mounts"]} >= {"volume"}


def test_wait(engine, schema):
    identity = engine.docker("run", "-d", "busybox", "sh", "-c", "exit 5").stdout.strip()
    waited = reply(engine, schema, "POST", f"/containers/{identity}/wait", "/containers/{id}/wait", 200)
    assert waited["StatusCode"] == 5
    engine.docker("rm", identity)


def test_exec(engine, schema, made):
    body = {"Cmd": ["false"], "AttachStdout": True, "Env": ["X=1"]}
    identity = reply(engine, schema, "POST", f"/containers/{made}/exec", "/containers/{id}/exec", 201, body)["Id"]
    before = reply(engine, schema, "GET", f"/exec/{identity}/json", "/exec/{id}/json", 200, nullable=[".ExitCode"], complete=[""])
    assert before["ExitCode"] is None and before["ContainerID"] == made
    engine.api("POST", f"/exec/{identity}/start", {"Detach": False})
    after = reply(engine, schema, "GET", f"/exec/{identity}/json", "/exec/{id}/json", 200, complete=[""])
    assert after["ExitCode"] == 1 and not after["Running"]


IMAGE_CONFIG = ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "Volumes", "ExposedPorts"]


def test_images(engine, schema):
    engine.docker("load", input=docker_archive(["schema:1"], [busybox_rootfs_tar(), layer_tar({"x": b"y"})],
                                               {"Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}}}))
    listed = reply(engine, schema, "GET", "/images/json", "/images/json", 200, nullable=[".*.Labels"], complete=[".*"],
                   absent=[".*.Manifests", ".*.Descriptor", ".*.VirtualSize"])
    assert any(entry["RepoTags"] == ["schema:1"] for entry in listed)
    inspected = reply(engine, schema, "GET", "/images/schema:1/json", "/images/{name}/json", 200, complete=["", ".RootFS", ".Config"],
                      nullable=at(".Config", IMAGE_CONFIG), extra=[],
                      absent=[".Manifests", ".Descriptor", ".VirtualSize", ".Variant", ".OsVersion", ".Config.Healthcheck",
                              ".Config.StopSignal", ".Config.Shell", ".Config.ArgsEscaped", ".Identity"])
    assert len(inspected["RootFS"]["Layers"]) == 2
    history = reply(engine, schema, "GET", "/images/schema:1/history", "/images/{name}/history", 200, nullable=[".*.Tags"])
    assert history[0]["Id"] == inspected["Id"] and history[-1]["Id"] == "<missing>"
    deleted = reply(engine, schema, "DELETE", "/images/schema:1", "/images/{name}", 200)
    assert deleted[0] == {"Untagged": "schema:1"} and {"Deleted": inspected["Id"]} in deleted


def stream(data):
    return [json.loads(line) for line in data.decode().splitlines() if line.strip()]


def test_pull_and_import_streams(engine, schema, registry):
    reference = registry.push("schema/pulled:1", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"z": b"z" * 100})]))
    status, headers, data = engine.api("POST", f"/images/create?fromImage={reference}")
    assert status == 200 and headers["Content-Type"] == "application/json" and data.endswith(b"\r\n")
    lines = stream(data)
    for line in lines:
        # A pull's "error" key is always a whole reply of its own; progressDetail may be {}.
        assert schema.check(line, schema.definition("CreateImageInfo"), extra=[".progress"]) == []
    assert lines[-1]["status"].startswith("Status: ") and "id" not in lines[-1]
    assert any(line.get("status") == "Pull complete" and len(line["id"]) == 12 for line in lines)
    status, _, data = engine.api("POST", "/images/create?fromSrc=-&repo=schema-import", busybox_rootfs_tar(), {"Content-Type": "application/x-tar"})
    data = data if isinstance(data, dict) else stream(data)[-1]
    assert status == 200 and data["status"].startswith("sha256:")
    engine.docker("rmi", reference, "schema-import")


NETWORK = {"nullable": [".*.IPAM.Options", ".*.IPAM.Config", ".*.Options", ".*.Labels", ".*.ConfigFrom", ".*.Peers"], "complete": [".*"], "absent": [".*.Peers", ".*.Status"]}


def test_networks(engine, schema, made):
    listed = reply(engine, schema, "GET", "/networks", "/networks", 200, **NETWORK)
    assert {entry["Name"] for entry in listed} >= {"bridge", "host", "none"}
    rules = {key: [path.removeprefix(".*") for path in paths] for key, paths in NETWORK.items()}
    inspected = reply(engine, schema, "GET", "/networks/bridge", "/networks/{id}", 200, **rules)
    assert inspected["Containers"][made]["Name"] == "schema-full"


def test_volumes(engine, schema, made):
    volume = {"nullable": ["Labels", "Options"], "absent": ["Status", "UsageData", "ClusterVolume"]}
    rules = {"complete": [""], **{key: at("", names) for key, names in volume.items()}}
    reply(engine, schema, "POST", "/volumes/create", "/volumes/create", 201, {"Name": "schema-v2", "Labels": {"a": "b"}}, **rules)
    reply(engine, schema, "GET", "/volumes/schema-v2", "/volumes/{name}", 200, **rules)
    reply(engine, schema, "GET", "/volumes", "/volumes", 200, complete=["", ".Volumes.*"], nullable=[".Warnings"] + at(".Volumes.*", volume["nullable"]),
          absent=at(".Volumes.*", volume["absent"]))
    reply(engine, schema, "DELETE", "/volumes/schema-v2", "/volumes/{name}", 204)


def test_events(engine, schema, made):
    import time
    status, headers, data = engine.api("GET", f"/events?since=1&until={int(time.time()) + 1}")
    assert status == 200 and headers["Content-Type"] == "application/json"
    events = stream(data) if isinstance(data, bytes) else [data]
    assert len(events) > 3
    for event in events:
        assert schema.check(event, schema.definition("EventMessage"), extra=[".status", ".id", ".from"], complete=["", ".Actor"]) == []


@pytest.mark.parametrize("method,path,route,status", [
    ("GET", "/containers/none-such/json", "/containers/{id}/json", 404),
    ("POST", "/containers/none-such/start", "/containers/{id}/start", 404),
    ("POST", "/containers/none-such/wait", "/containers/{id}/wait", 404),
    ("POST", "/containers/schema-full/wait?condition=never", "/containers/{id}/wait", 400),
    ("DELETE", "/containers/schema-full", "/containers/{id}", 409),
    ("GET", "/containers/json?filters={", "/containers/json", 400),
    ("GET", "/images/none-such/json", "/images/{name}/json", 404),
    ("GET", "/exec/none-such/json", "/exec/{id}/json", 404),
    ("DELETE", "/networks/bridge", "/networks/{id}", 403),
    ("GET", "/networks/none-such", "/networks/{id}", 404),
    ("DELETE", "/volumes/schema-volume", "/volumes/{name}", 409),
    ("GET", "/volumes/none-such", "/volumes/{name}", 404)])
def test_errors(engine, schema, made, method, path, route, status):
    reply(engine, schema, method, path, route, status)


def test_usage_and_processes(engine, schema, made):
    value = reply(engine, schema, "GET", f"/containers/{made}/stats?stream=false", "/containers/{id}/stats", 200, complete=["", ".cpu_stats", ".precpu_stats"],
                  nullable=[f".blkio_stats.{name}_recursive" for name in ("io_queue", "io_service_time", "io_wait_time", "io_merged", "io_time", "sectors")]
                  + [".blkio_stats.sectors_recursive"], absent=[".os_type", ".cpu_stats.cpu_usage.percpu_usage"])
    assert value["id"] == made
    reply(engine, schema, "GET", f"/containers/{made}/top", "/containers/{id}/top", 200, complete=[""])


def test_disk_usage(engine, schema, made):
    networks = at(".Containers.*.NetworkSettings.Networks.*", ENDPOINT_NULLABLE)
    reply(engine, schema, "GET", "/system/df", "/system/df", 200, extra=[".BuilderSize"],
          nullable=[*networks, ".Images.*.Labels", ".Volumes.*.Labels", ".Volumes.*.Options"])
