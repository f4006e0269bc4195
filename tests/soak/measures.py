"""What a soak looks at when the engine rests, and what may have grown."""
import collections
import contextlib
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
    return [path.name for path in pathlib.Path("/sys/fs/cgroup").rglob("*") if path.is_dir() and re.fullmatch("[0-9a-f]{64}", path.name)]


def descriptors(pid):
    """What each is, without the numbers of sockets and pipes."""
    found = []
    for path in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(re.sub(r"\d{3,}", "N", os.readlink(path)))
    return found


def paths_in(directory):
    return [os.path.relpath(os.path.join(folder, name), directory) for folder, folders, names in os.walk(directory) for name in folders + names]


def measure(engine):
    """What must be the same at rest: {name: a number, or a list whose length it is}."""
    found = {"processes": list(engine.processes().values())}
    pids = {name: engine.pids(name)[0] for name in PROGRAMS}
    holder = engine.recorded("holder")
    for name, pid in {**pids, "holder": holder}.items():
        found[f"{name} fds"] = descriptors(pid)
        found[f"{name} KiB"] = pss(pid)
        found[f"{name} threads"] = len(os.listdir(f"/proc/{pid}/task"))
    for name, pid in {"engine": pids["berth-engine"], "holder": holder}.items():
        found[f"mounts of {name}"] = pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    data = engine.root / "data/berth"
    found["files"] = paths_in(data)
    used = subprocess.run(["du", "-sk", str(data)], capture_output=True, text=True, check=False).stdout.split()
    found["disk KiB"] = int(used[0]) if used else 0
    found["run files"] = paths_in(engine.root / "run")
    found["cgroups"] = cgroups_of_containers()
    found["links"] = in_container_network(holder, "ip", "-o", "link")
    found["addresses, routes, rules"] = [line for words in ("-o addr", "-4 route show table all", "-6 route show table all", "rule")
                                         for line in in_container_network(holder, "ip", *words.split())]
    # Each element of a set or map ends with a comma or stands in a line of its own.
    found["nft words"] = [word for line in in_container_network(holder, "nft", "list", "ruleset") for word in line.split()]
    return found


def size(value):
    return len(value) if isinstance(value, list) else value


def allowed(name):
    return ALLOWED_PSS if name.endswith(" KiB") else 0


def grown(before, after):
    return [name for name in before if size(after[name]) > size(before[name]) + allowed(name)]


def changes(before, after):
    """Of a measure that is a list: a line for each thing that is new, or gone."""
    if not isinstance(before, list):
        return []
    new, old = collections.Counter(after), collections.Counter(before)
    return [f"+ {one}" for one in (new - old).elements()] + [f"- {one}" for one in (old - new).elements()]


def growth(before, after):
    """What grew, with what is new and gone, in words."""
    return [f"{name} {size(before[name])} -> {size(after[name])}" + "".join(f"\n    {line}" for line in changes(before[name], after[name])[:20])
            for name in grown(before, after)] or ["nothing"]


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
        print(f"{name:26}" + "".join(f"{size(values[name]):>10}" for _, values in rounds))
