"""berth doctor on machines that are really broken, one fault at a time: it names the fault, its advice is carried out as printed, and then it is content."""
import os
import shutil
import signal
import subprocess

import pytest

from engine import BUILD
from simulated_host import SimulatedHost


@pytest.fixture
def host():
    instance = SimulatedHost()
    try:
        if instance.problem:
            pytest.skip(f"no host can be simulated here: {instance.problem}")
        yield instance
    finally:
        instance.close()


def mend(host, name, state, words, after="ok"):
    """The finding `name` in that state with these words in its cause; carries out its advice and looks again."""
    finding = host.check(name)
    assert finding["state"] == state and words in finding["cause"], finding
    assert finding["mend"], finding
    for command in finding["mend"]:
        host.carry_out(command)
    mended = host.check(name)
    assert mended["state"] == after, (finding, mended)
    return finding


def fix(host, name, state, words):
    """The same for what `--fix` can do alone."""
    finding = host.check(name)
    assert finding["state"] == state and words in finding["cause"] and finding["fixable"], finding
    answer = host.doctor("--fix", name)
    assert [done["name"] for done in answer["fixed"]] == [name] * len(finding["mend"]), answer
    assert host.check(name)["state"] == "ok"


def test_a_good_host_has_nothing_broken(host):
    answer = host.doctor()
    states = {check["name"]: check["state"] for check in answer["checks"]}
    # This host has fewer ids than the outer one, an engine that nobody installed, and what it has of systemd is the outer machine's.
    ours = {name: state for name, state in states.items() if name not in ("subordinate-ids", "engine", "docker-host", "cgroup", "user-bus", "delegation", "lingering")}
    assert ours == dict.fromkeys(ours, "ok"), answer
    assert {"tun", "namespaces", "storage", "runtime-directory", "data-directory", "ports", "ping", "resolver", "nesting"} <= set(ours)
    assert all(check["mend"] == [] for check in answer["checks"] if check["state"] == "ok")


def test_the_text_has_a_line_a_check_and_its_commands_below(host):
    host.root("echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start")
    lines = host.user(str(BUILD / "berth"), "doctor", "ports").stdout.splitlines()
    assert lines[0] == "degraded  ports: ports below 1024 cannot be published (net.ipv4.ip_unprivileged_port_start)"
    assert lines[1] == "  mend: sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80"


@pytest.mark.parametrize("file", ["subuid", "subgid"])
def test_no_subordinate_ids(host, file):
    host.root(f": >/etc/{file}")
    mend(host, "subordinate-ids", "broken", f"no subordinate ids for user joe in /etc/{file}")


def test_too_few_subordinate_ids(host):
    host.root("echo joe:2000:1000 | tee /etc/subuid >/etc/subgid")
    mend(host, "subordinate-ids", "degraded", "has 1000 subordinate uids")


def test_a_range_that_somebody_else_has_too(host):
    host.root("for file in subuid subgid; do echo joe:100000:65536 >/etc/$file; done; echo ann:165000:65536 >>/etc/subuid")
    mend(host, "subordinate-ids", "degraded", "overlaps that of ann")


def test_a_user_of_a_directory_service(host):
    host.root("sed -i /^joe:/d /etc/passwd; : >/etc/subuid; : >/etc/subgid")
    finding = mend(host, "subordinate-ids", "broken", "no subordinate ids for user joe")
    assert finding["mend"] == ["echo joe:100000:65536 | sudo tee -a /etc/subuid /etc/subgid"]


def test_newuidmap_that_is_not_setuid(host):
    host.root("chmod u-s $(command -v newuidmap)")
    assert "newuidmap is in the way" in host.check("namespaces")["cause"]
    mend(host, "newuidmap", "broken", "neither setuid root nor has file capabilities")
    assert host.check("namespaces")["state"] == "ok", "and now ids are really mapped"


def test_newgidmap_that_belongs_to_nobody(host):
    host.root("chown 65534 $(command -v newgidmap)")
    mend(host, "newgidmap", "broken", "neither setuid root nor has file capabilities")


def test_newuidmap_on_a_file_system_without_suid(host):
    host.root("""mkdir /tmp/bt-nosuid-$$ && d=/tmp/bt-nosuid-$$ && mount -t tmpfs -o nosuid,mode=755 none $d
        cp $(command -v newuidmap) $d/ && chmod 4755 $d/newuidmap && mount --bind $d/newuidmap $(command -v newuidmap)""")
    finding = mend(host, "newuidmap", "broken", "on a file system mounted nosuid")
    assert finding["mend"] == ["sudo mount -o remount,suid " + shutil.which("newuidmap")] and host.check("namespaces")["state"] == "ok"


def test_no_newuidmap(host):
    host.root("mount --bind /dev/null $(command -v newuidmap)")
    finding = host.check("newuidmap")
    assert finding["state"] == "broken" and "newuidmap not found" in finding["cause"]
    (command,) = finding["mend"]
    assert command.startswith("sudo ") and ("uidmap" in command or "shadow" in command)


def test_user_namespaces_that_are_off(host):
    host.root("echo 0 >/proc/sys/user/max_user_namespaces")
    mend(host, "user-namespaces", "broken", "user.max_user_namespaces=0")
    assert "user.max_user_namespaces=28633" in host.root("cat /etc/sysctl.d/99-berth.conf"), "also after a reboot"


def test_few_user_namespaces(host):
    host.root("echo 7 >/proc/sys/user/max_user_namespaces")
    mend(host, "user-namespaces", "degraded", "only 7 user namespaces")


def test_no_network_namespaces(host):
    """Which no check of a switch alone would see: the attempt does."""
    host.root("echo 0 >/proc/sys/user/max_net_namespaces")
    finding = host.check("namespaces")
    assert finding["state"] == "broken" and "creating the network namespace: No space left on device" in finding["cause"]
    host.root("echo 1000 >/proc/sys/user/max_net_namespaces")
    assert host.check("namespaces")["state"] == "ok"


def test_few_inotify_instances(host):
    host.root("echo 3 >/proc/sys/user/max_inotify_instances")
    mend(host, "kernel-limits", "degraded", "3 inotify instances only")


def test_no_new_privileges(host):
    finding = host.check("no-new-privileges", confine=["--no-new-privs"])
    assert finding["state"] == "broken" and "NoNewPrivileges=" in finding["cause"]
    assert host.check("no-new-privileges")["state"] == "ok"


def test_a_tun_device_that_may_not_be_opened(host):
    host.root(": >/run/user/tun; chmod 0 /run/user/tun; mount --bind /run/user/tun /dev/net/tun")
    mend(host, "tun", "broken", "cannot open /dev/net/tun (Permission denied)")


def test_no_tun_device(host):
    host.root("mount -t tmpfs none /dev/net")
    finding = host.check("tun")
    assert finding["state"] == "broken" and "No such file or directory" in finding["cause"]
    assert finding["mend"][0] == "sudo modprobe tun"


def test_low_ports(host):
    host.root("echo 1024 >/proc/sys/net/ipv4/ip_unprivileged_port_start")
    mend(host, "ports", "degraded", "ports below 1024 cannot be published")


def test_ping(host):
    host.root("echo 1 0 >/proc/sys/net/ipv4/ping_group_range")
    mend(host, "ping", "degraded", "group 1000 is not in net.ipv4.ping_group_range")


def test_no_resolv_conf(host):
    host.root("rm /etc/resolv.conf")
    mend(host, "resolver", "degraded", "/etc/resolv.conf is absent")


def test_an_empty_resolv_conf(host):
    host.root("echo '# nobody' >/etc/resolv.conf")
    mend(host, "resolver", "degraded", "names no server")


def test_a_resolver_that_does_not_answer(host):
    host.root("echo nameserver 127.0.0.1 >/etc/resolv.conf")
    mend(host, "resolver", "degraded", "nothing answers at 127.0.0.1")


def test_no_default_route(host):
    host.root("ip route del default")
    finding = host.check("route")
    assert finding["state"] == "degraded" and "no default route" in finding["cause"]
    host.root("ip route add default via 192.0.2.254")
    assert host.check("route")["state"] == "ok"


def test_no_xdg_runtime_dir(host):
    del host.environment["XDG_RUNTIME_DIR"]
    assert host.user(str(BUILD / "berth"), "setup", "host").stdout == "unix:///run/user/1000/docker.sock\n"
    mend(host, "runtime-directory", "degraded", "XDG_RUNTIME_DIR is not set: /run/user/1000 is used")


def test_a_relative_xdg_runtime_dir(host):
    host.environment["XDG_RUNTIME_DIR"] = "run"
    mend(host, "runtime-directory", "broken", "'run', not an absolute path", after="degraded")


def test_a_runtime_directory_that_is_not_there(host):
    host.root("rmdir /run/user/1000")
    mend(host, "runtime-directory", "broken", "does not exist")


def test_a_runtime_directory_of_somebody_else(host):
    host.root("install -d -o 1001 -m 777 /run/user/1001")
    host.environment["XDG_RUNTIME_DIR"] = "/run/user/1001"
    mend(host, "runtime-directory", "broken", "belongs to user 1001, not to 1000")


def test_a_runtime_directory_that_others_may_enter(host):
    host.root("chmod 777 /run/user/1000")
    fix(host, "runtime-directory", "degraded", "has mode 0777: others may enter it")


def test_a_runtime_directory_that_its_owner_may_not_write(host):
    host.root("chmod 500 /run/user/1000")
    fix(host, "runtime-directory", "broken", "has mode 0500: its owner cannot use it")


def test_a_runtime_directory_that_is_read_only(host):
    host.root("""mount -t tmpfs -o mode=700 none /run/user/1000 && chown 1000 /run/user/1000
        mount -o remount,bind,ro /run/user/1000""")
    mend(host, "runtime-directory", "broken", "cannot be written")


DATA = "/home/joe/.local/share/berth"


def data(host, options="", flags="", owner=1000, mode=700):
    """A file system of its own for the data directory. (Its owner by chown: in a user namespace mount(8) cannot remount with a uid=.)"""
    host.root(f"""install -d -o 1000 -g 1000 {DATA} && chown -R 1000:1000 /home/joe/.local
        mount -t tmpfs -o mode={mode}{options} none {DATA} && chown {owner} {DATA}""")
    if flags:
        host.root(f"mount -o remount,bind,{flags} {DATA}")


def test_a_data_directory_mounted_read_only(host):
    data(host, flags="ro")
    mend(host, "data-directory", "broken", "mounted read-only")


def test_a_data_directory_mounted_noexec(host):
    data(host, flags="noexec")
    mend(host, "data-directory", "degraded", "mounted noexec")


def test_a_data_directory_of_root(host):
    data(host, owner=0, mode=755)
    mend(host, "data-directory", "broken", "it belongs to user 0")


def test_a_data_directory_that_its_owner_may_not_write(host):
    data(host, mode=500)
    fix(host, "data-directory", "broken", "its mode is 0500")


def test_a_full_disk(host):
    data(host, ",size=80m")
    host.root(f"head -c 70m /dev/zero >{DATA}/full")
    mend(host, "disk-space", "broken", "10 MiB are left")


def test_no_inodes_left(host):
    data(host, ",size=4g,nr_inodes=500")
    mend(host, "disk-space", "broken", "inodes (files) are left")


def test_an_overlay_that_the_kernel_refuses_and_a_closed_fuse(host):
    """The data directory on an overlay, which takes no other upon it."""
    data(host, mode=755)
    host.root(f"""cd {DATA} && mkdir l u w m && chown 1000 l u && mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w none m
        mount --bind m {DATA}
        : >/run/user/fuse && chmod 600 /run/user/fuse && mount --bind /run/user/fuse /dev/fuse""")
    finding = host.check("storage")
    if finding["state"] == "ok":
        pytest.skip("this kernel lays overlays over overlays")
    assert "copies its whole image" in finding["cause"], finding
    if finding["mend"] != ["sudo chmod 0666 /dev/fuse"]:
        pytest.skip("fuse-overlayfs is not installed")
    mend(host, "storage", "degraded", "/dev/fuse cannot be opened (Permission denied)", after="degraded")
    assert "so fuse-overlayfs is used, which is slower" in host.check("storage")["cause"]


def test_a_masked_proc_as_in_a_container(host):
    host.root("mount --bind /dev/null /proc/keys")
    finding = host.check("nesting")
    assert finding["state"] == "broken" and "a fresh /proc cannot be mounted" in finding["cause"]
    assert "--security-opt systempaths=unconfined" in finding["mend"][0]
    host.root("umount /proc/keys")
    assert host.check("nesting")["state"] == "ok"


def test_docker_host_elsewhere(host):
    host.environment["DOCKER_HOST"] = "unix:///var/run/docker.sock"
    mend(host, "docker-host", "degraded", "DOCKER_HOST is unix:///var/run/docker.sock")


def test_a_docker_context_elsewhere(host):
    if host.user("docker", "context", "ls").returncode != 0:
        pytest.skip("no docker CLI in PATH, or one without contexts")
    fix(host, "docker-host", "degraded", 'the docker context is "default"')
    shown = host.user("docker", "context", "inspect", "berth", "--format", "{{.Endpoints.docker.Host}}")
    assert shown.stdout.strip() == "unix:///run/user/1000/docker.sock"


def test_an_engine_that_does_not_run(host):
    """The whole of a start in this world: ids, namespaces, network, API."""
    try:
        fix(host, "engine", "degraded", "the engine is not installed for this user")
    finally:
        removed = host.user(str(BUILD / "berth"), "setup", "uninstall")
    assert "kept in /home/joe/.local/share/berth" in removed.stdout, removed
    assert host.check("engine")["state"] == "degraded"


def test_an_engine_that_hangs(bare_engine):
    """A stopped process answers nobody; no check may wait for it."""
    bare_engine.start()
    (engine,) = bare_engine.pids("berth-engine")
    os.kill(engine, signal.SIGSTOP)
    try:
        done = subprocess.run([str(BUILD / "berth"), "doctor", "engine"], env=bare_engine.environment, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.kill(engine, signal.SIGCONT)
    assert done.returncode == 1
    assert done.stdout.startswith(f"broken    engine: berthd runs (pid {bare_engine.process.pid}, serving unix://{bare_engine.socket}), but nothing answers")


def test_an_unknown_check_is_an_error(host):
    done = host.user(str(BUILD / "berth"), "doctor", "nonsense")
    assert done.returncode == 125 and "there is no check named 'nonsense'" in done.stderr
