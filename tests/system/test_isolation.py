"""What a container sees of itself and of the host."""
import os
import re

# moby's default set of 14: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP
DOCKER_DEFAULT_CAPABILITIES = 0x00000000A80425FB


def test_root_inside_has_dockers_default_privileges(engine):
    out = engine.docker("run", "--rm", "busybox", "sh", "-c", "id; cat /proc/self/status").stdout
    assert out.startswith("uid=0(root) gid=0(root)")
    fields = dict(re.findall(r"(\w+):\s+(\S+)", out))
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == int(fields["CapBnd"], 16) == DOCKER_DEFAULT_CAPABILITIES
    assert int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0
    assert fields["NoNewPrivs"] == "0"
    assert fields["Seccomp"] == "2"


def test_no_new_privileges_and_unconfined_can_be_asked_for(engine):
    out = engine.docker("run", "--rm", "--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined", "busybox",
                        "grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status").stdout
    assert re.findall(r"(\d)", out) == ["1", "0"]


def test_a_process_has_only_its_standard_descriptors(engine):
    out = engine.docker("run", "--rm", "busybox", "sh", "-c", "ls -l /proc/1/fd").stdout
    numbers = re.findall(r" (\d+) -> (\S+)", out)
    assert {number for number, _ in numbers} <= {"0", "1", "2"}, out


def test_exec_has_only_its_standard_descriptors(engine, container):
    identity = container("busybox", "sleep", "1000")
    out = engine.docker("exec", identity, "sh", "-c", "ls -l /proc/$$/fd").stdout
    # busybox's shell keeps descriptor 10 for itself when it reads a script.
    assert {number for number, _ in re.findall(r" (\d+) -> (\S+)", out)} <= {"0", "1", "2"}, out


def test_mounts_show_nothing_of_the_host(engine):
    out = engine.docker("run", "--rm", "busybox", "cat", "/proc/self/mountinfo").stdout
    for line in out.splitlines():
        target = line.split()[4]
        assert re.match(r"^/($|proc|dev|sys|etc/(hosts|hostname|resolv\.conf)$)", target), line
    assert re.search(r" / / .* - (overlay|fuse\.fuse-overlayfs|ext4|\S+) ", out)


def test_processes_of_the_host_are_not_visible(engine):
    out = engine.docker("run", "--rm", "busybox", "ps").stdout.splitlines()
    assert len(out) == 2, out


def test_cgroup_files_are_not_writable(engine):
    done = engine.docker("run", "--rm", "busybox", "sh", "-c", "touch /sys/fs/cgroup/x", check=False)
    assert done.returncode == 1


def test_masked_paths_are_empty(engine):
    masked = [path for path in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats", "/proc/sched_debug") if os.path.exists(path)]
    out = engine.docker("run", "--rm", "busybox", "sh", "-c", f"ls /sys/firmware /proc/acpi /proc/scsi 2>/dev/null | grep -v :; cat {' '.join(masked)}").stdout
    assert out.strip() == ""


def test_kernel_settings_are_read_only(engine):
    out = engine.docker("run", "--rm", "busybox", "sh", "-c", "(echo x > /proc/sys/kernel/domainname) 2>&1; cat /proc/self/mountinfo", check=False).stdout
    assert "domainname: Read-only file system" in out
    read_only = {line.split()[4] for line in out.splitlines()[1:] if line.split()[5].startswith("ro")}
    assert read_only >= {path for path in ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger") if os.path.exists(path)}


def test_the_working_directory_cannot_be_a_leaked_descriptor(engine):
    for number in (3, 7, 8, 9):
        done = engine.docker("run", "--rm", "-w", f"/proc/self/fd/{number}", "busybox", "pwd", check=False)
        assert done.returncode != 0, f"CVE-2024-21626 with descriptor {number}: {done.stdout}"


def test_devices_are_the_default_ones(engine):
    out = set(engine.docker("run", "--rm", "busybox", "ls", "/dev").stdout.split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr"} <= out
    assert out <= {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr", "core"}


def test_mounting_inside_is_refused(engine):
    done = engine.docker("run", "--rm", "busybox", "mount", "-t", "tmpfs", "none", "/tmp", check=False)
    assert done.returncode != 0
