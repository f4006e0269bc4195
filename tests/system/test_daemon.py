"""berthd itself: start, flags, configuration, and what it says when something is missing."""
import json
import os
import subprocess

from engine import BUILD, wait_until


def berthd(engine, *arguments, **environment):
    variables = {**engine.environment, **environment}
    variables = {key: value for key, value in variables.items() if value is not None}
    return subprocess.run([str(BUILD / "berthd"), *arguments], env=variables, capture_output=True, text=True, timeout=30,
                          stdin=subprocess.DEVNULL)


def test_the_socket_belongs_to_the_user_alone(engine):
    assert os.stat(engine.socket).st_mode & 0o777 == 0o600


def test_a_second_start_is_refused_and_says_who_runs(engine):
    done = berthd(engine)
    assert done.returncode != 0
    assert str(engine.process.pid) in done.stderr and "already" in done.stderr


def test_validate_and_version(engine):
    assert berthd(engine, "--validate").stdout.strip() == "configuration OK"
    assert "berth" in berthd(engine, "--version").stdout


def test_unknown_flags_and_keys_are_named(bare_engine):
    done = berthd(bare_engine, "--no-such-flag")
    assert done.returncode != 0 and "--no-such-flag" in done.stderr
    path = bare_engine.root / "daemon.json"
    for text, named in (('{"no-such-key": 1}', "no-such-key"), ('{"debug": "yes"}', "debug"), ("{", "daemon.json")):
        path.write_text(text)
        done = berthd(bare_engine, "--validate", "--config-file", str(path))
        assert done.returncode != 0 and named in done.stderr, done.stderr


def test_an_option_given_twice_is_refused(bare_engine):
    path = bare_engine.root / "daemon.json"
    path.write_text(json.dumps({"data-root": "/tmp/x"}))
    done = berthd(bare_engine, "--validate", "--config-file", str(path), "--data-root", "/tmp/y")
    assert done.returncode != 0 and "specified both as a flag and in the configuration file" in done.stderr


def test_it_works_without_a_run_time_directory(bare_engine):
    bare_engine.environment.pop("XDG_RUNTIME_DIR")
    socket = bare_engine.root / "own.sock"
    bare_engine.socket = str(socket)
    bare_engine.start("-H", f"unix://{socket}", "--exec-root", str(bare_engine.root / "x"))
    # /run/user/UID stands in where the user has a session.
    assert "XDG_RUNTIME_DIR" in bare_engine.log() or os.path.exists(f"/run/user/{os.getuid()}")
    assert bare_engine.docker("version", "--format", "{{.Server.APIVersion}}").stdout.strip() == "1.51"


def test_info_tells_driver_and_rootless(engine):
    info = json.loads(engine.docker("info", "--format", "{{json .}}").stdout)
    assert info["Driver"] in ("overlay2", "fuse-overlayfs", "vfs")
    assert "name=rootless" in info["SecurityOptions"] and "name=seccomp,profile=builtin" in info["SecurityOptions"]
    assert info["OSType"] == "linux" and info["NCPU"] >= 1 and info["DriverStatus"]


def test_limits_that_cannot_be_applied_are_warned_of(engine):
    done = engine.docker("run", "--rm", "--memory", "64m", "busybox", "true")
    info = json.loads(engine.docker("info", "--format", "{{json .}}").stdout)
    assert info["MemoryLimit"] or "memory" in done.stderr.lower()
    assert info["MemoryLimit"] or any("memory" in warning for warning in info["Warnings"])


def test_several_hosts_are_served(bare_engine):
    second = bare_engine.root / "second.sock"
    bare_engine.start("-H", f"unix://{bare_engine.socket}", "-H", f"unix://{second}")
    bare_engine.socket = str(second)
    assert bare_engine.answers()


def test_clients_of_an_engine_that_cannot_start_are_told_why(own_engine):
    own_engine.docker("run", "-d", "--name", "survivor", "busybox", "sleep", "1000")
    record = own_engine.root / "data/berth/format"
    known = record.read_text()
    record.write_text("99\n")
    os.kill(own_engine.recorded("engine"), 9)
    refused = own_engine.docker("ps", check=False, timeout=30)
    assert refused.returncode == 1 and "the engine cannot start" in refused.stderr and "has the format 99" in refused.stderr
    record.write_text(known)
    wait_until(own_engine.answers, "the engine starts again", 30)
    assert own_engine.docker("ps", "--format", "{{.Names}}", timeout=30).stdout == "survivor\n"


def test_a_file_at_the_place_of_the_socket_stays(bare_engine):
    precious = bare_engine.root / "precious"
    precious.write_text("gold")
    done = berthd(bare_engine, "-H", f"unix://{precious}")
    assert done.returncode == 1 and f"{precious} exists and is no socket" in done.stderr, done
    assert precious.read_text() == "gold"


def test_each_storage_driver_runs_a_container(bare_engine):
    from images import busybox_rootfs_tar, docker_archive, layer_tar
    archive = docker_archive(["i:1"], [busybox_rootfs_tar(), layer_tar({"etc/.wh.group": b"", "etc/two": b"2\n"})])
    for driver in ("overlay2", "fuse-overlayfs", "vfs"):
        bare_engine.start("--storage-driver", driver, "--data-root", str(bare_engine.root / driver))
        bare_engine.docker("load", input=archive)
        out = bare_engine.docker("run", "--rm", "i:1", "sh", "-c", "cat /etc/two; ls /etc/group; echo x > /etc/new", check=False)
        assert out.stdout == "2\n" and out.returncode == 0, (driver, out)
        info = json.loads(bare_engine.docker("info", "--format", "{{json .}}").stdout)
        assert info["Driver"] == driver
        bare_engine.stop()


def test_a_missing_newuidmap_is_explained(bare_engine, tmp_path):
    import shutil
    private = tmp_path / "programs"
    private.mkdir()
    if shutil.which("newuidmap") is None:
        done = berthd(bare_engine)
        assert "uidmap" in done.stderr
        return
    # The user's own copy of newuidmap lacks the setuid bit.
    for name in ("newuidmap", "newgidmap"):
        shutil.copy(shutil.which(name), private / name)
    done = subprocess.Popen([str(BUILD / "berthd")], env={**bare_engine.environment, "PATH": str(private)}, stderr=subprocess.PIPE, text=True)
    bare_engine.process = done
    wait_until(lambda: done.poll() is not None or os.path.exists(bare_engine.socket), "berthd ends or serves")
    if done.poll() is not None:
        text = done.stderr.read()
        assert "setuid" in text and "uidmap" in text


def test_whoever_reads_the_log_may_go(bare_engine):
    bare_engine.process = subprocess.Popen([str(BUILD / "berthd"), "--log-level", "debug"], env=bare_engine.environment,
                                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_until(bare_engine.answers, "the engine answers")
    before = bare_engine.recorded("engine")
    bare_engine.process.stdout.close()
    for _ in range(2):  # each is in the log
        assert bare_engine.api("GET", "/containers/none/json")[0] == 404
    assert bare_engine.recorded("engine") == before


def test_two_engines_never_share_a_data_directory(engine, bare_engine):
    done = berthd(bare_engine, "--data-root", str(engine.root / "data/berth"))
    assert done.returncode != 0 and "is used by another engine" in done.stderr
    assert engine.answers()


def test_a_port_that_is_none_is_refused(bare_engine):
    done = berthd(bare_engine, "-H", "tcp://127.0.0.1:99999", "--tls=false")
    assert done.returncode != 0 and "invalid port" in done.stderr
