"""A flag of `docker run` a row: what it does, seen from inside or by inspect. Flags that have a file of their own are tested there."""
import json
import pathlib
import re
import shutil

import pytest

from engine import needs_cli
from test_options import started

# name, flags, command, what stdout must match
SHOWN = [
    ("attach", ["-a", "stdout"], ["sh", "-c", "echo out; echo err >&2"], "^out\n$"),
    ("cgroupns-private", ["--cgroupns", "private"], ["true"], "^$"),
    ("domainname", ["-h", "box", "--domainname", "example.test"], ["sh", "-c", "cat /proc/sys/kernel/domainname; hostname"], "^example.test\nbox\n$"),
    ("env", ["-e", "A=1", "--env", "B=two words"], ["sh", "-c", 'echo "$A $B"'], "^1 two words\n$"),
    ("group-add", ["--group-add", "extra", "--group-add", "77"], ["id", "-G"], r"^0 77 2000\n$"),
    ("interactive", ["-i"], ["cat"], "^$"),
    ("ipc-none", ["--ipc", "none"], ["sh", "-c", "mount | grep -c /dev/shm"], "^0\n$"),
    ("ipc-private", ["--ipc", "private"], ["sh", "-c", "mount | grep -c /dev/shm"], "^1\n$"),
    ("isolation", ["--isolation", "default"], ["echo", "ran"], "^ran\n$"),
    ("shm-size", ["--shm-size", "16m"], ["sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'"], "^16384\n$"),
    ("sysctl", ["--sysctl", "net.ipv4.ip_default_ttl=77", "--sysctl", "kernel.msgmax=9000"],
     ["cat", "/proc/sys/net/ipv4/ip_default_ttl", "/proc/sys/kernel/msgmax"], "^77\n9000\n$"),
    ("tty", ["-t"], ["sh", "-c", "test -t 1 && echo terminal $TERM"], "^terminal xterm\n$"),
    ("ulimit", ["--ulimit", "nofile=100:200", "--ulimit", "core=0"], ["sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c"], "^100\n200\n0\n$"),
    ("uts-host", ["--uts", "host"], ["hostname"], "^(?P<host>.+)\n$"),
    ("workdir", ["-w", "/made/here"], ["pwd"], "^/made/here\n$"),
    ("dns-option", ["--dns-option", "ndots:7", "--dns", "192.0.2.53", "--dns-search", "a.test"], ["cat", "/etc/resolv.conf"],
     r"(?s)(?=.*192\.0\.2\.53)(?=.*search a\.test)(?=.*ndots:7)"),
    ("device", ["--device", "/dev/null:/dev/other:rwm"], ["stat", "-c", "%t:%T", "/dev/other"], "^1:3\n$"),
    ("device-short", ["--device", "/dev/zero"], ["sh", "-c", "head -c 3 /dev/zero | wc -c"], "^3\n$"),
    ("device-renamed", ["--device", "/dev/zero:/dev/nothing"], ["sh", "-c", "head -c 3 /dev/nothing | wc -c"], "^3\n$"),
    ("no-new-privileges", ["--security-opt", "no-new-privileges"], ["grep", "NoNewPrivs", "/proc/self/status"], "1\n$"),
    ("seccomp-unconfined", ["--security-opt", "seccomp=unconfined"], ["grep", "^Seccomp:", "/proc/self/status"], "0\n$"),
    ("systempaths", ["--security-opt", "systempaths=unconfined"], ["sh", "-c", "mount | grep -c '/proc/sys '"], "^0\n$"),
    ("cap-drop-all", ["--cap-drop", "ALL", "--cap-add", "net_bind_service"], ["grep", "CapEff", "/proc/self/status"], "0000000000000400\n$"),
    ("privileged", ["--privileged"], ["sh", "-c", "grep CapEff /proc/self/status; mkdir /m && mount -t tmpfs none /m && echo mounted"], "(?s)1ffffffffff.*mounted\n$"),
    ("tmpfs", ["--tmpfs", "/t:size=64k,mode=700,exec"], ["sh", "-c", "stat -c %a /t; mount | grep ' /t '"], "(?s)^700\n.*size=64k"),
    ("oom-score-adj", ["--oom-score-adj", "500"], ["cat", "/proc/self/oom_score_adj"], "^500\n$"),
    ("pid-host", ["--pid", "host"], ["sh", "-c", "ls -d /proc/[0-9]* | wc -l"], r"^\d{2,}\n$"),
    ("init", ["--init"], ["cat", "/proc/1/comm"], "^docker-init\n$"),
    ("mac-address", ["--mac-address", "02:42:ac:11:00:99"], ["cat", "/sys/class/net/eth0/address"], "^02:42:ac:11:00:99\n$"),
    ("annotation", ["--annotation", "org.example.key=value"], ["echo", "ran"], "^ran\n$"),
    ("volume-driver", ["--volume-driver", "local", "-v", "/x"], ["sh", "-c", "mount | grep -c ' /x '"], "^1\n$"),
    ("platform", ["--platform", "linux/amd64"], ["uname", "-m"], "^x86_64\n$"),
    ("memory-swap-unlimited", ["-m", "64m", "--memory-swap", "-1"], ["echo", "ran"], "^ran\n$"),
    ("health-start-interval", ["--health-cmd", "true", "--health-start-period", "2s", "--health-start-interval", "1s"], ["echo", "ran"], "^ran\n$"),
    ("publish-all", ["--publish-all", "--expose", "8080"], ["echo", "ran"], "^ran\n$"),
    ("userns-host", ["--userns", "host"], ["id", "-u"], "^0\n$"),
]


@pytest.mark.parametrize("flags,command,expected", [row[1:] for row in SHOWN], ids=[row[0] for row in SHOWN])
def test_a_flag_shows_inside(engine, flags, command, expected):
    if "--annotation" in flags:
        needs_cli("1.43")
    if "--health-start-interval" in flags:
        needs_cli("1.44")
    done = engine.docker("run", "--rm", "--pull", "never", *flags, "busybox", *command, check=False)
    assert re.search(expected, done.stdout), (done.stdout, done.stderr)


# name, flags, words of the error
REFUSED = [
    ("sysctl-of-the-host", {"Sysctls": {"vm.swappiness": "1"}}, 'sysctl "vm.swappiness" is not in a separate kernel namespace'),
    ("sysctl-host-network", {"Sysctls": {"net.ipv4.ip_forward": "1"}, "NetworkMode": "host"},
     "sysctl 'net.ipv4.ip_forward' not allowed in host network namespace"),
    ("sysctl-host-ipc", {"Sysctls": {"kernel.msgmax": "1"}, "IpcMode": "host"}, 'sysctl "kernel.msgmax" is not allowed in the host ipc namespace'),
    ("gpus", {"DeviceRequests": [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]},
     'could not select device driver "" with capabilities: [["gpu"]]'),
    ("runtime", {"Runtime": "absent"}, "unknown or invalid runtime name: absent"),
    ("isolation", {"Isolation": "hyperv"}, "invalid isolation (hyperv): linux only supports 'default'"),
    ("security-opt", {"SecurityOpt": ["nonsense"]}, 'invalid --security-opt 2: "nonsense"'),
    ("cap-add", {"CapAdd": ["CAP_NONSENSE"]}, 'invalid CapAdd: unknown capability: "CAP_NONSENSE"'),
    ("ipc", {"IpcMode": "nonsense"}, "invalid IPC mode: nonsense"),
    ("pid", {"PidMode": "nonsense"}, "invalid PID mode: nonsense"),
    ("uts", {"UTSMode": "nonsense"}, "invalid UTS mode: nonsense"),
    ("cgroupns", {"CgroupnsMode": "nonsense"}, "invalid cgroup namespace mode: nonsense"),
    ("oom-score-adj", {"OomScoreAdj": 2000}, "range for oom score adj is [-1000, 1000]"),
    ("shm-size", {"ShmSize": -1}, "SHM size can not be less than 0"),
    ("storage-opt", {"StorageOpt": {"size": "1G"}}, "--storage-opt is not supported"),
    ("volume-driver", {"VolumeDriver": "absent"}, 'plugin "absent" not found'),
    ("tmpfs", {"Tmpfs": {"/t": "color=blue"}}, 'invalid tmpfs option "color=blue"'),
    ("dns", {"Dns": ["nonsense"]}, "ip address is not correctly formatted: nonsense"),
]


@pytest.mark.parametrize("host,text", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_value_that_cannot_be_is_refused_at_create(engine, host, text):
    status, _, body = engine.api("POST", "/v1.44/containers/create", {"Image": "busybox", "Cmd": ["true"], "HostConfig": host})
    assert status in (400, 404) and text in body["message"]


# Fields of the API that the CLI does not send, each with the name that the warning begins with.
DISCARDED = {"KernelMemory": 10 << 20, "KernelMemoryTCP": 10 << 20, "CpuCount": 2, "CpuPercent": 50, "IOMaximumIOps": 5,
             "IOMaximumBandwidth": 5, "Cgroup": "x", "CpuRealtimePeriod": 1000, "DeviceCgroupRules": ["c 1:3 rwm"]}


@pytest.mark.parametrize("field", sorted(DISCARDED))
def test_a_field_without_effect_is_warned_of(engine, field):
    status, _, body = engine.api("POST", "/v1.44/containers/create",
                                 {"Image": "busybox", "Cmd": ["true"], "HostConfig": {field: DISCARDED[field]}})
    assert status == 201 and any(line.startswith(field + " is discarded") for line in body["Warnings"])
    engine.api("DELETE", f"/containers/{body['Id']}")


def test_what_mends_missing_limits_is_said_once(engine):
    if engine.api("GET", "/info")[2]["MemoryLimit"]:
        pytest.skip("limits are delegated here")
    done = engine.docker("create", "-m", "64m", "--cpus", "1", "--pids-limit", "5", "busybox", "true")
    lines = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(lines) >= 3 and max(map(len, lines[1:])) < 160
    engine.docker("rm", done.stdout.strip())


def test_an_oom_killer_that_cannot_be_switched_off(engine):
    done = engine.docker("create", "-m", "64m", "--oom-kill-disable", "busybox", "true")
    assert "OomKillDisable discarded" in done.stderr
    engine.docker("rm", done.stdout.strip())


def test_every_flag_that_the_engine_serves_is_tried_somewhere():
    here = pathlib.Path(__file__).resolve()
    section = (here.parents[2] / "docs/compatibility.md").read_text().split("\n## Flags of ", 1)[1].split("\n## ", 1)[0]
    tests = "".join(path.read_text() for path in here.parent.glob("test_*.py"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")]
    untried = []
    for flags, state, *_ in rows:
        names = re.findall(r"`(--?[a-zA-Z0-9-]+)`", flags)
        if state != "client" and not any(re.search(rf"[\"' ]{re.escape(name)}[\"'= :,]", tests) for name in names):
            untried.append(names[-1])
    assert untried == []


def test_a_missing_device_is_named(engine):
    done = engine.docker("run", "--rm", "--device", "/dev/not-there", "busybox", "true", check=False)
    assert done.returncode != 0 and 'adding custom device "/dev/not-there": no such file or directory' in done.stderr


def test_an_unreachable_oom_score_is_replaced_with_a_warning(engine):
    lowest = int(engine.docker("run", "--rm", "busybox", "cat", "/proc/self/oom_score_adj").stdout)
    done = engine.docker("create", "--oom-score-adj", "-1000", "busybox", "true")
    if lowest > -1000:
        assert "OomScoreAdj -1000 is below the lowest" in done.stderr
    engine.docker("rm", done.stdout.strip())


def test_a_seccomp_profile_file_applies(engine, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}))
    done = engine.docker("run", "--rm", "--security-opt", f"seccomp={profile}", "busybox", "mkdir", "/x", check=False)
    assert done.returncode != 0 and "Operation not permitted" in done.stderr


def test_files_of_the_client(engine, tmp_path):
    variables, labels, identity = tmp_path / "env", tmp_path / "labels", tmp_path / "id"
    variables.write_text("FROM_FILE=yes\n")
    labels.write_text("of.file=yes\n")
    done = engine.docker("run", "--env-file", variables, "--label-file", labels, "--cidfile", identity, "busybox", "sh", "-c", "echo $FROM_FILE")
    assert done.stdout == "yes\n"
    assert engine.inspect(identity.read_text())["Config"]["Labels"]["of.file"] == "yes"
    engine.docker("rm", identity.read_text())


def test_namespaces_of_another_container(engine, container):
    first = container("--ipc", "shareable", "busybox", "sh", "-c", "echo there > /dev/shm/mark; exec sleep 1000")
    out = engine.docker("run", "--rm", "--ipc", f"container:{first}", "--pid", f"container:{first}", "busybox", "sh", "-c",
                        "ps | grep -c '[s]leep 1000'; cat /dev/shm/mark; echo back > /dev/shm/mark", check=False)
    assert out.stdout.split() == ["1", "there"], out.stderr
    assert engine.docker("exec", first, "cat", "/dev/shm/mark").stdout == "back\n"


def test_stop_signal_and_timeout(engine, container):
    identity = container("--stop-signal", "USR1", "--stop-timeout", "30", "busybox", "sh", "-c", "trap 'exit 7' USR1; while :; do sleep 0.05; done")
    engine.docker("stop", identity)
    assert engine.inspect(identity)["State"]["ExitCode"] == 7


def test_detach_keys_and_sig_proxy_are_taken(engine):
    assert engine.docker("run", "--rm", "--detach-keys", "ctrl-x,x", "--sig-proxy=false", "busybox", "echo", "ran").stdout == "ran\n"


def test_quiet_is_taken(engine):
    needs_cli("1.43")
    assert engine.docker("run", "--rm", "--quiet", "busybox", "echo", "ran").stdout == "ran\n"


def test_published_ports_of_all_kinds(engine, container):
    identity = container("-P", "--expose", "8080", "-p", "127.0.0.1::9090", "busybox", "sleep", "1000")
    ports = engine.inspect(identity)["NetworkSettings"]["Ports"]
    assert ports["8080/tcp"][0]["HostPort"] and ports["9090/tcp"][0]["HostIp"] == "127.0.0.1"


@pytest.mark.parametrize("name,arguments", [("crun", ["--cgroup-manager=disabled"]), ("runc", [])])
def test_another_oci_runtime(bare_engine, name, arguments):
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    if not program:
        pytest.skip(f"{name} is not installed")
    engine = started(bare_engine, runtimes={"other": {"path": program, "runtimeArgs": arguments}})
    assert "other" in engine.api("GET", "/info")[2]["Runtimes"]
    done = engine.docker("run", "--rm", "--runtime", "other", "-v", "kept:/data", "-e", "A=1", "busybox", "sh", "-c", "echo $A; exit 3", check=False)
    if "hybrid mode not supported" in done.stderr:
        pytest.skip("crun does not run where cgroup versions 1 and 2 are mixed")
    assert done.stdout == "1\n" and done.returncode == 3, done.stderr
    identity = engine.docker("run", "-d", "--runtime", "other", "busybox", "sleep", "1000").stdout.strip()
    assert engine.docker("exec", identity, "echo", "in").stdout == "in\n"
    engine.docker("rm", "-f", identity)
