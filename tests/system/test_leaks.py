"""What many containers leave behind: nothing."""
import concurrent.futures
import json
import os
import pathlib
import subprocess

import pytest

from engine import wait_until

RUNS = 500
AT_A_TIME = 8


def resident_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private"))


def container_network_links(holder):
    """Names of the devices in the network namespace that bridges and veths live in."""
    listed = subprocess.run(["nsenter", "--preserve-credentials", "-U", "-n", "-t", str(holder), "ip", "-o", "link"],
                            capture_output=True, text=True, check=True).stdout
    return sorted(line.split(": ")[1].split("@")[0] for line in listed.splitlines())


def state_of(engine):
    """Everything outside that a container could leave over."""
    (engine_pid,), (network_pid,) = engine.pids("berth-engine"), engine.pids("berth-network")
    holder = json.loads((engine.root / "run/berth/holder.json").read_text())["pid"]
    return {
        "processes": sorted(os.path.basename(line.split(" ")[0]) for line in engine.processes().values()),
        "containers": sorted(os.listdir(engine.root / "data/berth/containers")),
        "files": sum(len(names) for _, _, names in os.walk(engine.root / "data/berth")),
        "run": sorted(str(path.relative_to(engine.root)) for path in (engine.root / "run").rglob("*") if "seccomp" not in path.parts),
        "mounts": {pid: len(open(f"/proc/{pid}/mountinfo").readlines()) for pid in (engine_pid, holder)},
        "descriptors": {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in (engine_pid, network_pid, holder)},
        "links": container_network_links(holder),
    }


def test_500_runs_8_at_a_time_leave_nothing(own_engine):
    engine = own_engine

    def run(_):
        return engine.docker("run", "--rm", "busybox", "true", check=False, timeout=300).returncode

    def settled():
        # The kernel takes devices away a little later than the namespaces that they were in.
        return (not engine.pids("berth-shim") and not list((engine.root / "data/berth/containers").iterdir()) and
                not any(link.startswith("veth") for link in container_network_links(engine.recorded("holder"))))

    for number in range(20):
        run(number)
    wait_until(settled, "the first containers are gone")
    wait_until(lambda: state_of(engine) == state_of(engine), "nothing changes any more")
    before = state_of(engine)
    (engine_pid,) = engine.pids("berth-engine")
    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(run, range(AT_A_TIME * 4)))  # warm: pools and arenas of that much concurrency
        memory_before = resident_kib(engine_pid)
        codes = list(pool.map(run, range(RUNS)))
    assert codes == [0] * RUNS
    wait_until(settled, "all containers are gone")
    wait_until(lambda: state_of(engine) == before, f"nothing is left over: {before} against {state_of(engine)}")
    assert resident_kib(engine_pid) < memory_before + 1024, "the engine's memory grew"


def sleepers(seconds):
    """The pids of `sleep SECONDS` on this machine."""
    return [path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if is_sleeper(path, seconds)]


def is_sleeper(path, seconds):
    try:
        return path.read_bytes() == f"sleep\0{seconds}\0".encode()
    except OSError:  # it is gone
        return False


@pytest.mark.parametrize("namespace", ["host", "container"])
def test_nothing_survives_process_1_in_a_shared_pid_namespace(engine, container, namespace):
    seconds = 1000000 + os.getpid()  # nobody else's
    other = container("busybox", "sleep", "1000")
    shared = "host" if namespace == "host" else f"container:{other}"
    identity = container(f"--pid={shared}", "busybox", "sh", "-c", f"sleep {seconds} & exec sleep 0.5")
    wait_until(lambda: sleepers(seconds), "the background process runs")
    engine.docker("wait", identity)
    assert not sleepers(seconds)
    assert engine.inspect(other)["State"]["Running"]
