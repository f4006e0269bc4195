"""What many containers leave behind: nothing."""
import concurrent.futures
import os
import subprocess

from engine import wait_until

RUNS = 500
AT_A_TIME = 8


def resident_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as lines:
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private"))


def state_of(engine):
    """Everything outside that a container could leave over."""
    links = subprocess.run(["nsenter", "-t", str(engine.pids("berthd")[-1]), "-a", "true"], capture_output=True, check=False)
    del links
    (engine_pid,) = engine.pids("berth-engine")
    return {
        "processes": sorted(os.path.basename(line.split(" ")[0]) for line in engine.processes().values()),
        "containers": sorted(os.listdir(engine.root / "data/berth/containers")),
        "run": sorted(os.listdir(engine.root / "run/berth/c")) if (engine.root / "run/berth/c").exists() else [],
        "mounts": len(open(f"/proc/{engine_pid}/mountinfo").readlines()),
        "descriptors": len(os.listdir(f"/proc/{engine_pid}/fd")),
        "network descriptors": len(os.listdir(f"/proc/{engine.pids('berth-network')[0]}/fd")),
    }


def test_500_runs_8_at_a_time_leave_nothing(own_engine):
    engine = own_engine

    def run(_):
        return engine.docker("run", "--rm", "busybox", "true", check=False, timeout=300).returncode

    def settled():
        return not engine.pids("berth-shim") and not list((engine.root / "data/berth/containers").iterdir())

    for number in range(20):
        run(number)
    wait_until(settled, "the first containers are gone")
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
