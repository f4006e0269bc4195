"""Every field of the body of POST /containers/create, as Docker's definition lists them, a row: what it does inside of a container, where else
its effect is tested, how it is refused, or the warning that it has no effect. A field without a row fails."""
import functools
import os
import pathlib
import re

import pytest

from schema import DEFINITION, Schema

KEPT, INSIDE, REFUSED, WARNED, LIMIT = "kept inside refused warned limit".split()
TREE = {}  # the field's path: (kind, body, …)


def row(path, kind, body, *rest):
    TREE[path] = (kind, body, *rest)


def host(**fields):
    return {"HostConfig": fields}


def mount(**fields):
    return host(Mounts=[{"Type": "tmpfs", "Target": "/m", **fields}])


def endpoint(**fields):
    return {**host(NetworkMode="fields"), "NetworkingConfig": {"EndpointsConfig": {"fields": fields}}}


def inside(path, body, command, expected, group="plain"):
    """`command` prints `expected`. Rows of a group share a container; "" is one of its own."""
    row(path, INSIDE, body, command, expected, group)


def kept(path, body, shown, where):
    """inspect shows it (at `shown`, with that value); its effect has tests in the file `where`."""
    row(path, KEPT, body, shown, where)


def limit(path, value, word, **more):
    """Acts where its controller is delegated (tests/vm), else there is a warning with `word`."""
    row(path, LIMIT, host(**{path.split(".")[1].split("[")[0]: value}, **more), word)


def warned(path, body, words):
    row(path, WARNED, body, words)


def refused(path, body, words):
    row(path, REFUSED, body, words)


# Config
inside("Hostname", {"Hostname": "box"}, "hostname", "box")
inside("Domainname", {"Domainname": "example.test"}, "cat /proc/sys/kernel/domainname", "example.test")
inside("User", {"User": "1000:1"}, "id -u; id -g", "1000\n1", "")
for stream in ("AttachStdin", "AttachStdout", "AttachStderr"):
    kept(stream, {stream: True}, ("Config." + stream, True), "test_attach.py")
kept("ExposedPorts", {"ExposedPorts": {"81/udp": {}}}, ("Config.ExposedPorts", {"81/udp": {}}), "test_ports.py")
inside("Tty", {"Tty": True}, "test -t 1 && echo terminal", "terminal", "")
inside("OpenStdin", {"OpenStdin": True}, "readlink /proc/self/fd/0 | cut -c1-5", "pipe:", "")
kept("StdinOnce", {"StdinOnce": True}, ("Config.StdinOnce", True), "test_streams.py")
inside("Env", {"Env": ["COLOUR=red"]}, "echo $COLOUR", "red")
inside("Cmd", {}, "echo ran", "ran")
for key, value in {"Test": ["CMD", "true"], "Interval": 10 ** 9, "Timeout": 2 * 10 ** 9, "Retries": 4, "StartPeriod": 3 * 10 ** 9,
                   "StartInterval": 5 * 10 ** 9}.items():
    kept("Healthcheck." + key, {"Healthcheck": {key: value}}, ("Config.Healthcheck." + key, value), "test_health.py")
warned("ArgsEscaped", {"ArgsEscaped": True}, "ArgsEscaped is discarded")
kept("Image", {}, ("Config.Image", "busybox"), "test_run.py")
inside("Volumes", {"Volumes": {"/anonymous": {}}}, "grep -c ' /anonymous ' /proc/mounts", "1")
inside("WorkingDir", {"WorkingDir": "/var"}, "readlink /proc/1/cwd", "/var")
inside("Entrypoint", {"Entrypoint": ["sh", "-c", "echo entered; exec \"$@\"", "x"]}, "echo in", "entered\nin", "")
inside("NetworkDisabled", {"NetworkDisabled": True}, "ls /sys/class/net", "lo", "")
inside("MacAddress", {"MacAddress": "02:42:ac:11:00:98"}, "cat /sys/class/net/eth0/address", "02:42:ac:11:00:98")
kept("OnBuild", {"OnBuild": ["RUN true"]}, ("Config.OnBuild", ["RUN true"]), "test_commit.py")
kept("Labels", {"Labels": {"k": "v"}}, ("Config.Labels", {"k": "v"}), "test_cli_ps.py")
kept("StopSignal", {"StopSignal": "USR1"}, ("Config.StopSignal", "USR1"), "test_flags.py")
kept("StopTimeout", {"StopTimeout": 30}, ("Config.StopTimeout", 30), "test_flags.py")
kept("Shell", {"Shell": ["/bin/ash", "-c"]}, ("Config.Shell", ["/bin/ash", "-c"]), "test_health.py")

# HostConfig: limits
limit("HostConfig.CpuShares", 512, "CPU shares")
limit("HostConfig.Memory", 64 << 20, "memory limit")
limit("HostConfig.MemoryReservation", 32 << 20, "memory soft limit")
limit("HostConfig.MemorySwap", 128 << 20, "memory limit", Memory=64 << 20)
limit("HostConfig.CpuPeriod", 50000, "CPU CFS scheduler")
limit("HostConfig.CpuQuota", 25000, "CPU CFS scheduler")
limit("HostConfig.NanoCpus", 500_000_000, "CPU CFS scheduler")
limit("HostConfig.CpusetCpus", "0", "cpuset")
limit("HostConfig.CpusetMems", "0", "cpuset")
limit("HostConfig.PidsLimit", 50, "PIDs limit")
limit("HostConfig.CgroupParent", "/fields", "CgroupParent")
limit("HostConfig.BlkioWeight", 300, "Block I/O weight")
for key in ("Path", "Weight"):
    limit(f"HostConfig.BlkioWeightDevice[].{key}", [{"Path": "/dev/null", "Weight": 300}], "weight_device")
for name, word in {"ReadBps": "BPS Block I/O read", "WriteBps": "BPS Block I/O write", "ReadIOps": "IOPS Block read", "WriteIOps": "IOPS Block write"}.items():
    for key in ("Path", "Rate"):
        limit(f"HostConfig.BlkioDevice{name}[].{key}", [{"Path": "/dev/null", "Rate": 1000}], word)
for name, value in {"CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 1000, "KernelMemoryTCP": 10 << 20, "CpuCount": 2, "CpuPercent": 50,
                    "IOMaximumIOps": 5, "IOMaximumBandwidth": 5, "DeviceCgroupRules": ["c 1:3 rwm"], "Cgroup": "x"}.items():
    warned("HostConfig." + name, host(**{name: value}), f"{name} is discarded")
warned("HostConfig.MemorySwappiness", host(MemorySwappiness=10), "Memory swappiness discarded")
warned("HostConfig.OomKillDisable", host(OomKillDisable=True), "OomKillDisable discarded")

# HostConfig: devices, files
DEVICES = host(Devices=[{"PathOnHost": "/dev/zero", "PathInContainer": "/dev/nothing", "CgroupPermissions": "rwm"}])
for key in ("PathOnHost", "PathInContainer"):
    inside(f"HostConfig.Devices[].{key}", DEVICES if key == "PathOnHost" else {}, "head -c 3 /dev/nothing | wc -c", "3")
warned("HostConfig.Devices[].CgroupPermissions", host(Devices=[{"PathOnHost": "/dev/zero", "CgroupPermissions": "r"}]), "The cgroup permissions r")
for key, value in {"Driver": "nvidia", "Count": -1, "DeviceIDs": ["0"], "Capabilities": [["gpu"]], "Options": {"a": "b"}}.items():
    refused(f"HostConfig.DeviceRequests[].{key}", host(DeviceRequests=[{key: value}]), "could not select device driver")
inside("HostConfig.Init", host(Init=True), "cat /proc/1/comm", "(docker|berth)-init", "")
for key in ("Name", "Soft", "Hard"):
    inside(f"HostConfig.Ulimits[].{key}", host(Ulimits=[{"Name": "nofile", "Soft": 100, "Hard": 200}]) if key == "Name" else {},
           "ulimit -Sn; ulimit -Hn", "100\n200")
inside("HostConfig.Binds", host(Binds=["fields-bound:/bound:ro"]), "touch /bound/x 2>&1", ".*Read-only file system")
kept("HostConfig.ContainerIDFile", host(ContainerIDFile="/x"), ("HostConfig.ContainerIDFile", "/x"), "test_flags.py")
kept("HostConfig.LogConfig.Type", host(LogConfig={"Type": "local", "Config": {}}), ("HostConfig.LogConfig.Type", "local"), "test_logs.py")
kept("HostConfig.LogConfig.Config", host(LogConfig={"Type": "local", "Config": {"max-size": "1m"}}), ("HostConfig.LogConfig.Config", {"max-size": "1m"}),
     "test_logs.py")
inside("HostConfig.NetworkMode", host(NetworkMode="none"), "ls /sys/class/net", "lo", "")
kept("HostConfig.PortBindings", host(PortBindings={"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8"}]}),
     ("HostConfig.PortBindings", {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8"}]}), "test_ports.py")
for key, value in {"Name": "on-failure", "MaximumRetryCount": 3}.items():
    kept("HostConfig.RestartPolicy." + key, host(RestartPolicy={"Name": "on-failure", "MaximumRetryCount": 3}), ("HostConfig.RestartPolicy." + key, value),
         "test_lifecycle.py")
kept("HostConfig.AutoRemove", host(AutoRemove=True), ("HostConfig.AutoRemove", True), "test_run.py")
refused("HostConfig.VolumeDriver", host(VolumeDriver="absent"), 'plugin "absent" not found')
refused("HostConfig.VolumesFrom", host(VolumesFrom=["fields-absent"]), "No such container: fields-absent")
kept("HostConfig.ConsoleSize", host(ConsoleSize=[33, 101]), ("HostConfig.ConsoleSize", [33, 101]), "test_contract.py")
kept("HostConfig.Annotations", host(Annotations={"a.b": "c"}), ("HostConfig.Annotations", {"a.b": "c"}), "test_flags.py")

# HostConfig.Mounts
M = "HostConfig.Mounts[]."
inside(M + "Target", host(Mounts=[{"Type": "tmpfs", "Target": "/mounted", "TmpfsOptions": {"SizeBytes": 65536, "Mode": 0o710, "Options": [["exec"]]}}]),
       "grep -c ' /mounted tmpfs' /proc/mounts", "1")
inside(M + "Type", {}, "grep -c ' /mounted tmpfs' /proc/mounts", "1")
inside(M + "TmpfsOptions.SizeBytes", {}, "grep -o ' /mounted .*size=64k' /proc/mounts | wc -l", "1")
inside(M + "TmpfsOptions.Mode", {}, "stat -c %a /mounted", "710")
inside(M + "TmpfsOptions.Options", {}, "grep ' /mounted ' /proc/mounts | grep -c noexec", "0")
inside(M + "ReadOnly", host(Mounts=[{"Type": "tmpfs", "Target": "/closed", "ReadOnly": True}]), "touch /closed/x 2>&1", ".*Read-only file system")
refused(M + "Source", mount(Type="bind", Source="/fields/absent"), "bind source path does not exist: /fields/absent")
kept(M + "Consistency", mount(Consistency="cached"), ("HostConfig.Mounts.0.Consistency", "cached"), "test_volumes.py")
refused(M + "BindOptions.Propagation", mount(Type="bind", Source="/tmp", BindOptions={"Propagation": "odd"}), "invalid propagation mode: odd")
for key in ("NonRecursive", "CreateMountpoint"):
    kept(M + "BindOptions." + key, mount(Type="bind", Source="/etc", BindOptions={key: True}), ("HostConfig.Mounts.0.BindOptions." + key, True), "test_volumes.py")
for key in ("ReadOnlyNonRecursive", "ReadOnlyForceRecursive"):
    refused(M + "BindOptions." + key, mount(Type="bind", Source="/etc", BindOptions={key: True}), "need ReadOnly")
inside(M + "VolumeOptions.NoCopy", host(Mounts=[{"Type": "volume", "Target": "/etc", "VolumeOptions": {"NoCopy": True}}]), "ls /etc/passwd 2>&1",
       ".*No such file or directory", "")
kept(M + "VolumeOptions.Labels", mount(Type="volume", VolumeOptions={"Labels": {"a": "b"}}), ("HostConfig.Mounts.0.VolumeOptions.Labels", {"a": "b"}), "test_volumes.py")
refused(M + "VolumeOptions.DriverConfig.Name", mount(Type="volume", VolumeOptions={"DriverConfig": {"Name": "absent"}}), "absent")
refused(M + "VolumeOptions.DriverConfig.Options", mount(Type="volume", Source="fields-odd", VolumeOptions={"DriverConfig": {"Name": "local", "Options": {"odd": "x"}}}),
        'invalid option: "odd"')
refused(M + "VolumeOptions.Subpath", mount(Type="volume", Source="fields-sub", VolumeOptions={"Subpath": "../x"}), "subpath must be a relative path within the volume")
refused(M + "ImageOptions.Subpath", mount(Type="image", Source="busybox", ImageOptions={"Subpath": "../x"}), "subpath must be a relative path within the image")

# HostConfig: the process and what it sees
for key in ("CapAdd", "CapDrop"):
    inside("HostConfig." + key, host(CapAdd=["NET_BIND_SERVICE"], CapDrop=["ALL"]) if key == "CapAdd" else {}, "grep CapEff /proc/self/status", "CapEff:\t0000000000000400", "caps")
inside("HostConfig.CgroupnsMode", host(CgroupnsMode="host"), "readlink /proc/self/ns/cgroup", re.escape(os.readlink("/proc/self/ns/cgroup")), "")
inside("HostConfig.Dns", host(Dns=["192.0.2.53"]), "grep nameserver /etc/resolv.conf", "nameserver 192.0.2.53")
inside("HostConfig.DnsOptions", host(DnsOptions=["ndots:7"]), "grep -o ndots:7 /etc/resolv.conf", "ndots:7")
inside("HostConfig.DnsSearch", host(DnsSearch=["a.test"]), "grep search /etc/resolv.conf", "search a.test")
inside("HostConfig.ExtraHosts", host(ExtraHosts=["there:192.0.2.9"]), "grep there /etc/hosts", "192.0.2.9\tthere")
inside("HostConfig.GroupAdd", host(GroupAdd=["77"]), "id -G", "0 77")
inside("HostConfig.IpcMode", host(IpcMode="none"), "grep -c ' /dev/shm ' /proc/mounts", "0", "")
refused("HostConfig.Links", host(Links=["fields-absent:x"]), "could not get container for fields-absent")
inside("HostConfig.OomScoreAdj", host(OomScoreAdj=501), "cat /proc/self/oom_score_adj", "501")
inside("HostConfig.PidMode", host(PidMode="host"), "test $(ls -d /proc/[0-9]* | wc -l) -gt 5 && echo many", "many", "")
inside("HostConfig.Privileged", host(Privileged=True), "mkdir /mnt && mount -t tmpfs none /mnt && echo mounted", "mounted", "")
kept("HostConfig.PublishAllPorts", host(PublishAllPorts=True), ("HostConfig.PublishAllPorts", True), "test_flags.py")
inside("HostConfig.ReadonlyRootfs", host(ReadonlyRootfs=True), "touch /x 2>&1", ".*Read-only file system", "")
inside("HostConfig.SecurityOpt", host(SecurityOpt=["no-new-privileges"]), "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1")
refused("HostConfig.StorageOpt", host(StorageOpt={"size": "1G"}), "--storage-opt is not supported")
inside("HostConfig.Tmpfs", host(Tmpfs={"/scratch": "size=64k"}), "grep -c ' /scratch .*size=64k' /proc/mounts", "1")
inside("HostConfig.UTSMode", host(UTSMode="host"), "hostname | grep -c .", "1", "")
inside("HostConfig.UsernsMode", host(UsernsMode="host"), "id -u", "0", "")
inside("HostConfig.ShmSize", host(ShmSize=16 << 20), "df -k /dev/shm | tail -1 | awk '{print $2}'", "16384")
inside("HostConfig.Sysctls", host(Sysctls={"net.ipv4.ip_default_ttl": "77"}), "cat /proc/sys/net/ipv4/ip_default_ttl", "77")
refused("HostConfig.Runtime", host(Runtime="absent"), "unknown or invalid runtime name: absent")
refused("HostConfig.Isolation", host(Isolation="hyperv"), "invalid isolation (hyperv): linux only supports 'default'")
inside("HostConfig.MaskedPaths", host(MaskedPaths=["/etc/group"], ReadonlyPaths=["/tmp"]), "wc -c < /etc/group", "0")
inside("HostConfig.ReadonlyPaths", {}, "touch /tmp/x 2>&1", ".*Read-only file system")

# NetworkingConfig: an endpoint of a user-defined network
N = "NetworkingConfig.EndpointsConfig{}."
inside(N + "IPAMConfig.IPv4Address", endpoint(IPAMConfig={"IPv4Address": "10.87.0.9"}), "ip -4 addr | grep -c 10.87.0.9/", "1", "network")
refused(N + "IPAMConfig.IPv6Address", endpoint(IPAMConfig={"IPv6Address": "2001:db8::9"}), "user configured subnets")
warned(N + "IPAMConfig.LinkLocalIPs", endpoint(IPAMConfig={"LinkLocalIPs": ["169.254.1.1"]}), "LinkLocalIPs 169.254.1.1 is discarded")
inside(N + "MacAddress", endpoint(MacAddress="02:42:0a:57:00:09"), "ip link | grep -c 02:42:0a:57:00:09", "1", "network")
inside(N + "Aliases", endpoint(Aliases=["other"]), "nslookup other 2>/dev/null | grep -c 'Address: 10.87.0.9'", "1", "network")
inside(N + "DriverOpts", endpoint(DriverOpts={"com.docker.network.endpoint.ifname": "net7"}), "ls /sys/class/net | grep net7", "net7", "network")
kept(N + "Links", endpoint(Links=["a:b"]), ("NetworkSettings.Networks.fields.Links", ["a:b"]), "test_networks.py")
kept(N + "GwPriority", endpoint(GwPriority=5), ("NetworkSettings.Networks.fields.GwPriority", 5), "test_networks.py")
# What inspect tells; clients that make a container anew send it back, and like dockerd nothing takes it for a wish.
REPORTED = {N + key for key in ("NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address",
                                "GlobalIPv6PrefixLen", "DNSNames")}


def merged(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return {key: merged(a[key], b[key]) if key in a and key in b else a.get(key, b.get(key)) for key in {**a, **b}}
    return a + b if isinstance(a, list) and isinstance(b, list) else b


@pytest.fixture(scope="module")
def create(engine):
    """Creates a container of busybox; containers, network and volumes are gone after the tests."""
    engine.docker("network", "create", "--subnet", "10.87.0.0/24", "fields")
    made = []

    def call(body):
        status, _, reply = engine.api("POST", "/v1.51/containers/create", {"Image": "busybox", "Cmd": ["true"], **body})
        if status == 201:
            made.append(reply["Id"])
        return status, reply

    yield call
    for identity in made:
        engine.api("DELETE", f"/containers/{identity}?force=1&v=1")
    engine.docker("network", "rm", "fields")
    engine.docker("volume", "rm", "-f", "fields-bound")


@pytest.fixture(scope="module")
def printed(engine, create):
    """What the command of a row prints. Those of a group run in one container, once."""
    outputs = {}

    def of(path):
        if path not in outputs:
            group = TREE[path][4]
            rows = {name: entry for name, entry in TREE.items() if entry[0] == INSIDE and (entry[4] == group if group else name == path)}
            script = "\n".join(f"({entry[2]}); echo '== {name}'" for name, entry in rows.items())
            body = functools.reduce(merged, (entry[1] for entry in rows.values()))
            status, reply = create({**body, "Cmd": ["sh", "-c", script]})
            assert status == 201, reply
            engine.api("POST", f"/containers/{reply['Id']}/start")
            engine.api("POST", f"/containers/{reply['Id']}/wait")
            text = engine.docker("logs", reply["Id"]).stdout.replace("\r\n", "\n")
            for name in rows:
                outputs[name], _, text = text.partition(f"\n== {name}\n")
        return outputs[path]

    return of


def at(value, path):
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def of_kind(kind):
    return sorted(path for path, entry in TREE.items() if entry[0] == kind)


@pytest.mark.parametrize("path", of_kind(INSIDE))
def test_a_field_shows_inside(printed, path):
    assert re.fullmatch(TREE[path][3], printed(path))


@pytest.mark.parametrize("path", of_kind(KEPT))
def test_a_field_is_kept(engine, create, path):
    _, body, (shown, value), where = TREE[path]
    status, reply = create(body)
    assert status == 201, reply
    assert at(engine.inspect(reply["Id"]), shown) == value and reply["Warnings"] == []
    assert (pathlib.Path(__file__).parent / where).exists()


@pytest.mark.parametrize("path", of_kind(REFUSED))
def test_a_field_is_refused(create, path):
    _, body, words = TREE[path]
    status, reply = create(body)
    assert status in (400, 404) and words in reply["message"]


@pytest.mark.parametrize("path", of_kind(WARNED))
def test_a_field_without_effect_is_warned_of(create, path):
    _, body, words = TREE[path]
    status, reply = create(body)
    assert status == 201 and any(line.startswith(words) or words in line for line in reply["Warnings"]), reply


@pytest.mark.parametrize("path", of_kind(LIMIT))
def test_a_limit_acts_or_is_warned_of(engine, create, path):
    _, body, word = TREE[path]
    status, reply = create(body)
    assert status == 201, reply
    if not engine.api("GET", "/info")[2]["MemoryLimit"]:
        assert any(word in line for line in reply["Warnings"]), reply["Warnings"]


def fields(schema, definition, path=""):
    """The paths of all fields; [] is an element of a list, {} a value of a map."""
    for name, field in schema.properties(definition)[0].items():
        field, here = schema.resolve(field), path + name
        for step, inner in (("", field), ("[]", field.get("items")), ("{}", field.get("additionalProperties"))):
            inner = schema.resolve(inner) if isinstance(inner, dict) else {}
            if schema.properties(inner)[0]:
                yield from fields(schema, inner, here + step + ".")
                break
        else:
            yield here


def test_every_field_of_the_definition_has_a_row():
    yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")
    if not DEFINITION.exists():
        pytest.skip(f"the API's definition is not here: {DEFINITION}")
    schema = Schema(yaml.load(DEFINITION.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    names = {"": "ContainerConfig", "HostConfig.": "HostConfig", "NetworkingConfig.": "NetworkingConfig"}
    defined = {path for prefix, name in names.items() for path in fields(schema, schema.definition(name), prefix)}
    assert defined - REPORTED == set(TREE)
