"""Limits of containers as the kernel has them: every figure is read from the cgroup's files or measured."""
import pathlib
import time

import pytest

from engine import wait_until

from service import PATIENCE

DISK = pathlib.Path("/dev/nvme0n1")
SPIN = ("sh", "-c", "while :; do :; done")


def read(directory, name):
    return (directory / name).read_text().strip()


def limited(service, container, *flags, command=("sleep", "1000")):
    """The cgroup directory of a new container with these flags."""
    return service.cgroup_of(container(*flags, "busybox", *command))


def test_a_container_that_takes_more_memory_than_it_may_is_killed(service):
    done = service.docker("run", "--name", "eater", "-m", "64m", "--shm-size", "256m", "busybox", "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=1M",
                          "count=128", check=False)
    assert done.returncode == 137, done.stderr
    state = service.inspect("eater")["State"]
    assert state["ExitCode"] == 137 and state["OOMKilled"]
    service.docker("rm", "eater")


def test_half_a_processor_is_half_a_processor(service, container):
    directory = limited(service, container, "--cpus", "0.5", command=SPIN)
    assert read(directory, "cpu.max") == "50000 100000"

    def used():
        return int(read(directory, "cpu.stat").split()[1]) / 1e6, time.monotonic()

    wait_until(lambda: used()[0] > 0.2, "it spins", PATIENCE)
    (before, began), _ = used(), time.sleep(5)
    after, ended = used()
    assert 0.45 < (after - before) / (ended - began) < 0.55


def test_a_fork_bomb_stays_below_the_pids_limit(service, container):
    directory = limited(service, container, "--pids-limit", "20", command=("sh", "-c", "(while :; do sleep 1000 & done); exec sleep 1000"))
    wait_until(lambda: int(read(directory, "pids.events").split()[1]) > 0, "a fork is refused", PATIENCE)
    assert read(directory, "pids.max") == "20"
    assert int(read(directory, "pids.peak" if (directory / "pids.peak").exists() else "pids.current")) <= 20


def test_a_processor_set_holds(service, container):
    identity = container("--cpuset-cpus", "0", "--cpuset-mems", "0", "busybox", "sleep", "1000")
    directory = service.cgroup_of(identity)
    assert (read(directory, "cpuset.cpus"), read(directory, "cpuset.mems")) == ("0", "0")
    assert "Cpus_allowed_list:\t0\n" in service.docker("exec", identity, "cat", "/proc/self/status").stdout


def test_memory_swap_and_reservation_are_counted_as_docker_does(service, container):
    directory = limited(service, container, "-m", "64m", "--memory-swap", "96m", "--memory-reservation", "32m")
    assert [read(directory, f"memory.{name}") for name in ("max", "swap.max", "low")] == ["67108864", "33554432", "33554432"]
    twice = limited(service, container, "-m", "64m")
    assert read(twice, "memory.swap.max") == "67108864"
    unlimited = limited(service, container, "-m", "64m", "--memory-swap", "-1")
    assert read(unlimited, "memory.swap.max") == "max"


def test_weights_and_rates_reach_the_kernel(service, container):
    directory = limited(service, container, "--cpu-shares", "512", "--blkio-weight", "500", "--device-read-bps", f"{DISK}:1mb",
                        "--device-write-iops", f"{DISK}:100")
    assert read(directory, "cpu.weight") == "59"
    bfq = directory / "io.bfq.weight"
    assert (bfq.read_text() if bfq.exists() else read(directory, "io.weight")).split()[:2] in (["default", "4950"], ["default", "500"], ["500"])
    assert {"rbps=1048576", "wiops=100"} <= set(read(directory, "io.max").split())


def test_limits_are_there_before_the_first_instruction(service):
    done = service.docker("run", "--rm", "-m", "64m", "--pids-limit", "9", "busybox", "cat", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/pids.max")
    assert done.stdout.split() == ["67108864", "9"]


def test_an_update_changes_a_running_container(service, container):
    identity = container("-m", "64m", "--pids-limit", "30", "busybox", "sleep", "1000")
    directory = service.cgroup_of(identity)
    service.docker("update", "-m", "96m", "--memory-swap", "128m", "--cpus", "0.25", "--pids-limit", "40", "--cpu-shares", "2048",
                   "--cpuset-cpus", "0", "--restart", "on-failure:2", identity)
    assert [read(directory, name) for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max", "cpu.weight", "cpuset.cpus")] == [
        "100663296", "33554432", "25000 100000", "40", "174", "0"]
    host = service.inspect(identity)["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["RestartPolicy"]["Name"]) == (96 << 20, 40, "on-failure")
    service.docker("update", "--pids-limit", "-1", identity)
    assert read(directory, "pids.max") == "max"


def test_an_update_is_all_or_nothing(service, container):
    identity = container("-m", "64m", "busybox", "sleep", "1000")
    directory = service.cgroup_of(identity)
    # The kernel knows no quota below a millisecond.
    done = service.docker("update", "-m", "96m", "--memory-swap", "-1", "--cpus", "0.001", identity, check=False)
    assert done.returncode != 0 and f"Cannot update container {identity}" in done.stderr
    assert (read(directory, "memory.max"), read(directory, "memory.swap.max")) == ("67108864", "67108864")
    assert service.inspect(identity)["HostConfig"]["Memory"] == 64 << 20


def test_an_updated_limit_holds_at_the_next_start(service, container):
    identity = container("-m", "64m", "busybox", "sleep", "1000")
    service.docker("update", "-m", "96m", "--memory-swap", "-1", identity)
    service.docker("restart", "-t", "0", identity)
    assert read(service.cgroup_of(identity), "memory.max") == "100663296"


def test_the_container_sees_its_own_cgroup_read_only(service, container):
    identity = container("-m", "64m", "busybox", "sleep", "1000")
    assert service.docker("exec", identity, "cat", "/proc/self/cgroup").stdout == "0::/\n"
    assert service.docker("exec", identity, "cat", "/sys/fs/cgroup/memory.max").stdout == "67108864\n"
    for order in ("echo max > /sys/fs/cgroup/memory.max", "mkdir /sys/fs/cgroup/mine", "mount -o remount,rw /sys/fs/cgroup"):
        assert service.docker("exec", identity, "sh", "-c", order, check=False).returncode != 0
    assert read(service.cgroup_of(identity), "memory.max") == "67108864"


def test_with_the_hosts_cgroup_namespace_the_whole_path_is_seen(service, container):
    identity = container("--cgroupns", "host", "busybox", "sleep", "1000")
    assert service.docker("exec", identity, "cat", "/proc/self/cgroup").stdout.strip().endswith(identity)
    assert service.docker("exec", identity, "sh", "-c", "echo 1 > /sys/fs/cgroup/cgroup.freeze", check=False).returncode != 0


def test_a_privileged_container_makes_cgroups_that_go_with_it(service, container):
    identity = container("--privileged", "busybox", "sleep", "1000")
    directory = service.cgroup_of(identity)
    service.docker("exec", identity, "mkdir", "-p", "/sys/fs/cgroup/outer/inner")
    assert (directory / "outer/inner").is_dir()
    service.docker("rm", "-f", identity)
    wait_until(lambda: not directory.exists(), "the cgroups are gone", PATIENCE)


def test_a_path_as_parent_is_in_the_delegation(service, container):
    own = limited(service, container).parent
    directory = limited(service, container, "--cgroup-parent", "/team/one", "-m", "64m")
    assert directory.parent == own / "team/one"
    assert read(directory, "memory.max") == "67108864"
    service.docker("rm", "-f", directory.name)
    wait_until(lambda: not (own / "team").exists(), "the parents are gone", PATIENCE)


@pytest.mark.parametrize("flags", [("--cgroup-parent", "../up"), ("--cgroup-parent", "support"), ("--cpuset-cpus", "77"), ("--cpus", "99"), ("-m", "1m")])
def test_what_cannot_be_is_refused(service, flags):
    done = service.docker("create", *flags, "busybox", "true", check=False)
    assert done.returncode != 0, done.stdout


def test_steps_of_a_build_have_the_limits_of_the_build(service, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN cd /sys/fs/cgroup && cat memory.max memory.swap.max cpu.max cpu.weight cpuset.cpus && ulimit -n\n")
    shown = service.docker("build", "--memory", "64m", "--memory-swap", "96m", "--cpu-period", "100000", "--cpu-quota", "50000", "--cpu-shares", "512",
                           "--cpuset-cpus", "0", "--ulimit", "nofile=99", str(tmp_path), env={"DOCKER_BUILDKIT": "0"}).stdout.splitlines()
    begin = next(number for number, line in enumerate(shown) if "Running in" in line) + 1
    assert shown[begin:begin + 6] == [str(64 << 20), str(32 << 20), "50000 100000", "59", "0", "99"]
