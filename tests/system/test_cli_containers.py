"""The docker CLI's commands on one container, flag by flag, where no other file has them."""
import json
import re
import subprocess

import pytest

from engine import needs_cli, wait_until

TRAP = "trap 'echo got USR1; exit 5' USR1; trap 'echo got HUP; exit 6' HUP; trap 'echo got TERM; exit 4' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture(scope="module")
def sleeper(engine):
    """A container that the tests of this file leave as it is."""
    identity = engine.docker("run", "-d", "--init", "--label", "of=cli", "busybox", "sleep", "1000").stdout.strip()
    yield identity
    engine.docker("rm", "-f", identity)


@pytest.fixture
def trapping(engine, container):
    """A container that says which signal it got and exits with a code for it."""
    identity = container("busybox", "sh", "-c", TRAP)
    wait_until(lambda: "ready" in engine.docker("logs", identity).stdout, "the traps are set")
    return identity


EXEC = {
    "env": (["-e", "A=1", "--env", "B=2", "{}", "sh", "-c", "echo $A $B"], "1 2\n"),
    "user": (["-u", "1000:2000", "{}", "sh", "-c", "id -u; id -g"], "1000\n2000\n"),
    "user by name": (["--user", "user", "{}", "id", "-un"], "user\n"),
    "workdir": (["-w", "/var", "{}", "pwd"], "/var\n"),
    "privileged": (["--privileged", "{}", "grep", "CapEff", "/proc/self/status"], "CapEff:\t000001ffffffffff\n"),
    "tty": (["-t", "{}", "sh", "-c", "test -t 1 && echo terminal"], "terminal\n"),
}


@pytest.mark.parametrize("flag", EXEC)
def test_a_flag_of_exec(engine, sleeper, flag):
    arguments, expected = EXEC[flag]
    assert engine.docker("exec", *[sleeper if word == "{}" else word for word in arguments]).stdout == expected


def test_exec_takes_variables_from_a_file_and_stdin(engine, sleeper, tmp_path):
    (tmp_path / "env").write_text("FROM=file\n# a comment\n")
    done = engine.docker("exec", "-i", "--env-file", str(tmp_path / "env"), sleeper, "sh", "-c", "read line; echo $line $FROM", input="typed\n")
    assert done.stdout == "typed file\n"


def test_exec_without_interactive_has_no_stdin(engine, sleeper):
    assert engine.docker("exec", sleeper, "cat", input="ignored").stdout == ""


def test_exec_wants_a_container_that_runs(engine, container):
    identity = container("busybox", "true")
    engine.docker("wait", identity)
    done = engine.docker("exec", identity, "true", check=False)
    assert done.returncode == 1 and f"container {identity} is not running" in done.stderr


@pytest.mark.parametrize("arguments,code", [(["kill", "-s", "USR1"], 5), (["kill", "--signal", "1"], 6), (["kill", "-s", "SIGTERM"], 4), (["stop"], 4),
                                            (["kill"], 137)])
def test_a_signal_arrives(engine, trapping, arguments, code):
    assert engine.docker(*arguments, trapping).stdout == trapping + "\n"
    assert engine.docker("wait", trapping).stdout == f"{code}\n"


@pytest.mark.parametrize("command", ["stop", "restart"])
def test_stop_and_restart_take_a_signal(engine, trapping, command):
    needs_cli("1.42")
    engine.docker(command, "-s", "HUP", trapping)
    wait_until(lambda: "got HUP" in engine.docker("logs", trapping).stdout, "the signal arrived")
    assert engine.inspect(trapping)["State"]["Running"] is (command == "restart")


def test_a_wrong_signal_is_refused(engine, sleeper):
    assert "invalid signal: NONE" in engine.docker("kill", "-s", "NONE", sleeper, check=False).stderr.replace("Invalid", "invalid")


def test_a_stop_that_is_ignored_kills_after_the_timeout(engine, container):
    identity = container("busybox", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    wait_until(lambda: "ready" in engine.docker("logs", identity).stdout, "the trap is set")
    engine.docker("stop", "--time", "0", identity)
    assert engine.inspect(identity)["State"]["ExitCode"] == 137


def test_wait_prints_a_code_for_each(engine, container):
    first, second = (container("busybox", "sh", "-c", f"exit {code}") for code in (3, 4))
    assert engine.docker("wait", first, second).stdout == "3\n4\n"


def test_kill_of_an_ended_container_is_refused(engine, container):
    identity = container("busybox", "true")
    engine.docker("wait", identity)
    assert f"container {identity} is not running" in engine.docker("kill", identity, check=False).stderr
    assert engine.docker("stop", identity).stdout.strip() == identity, "a stop of it is no fault"


def test_rename_wants_a_free_and_valid_name(engine, container, sleeper):
    container("--name", "rename-taken", "busybox", "true")
    assert "is already in use by container" in engine.docker("rename", sleeper, "rename-taken", check=False).stderr
    assert "Invalid container name" in engine.docker("rename", sleeper, "not/valid", check=False).stderr


def test_rm_of_several_names_those_that_fail(engine, container, sleeper):
    identity = container("busybox", "true")
    engine.docker("wait", identity)
    done = engine.docker("rm", identity, "absent", sleeper, check=False)
    assert done.returncode == 1 and done.stdout == identity + "\n"
    assert "No such container: absent" in done.stderr and "container is running" in done.stderr


def test_rm_with_volumes_takes_the_anonymous_and_leaves_the_named(engine, container):
    identity = container("-v", "/anonymous", "-v", "rm-named:/named", "busybox", "true")
    anonymous = [mount["Name"] for mount in engine.inspect(identity)["Mounts"] if mount["Destination"] == "/anonymous"]
    engine.docker("rm", "-f", "--volumes", identity)
    left = engine.docker("volume", "ls", "-q").stdout.split()
    assert "rm-named" in left and anonymous[0] not in left
    engine.docker("volume", "rm", "rm-named")


def test_update_changes_the_restart_policy(engine, sleeper):
    engine.docker("update", "--restart", "on-failure:3", sleeper)
    assert engine.inspect(sleeper)["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    engine.docker("update", "--restart", "no", sleeper)


@pytest.mark.parametrize("flag,value,key,kept", [
    ("--memory", "64m", "Memory", 64 << 20), ("--memory-reservation", "32m", "MemoryReservation", 32 << 20), ("--cpus", "0.5", "NanoCpus", 500000000),
    ("--cpu-shares", "512", "CpuShares", 512), ("--cpuset-cpus", "0", "CpusetCpus", "0"), ("--pids-limit", "100", "PidsLimit", 100),
    ("--blkio-weight", "300", "BlkioWeight", 300)])
def test_update_keeps_a_limit(engine, container, flag, value, key, kept):
    identity = container("busybox", "sleep", "1000")
    engine.docker("update", flag, value, *(["--memory-swap", "128m"] if flag == "--memory" else []), identity)
    assert engine.inspect(identity)["HostConfig"][key] == kept


def test_port_takes_a_private_port_and_protocol(engine, container):
    identity = container("-p", "127.0.0.1::80", "-p", "127.0.0.1::80/udp", "busybox", "sleep", "1000")
    tcp, udp = (engine.docker("port", identity, f"80/{kind}").stdout for kind in ("tcp", "udp"))
    assert re.fullmatch(r"127\.0\.0\.1:\d+\n", tcp) and re.fullmatch(r"127\.0\.0\.1:\d+\n", udp)
    # The order is the client's: older ones sort by nothing.
    both = engine.docker("port", identity).stdout.splitlines(keepends=True)
    assert sorted(both) == [f"80/tcp -> {tcp}", f"80/udp -> {udp}"]
    assert engine.docker("port", identity, "81", check=False).returncode == 1


def test_top_takes_options_of_ps(engine, sleeper):
    assert engine.docker("top", sleeper).stdout.splitlines()[0].split()[:3] == ["UID", "PID", "PPID"]
    assert engine.docker("top", sleeper, "-o", "pid,comm").stdout.splitlines()[0].split() == ["PID", "COMMAND"]


def test_stats_of_some_and_of_all(engine, sleeper, container):
    ended = container("busybox", "true")
    engine.docker("wait", ended)
    running, everything = (engine.docker("stats", *flags, "--no-stream", "--no-trunc", "--format", "{{.ID}}").stdout.split() for flags in ([], ["-a"]))
    assert sleeper in running and ended not in running and {sleeper, ended} <= set(everything)
    shown = json.loads(engine.docker("stats", "--no-stream", "--format", "{{json .}}", sleeper).stdout)
    assert re.fullmatch(r"\d+\.\d+%", shown["CPUPerc"]) and " / " in shown["MemUsage"] and " / " in shown["NetIO"] and int(shown["PIDs"]) >= 1


def test_inspect_takes_type_format_and_size(engine, sleeper):
    assert engine.docker("inspect", "--type", "container", "-f", "{{.State.Status}} {{json .Config.Labels}}", sleeper).stdout == 'running {"of":"cli"}\n'
    sized = json.loads(engine.docker("inspect", "-s", sleeper).stdout)[0]
    assert sized["SizeRootFs"] > sized["SizeRw"] >= 0 and "SizeRw" not in engine.inspect(sleeper)
    done = engine.docker("inspect", "--type", "image", sleeper, check=False)
    assert done.returncode == 1 and "No such image" in done.stderr


@pytest.mark.parametrize("kind,name", [("image", "busybox"), ("network", "bridge"), ("volume", "inspect-volume")])
def test_inspect_finds_the_other_kinds(engine, kind, name):
    if kind == "volume":
        engine.docker("volume", "create", name)
    assert json.loads(engine.docker("inspect", name).stdout) == json.loads(engine.docker(kind, "inspect", name).stdout)
    if kind == "volume":
        engine.docker("volume", "rm", name)


def test_inspect_of_several_prints_what_it_found(engine, sleeper):
    done = engine.docker("inspect", "-f", "{{.Id}}", sleeper, "absent", check=False)
    assert done.returncode == 1 and done.stdout.strip() == sleeper and "No such object: absent" in done.stderr


def test_attach_without_stdin_and_with_its_detach_keys(engine, container):
    identity = container("-i", "busybox", "sh", "-c", "read line; echo got $line")
    attached = engine.popen("attach", identity, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert attached.communicate("a line\n", timeout=30)[0] == "got a line\n"
    assert attached.returncode == 0


def test_start_of_several_and_attached_with_stdin(engine, container):
    engine.docker("create", "-i", "--name", "start-in", "busybox", "sh", "-c", "cat; exit 4")
    done = engine.docker("start", "-ai", "start-in", input="typed\n", check=False)
    engine.docker("rm", "start-in")
    assert (done.stdout, done.returncode) == ("typed\n", 4)
