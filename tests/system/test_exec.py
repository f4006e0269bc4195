"""The parameters and the states of execs that the CLI alone does not show."""
import json
import socket
import threading

from engine import wait_until


def created(engine, identity, **body):
    status, _, reply = engine.api("POST", f"/containers/{identity}/exec", {"AttachStdout": True, **body})
    assert status == 201, reply
    return reply["Id"]


def output(engine, exec_id, **body):
    return engine.api("POST", f"/exec/{exec_id}/start", body)[2]


def test_privileged_gives_all_capabilities_of_the_container(engine, container):
    identity = container("busybox", "sleep", "1000")
    show = ["grep", "CapEff", "/proc/self/status"]
    plain = output(engine, created(engine, identity, Cmd=show, Tty=True)).split()[1]
    full = output(engine, created(engine, identity, Cmd=show, Tty=True, Privileged=True)).split()[1]
    most = engine.docker("run", "--rm", "--privileged", "busybox", *show).stdout.split()[1].encode()
    assert plain != full == most


def test_the_console_has_its_size_before_the_command_runs(engine, container):
    identity = container("busybox", "sleep", "1000")
    assert output(engine, created(engine, identity, Cmd=["stty", "size"], Tty=True, ConsoleSize=[21, 77])).strip() == b"21 77"
    assert output(engine, created(engine, identity, Cmd=["stty", "size"], Tty=True), ConsoleSize=[22, 78], Tty=True).strip() == b"22 78"


def test_a_resize_waits_for_the_start(engine, container):
    identity = container("busybox", "sleep", "1000")
    exec_id = created(engine, identity, Cmd=["sh", "-c", "while ! stty size | grep '31 91'; do sleep 0.02; done"], Tty=True)
    statuses = []
    resizer = threading.Thread(target=lambda: statuses.append(engine.api("POST", f"/exec/{exec_id}/resize?h=31&w=91")[0]))
    resizer.start()
    assert b"31 91" in output(engine, exec_id)
    resizer.join()
    assert statuses == [200]


def test_a_resize_ends_with_the_container_of_an_exec_that_never_starts(engine, container):
    identity = container("busybox", "sleep", "1000")
    exec_id = created(engine, identity, Cmd=["true"], Tty=True)
    answers = []
    resizer = threading.Thread(target=lambda: answers.append(engine.api("POST", f"/exec/{exec_id}/resize?h=31&w=91")))
    resizer.start()
    engine.docker("kill", identity)
    resizer.join(5)
    answers.append(engine.api("POST", f"/exec/{exec_id}/resize?h=31&w=91"))
    assert [(status, reply["message"]) for status, _, reply in answers] == [(409, f"container {identity} is not running")] * 2


def test_inspect_tells_the_life_of_an_exec(engine, container):
    identity = container("busybox", "sleep", "1000")
    exec_id = created(engine, identity, Cmd=["sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 3"], User="1000", Env=["A=b"], WorkingDir="/tmp")

    def inspect():
        return engine.api("GET", f"/exec/{exec_id}/json")[2]
    before = inspect()
    assert (before["Running"], before["ExitCode"], before["Pid"], before["ContainerID"]) == (False, None, 0, identity)
    assert before["ProcessConfig"] == {"tty": False, "entrypoint": "sh", "arguments": ["-c", "while [ ! -e /tmp/go ]; do sleep 0.02; done; exit 3"],
                                       "privileged": False, "user": "1000"}
    assert engine.api("POST", f"/exec/{exec_id}/start", {"Detach": True})[0] == 200
    during = inspect()
    assert during["Running"] and during["Pid"] > 0 and exec_id in engine.inspect(identity)["ExecIDs"]
    status, _, reply = engine.api("POST", f"/exec/{exec_id}/start", {})
    assert status == 409 and reply["message"] == f"exec command {exec_id} is already running"
    engine.docker("exec", identity, "touch", "/tmp/go")
    wait_until(lambda: not inspect()["Running"], "its end")
    assert inspect()["ExitCode"] == 3 and not engine.inspect(identity)["ExecIDs"]
    assert engine.api("POST", f"/exec/{exec_id}/start", {})[2]["message"] == f"exec command {exec_id} has already run"


def test_what_cannot_be_executed_is_told_by_the_detached_start(engine, container):
    identity = container("busybox", "sleep", "1000")
    status, _, reply = engine.api("POST", f"/exec/{created(engine, identity, Cmd=['nothing-there'])}/start", {"Detach": True})
    assert status == 400 and "executable file not found" in reply["message"]
    absent = created(engine, identity, Cmd=["true"], User="nobody-knows")
    status, _, reply = engine.api("POST", f"/exec/{absent}/start", {"Detach": True})
    assert status >= 400 and "unable to find user nobody-knows" in reply["message"]
    assert engine.api("GET", f"/exec/{absent}/json")[2]["ExitCode"] == 126


def test_what_is_no_exec_is_refused(engine, container):
    assert engine.api("GET", "/exec/absent/json")[2]["message"] == "No such exec instance: absent"
    identity = container("busybox", "sleep", "1000")
    status, _, reply = engine.api("POST", f"/containers/{identity}/exec", {"Cmd": []})
    assert status == 400 and reply["message"] == "No exec command specified"
    engine.docker("stop", "-t", "0", identity)
    status, _, reply = engine.api("POST", f"/containers/{identity}/exec", {"Cmd": ["true"]})
    assert status == 409 and reply["message"] == f"container {identity} is not running"


def test_detach_keys_of_an_exec_leave_its_command_running(engine, container):
    identity = container("busybox", "sleep", "1000")
    exec_id = created(engine, identity, Cmd=["cat"], Tty=True, AttachStdin=True, DetachKeys="ctrl-x,y")
    body = json.dumps({"Tty": True}).encode()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(engine.socket)
        client.sendall(b"POST /exec/%s/start HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nConnection: Upgrade\r\nContent-Type: application/json\r\n"
                       b"Content-Length: %d\r\n\r\n%s" % (exec_id.encode(), len(body), body))
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += client.recv(4096)
        client.sendall(b"\x18y")
        while piece := client.recv(4096):
            seen += piece
    assert engine.api("GET", f"/exec/{exec_id}/json")[2]["Running"]
    assert "exec_detach" in [event["Action"] for event in engine.events(identity)]


def test_events_of_an_exec(engine, container):
    identity = container("busybox", "sleep", "1000")
    engine.docker("exec", identity, "sh", "-c", "exit 5", check=False)

    def ours():
        return [event for event in engine.events(identity) if event["Action"].startswith("exec")]
    wait_until(lambda: len(ours()) == 3, "three events")
    assert [event["Action"] for event in ours()] == ["exec_create: sh -c exit 5", "exec_start: sh -c exit 5", "exec_die"]
    assert len({event["Actor"]["Attributes"]["execID"] for event in ours()}) == 1
    assert ours()[2]["Actor"]["Attributes"]["exitCode"] == "5"


def test_an_environment_of_a_megabyte(engine):
    environment = [f"V{number}={'x' * 1000}" for number in range(1000)]
    _, _, reply = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["sleep", "1000"], "Env": environment})
    engine.docker("start", reply["Id"])
    shown = engine.docker("exec", reply["Id"], "env").stdout.splitlines()
    engine.docker("rm", "-f", reply["Id"])
    assert set(environment) <= set(shown)
