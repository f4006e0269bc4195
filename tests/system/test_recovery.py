"""Containers outlive the processes of the engine."""
import contextlib
import os
import signal
import subprocess
import time

from engine import wait_until


def kill_and_wait_for_another(engine, program):
    engine.kill_9(program)
    wait_until(engine.answers, "the engine answers again")


def counting_container(engine):
    engine.docker("run", "-d", "-i", "--name", "survivor", "busybox", "sh", "-c",
                  "i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); echo count $i; sleep 0.02; done; exit 42")
    wait_until(lambda: "count 3" in engine.docker("logs", "survivor").stdout, "the container counts")
    return engine.inspect("survivor")["State"]["Pid"]


def lines_are_whole(engine):
    lines = engine.docker("logs", "survivor").stdout.splitlines()
    assert lines == [f"count {number}" for number in range(1, len(lines) + 1)]
    return len(lines)


def check_survivor(engine, pid):
    state = engine.inspect("survivor")["State"]
    assert state["Running"] and state["Pid"] == pid
    before = lines_are_whole(engine)
    wait_until(lambda: lines_are_whole(engine) > before, "the log grows")
    attached = engine.popen("attach", "--no-stdin", "survivor", stdout=subprocess.PIPE, text=True)
    assert attached.stdout.readline().startswith("count ")
    waiter = engine.popen("wait", "survivor", stdout=subprocess.PIPE, text=True)
    assert engine.docker("exec", "survivor", "touch", "/tmp/stop", check=False).returncode in (0, 137)
    assert waiter.communicate(timeout=20)[0] == "42\n"
    attached.communicate(timeout=20)
    assert engine.inspect("survivor")["State"]["ExitCode"] == 42
    lines_are_whole(engine)


def test_kill_9_of_the_engine_process(own_engine):
    pid = counting_container(own_engine)
    kill_and_wait_for_another(own_engine, "berth-engine")
    check_survivor(own_engine, pid)


def test_a_record_that_was_half_written_at_kill_9_is_removed(own_engine):
    name = own_engine.docker("create", "-v", "half:/data", "busybox", "true").stdout.strip()
    data = own_engine.root / "data/berth"
    left = [data / place / "record.json.tmp-0123abcd" for place in ("images", "networks", "volumes/half", f"containers/{name}")]
    for path in left:
        subprocess.run(["unshare", "--user", "--map-root-user", "--map-auto", "touch", str(path)], check=True)
    kill_and_wait_for_another(own_engine, "berth-engine")
    assert not [path for path in left if path.exists()]
    assert own_engine.inspect(name)["State"]["Status"] == "created"


def test_an_exec_that_outlives_the_engine_gives_its_exit_code(own_engine):
    own_engine.docker("run", "-d", "--stop-timeout", "1", "--name", "host", "busybox", "sleep", "1000")
    command = "echo begun; while [ ! -e /tmp/go ]; do sleep 0.02; done; echo over; exit 7"
    running = own_engine.popen("exec", "host", "sh", "-c", command, stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "begun\n"
    kill_and_wait_for_another(own_engine, "berth-engine")
    own_engine.docker("exec", "host", "touch", "/tmp/go")
    assert running.communicate(timeout=20)[0] == "over\n" and running.returncode == 7


def test_kill_9_of_the_supervisor_and_start_again(own_engine):
    pid = counting_container(own_engine)
    own_engine.process.kill()
    own_engine.process.wait()
    own_engine.start()
    check_survivor(own_engine, pid)


def test_kill_9_of_everything_but_the_shims_and_start_again(own_engine):
    pid = counting_container(own_engine)
    for program in ("berthd", "berth-engine", "berth-network"):
        for process in own_engine.pids(program):
            os.kill(process, signal.SIGKILL)
    own_engine.process.wait()
    own_engine.start()
    check_survivor(own_engine, pid)


def test_stop_works_after_kill_9(own_engine):
    counting_container(own_engine)
    kill_and_wait_for_another(own_engine, "berth-engine")
    own_engine.docker("stop", "-t", "1", "survivor")
    assert own_engine.inspect("survivor")["State"]["ExitCode"] in (137, 143)


def test_an_exit_while_the_engine_is_away_is_known_after_its_return(own_engine):
    own_engine.docker("run", "-d", "--name", "brief", "busybox", "sh", "-c", "sleep 0.5; echo done; exit 9")
    own_engine.process.kill()
    own_engine.process.wait()
    wait_until(lambda: not own_engine.pids("berth-engine"), "the engine ends with its supervisor")
    wait_until(lambda: not own_engine.pids("berth-shim"), "the container ends")
    own_engine.start()
    state = own_engine.inspect("brief")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 9)
    assert own_engine.docker("logs", "brief").stdout == "done\n"


def test_an_exit_while_the_engine_is_away_counts_for_on_failure(own_engine):
    own_engine.docker("run", "-d", "--name", "fails", "--restart", "on-failure:2", "busybox", "sh", "-c",
                      "echo started; [ -e /tmp/again ] || { touch /tmp/again; sleep 0.5; }; exit 9")
    own_engine.process.kill()
    own_engine.process.wait()
    wait_until(lambda: not own_engine.pids("berth-engine"), "the engine ends with its supervisor")
    wait_until(lambda: not own_engine.pids("berth-shim"), "the container ends")
    own_engine.start()
    wait_until(lambda: own_engine.inspect("fails")["State"]["Status"] == "exited" and own_engine.inspect("fails")["RestartCount"] == 2,
               "the last restart ends")
    assert own_engine.docker("logs", "fails").stdout == "started\n" * 3


def test_an_exec_session_survives_kill_9_of_the_engine(own_engine):
    own_engine.docker("run", "-d", "--name", "base", "busybox", "sleep", "1000")
    session = own_engine.popen("exec", "-i", "base", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    session.stdin.write(b"before\n")
    session.stdin.flush()
    assert session.stdout.readline() == b"before\n"
    kill_and_wait_for_another(own_engine, "berth-engine")
    session.stdin.write(b"after\n")
    session.stdin.flush()
    assert session.stdout.readline() == b"after\n"
    session.stdin.close()
    session.wait(20)


def test_the_network_process_is_replaced(own_engine):
    own_engine.docker("run", "-d", "--name", "on-bridge", "busybox", "sleep", "1000")
    own_engine.kill_9("berth-network")
    assert own_engine.inspect("on-bridge")["State"]["Running"]
    wait_until(lambda: own_engine.docker("run", "--rm", "busybox", "true", check=False).returncode == 0, "a new container on the bridge")


def test_sigterm_stops_containers_and_leaves_nothing(own_engine):
    own_engine.docker("run", "-d", "--name", "stopped", "--stop-timeout", "1", "busybox", "sleep", "1000")
    own_engine.stop()
    assert own_engine.process.returncode == 0
    wait_until(lambda: not own_engine.processes(), f"no process is left: {own_engine.processes()}")
    left = [str(path.relative_to(own_engine.root)) for path in (own_engine.root / "run").rglob("*") if path.is_socket()]
    assert left == []
    own_engine.start()
    assert own_engine.inspect("stopped")["State"]["Status"] == "exited"


def test_live_restore_leaves_containers_running(bare_engine):
    from images import busybox_rootfs_tar
    bare_engine.start("--live-restore")
    bare_engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    bare_engine.docker("run", "-d", "--name", "kept", "busybox", "sleep", "1000")
    pid = bare_engine.inspect("kept")["State"]["Pid"]
    bare_engine.stop()
    bare_engine.start("--live-restore")
    state = bare_engine.inspect("kept")["State"]
    assert state["Running"] and state["Pid"] == pid
    bare_engine.docker("rm", "-f", "kept")


def test_restart_policy_brings_a_container_back(own_engine):
    own_engine.docker("run", "-d", "--restart", "always", "--name", "again", "busybox", "sh", "-c", "echo started; sleep 0.1")
    wait_until(lambda: own_engine.docker("logs", "again").stdout.count("started") >= 3, "it was restarted")
    assert own_engine.inspect("again")["RestartCount"] >= 2
    own_engine.docker("rm", "-f", "again")


def kill_all_but_shims(engine):
    for pid in [engine.process.pid, *(engine.recorded(name) for name in ("holder", "network", "engine"))]:
        with contextlib.suppress(ProcessLookupError):  # an engine ends by itself with its supervisor
            os.kill(pid, signal.SIGKILL)
    engine.process.wait()


def test_only_a_shim_is_left(own_engine):
    """Holder, network and engine are gone: the new ones join the user namespace of the shim."""
    pid = counting_container(own_engine)
    (shim,) = own_engine.pids("berth-shim")
    kill_all_but_shims(own_engine)
    wait_until(lambda: not [one for one in ("berth-engine", "berth-network") if own_engine.pids(one)], "only the shim is left")
    own_engine.start()
    assert "the holder was gone: made again" in own_engine.log()
    network = own_engine.recorded("network")
    assert os.readlink(f"/proc/{network}/ns/user") == os.readlink(f"/proc/{shim}/ns/user")
    assert own_engine.docker("exec", "survivor", "echo", "in").stdout == "in\n"
    assert own_engine.docker("run", "--rm", "busybox", "echo", "new").stdout == "new\n"
    check_survivor(own_engine, pid)


def test_a_stop_after_only_a_shim_was_left(own_engine):
    counting_container(own_engine)
    kill_all_but_shims(own_engine)
    # At once: what was just killed may still be found alive, and is then replaced.
    own_engine.start()
    own_engine.docker("stop", "-t", "1", "survivor")
    assert own_engine.inspect("survivor")["State"]["ExitCode"] in (137, 143)
    own_engine.docker("start", "survivor")
    assert "eth0" in own_engine.docker("exec", "survivor", "ls", "/sys/class/net").stdout


def test_a_shutdown_with_a_container_is_prompt(own_engine):
    own_engine.docker("run", "-d", "--name", "polite", "--init", "-p", "80", "busybox", "sleep", "1000")
    logs = own_engine.popen("logs", "-f", "polite")
    events = own_engine.popen("events")
    begin = time.monotonic()
    own_engine.stop()
    took = time.monotonic() - begin
    assert took < 4, own_engine.log()[-2000:]
    assert "did not end in time" not in own_engine.log()
    logs.wait(10)
    events.wait(10)


def test_a_shim_that_does_not_answer_keeps_no_engine_from_starting(own_engine):
    for name in ("stuck", "other"):
        own_engine.docker("run", "-d", "--name", name, "busybox", "sleep", "1000")
    stuck = own_engine.inspect("stuck")["Id"][:12]
    (shim,) = [pid for pid, line in own_engine.processes().items() if "berth-shim" in line and stuck in line]
    os.kill(shim, signal.SIGSTOP)
    try:
        kill_and_wait_for_another(own_engine, "berth-engine")
        assert own_engine.docker("exec", "other", "echo", "in").stdout == "in\n"
        assert own_engine.inspect("stuck")["State"]["Running"]
    finally:
        os.kill(shim, signal.SIGCONT)
    wait_until(lambda: own_engine.docker("exec", "stuck", "echo", "in", check=False).stdout == "in\n", "it is taken over")


def test_a_stop_right_after_a_kill_leaves_nothing(own_engine):
    own_engine.docker("run", "-d", "--name", "killed", "busybox", "sleep", "1000")
    assert own_engine.api("POST", "/containers/killed/kill")[0] == 204
    own_engine.stop()
    assert not own_engine.processes() and own_engine.recorded("holder") is None


def test_a_killed_supervisor_ends_the_engine_promptly(own_engine):
    own_engine.docker("run", "-d", "--name", "stays", "busybox", "sleep", "1000")
    logs = own_engine.popen("logs", "-f", "stays")
    attached = own_engine.popen("attach", "--no-stdin", "stays")
    events = own_engine.popen("events")
    own_engine.process.kill()
    own_engine.process.wait()
    wait_until(lambda: not own_engine.pids("berth-engine"), "the engine ends with its supervisor", 4)
    own_engine.start()
    assert own_engine.inspect("stays")["State"]["Running"]
    for client in (logs, attached, events):
        client.kill()
        client.wait(10)
