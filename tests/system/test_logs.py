"""Log drivers, and `docker logs` on each of them with all its flags."""
import json
import socket
import subprocess
import time

import pytest

COUNT = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i of a log that rotates; done"
ALL = [f"line {number} of a log that rotates" for number in range(1, 401)]


def finished(engine, container, *arguments):
    identity = container(*arguments)
    engine.docker("wait", identity)
    return identity


def files_of(engine, identity):
    return sorted(path.name for path in (engine.root / "data/berth/containers" / identity).iterdir() if ".log" in path.name)


@pytest.mark.parametrize("driver, name", [("json-file", "-json.log"), ("local", "container.log")])
def test_rotated_and_compressed_files_are_read_back(engine, container, driver, name):
    identity = finished(engine, container, "--log-driver", driver, "--log-opt", "max-size=4k", "--log-opt", "max-file=40", "--log-opt", "compress=true",
                        "busybox", "sh", "-c", COUNT)
    assert any(name in file and file.endswith(".gz") for file in files_of(engine, identity))
    assert engine.docker("logs", identity).stdout.splitlines() == ALL
    assert engine.docker("logs", "-n", "150", identity).stdout.splitlines() == ALL[-150:]
    assert engine.docker("logs", "-n", "0", identity).stdout == ""
    stamped = engine.docker("logs", "-t", identity).stdout.splitlines()
    middle = stamped[200].split(" ")[0]
    until = engine.docker("logs", "-t", "--until", middle, identity).stdout.splitlines()
    since = engine.docker("logs", "-t", "--since", middle, identity).stdout.splitlines()
    assert stamped[200] in until and stamped[200] in since
    assert sorted(set(until + since)) == sorted(stamped)


def test_local_keeps_streams_long_lines_and_ends_apart(engine, container):
    identity = finished(engine, container, "--log-driver", "local", "busybox", "sh", "-c",
                        "head -c 20000 /dev/zero | tr '\\0' x; echo; echo bad >&2; printf unended")
    done = engine.docker("logs", identity)
    assert done.stdout == "x" * 20000 + "\nunended" and done.stderr == "bad\n"
    assert engine.inspect(identity)["LogPath"] == ""


class Syslogd:
    """A UDP socket that stands for a syslog service."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(10)
        self.address = "udp://127.0.0.1:%d" % self.socket.getsockname()[1]

    def next(self):
        return self.socket.recv(65536).decode()


def test_syslog_gets_each_line_and_docker_logs_has_a_copy(engine, container):
    service = Syslogd()
    identity = finished(engine, container, "--name", "sysl", "--log-driver", "syslog", "--log-opt", "syslog-address=" + service.address,
                        "--log-opt", "syslog-facility=local1", "--log-opt", "syslog-format=rfc5424micro", "--log-opt", "tag={{.Name}}/{{.ImageName}}",
                        "busybox", "sh", "-c", "echo out; echo bad >&2")
    lines = sorted([service.next(), service.next()])
    assert lines[0].startswith("<139>1 20") and lines[0].endswith(" sysl/busybox - bad\n")
    assert lines[1].startswith("<142>1 20") and lines[1].endswith(" sysl/busybox - out\n")
    done = engine.docker("logs", identity)
    assert (done.stdout, done.stderr) == ("out\n", "bad\n")


def test_without_a_copy_the_log_of_syslog_cannot_be_read(engine, container):
    service = Syslogd()
    identity = finished(engine, container, "--log-driver", "syslog", "--log-opt", "syslog-address=" + service.address, "--log-opt", "cache-disabled=true",
                        "busybox", "echo", "gone")
    assert service.next().endswith(": gone\n")
    refused = engine.docker("logs", identity, check=False)
    assert "configured logging driver does not support reading" in refused.stderr


def test_a_syslog_service_that_is_not_there_fails_the_start(engine):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    address = "127.0.0.1:%d" % listener.getsockname()[1]
    listener.close()
    refused = engine.docker("run", "--rm", "--log-driver", "syslog", "--log-opt", "syslog-address=tcp://" + address, "busybox", "true", check=False)
    assert refused.returncode == 125
    assert f"failed to initialize logging driver: dial tcp {address}: connect: connection refused" in refused.stderr


def test_a_hanging_syslog_service_does_not_stop_a_container_in_mode_non_blocking(engine, container):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        begun = time.monotonic()
        identity = finished(engine, container, "--log-driver", "syslog", "--log-opt", "syslog-address=tcp://127.0.0.1:%d" % listener.getsockname()[1],
                            "--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=64k", "busybox", "sh", "-c",
                            "yes a line that fills the buffers of the kernel | head -n 200000; echo end >&2")
        assert time.monotonic() - begun < 20
        assert engine.docker("logs", "-n", "1", identity).stderr == "end\n"


@pytest.mark.parametrize("options, text", [
    (["--log-driver", "syslog", "--log-opt", "syslog-address=ftp://x"], "unsupported scheme: 'ftp'"),
    (["--log-driver", "syslog", "--log-opt", "syslog-facility=nope"], "invalid syslog facility"),
    (["--log-driver", "syslog", "--log-opt", "syslog-format=x"], "Invalid syslog format"),
    (["--log-driver", "local", "--log-opt", "tag=x"], "unknown log opt 'tag' for log driver local"),
    (["--log-driver", "gelf"], 'error looking up logging plugin gelf: plugin "gelf" not found'),
    (["--log-opt", "compress=true"], "compress cannot be true when max-file is less than 2 or max-size is not set"),
])
def test_bad_options_are_refused_at_create(engine, options, text):
    refused = engine.docker("create", *options, "busybox", "true", check=False)
    assert refused.returncode != 0 and text in refused.stderr


def test_the_driver_none_has_no_log(engine, container):
    identity = finished(engine, container, "--log-driver", "none", "busybox", "echo", "x")
    assert "configured logging driver does not support reading" in engine.docker("logs", identity, check=False).stderr


def test_details_are_labels_and_variables_that_the_options_name(engine, container):
    identity = finished(engine, container, "--label", "team=a b", "--label", "com.x=1", "-e", "COLOR=red", "--log-opt", "labels=team", "--log-opt",
                        "labels-regex=^com", "--log-opt", "env=COLOR", "--log-opt", "mode=non-blocking", "--log-opt", "max-buffer-size=2m", "busybox", "echo", "x")
    assert engine.docker("logs", "--details", identity).stdout == "COLOR=red,com.x=1,team=a%20b x\n"


def test_since_takes_durations_and_dates(engine, container):
    identity = finished(engine, container, "busybox", "echo", "x")
    shown = {since: engine.docker("logs", "--since", since, identity).stdout for since in ("1h", "2020-01-01", "2020-01-01T10:00:00", "2099-01-01T00:00:00Z")}
    assert shown == {"1h": "x\n", "2020-01-01": "x\n", "2020-01-01T10:00:00": "x\n", "2099-01-01T00:00:00Z": ""}
    assert engine.docker("logs", "--until", "1h", identity).stdout == ""


def test_follow_goes_on_over_rotation_and_a_restart_by_policy(engine, container):
    identity = container("--restart", "on-failure:2", "--log-opt", "max-size=20k", "--log-opt", "max-file=9", "busybox", "sh", "-c", COUNT + "; exit 3")
    followed = engine.docker("logs", "-f", identity).stdout.splitlines()
    assert followed == ALL * 3


def test_follow_of_a_created_container_ends_at_once(engine):
    identity = engine.docker("create", "busybox", "true").stdout.strip()
    assert engine.docker("logs", "-f", identity, timeout=10).stdout == ""
    engine.docker("rm", identity)


def test_follow_ends_with_the_removal_of_the_container(engine, container):
    identity = container("busybox", "sh", "-c", "echo up; sleep 1000")
    follower = engine.popen("logs", "-f", identity, stdout=subprocess.PIPE, text=True)
    assert follower.stdout.readline() == "up\n"
    engine.docker("rm", "-f", identity)
    assert follower.wait(20) == 0


def test_a_reader_that_takes_nothing_does_not_hold_the_container_back(engine, container):
    identity = container("busybox", "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.02; done; yes $(head -c 200 /dev/zero | tr '\\0' x) | head -n 75000; echo end >&2")
    stalled = socket.socket(socket.AF_UNIX)
    stalled.connect(engine.socket)
    stalled.sendall(f"GET /containers/{identity}/logs?follow=1&stdout=1 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert stalled.recv(20).startswith(b"HTTP/1.1 200")
    engine.docker("exec", identity, "touch", "/tmp/go")
    engine.docker("wait", identity, timeout=60)
    assert engine.docker("logs", "-n", "1", identity).stderr == "end\n"
    stalled.close()


def test_defaults_of_the_daemon_hold_for_containers_without_a_driver(bare_engine):
    from images import busybox_rootfs_tar
    bare_engine.start("--log-driver", "local", "--log-opt", "max-size=7m")
    bare_engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    identity = bare_engine.docker("create", "busybox", "true").stdout.strip()
    assert bare_engine.inspect(identity)["HostConfig"]["LogConfig"] == {"Type": "local", "Config": {"max-size": "7m"}}
    other = bare_engine.docker("create", "--log-driver", "json-file", "busybox", "true").stdout.strip()
    assert bare_engine.inspect(other)["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {}}
    assert json.loads(bare_engine.docker("info", "--format", "{{json .}}").stdout)["LoggingDriver"] == "local"


