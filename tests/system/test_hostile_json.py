"""JSON of the wrong type, size or depth on every route that takes a body: 400 with the field's name, never 500."""
import copy
import json

import pytest

CONTAINER = {
    "Hostname": "h", "Domainname": "d", "User": "0", "AttachStdin": False, "AttachStdout": True, "AttachStderr": True, "Tty": False,
    "OpenStdin": False, "StdinOnce": False, "Env": ["A=B"], "Cmd": ["true"], "Entrypoint": ["/bin/sh"], "Image": "busybox",
    "ExposedPorts": {"80/tcp": {}}, "Volumes": {"/v": {}}, "WorkingDir": "/", "NetworkDisabled": False, "MacAddress": "",
    "OnBuild": ["x"], "Labels": {"k": "v"}, "StopSignal": "SIGTERM", "StopTimeout": 1, "Shell": ["/bin/sh"],
    "Healthcheck": {"Test": ["NONE"], "Interval": 1000000, "Timeout": 1000000, "Retries": 1, "StartPeriod": 1000000},
    "HostConfig": {
        "Binds": ["/tmp:/x"], "Tmpfs": {"/t": ""}, "VolumesFrom": ["x"], "Annotations": {"a": "b"}, "CapAdd": ["CHOWN"],
        "CapDrop": ["CHOWN"], "Dns": ["1.1.1.1"], "DnsOptions": ["a"], "DnsSearch": ["b"], "ExtraHosts": ["a:1.2.3.4"],
        "GroupAdd": ["0"], "Links": ["a:b"], "SecurityOpt": ["no-new-privileges"], "Sysctls": {"a": "b"}, "MaskedPaths": ["/a"],
        "ReadonlyPaths": ["/a"], "VolumeDriver": "", "ContainerIDFile": "", "NetworkMode": "none", "PublishAllPorts": False,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "0"}]},
        "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": False, "CgroupnsMode": "private", "IpcMode": "",
        "PidMode": "", "UTSMode": "", "UsernsMode": "", "Cgroup": "", "OomScoreAdj": 0, "Privileged": False,
        "ReadonlyRootfs": False, "ShmSize": 1048576, "Runtime": "", "Isolation": "", "Init": False, "Memory": 0, "MemorySwap": 0,
        "MemoryReservation": 0, "MemorySwappiness": 0, "NanoCpus": 0, "CpuShares": 0, "CpuPeriod": 0, "CpuQuota": 0,
        "CpusetCpus": "", "CpusetMems": "", "CgroupParent": "", "PidsLimit": 0, "BlkioWeight": 0, "OomKillDisable": False,
        "Devices": [{"PathOnHost": "/dev/null", "PathInContainer": "/dev/n", "CgroupPermissions": "rwm"}],
        "Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}], "ConsoleSize": [24, 80], "StorageOpt": {"size": "1"},
        "DeviceCgroupRules": ["c 1:3 rwm"], "DeviceRequests": [{"Driver": "", "Count": 1}],
        "BlkioWeightDevice": [{"Path": "/dev/x", "Weight": 1}], "BlkioDeviceReadBps": [{"Path": "/dev/x", "Rate": 1}],
        "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpuCount": 0, "CpuPercent": 0, "IOMaximumIOps": 0,
        "Mounts": [{"Type": "bind", "Source": "/tmp", "Target": "/y", "Consistency": "", "ReadOnly": False,
                    "BindOptions": {"Propagation": "rprivate", "NonRecursive": False, "CreateMountpoint": False}},
                   {"Type": "volume", "Source": "vol", "Target": "/z",
                    "VolumeOptions": {"NoCopy": False, "Labels": {"a": "b"}, "Subpath": "",
                                      "DriverConfig": {"Name": "local", "Options": {"a": "b"}}}},
                   {"Type": "tmpfs", "Target": "/w", "TmpfsOptions": {"SizeBytes": 1, "Mode": 511, "Options": [["exec"]]}}],
    },
    "NetworkingConfig": {"EndpointsConfig": {"bridge": {
        "IPAMConfig": {"IPv4Address": "", "IPv6Address": ""}, "Aliases": ["a"], "Links": ["a"], "MacAddress": "",
        "DriverOpts": {"a": "b"}, "GwPriority": 1}}},
}
EXEC = {"AttachStdin": False, "AttachStdout": True, "AttachStderr": True, "DetachKeys": "ctrl-p", "Tty": False, "Env": ["A=B"],
        "Cmd": ["true"], "Privileged": False, "User": "0", "WorkingDir": "/", "ConsoleSize": [24, 80]}
VOLUME = {"Name": "v", "Driver": "local", "DriverOpts": {"a": "b"}, "Labels": {"a": "b"}}
# Go's StrSlice reads a string as a list of one.
STRING_OR_LIST = {"Cmd", "Entrypoint", "Shell", "CapAdd", "CapDrop"}


def places(value, path=()):
    """Every (path, value) below a document."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, member in value.items():
            yield from places(member, (*path, key))
    elif isinstance(value, list):
        for number, member in enumerate(value):
            yield from places(member, (*path, number))


def wrong_values(value, path):
    if isinstance(value, bool):
        return [1, "true", [], {}]
    if isinstance(value, int):
        return ["1", True, [], {}, 1.5, 2**64, -2**64, 1e300]
    if isinstance(value, str):
        return [1, True, {}, [1]]
    if isinstance(value, list):
        return [1, True, {"a": 1}] + ([] if path[-1] in STRING_OR_LIST else ["text"]) + [[[[]]]]
    return [1, True, [1], "text"]


def with_value(document, path, value):
    changed = copy.deepcopy(document)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


def wrong_bodies(document):
    for path, value in places(document):
        for wrong in wrong_values(value, path):
            yield path, wrong, with_value(document, path, wrong)


def check_all(engine, target, document):
    problems = []
    for path, wrong, body in wrong_bodies(document):
        status, _, reply = engine.api("POST", target, body)
        message = reply.get("message", "") if isinstance(reply, dict) else str(reply)
        name = next(key for key in reversed(path) if isinstance(key, str))
        # The keys of a map are the client's own; its name is enough.
        names = [key for key in path if isinstance(key, str)][-2:]
        if status != 400 or not any(key in message for key in names):
            problems.append(f"{'.'.join(map(str, path))} = {json.dumps(wrong)[:60]}: {status} {message} ({name})")
    assert not problems, f"{len(problems)} of {target}:\n" + "\n".join(problems)


def test_container_create_names_each_wrong_field(engine):
    check_all(engine, "/containers/create", CONTAINER)
    assert engine.api("GET", "/containers/json?all=1")[2] == []


def test_exec_create_names_each_wrong_field(engine, container):
    check_all(engine, f"/containers/{container('busybox', 'sleep', '1000')}/exec", EXEC)


def test_exec_start_names_each_wrong_field(engine, container):
    status, _, made = engine.api("POST", f"/containers/{container('busybox', 'sleep', '1000')}/exec", {"Cmd": ["true"]})
    assert status == 201
    check_all(engine, f"/exec/{made['Id']}/start", {"Detach": True, "Tty": False, "ConsoleSize": [24, 80]})
    assert engine.api("POST", f"/exec/{made['Id']}/start", {"Detach": True})[0] == 200


def test_volume_create_names_each_wrong_field(engine):
    check_all(engine, "/volumes/create", VOLUME)


NETWORK = {"Name": "n", "Driver": "bridge", "Scope": "local", "Internal": False, "Attachable": False, "Ingress": False, "ConfigOnly": False,
           "ConfigFrom": {"Network": "x"}, "EnableIPv4": True, "EnableIPv6": False, "Options": {"a": "b"}, "Labels": {"a": "b"},
           "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.9.0.0/16", "IPRange": "10.9.1.0/24", "Gateway": "10.9.0.1",
                                                     "AuxiliaryAddresses": {"a": "10.9.0.2"}}], "Options": {"a": "b"}}}
UPDATE = {key: CONTAINER["HostConfig"][key] for key in ("Memory", "MemorySwap", "MemoryReservation", "NanoCpus", "CpuShares", "CpuPeriod", "CpuQuota",
                                                        "CpusetCpus", "CpusetMems", "PidsLimit", "BlkioWeight", "RestartPolicy")}
LOGIN = {"username": "u", "password": "p", "identitytoken": "t", "serveraddress": "127.0.0.1:1"}


def test_network_create_names_each_wrong_field(engine):
    check_all(engine, "/networks/create", NETWORK)


def test_network_connect_names_each_wrong_field(engine):
    check_all(engine, "/networks/none/connect", {"Container": "x", "EndpointConfig": CONTAINER["NetworkingConfig"]["EndpointsConfig"]["bridge"]})


def test_network_disconnect_names_each_wrong_field(engine):
    check_all(engine, "/networks/none/disconnect", {"Container": "x", "Force": False})


def test_container_update_names_each_wrong_field(engine, container):
    check_all(engine, f"/containers/{container('busybox', 'sleep', '1000')}/update", UPDATE)


def test_commit_names_each_wrong_field(engine, container):
    check_all(engine, f"/commit?container={container('busybox', 'sleep', '1000')}", {key: value for key, value in CONTAINER.items() if key not in ("HostConfig", "NetworkingConfig")})


def test_login_names_each_wrong_field(engine):
    check_all(engine, "/auth", LOGIN)


ROUTES = ["/containers/create", "/networks/create", "/volumes/create", "/networks/bridge/connect", "/networks/bridge/disconnect"]


@pytest.mark.parametrize("target", ROUTES)
@pytest.mark.parametrize("body", ["{", "[]", "1", '"text"', "{} {}", '{"a":}', '{"Name": "\\ud800"}', '{"Name":"\xff"}', "nul",
                                  '{"a":' * 100000, "[" * 3000000, '{"Name":1e999999}', "\x00", '{"' + "a" * 9000000 + '":1}'],
                         ids=lambda body: repr(body[:20]))
def test_what_is_not_json_of_an_object_is_a_bad_request(engine, target, body):
    status, _, reply = engine.api("POST", target, body.encode("latin-1"), {"Content-Type": "application/json"})
    assert status == 400 and reply["message"], reply
    assert len(reply["message"]) < 1000


def test_zero_bytes_in_names_are_refused(engine):
    for field, value in (("Hostname", "a\0b"), ("User", "0\0"), ("WorkingDir", "/a\0b"), ("Image", "busy\0box"), ("Cmd", ["true", "a\0b"]),
                         ("Env", ["A=\0"]), ("Entrypoint", ["/bin/\0sh"])):
        status, _, reply = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], field: value})
        assert status == 400 and reply["message"], (field, status, reply)
    for field, value in (("Binds", ["/tmp\0:/x"]), ("Tmpfs", {"/a\0": ""}), ("Mounts", [{"Type": "bind", "Source": "/tmp", "Target": "/a\0"}]),
                         ("Devices", [{"PathOnHost": "/dev/null\0"}])):
        status, _, reply = engine.api("POST", "/containers/create", {"Image": "busybox", "HostConfig": {field: value}})
        assert status == 400 and reply["message"], (field, status, reply)
    assert engine.api("GET", "/containers/json?all=1")[2] == []
