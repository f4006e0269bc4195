"""An attacker who is root in a container (the engine's own user outside): known escapes and what may be reached."""
import hashlib
import os
import socket
import subprocess
import threading
import time

import pytest

from engine import BUILD, needs_cli, wait_until
from free_ports import free_port

CAPS = ("--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined")


def shell(engine, script, *options, check=False):
    return engine.docker("run", "--rm", *options, "busybox", "sh", "-c", script, check=check)


def test_cve_2016_9962_a_process_inside_sees_nothing_of_a_joining_exec(engine, container):
    script = ("while [ ! -e /tmp/stop ]; do for f in /proc/[0-9]*/fd/*; do l=$(readlink $f) && echo \"$l\" >> /tmp/seen; done; done 2>/dev/null;"
              "touch /tmp/done; sleep 1000")
    identity = container("--cap-add", "SYS_PTRACE", "busybox", "sh", "-c", script)
    for _ in range(15):
        engine.docker("exec", identity, "true")
    engine.docker("exec", identity, "touch", "/tmp/stop")
    wait_until(lambda: engine.docker("exec", identity, "test", "-e", "/tmp/done", check=False).returncode == 0, "the loop ends")
    seen = set(engine.docker("exec", identity, "sort", "-u", "/tmp/seen").stdout.splitlines())
    strange = {name for name in seen if not name.startswith(("pipe:[", "/dev/null", "/proc/", "/tmp/", "/bin/", "socket:["))}
    assert not strange, strange
    assert not {name for name in seen if "berth" in name or "memfd" in name}, seen


def test_cve_2019_5736_exec_of_the_runtimes_own_file(engine, container):
    programs = [BUILD / name for name in ("berth-runtime", "berth-shim", "berth-init")]
    before = [hashlib.sha256(program.read_bytes()).hexdigest() for program in programs]
    identity = container("busybox", "sh", "-c", "printf '#!/proc/self/exe\\n' > /tmp/evil; chmod 755 /tmp/evil; "
                         "while :; do for p in /proc/[0-9]*; do (echo bad > $p/exe) 2>/dev/null; done; done")
    for _ in range(10):
        engine.docker("exec", identity, "/tmp/evil", check=False)
        engine.docker("exec", identity, "/proc/self/exe", check=False)
    assert [hashlib.sha256(program.read_bytes()).hexdigest() for program in programs] == before


def swapper(directory, outside, stop):
    """Exchanges a directory and a link to a place outside, as fast as it can."""
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    one, two = os.fsencode(directory / "target"), os.fsencode(directory / "other")
    (directory / "target").mkdir()
    (directory / "other").symlink_to(outside)
    while not stop.is_set():
        for _ in range(200):
            libc.renameat2(-100, one, -100, two, 2)  # RENAME_EXCHANGE


def test_cve_2021_30465_and_2024_45310_mount_targets_are_swapped_while_containers_start(engine, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    shared = tmp_path / "shared"
    shared.mkdir()
    stop = threading.Event()
    thread = threading.Thread(target=swapper, args=(shared, outside, stop))
    thread.start()
    deadline = time.monotonic() + 8
    try:
        for number in range(30):
            if time.monotonic() > deadline:
                break
            # A file that can be seen only when /target of the volume was left for the host's directory.
            done = engine.docker("run", "--rm", "-v", f"{shared}:/v", "-v", f"/v/target/made{number}", "--tmpfs", "/v/target", "busybox", "sh", "-c",
                                 "awk '$5 ~ /^\\/v/ {print $5}' /proc/self/mountinfo", check=False)
            assert done.returncode in (0, 125, 126, 127), done.stderr
    finally:
        stop.set()
        thread.join()
    assert list(outside.iterdir()) == []


def test_cve_2022_0492_no_cgroup_can_be_mounted_or_released(engine):
    out = shell(engine, "mkdir /tmp/c; for t in cgroup cgroup2; do mount -t $t none /tmp/c && find /tmp/c -name release_agent; done; "
                "unshare -U -r -m -C sh -c 'mount -t cgroup -o memory none /tmp/c && echo MOUNTED'").stdout
    assert "release_agent" not in out and "MOUNTED" not in out


def test_cve_2025_31133_masked_paths_hold_when_dev_null_is_replaced(engine, tmp_path):
    (tmp_path / "null").symlink_to("/proc/sys/kernel/core_pattern")
    done = shell(engine, "cat /dev/null /proc/kcore 2>&1; (echo owned > /proc/kcore); (echo owned > /proc/sys/kernel/core_pattern)",
                 "-v", f"{tmp_path}:/dev")
    assert "owned" not in open("/proc/sys/kernel/core_pattern").read()
    assert done.returncode != 0


def test_cve_2025_52881_a_fake_proc_takes_no_sysctl(engine, tmp_path):
    done = shell(engine, "cat /proc/sys/net/ipv4/ip_forward", "--sysctl", "net.ipv4.ip_forward=1", "-v", f"{tmp_path}:/proc/sys")
    assert done.returncode != 0, done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["/proc", "/proc/self", "/proc/sys/kernel", "/sys/../proc"])
def test_a_volume_does_not_replace_proc(engine, tmp_path, place):
    done = shell(engine, "echo started", "-v", f"{tmp_path}:{place}")
    assert "started" not in done.stdout and done.returncode == 125 or done.returncode == 127, (done.returncode, done.stderr)


def test_cve_2024_21626_exec_in_a_descriptors_directory(engine, container):
    identity = container("busybox", "sleep", "1000")
    for number in range(3, 20):
        done = engine.docker("exec", "-w", f"/proc/self/fd/{number}", identity, "ls", "..", check=False)
        assert done.returncode in (126, 127), (number, done.stdout, done.stderr)


@pytest.mark.parametrize("user", ["0x0", " 0", "0 ", "-1", "4294967296", "4294967295", "+0", "0:0:0", "1e3", "root:nobody9", "\t0", "00x"])
def test_cve_2026_30892_strange_users_are_refused(engine, container, user):
    identity = container("busybox", "sleep", "1000")
    done = engine.docker("exec", "-u", user, identity, "id", check=False)
    assert done.returncode != 0, done.stdout
    assert shell(engine, "id", "-u", user).returncode != 0


def test_an_empty_group_is_the_users_own(engine):
    """As with Docker, the group may be left out after the colon."""
    assert shell(engine, "id -u; id -g", "-u", "1000:").stdout == "1000\n1000\n"
    assert shell(engine, "id -u; id -g", "-u", "1:").stdout == "1\n1\n"


def test_labels_and_annotations_change_nothing(engine):
    needs_cli("1.43")
    words = ("run.oci.hooks.stderr=/tmp/x", "run.oci.keep_original_groups=1", "run.oci.mount_context_type=x", "run.oci.handler=wasm",
             "run.oci.seccomp_bpf_data=AAAA", "org.systemd.property.Delegate=true", "run.oci.systemd.subgroup=../..")
    options = [part for word in words for part in ("--label", word, "--annotation", word)]
    plain = shell(engine, "id; grep -E 'Cap|Seccomp|NoNew' /proc/self/status", check=True).stdout
    assert shell(engine, "id; grep -E 'Cap|Seccomp|NoNew' /proc/self/status", *options, check=True).stdout == plain


def test_the_hosts_processes_take_no_signal_and_no_trace(engine):
    host = next(iter(engine.pids("berth-engine")))
    out = shell(engine, f"kill -9 {host} && echo KILLED; ls /proc/{host}/fd && echo SEEN; kill -9 -1; echo alive", "--cap-add", "SYS_PTRACE").stdout
    assert "KILLED" not in out and "SEEN" not in out
    assert engine.pids("berth-engine") == [host]


def test_the_engines_socket_and_directories_are_not_reachable(engine):
    out = shell(engine, f"ls -d {engine.root} {engine.socket} /run/user 2>/dev/null; find / -xdev -type s 2>/dev/null; cat /proc/mounts").stdout
    assert str(engine.root / "run") not in out and "docker.sock" not in out
    assert "lowerdir=/" not in out, "the mount options tell the host's paths"


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_abstract_sockets_of_the_host_are_not_reachable(engine, network):
    name = f"berth-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind("\0" + name)
        server.listen()
        assert name in open("/proc/net/unix").read()
        assert name not in shell(engine, "cat /proc/net/unix", "--network", network).stdout


def test_the_hosts_loopback_is_not_reachable(engine):
    """libslirp would forward its gateway's address to the host's loopback."""
    with socket.create_server(("127.0.0.1", free_port())) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        shell(engine, f"g=$(ip route | awk '/default/ {{print $3}}'); for a in 127.0.0.1 10.0.2.2 10.0.2.3 10.0.2.100 $g; do "
              f"nc -w 1 $a {port} </dev/null && echo $a; done")
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("options", [(), ("--network", "none"), ("--network", "host"), ("--cap-add", "SYS_ADMIN"), ("-v", "/tmp:/host")],
                         ids=lambda value: " ".join(value))
def test_kernel_settings_are_read_only(engine, options):
    script = ("for f in /proc/sys/kernel/hostname /proc/sys/vm/overcommit_memory /proc/sysrq-trigger /proc/irq/default_smp_affinity "
              "/sys/kernel/uevent_helper /sys/class/net/lo/mtu /sys/power/state; do [ -e $f ] && (echo 1 > $f) 2>/dev/null && echo WROTE $f; done; "
              "(touch /sys/x || mkdir /sys/fs/cgroup/x) 2>/dev/null && echo WROTE sys; true")
    assert "WROTE" not in shell(engine, script, *options, check=True).stdout


def test_a_privileged_container_is_still_the_user(engine, tmp_path):
    shell(engine, "touch /host/made; mknod /host/device b 8 0; echo 1 > /proc/sys/kernel/core_pattern; cat /dev/mem", "--privileged", "-v", f"{tmp_path}:/host")
    assert (tmp_path / "made").stat().st_uid == os.getuid()
    assert not (tmp_path / "device").exists()


def test_other_containers_files_are_not_reachable_with_open_by_handle(engine, container):
    container("busybox", "sh", "-c", "echo secret > /secret; sleep 1000")
    out = shell(engine, "grep -rs secret /proc/*/root/secret /proc/1/task/*/root/secret; ls /proc/*/root/ | sort -u", *CAPS).stdout
    assert "secret" not in out


def test_the_engines_descriptors_do_not_leak_into_shims(engine, container):
    container("busybox", "sleep", "1000")
    for pid in engine.pids("berth-shim"):
        for entry in os.listdir(f"/proc/{pid}/fd"):
            try:
                target = os.readlink(f"/proc/{pid}/fd/{entry}")
            except OSError:
                continue
            assert "docker.sock" not in target and "network.sock" not in target and "layers" not in target, target


def test_a_setuid_program_gains_nothing_outside(engine, tmp_path):
    shell(engine, "cp /bin/busybox /host/busybox; chmod 6755 /host/busybox", "-v", f"{tmp_path}:/host", check=True)
    assert (tmp_path / "busybox").stat().st_uid == os.getuid()
    out = subprocess.run([tmp_path / "busybox", "id", "-u"], capture_output=True, text=True).stdout.strip()
    assert out == str(os.getuid())
