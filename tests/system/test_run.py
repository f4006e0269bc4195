"""`docker run` in its everyday forms."""
import os
import re

import pytest

from engine import wait_until

from engine import wait_until


def test_echo(engine):
    assert engine.docker("run", "--rm", "busybox", "echo", "hi").stdout == "hi\n"


@pytest.mark.parametrize("command,code", [
    (["true"], 0), (["sh", "-c", "exit 3"], 3), (["sh", "-c", "kill -9 $$"], 137), (["sh", "-c", "kill -TERM $$"], 143)])
def test_exit_code_of_the_process(engine, command, code):
    # A process 1 that is signalled by itself ignores the signal, so it is a child of the shell that dies.
    if "kill" in command[-1]:
        command = ["sh", "-c", f"sh -c '{command[-1]}'; exit $?"]
    assert engine.docker("run", "--rm", "busybox", *command, check=False).returncode == code


def test_exit_code_125_for_an_engine_error(engine):
    done = engine.docker("run", "--rm", "--name", "a b", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "Invalid container name" in done.stderr


def test_exit_code_126_for_a_file_that_cannot_be_executed(engine):
    done = engine.docker("run", "--rm", "busybox", "/etc/notexecutable", check=False)
    assert done.returncode == 126
    assert "permission denied" in done.stderr


def test_exit_code_127_for_a_command_that_is_absent(engine):
    done = engine.docker("run", "--rm", "busybox", "no-such-command", check=False)
    assert done.returncode == 127
    assert "executable file not found" in done.stderr


def test_exit_code_137_when_killed_from_outside(engine):
    engine.docker("run", "-d", "--name", "to-kill", "busybox", "sleep", "1000")
    engine.docker("kill", "to-kill")
    assert engine.docker("wait", "to-kill").stdout.strip() == "137"
    engine.docker("rm", "to-kill")


def test_environment_and_working_directory(engine):
    out = engine.docker("run", "--rm", "-e", "COLOUR=blue", "-w", "/var/made", "busybox", "sh", "-c",
                        "echo $COLOUR; pwd; echo $PATH; echo $HOME").stdout.splitlines()
    assert out == ["blue", "/var/made", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/root"]


@pytest.mark.parametrize("user,expected", [
    ("1000", "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)"), ("user", "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)"),
    ("7:8", "uid=7 gid=8"), ("daemon:0", "uid=1(daemon) gid=0(root)")])
def test_user(engine, user, expected):
    out = engine.docker("run", "--rm", "-u", user, "busybox", "id").stdout.strip()
    assert out.startswith(expected), out


def test_an_absent_user_is_named(engine):
    done = engine.docker("run", "--rm", "-u", "nobody-here", "busybox", "true", check=False)
    assert done.returncode == 125 or done.returncode == 126
    assert "nobody-here" in done.stderr


def test_hostname(engine):
    assert engine.docker("run", "--rm", "--hostname", "tower", "busybox", "sh", "-c", "hostname; cat /etc/hostname").stdout == "tower\ntower\n"


def test_the_default_hostname_is_the_short_id(engine):
    done = engine.docker("run", "-d", "busybox", "hostname")
    identity = done.stdout.strip()
    engine.docker("wait", identity)
    assert engine.docker("logs", identity).stdout.strip() == identity[:12]
    engine.docker("rm", identity)


def test_read_only_root_refuses_writes_but_tmpfs_takes_them(engine):
    done = engine.docker("run", "--rm", "--read-only", "--tmpfs", "/scratch:size=1m,mode=700", "busybox", "sh", "-c",
                         "touch /x; touch /scratch/y && echo written; grep ' /scratch ' /proc/mounts", check=False)
    assert "Read-only file system" in done.stderr
    assert "written" in done.stdout
    assert "nosuid,nodev,noexec" in done.stdout and "size=1024k" in done.stdout and "mode=700" in done.stdout


def test_a_read_only_root_covers_the_files_of_the_engine_too(engine):
    done = engine.docker("run", "--rm", "--read-only", "busybox", "sh", "-c", "echo x >> /etc/hosts; echo x >> /etc/resolv.conf", check=False)
    assert done.stderr.count("Read-only file system") == 2


def test_dropped_capabilities_are_gone(engine):
    out = engine.docker("run", "--rm", "--cap-drop", "ALL", "--cap-add", "CHOWN", "busybox", "grep", "Cap", "/proc/self/status").stdout
    sets = dict(re.findall(r"(Cap\w+):\s+(\w+)", out))
    assert int(sets["CapEff"], 16) == int(sets["CapBnd"], 16) == 1
    assert int(sets["CapInh"], 16) == 0


def test_init_reaps_and_forwards(engine):
    out = engine.docker("run", "--rm", "--init", "busybox", "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; echo; exit 5", check=False)
    assert out.returncode == 5
    assert out.stdout.startswith("/sbin/docker-init")


def test_a_name_conflict_says_who_has_it(engine, container):
    identity = container("--name", "taken", "busybox", "sleep", "1000")
    done = engine.docker("run", "--rm", "--name", "taken", "busybox", "true", check=False)
    assert done.returncode == 125
    assert f'The container name "/taken" is already in use by container "{identity}"' in done.stderr


def test_detached_ps_stop_and_wait(engine, container):
    identity = container("--name", "sleeper", "--label", "kind=test", "busybox", "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    assert engine.docker("ps", "--filter", "name=sleeper", "--format", "{{.ID}} {{.Names}} {{.State}}").stdout == f"{identity[:12]} sleeper running\n"
    assert engine.docker("stop", "-t", "10", "sleeper").stdout == "sleeper\n"
    assert engine.docker("wait", "sleeper").stdout == "7\n"
    assert engine.docker("ps", "--filter", "name=sleeper", "-q").stdout == ""
    listed = engine.docker("ps", "-a", "--filter", "label=kind=test", "--filter", "exited=7", "--format", "{{.Names}} {{.Status}}").stdout
    assert re.match(r"sleeper Exited \(7\) .* ago\n", listed), listed


def test_rm_refuses_a_running_container_and_force_removes_it(engine, container):
    identity = container("busybox", "sleep", "1000")
    done = engine.docker("rm", identity, check=False)
    assert done.returncode != 0 and "container is running: stop the container before removing or force remove" in done.stderr
    engine.docker("rm", "-f", identity)
    assert "No such container" in engine.docker("inspect", "--type", "container", identity, check=False).stderr + \
        engine.docker("rm", identity, check=False).stderr


def test_create_start_restart_and_rename(engine):
    identity = engine.docker("create", "--name", "made", "busybox", "sh", "-c", "echo run; sleep 1000").stdout.strip()
    assert engine.inspect("made")["State"]["Status"] == "created"
    engine.docker("start", "made")
    engine.docker("rename", "made", "renamed")
    engine.docker("restart", "-t", "0", "renamed")
    state = engine.inspect("renamed")
    assert state["Id"] == identity and state["State"]["Running"] and state["Name"] == "/renamed"
    assert engine.docker("logs", "renamed").stdout == "run\nrun\n"
    engine.docker("rm", "-f", "renamed")


def test_a_filter_for_exit_codes_takes_numbers_only(engine):
    refused = engine.docker("ps", "-a", "--filter", "exited=x", check=False)
    assert refused.returncode == 1 and "invalid filter 'exited=x'" in refused.stderr


def test_rm_of_an_exited_container_leaves_nothing_on_disk(engine):
    identity = engine.docker("run", "-d", "busybox", "sh", "-c", "dd if=/dev/zero of=/big bs=1M count=4 2>/dev/null").stdout.strip()
    engine.docker("wait", identity)
    engine.docker("rm", identity)
    # The files go behind the answer.
    wait_until(lambda: not [name for _, directories, files in os.walk(engine.root) for name in directories + files
                            if identity[:12] in name], "its files are gone")


def test_image_environment_and_command_apply(engine):
    from images import busybox_rootfs_tar, docker_archive
    engine.docker("load", input=docker_archive(["configured:1"], [busybox_rootfs_tar()], {"Cmd": ["sh", "-c", "echo $FROM_IMAGE $PWD"], "WorkingDir": "/home"}))
    assert engine.docker("run", "--rm", "configured:1").stdout == "yes /home\n"
    assert engine.docker("run", "--rm", "--entrypoint", "echo", "configured:1", "own").stdout == "own\n"


def test_logs_since_the_start_show_all_of_the_run(engine):
    engine.docker("run", "--name", "stamped", "busybox", "echo", "first")
    assert engine.docker("logs", "--since", engine.inspect("stamped")["State"]["StartedAt"], "stamped").stdout == "first\n"
    engine.docker("rm", "stamped")


def test_a_kill_in_the_pause_before_a_restart_ends_it(engine):
    engine.docker("run", "-d", "--name", "crashing", "--restart", "always", "busybox", "false")

    def pauses():  # the fourth pause is long enough for a busy machine
        shown = engine.inspect("crashing")
        return shown["RestartCount"] >= 3 and shown["State"]["Status"] == "restarting"

    wait_until(pauses, "a pause before a restart")
    engine.docker("kill", "crashing", check=False)
    engine.docker("stop", "crashing", check=False)
    assert engine.docker("wait", "crashing").stdout == "1\n"
    assert engine.inspect("crashing")["State"]["Status"] == "exited"
    engine.docker("rm", "-f", "crashing")


def test_rm_link_never_removes_the_container(engine, container):
    identity = container("busybox", "sleep", "1000")
    assert engine.api("DELETE", f"/containers/{identity}?link=1&force=1")[0] == 409
    assert engine.inspect(identity)["State"]["Running"]


def test_a_working_directory_of_1000_levels(engine):
    deep = "/home/a" + "/a" * 1000
    assert engine.docker("run", "--rm", "-w", deep, "busybox", "pwd", timeout=30).stdout == deep + "\n"


@pytest.mark.parametrize("user", ["99999", "0:99999"])
def test_an_id_that_the_user_has_not_got_is_explained(engine, user):
    done = engine.docker("run", "--rm", "-u", user, "busybox", "true", check=False)
    assert done.returncode == 125 and "subordinate ids of this user end before it" in done.stderr, done
