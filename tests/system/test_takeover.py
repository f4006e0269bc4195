"""What goes on when the engine is killed, or replaced by another build."""
import os
import shutil
import signal
import subprocess

from engine import BUILD, command_of, wait_until
from images import busybox_rootfs_tar

COUNT = "i=0; while [ ! -e /tmp/stop ]; do i=$((i+1)); echo count $i; sleep 0.01; done; exit 42"


def another_build(directory):
    """The programs under another version."""
    version = subprocess.run([BUILD / "berthd", "--version"], capture_output=True, check=True).stdout.split()[-1]
    other = version[:-1] + (b"8" if version.endswith(b"9") else b"9")
    for program in BUILD.glob("berth*"):
        if program.is_file() and os.access(program, os.X_OK):
            copy = shutil.copy(program, directory)
            with open(copy, "r+b") as file:
                data = file.read().replace(version + b"\0", other + b"\0")
                file.seek(0)
                file.write(data)
    return directory, other.decode()


def counted(engine, name):
    """The lines of a counting container; none may lack."""
    lines = engine.docker("logs", name).stdout.splitlines()
    assert lines == [f"count {number}" for number in range(1, len(lines) + 1)]
    return len(lines)


def test_another_build_takes_all_running_containers_over_without_a_gap_in_their_logs(bare_engine, tmp_path):
    engine = bare_engine
    engine.start("--live-restore")
    engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    drivers = {"json-file": "json", "local": "local"}
    for driver, name in drivers.items():
        engine.docker("run", "-d", "--name", name, "--restart", "on-failure:1", "--log-driver", driver, "--log-opt", "max-size=3k", "--log-opt", "max-file=99",
                      "busybox", "sh", "-c", COUNT)
    session = engine.popen("exec", "-i", "json", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    session.stdin.write(b"before\n")
    session.stdin.flush()
    assert session.stdout.readline() == b"before\n"
    pids = {name: engine.inspect(name)["State"]["Pid"] for name in drivers.values()}
    engine.stop()
    engine.build, version = another_build(tmp_path)
    engine.start("--live-restore")
    assert engine.docker("version", "--format", "{{.Server.Platform.Name}}").stdout.strip() == "berth " + version
    for name, pid in pids.items():
        assert engine.inspect(name)["State"]["Pid"] == pid
        before = counted(engine, name)
        wait_until(lambda: counted(engine, name) > before, "the log grows")
    session.stdin.write(b"after\n")
    session.stdin.close()
    assert session.stdout.read() == b"after\n" and session.wait(20) == 0
    engine.docker("exec", "local", "touch", "/tmp/stop", check=False)
    wait_until(lambda: (state := engine.inspect("local"))["RestartCount"] == 1 and state["State"]["Status"] == "exited", "its restart policy is obeyed")
    engine.docker("rm", "-f", "json", "local")


def test_restart_policies_hold_over_kill_9(own_engine):
    run = ("run", "-d", "--stop-timeout", "1")
    own_engine.docker(*run, "--name", "loops", "--restart", "always", "busybox", "sh", "-c", "sleep 0.3; exit 1")
    own_engine.docker(*run, "--name", "stopped", "--restart", "unless-stopped", "busybox", "sleep", "1000")
    own_engine.docker("stop", "-t", "0", "stopped")
    names = {"brief": ["--rm"], "again": ["--restart", "unless-stopped"], "failed": ["--restart", "on-failure"], "plain": []}
    for name, options in names.items():
        own_engine.docker(*run, "--name", name, *options, "busybox", "sleep", "1000")
    pids = {name: own_engine.inspect(name)["State"]["Pid"] for name in names}
    own_engine.process.kill()
    own_engine.process.wait()
    wait_until(lambda: not own_engine.pids("berth-engine"), "the engine ends with its supervisor")
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(command_of(pid) for pid in pids.values()), "the containers end")
    own_engine.start()
    wait_until(lambda: "brief" not in own_engine.docker("ps", "-a").stdout, "what has --rm is removed")
    for name in ("again", "failed"):
        wait_until(lambda: (state := own_engine.inspect(name)["State"])["Running"] and state["Pid"] != pids[name], f"{name} is started again")
    for name, code in (("plain", 137), ("stopped", 137)):
        state = own_engine.inspect(name)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", code)
    count = own_engine.inspect("loops")["RestartCount"]
    wait_until(lambda: own_engine.inspect("loops")["RestartCount"] > count, "the one that loops goes on")


def test_a_probe_of_a_killed_engine_is_ended_and_checks_go_on(own_engine):
    name = own_engine.docker("run", "-d", "--stop-timeout", "1", "--health-interval", "200ms", "--health-retries", "1", "--health-timeout", "2s",
                             "--health-cmd", "sleep 5678", "busybox", "sleep", "1000").stdout.strip()

    def probes():
        return {int(line.split()[0]) for line in own_engine.docker("top", name, "-o", "pid,args").stdout.splitlines()[1:] if "5678" in line}
    old = wait_until(probes, "a probe runs")
    own_engine.kill_9("berth-engine")
    wait_until(own_engine.answers, "the engine answers again")
    wait_until(lambda: not old & probes(), "the probe of the killed engine ends")
    log = wait_until(lambda: own_engine.inspect(name)["State"]["Health"]["Log"], "a result of the next probe")
    assert log[0]["Output"].startswith("Health check exceeded timeout (2s)")
