"""--format and -f: the fields and templates that scripts are made of, on a container with everything; corner cases of logs and top."""
import json
import re
import time

import pytest

from engine import wait_until

DATE = r"\d{4}-\d\d-\d\d"
WHOLE = r"[0-9a-f]{64}"


@pytest.fixture(scope="module")
def shown(engine):
    """A running container `formats` with a port, a volume, a label, a health check and some lines of log."""
    engine.docker("network", "create", "--label", "of=formats", "formats-net")
    engine.docker("volume", "create", "--label", "of=formats", "formats-data")
    engine.docker("run", "-d", "--name", "formats", "--network", "formats-net", "-p", "127.0.0.1::80", "-v", "formats-data:/data", "--label", "of=formats",
                  "--label", "com.docker.compose.project=shop", "-e", "COLOUR=red", "--restart", "on-failure:3", "--health-cmd", "true",
                  "--health-interval", "100ms", "--log-opt", "labels=of", "busybox", "sh", "-c", "echo one; sleep 0.1; echo two >&2; sleep 0.1; echo three; exec sleep 1000")
    wait_until(lambda: "three" in engine.docker("logs", "formats").stdout, "all lines are in the log")
    yield "formats"
    engine.docker("rm", "-f", "formats")
    engine.docker("network", "rm", "formats-net")
    engine.docker("volume", "rm", "formats-data")


INSPECT = {
    "{{.State.Running}} {{.State.Status}} {{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}": "true running 0 false ",
    "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}": "starting|healthy",
    "{{.State.Pid}}": r"[1-9]\d*", "{{.State.StartedAt}} {{.State.FinishedAt}}": rf"{DATE}T\S+Z 0001-01-01T00:00:00Z",
    "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.Gateway}} {{.NetworkID}} {{.MacAddress}}{{end}}": rf"[\d.]+ [\d.]+ {WHOLE} [0-9a-f:]{{17}}",
    '{{with index .NetworkSettings.Networks "formats-net"}}{{.IPPrefixLen}} {{.Aliases}} {{.DNSNames}}{{end}}': r"16 .* \[formats [0-9a-f]{12}\]",
    "{{.NetworkSettings.IPAddress}}": "", '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}': r"\d+",
    "{{range $p, $c := .NetworkSettings.Ports}}{{$p}} -> {{(index $c 0).HostIp}}{{end}}": "80/tcp -> 127.0.0.1",
    "{{.Name}} {{.Config.Image}} {{.Path}} {{.Args}}": r"/formats busybox sh \[-c .*\]", "{{.Image}}": f"sha256:{WHOLE}",
    "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}} {{.RestartCount}}": "on-failure:3 0",
    "{{range .Config.Env}}{{println .}}{{end}}": r"(?s).*COLOUR=red\n.*", '{{index .Config.Labels "com.docker.compose.project"}}': "shop",
    "{{range .Mounts}}{{.Type}} {{.Name}} {{.Source}} {{.Destination}} {{.RW}} {{.Mode}}{{end}}": r"volume formats-data /.*/_data /data true z",
    "{{json .Mounts}} {{len .Mounts}}": r"\[\{.*\}\] 1", '{{join .Config.Cmd " "}}': "sh -c .*", "{{.HostConfig.NetworkMode}}": "formats-net",
    "{{.LogPath}}": rf"/.*/{WHOLE}-json\.log", "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config}}": r"json-file map\[labels:of\]",
    "{{.ResolvConfPath}} {{.HostnamePath}} {{.HostsPath}}": "/.*/resolv.conf /.*/hostname /.*/hosts", "{{.GraphDriver.Name}} {{.Driver}}": r"(\S+) \1",
    "{{.Created}} {{.Platform}}": rf"{DATE}T\S+Z linux", "{{.Config.Hostname}} {{slice .Id 0 12}}": r"([0-9a-f]{12}) \1",
    "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.Privileged}}": "0 0 false", "{{.NetworkSettings.SandboxKey}}": "/.*",
    "{{.State.Health.FailingStreak}} {{json .Config.Healthcheck.Test}}": r'0 \["CMD-SHELL","true"\]', "{{.ExecIDs}}": r"\[.*\]",
}


@pytest.mark.parametrize("template", INSPECT)
def test_a_template_of_inspect(engine, shown, template):
    assert re.fullmatch(INSPECT[template], engine.docker("inspect", "-f", template, shown).stdout[:-1])


INFO = {
    "{{.ServerVersion}}": r"\d+\.\d+\.\d+", "{{.Driver}}": r"\S+", "{{.CgroupDriver}} {{.CgroupVersion}}": r"(none|systemd|cgroupfs) [12]",
    "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}": "inactive false", "{{.DockerRootDir}}": "/.+", "{{.OSType}}/{{.Architecture}}": r"linux/\w+",
    "{{.NCPU}} {{.MemTotal}}": r"[1-9]\d* [1-9]\d{7,}", "{{json .SecurityOptions}}": r'\[.*"name=rootless".*\]', "{{.LoggingDriver}}": "json-file",
    "{{.Name}} {{.ID}}": r"\S+ \S+", "{{.DefaultRuntime}} {{range $name, $_ := .Runtimes}}{{$name}} {{end}}": ".* runc ", "{{.LiveRestoreEnabled}}": "false",
    "{{range .RegistryConfig.InsecureRegistryCIDRs}}{{.}} {{end}}": r".*127\.0\.0\.0/8 .*", "{{json .RegistryConfig.IndexConfigs}}": '.*"docker.io".*',
    "{{.OperatingSystem}} {{.KernelVersion}}": r".+ \d+\.\d+.*", "{{.Containers}} {{.ContainersRunning}} {{.Images}}": r"\d+ [1-9]\d* [1-9]\d*",
    "{{range .Plugins.Log}}{{.}} {{end}}": ".*json-file.*syslog.*", "{{len .Warnings}} {{.Debug}} {{.ExperimentalBuild}}": r"\d+ \w+ false",
    "{{.ClientInfo.Context}}": "default", "{{.MemoryLimit}} {{.PidsLimit}} {{.SwapLimit}} {{.CPUShares}}": r"(true|false)( (true|false)){3}",
    "{{.InitBinary}} {{.ContainerdCommit.ID}} {{.RuncCommit.ID}}": ".* .*", "{{.HTTPProxy}}|{{.NoProxy}}|{{.SystemTime}}": rf".*\|.*\|{DATE}T.*",
}


@pytest.mark.parametrize("template", INFO)
def test_a_template_of_info(engine, shown, template):
    assert re.fullmatch(INFO[template], engine.docker("info", "-f", template).stdout[:-1])


VERSION = {
    "{{.Server.Version}} {{.Server.APIVersion}} {{.Server.MinAPIVersion}}": r"\d+\.\d+\.\d+ 1\.51 1\.24", "{{.Server.Os}}/{{.Server.Arch}}": r"linux/\w+",
    "{{(index .Server.Components 0).Name}} {{len .Server.Components}}": r"Engine \d", "{{.Server.KernelVersion}}": r"\d+\.\d+.*",
    "{{range .Server.Components}}{{.Name}}={{.Version}} {{end}}": r"(\S+=\S+ )+", "{{.Server.Platform.Name}}": ".*",
    "{{.Server.GitCommit}} {{.Server.GoVersion}} {{.Server.BuildTime}}": r"\S* \S* .*", "{{.Client.Context}}": "default"}


@pytest.mark.parametrize("template", VERSION)
def test_a_template_of_version(engine, template):
    assert re.fullmatch(VERSION[template], engine.docker("version", "-f", template).stdout[:-1])


# command, {field: what it shows of `formats` and its parts}
LISTS = {
    ("ps", "--filter", "name=^formats$", "--no-trunc"): {
        ".ID": WHOLE, ".Image": "busybox", ".Command": '"sh -c .*"', ".CreatedAt": rf"{DATE} [\d:]+ [+-]\d{{4}} \S+", ".RunningFor": ".* ago",
        ".Ports": r"127\.0\.0\.1:\d+->80/tcp", ".State": "running", ".Status": r"Up .* \((healthy|health: starting)\)", ".Size": r"\S+ \(virtual \S+\)",
        ".Names": "formats", ".Labels": ".*of=formats.*", '.Label "of"': "formats", ".Mounts": "formats-data", ".Networks": "formats-net", ".LocalVolumes": "1"},
    ("images", "busybox"): {
        ".ID": r"[0-9a-f]{12}", ".Repository": "busybox", ".Tag": "latest", ".Digest": "<none>|sha256:.*", ".CreatedSince": ".* ago", ".CreatedAt": rf"{DATE} .*",
        ".Size": r"[\d.]+[kM]B"},
    ("network", "ls", "--filter", "name=^formats-net$"): {
        ".ID": r"[0-9a-f]{12}", ".Name": "formats-net", ".Driver": "bridge", ".Scope": "local", ".IPv6": "false", ".Internal": "false", ".Labels": "of=formats",
        '.Label "of"': "formats", ".CreatedAt": rf"{DATE} .*"},
    ("volume", "ls", "--filter", "name=formats-data"): {
        ".Name": "formats-data", ".Driver": "local", ".Scope": "local", ".Mountpoint": "/.*/formats-data/_data", ".Labels": "of=formats", '.Label "of"': "formats",
        ".Links": "N/A", ".Size": "N/A"},
    ("stats", "--no-stream", "formats"): {
        ".Container": "formats", ".Name": "formats", ".ID": r"[0-9a-f]{12}", ".CPUPerc": r"[\d.]+%", ".MemUsage": r"[\d.]+\w+ / [\d.]+\w+", ".MemPerc": r"[\d.]+%",
        ".NetIO": r"[\d.]+\w+ / [\d.]+\w+", ".BlockIO": r"[\d.]+\w+ / [\d.]+\w+", ".PIDs": r"[1-9]\d*"},
}


@pytest.mark.parametrize("command", LISTS, ids=lambda command: command[0] if command[1] != "ls" else " ".join(command[:2]))
def test_every_field_of_a_list(engine, shown, command):
    fields = LISTS[command]
    line = engine.docker(*command, "--format", "@@".join("{{" + name + "}}" for name in fields)).stdout.splitlines()[0]
    for (name, expected), value in zip(fields.items(), line.split("@@"), strict=True):
        assert re.fullmatch(expected, value), (name, value)
    assert isinstance(json.loads(engine.docker(*command, "--format", "{{json .}}").stdout.splitlines()[0]), dict)
    assert len(engine.docker(*command, "--format", "table {{" + next(iter(fields)) + "}}").stdout.splitlines()) >= 2


def test_every_field_of_df(engine, shown):
    lines = engine.docker("system", "df", "--format", "{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}").stdout.splitlines()
    assert [line.split("|")[0] for line in lines] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert all(re.fullmatch(r"[A-Z][\w ]+\|\d+\|\d+\|[\d.]+\w?B\|[\d.]+\w?B( \(\d+%\))?", line) for line in lines), lines
    detail = json.loads(engine.docker("system", "df", "-v", "--format", "{{json .}}").stdout)
    (container,) = [one for one in detail["Containers"] if one["Names"] == "formats"]
    (volume,) = [one for one in detail["Volumes"] if one["Name"] == "formats-data"]
    (image,) = [one for one in detail["Images"] if one["Repository"] == "busybox"]
    assert container["LocalVolumes"] == "1" and volume["Links"] == "1" and volume["Size"] == "0B"
    # Its one layer is shared as soon as another test has built something on it.
    assert int(image["Containers"]) >= 1 and "0B" in (image["SharedSize"], image["UniqueSize"])


def test_every_field_of_events_and_their_text(engine, shown):
    since = time.time() - 0.001
    engine.docker("kill", "-s", "CONT", shown)
    window = ("--since", f"{since:.9f}", "--until", f"{time.time() + 0.001:.9f}", "--filter", "event=kill")
    template = "{{.Type}} {{.Action}} {{.Actor.ID}} {{.Actor.Attributes.name}} {{.Actor.Attributes.signal}} {{.Scope}} {{.Time}} {{.TimeNano}} {{.Status}} {{.ID}} {{.From}}"
    line = engine.docker("events", *window, "--format", template).stdout
    assert re.fullmatch(rf"container kill ({WHOLE}) formats 18 local \d{{10}} \d{{19}} kill \1 busybox\n", line)
    text = engine.docker("events", *window).stdout
    assert re.fullmatch(rf"{DATE}T[\d:.]+[Z+-]\S* container kill {WHOLE} \(.*image=busybox, name=formats, of=formats, signal=18\)\n", text)


def test_info_prints_all_its_parts(engine, shown):
    done = engine.docker("info")
    for words in (r"^ Server Version: \d", r"^ Storage Driver: ", r"^ Cgroup Version: ", r"^  Network: bridge host", r"^  Log: .*syslog", r"^ Swarm: inactive",
                  r"^ Default Runtime: ", r"^  rootless$", r"^ Kernel Version: ", r"^ Docker Root Dir: /", r"^  127\.0\.0\.0/8", r"^ Live Restore Enabled: false"):
        assert re.search(words, done.stdout, re.M), words
    assert "ERROR" not in done.stdout and "expected" not in done.stderr


LOGS = {
    ("-n", "0"): ("", ""), ("-n", "all"): ("one\nthree\n", "two\n"), ("-n", "-1"): ("one\nthree\n", "two\n"), ("-n", "1"): ("three\n", ""),
    ("-n", "many"): ("one\nthree\n", "two\n"), ("--since", "0"): ("one\nthree\n", "two\n"), ("--since", "1h"): ("one\nthree\n", "two\n"), ("--until", "1h"): ("", ""),
    ("--until", "0"): ("one\nthree\n", "two\n"), ("--details",): ("of=formats one\nof=formats three\n", "of=formats two\n"),
}


@pytest.mark.parametrize("flags", LOGS, ids=" ".join)
def test_flags_of_logs(engine, shown, flags):
    done = engine.docker("logs", *flags, shown)
    assert (done.stdout, done.stderr) == LOGS[flags]


def test_times_and_details_stand_before_the_line_in_dockers_order(engine, shown):
    done = engine.docker("logs", "-t", "--details", shown)
    assert re.fullmatch(rf"{DATE}T[\d:]+\.\d{{9}}Z of=formats two\n", done.stderr)


def test_details_of_a_log_without_attributes_are_a_space(engine, container):
    identity = container("busybox", "echo", "x")
    engine.docker("wait", identity)
    assert engine.docker("logs", "--details", identity).stdout == " x\n"


def test_a_follower_ends_at_its_until(engine, shown):
    begun = time.monotonic()
    until = f"{time.time() + 1:.3f}"
    assert engine.docker("logs", "-f", "--until", until, shown).stdout == "one\nthree\n"
    assert 0.5 < time.monotonic() - begun < 10


def test_logs_of_one_stream_only(engine, shown):
    status, _, body = engine.api("GET", f"/containers/{shown}/logs")
    assert status == 400 and body["message"] == "Bad parameters: you must choose at least one stream"
    assert engine.api("GET", f"/containers/{shown}/logs?stderr=1")[2] == b"\2\0\0\0\0\0\0\4two\n"


@pytest.mark.parametrize("options,titles", [
    ([], ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]), (["aux"], ["USER", "PID", "%CPU", "%MEM"]), (["-o", "pid,comm"], ["PID", "COMMAND"]),
    (["-eo", "pid,args"], ["PID", "COMMAND"])])
def test_top_takes_what_ps_takes(engine, shown, options, titles):
    lines = engine.docker("top", shown, *options).stdout.splitlines()
    assert lines[0].split()[:len(titles)] == titles and any("sleep" in line for line in lines[1:])


def test_top_wants_the_pid(engine, shown):
    done = engine.docker("top", shown, "-o", "user", check=False)
    assert done.returncode == 1 and "Couldn't find PID field in ps output" in done.stderr

