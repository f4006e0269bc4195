"""What a soak looks at when the engine rests, and what may have grown."""
import os
import pathlib
import re
import subprocess
import time

ALLOWED_PSS = 2048  # KiB: what allocators keep and the ring of events holds varies by that much
PROGRAMS = ("berthd", "berth-engine", "berth-network")


def pss(pid):
    """Of memory that is no file's: how much of a program is shared depends on who else runs it."""
    for line in open(f"/proc/{pid}/smaps_rollup"):
        if line.startswith("Pss_Anon:"):
            return int(line.split()[1])
    return 0


def in_container_network(holder, *command):
    """Lines of a command in the network namespace that bridges and veths live in."""
    return subprocess.run(["nsenter", "--preserve-credentials", "-U", "-n", "-t", str(holder), *command],
                          capture_output=True, text=True, check=False).stdout.splitlines()


def cgroups_of_containers():
    return sum(bool(re.fullmatch("[0-9a-f]{64}", path.name)) for path in pathlib.Path("/sys/fs/cgroup").rglob("*") if path.is_dir())


def measure(engine):
    """What must be the same at rest: {name: number}."""
    found = {"processes": len(engine.processes())}
    pids = {name: engine.pids(name)[0] for name in PROGRAMS}
    holder = engine.recorded("holder")
    for name, pid in {**pids, "holder": holder}.items():
        found[f"{name} fds"] = len(os.listdir(f"/proc/{pid}/fd"))
        found[f"{name} KiB"] = pss(pid)
        found[f"{name} threads"] = len(os.listdir(f"/proc/{pid}/task"))
    for name, pid in {"engine": pids["berth-engine"], "holder": holder}.items():
        found[f"mounts of {name}"] = len(open(f"/proc/{pid}/mountinfo").readlines())
    data = engine.root / "data/berth"
    found["files"] = sum(len(names) + len(folders) for _, folders, names in os.walk(data))
    used = subprocess.run(["du", "-sk", str(data)], capture_output=True, text=True, check=False).stdout.split()
    found["disk KiB"] = int(used[0]) if used else 0
    found["run files"] = sum(1 for _ in (engine.root / "run").rglob("*"))
    found["cgroups"] = cgroups_of_containers()
    found["links"] = len(in_container_network(holder, "ip", "-o", "link"))
    found["addresses, routes, rules"] = sum(len(in_container_network(holder, "ip", *words.split())) for words in
                                            ("-o addr", "-4 route show table all", "-6 route show table all", "rule"))
    # Each element of a set or map ends with a comma or stands in a line of its own.
    found["nft words"] = sum(len(line.split()) for line in in_container_network(holder, "nft", "list", "ruleset"))
    return found


def allowed(name):
    return ALLOWED_PSS if name.endswith(" KiB") else 0


def grown(before, after):
    return [name for name in before if after[name] > before[name] + allowed(name)]


def at_rest(engine, baseline, seconds=40):
    """The measures once they are no more than the baseline's, or after the time that stragglers are given."""
    end = time.monotonic() + seconds
    while True:
        now = measure(engine)
        if not grown(baseline, now) or time.monotonic() > end:
            return now
        time.sleep(0.5)


def table(rounds):
    print(f"{'':26}" + "".join(f"{label:>10}" for label, _ in rounds))
    for name in rounds[0][1]:
        print(f"{name:26}" + "".join(f"{values[name]:>10}" for _, values in rounds))
