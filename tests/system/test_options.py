"""Options of the daemon: what is accepted takes effect, what is not says so."""
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from engine import BUILD, needs_cli, wait_until
from free_ports import free_port
from images import busybox_rootfs_tar
from test_daemon import berthd


def started(engine, *flags, **keys):
    """Starts with flags and daemon.json keys, and imports busybox once."""
    path = engine.root / "daemon.json"
    path.write_text(json.dumps(keys))
    engine.start(*flags, "--config-file", str(path))
    if "busybox" not in engine.docker("images", "--format", "{{.Repository}}").stdout:
        engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    return engine


def run(engine, *arguments):
    return engine.docker("run", "--rm", *arguments).stdout


def info(engine):
    return json.loads(engine.docker("info", "--format", "{{json .}}").stdout)


def refusal(engine, **keys):
    path = engine.root / "daemon.json"
    path.write_text(json.dumps(keys))
    done = berthd(engine, "--validate", "--config-file", str(path))
    assert done.returncode == 1
    return done.stderr


def test_the_default_bridge_follows_its_options(bare_engine):
    engine = started(bare_engine, bip="10.77.0.1/16", mtu=1400, **{
        "fixed-cidr": "10.77.8.0/24", "default-gateway": "10.77.0.2", "icc": False, "ip-masq": False, "ip": "127.0.0.1"})
    out = run(engine, "busybox", "sh", "-c", "ip -4 addr show eth0; ip route; cat /sys/class/net/eth0/mtu")
    assert "inet 10.77.8." in out and "/16 " in out
    assert "default via 10.77.0.2" in out and out.endswith("1400\n")
    options = json.loads(engine.docker("network", "inspect", "bridge").stdout)[0]["Options"]
    assert options["com.docker.network.bridge.enable_icc"] == "false"
    assert options["com.docker.network.bridge.enable_ip_masquerade"] == "false"
    assert options["com.docker.network.bridge.host_binding_ipv4"] == "127.0.0.1"
    assert options["com.docker.network.driver.mtu"] == "1400"
    engine.docker("run", "-d", "--name", "server", "-p", "80", "busybox", "sh", "-c", "while :; do echo hello | nc -l -p 80; done")
    network = engine.inspect("server")["NetworkSettings"]
    assert [binding["HostIp"] for binding in network["Ports"]["80/tcp"]] == ["127.0.0.1"]
    address = network["Networks"]["bridge"]["IPAddress"]
    wait_until(lambda: engine.docker("exec", "server", "sh", "-c", "netstat -ltn | grep -q ':80 '", check=False).returncode == 0, "the server listens")
    done = engine.docker("run", "--rm", "busybox", "nc", "-w", "2", address, "80", check=False, input="")
    assert done.returncode != 0 and "hello" not in done.stdout, "icc=false keeps containers apart"


def test_without_masquerading_nothing_leaves(bare_engine):
    with socket.create_server(("0.0.0.0", 0)) as server:
        server.settimeout(3)
        routes = subprocess.run(["ip", "-4", "-o", "addr", "show", "scope", "global"], capture_output=True, text=True).stdout
        found = re.search(r"inet ([0-9.]+)/", routes)
        if not found:
            pytest.skip("the host has no address but loopback")
        started(bare_engine, "--ip-masq=false")
        command = ("busybox", "nc", "-w", "2", found[1], str(server.getsockname()[1]))
        assert bare_engine.docker("run", "--rm", *command, check=False, input="").returncode != 0


def test_address_pools_give_the_default_bridge(bare_engine):
    engine = started(bare_engine, "--default-address-pool", "base=10.99.0.0/16,size=24")
    assert "inet 10.99.0.2/24" in run(engine, "busybox", "ip", "-4", "addr", "show", "eth0")
    assert info(engine)["DefaultAddressPools"] == [{"Base": "10.99.0.0/16", "Size": 24}]


def test_a_gateway_outside_of_the_subnet_is_named(bare_engine):
    done = berthd(bare_engine, "--default-gateway", "192.0.2.1")
    assert done.returncode == 1 and "default-gateway 192.0.2.1 is not in the bridge's subnet 172.17.0.0/16" in done.stderr


def test_no_default_bridge_means_no_network(bare_engine):
    engine = started(bare_engine, bridge="none")
    assert run(engine, "busybox", "ls", "/sys/class/net").split() == ["lo"]
    assert set(engine.docker("network", "ls", "--format", "{{.Name}}").stdout.split()) == {"host", "none"}
    done = engine.docker("run", "--rm", "--network", "bridge", "busybox", "true", check=False)
    assert done.returncode == 125 and "network bridge not found" in done.stderr


def test_container_defaults(bare_engine):
    engine = started(
        bare_engine, init=True, labels=["color=blue"], **{
            "default-shm-size": "32M", "default-ipc-mode": "shareable", "default-cgroupns-mode": "host", "no-new-privileges": True,
            "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 200, "Hard": 300}}, "dns": ["192.0.2.53"],
            "dns-search": ["example.test"], "dns-opts": ["ndots:3"], "host-gateway-ips": ["192.0.2.7"],
            "log-driver": "json-file", "log-opts": {"max-size": "1m", "max-file": "2"}})
    out = run(engine, "--add-host", "outside:host-gateway", "busybox", "sh", "-c",
              "df -k /dev/shm; ulimit -Sn; ulimit -Hn; grep NoNewPrivs /proc/self/status; cat /etc/resolv.conf /etc/hosts; readlink /proc/self/ns/cgroup; cat /proc/1/comm")
    assert " 32768 " in out and "200\n300\n" in out and "NoNewPrivs:\t1" in out
    assert "nameserver 192.0.2.53\nsearch example.test\noptions ndots:3\n" in out
    assert "192.0.2.7\toutside" in out
    assert os.readlink("/proc/self/ns/cgroup") in out
    assert out.endswith("docker-init\n") or out.endswith("berth-init\n")
    engine.docker("create", "--name", "made", "busybox", "true")
    host = engine.inspect("made")["HostConfig"]
    assert (host["IpcMode"], host["CgroupnsMode"]) == ("shareable", "host")
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m", "max-file": "2"}}
    assert info(engine)["Labels"] == ["color=blue"]


def test_default_stop_timeout(bare_engine):
    engine = started(bare_engine, "--default-stop-timeout", "1")
    engine.docker("run", "-d", "--name", "deaf", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    begin = time.monotonic()
    engine.docker("stop", "deaf")
    assert 0.8 < time.monotonic() - begin < 9  # 10 without the option


def test_an_init_of_the_users_own(bare_engine):
    own = bare_engine.root / "own-init"
    own.write_text("#!/bin/sh\necho own init\nshift\nexec \"$@\"\n")
    own.chmod(0o755)
    engine = started(bare_engine, "--init", "--init-path", str(own))
    assert run(engine, "busybox", "echo", "command") == "own init\ncommand\n"
    assert info(engine)["InitBinary"] == str(own)


def test_a_missing_program_is_named_at_the_start(bare_engine):
    done = berthd(bare_engine, "--init-path", "/nowhere/init")
    assert done.returncode == 1 and "init-path /nowhere/init: no such file" in done.stderr.lower()
    done = berthd(bare_engine, "--seccomp-profile", "/nowhere/profile.json")
    assert done.returncode == 1 and "seccomp-profile /nowhere/profile.json: opening" in done.stderr
    done = berthd(bare_engine, "--add-runtime", "x=/nowhere/x")
    assert done.returncode == 1 and "runtime x: /nowhere/x" in done.stderr


def test_arguments_of_another_runtime(bare_engine):
    wrapper = bare_engine.root / "wrapper"
    calls = bare_engine.root / "calls"
    wrapper.write_text(f"#!/bin/sh\necho \"$1 $2\" >> {calls}\nshift 2\nexec {BUILD}/berth-runtime \"$@\"\n")
    wrapper.chmod(0o755)
    engine = started(bare_engine, runtimes={"other": {"path": str(wrapper), "runtimeArgs": ["--first", "second"]}},
                     **{"default-runtime": "other"})
    assert run(engine, "busybox", "echo", "hi") == "hi\n"
    assert set(calls.read_text().splitlines()) == {"--first second"}
    assert info(engine)["DefaultRuntime"] == "other"
    assert info(engine)["Runtimes"]["other"]["path"] == str(wrapper)


def test_min_api_version(bare_engine):
    needs_cli("1.44")
    engine = started(bare_engine, **{"min-api-version": "1.44"})
    assert engine.api("GET", "/version")[2]["MinAPIVersion"] == "1.44"
    status, _, body = engine.api("GET", "/v1.43/version")
    assert status == 400 and "Minimum supported API version is 1.44" in body["message"]
    assert engine.api("GET", "/v1.44/version")[0] == 200


def test_pulls_go_through_the_proxy(bare_engine):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        url = f"http://user:secret@127.0.0.1:{proxy.getsockname()[1]}"
        engine = started(bare_engine, proxies={"https-proxy": url, "no-proxy": "direct.test"})
        pull = engine.popen("pull", "registry.test/image", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        proxy.settimeout(20)
        connection, _ = proxy.accept()
        assert connection.recv(4096).startswith(b"CONNECT registry.test:443 ")
        connection.close()
        pull.kill()
        pull.wait()
        shown = info(engine)
        assert "secret" not in shown["HttpsProxy"] and shown["HttpsProxy"].startswith("http://xxxxx:xxxxx@127.0.0.1")
        assert shown["NoProxy"] == "direct.test"


def test_download_attempts(bare_engine):
    """Each attempt at a layer is a request; the only attempt allowed leaves no pause."""
    import http.server
    import threading
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:' + b"1" * 64 + b'"]}}'
    import hashlib
    digest = hashlib.sha256(config).hexdigest()
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps({"schemaVersion": 2, "mediaType": kind,
                           "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": "sha256:" + digest},
                           "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 5, "digest": "sha256:" + "2" * 64}]}).encode()
    layers = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body, status = b"", 200
            if "/manifests/" in self.path:
                body = manifest
            elif digest in self.path:
                body = config
            elif "/blobs/" in self.path:
                layers.append(self.path)
                status = 503
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        engine = started(bare_engine, "--max-download-attempts", "1")
        begin = time.monotonic()
        done = engine.docker("pull", f"127.0.0.1:{server.server_port}/image", check=False)
        server.shutdown()
    assert done.returncode != 0 and len(layers) == 1 and time.monotonic() - begin < 4, (done, layers)


def test_shutdown_waits_for_ever_when_told(bare_engine):
    engine = started(bare_engine, "--shutdown-timeout", "-1")
    engine.docker("run", "-d", "--name", "slow", "--stop-timeout", "60", "busybox", "sh", "-c", "trap 'sleep 1; exit 5' TERM; while :; do sleep 0.05; done")
    engine.stop()
    assert engine.process.returncode == 0
    engine.start()
    assert engine.inspect("slow")["State"]["ExitCode"] == 5


def test_options_without_effect_are_warned_of(bare_engine):
    flags = ("--experimental", "--cdi-spec-dir", "/etc/cdi", "--feature", "containerd-snapshotter", "--iptables=false")
    bare_engine.start(*flags)
    for words in ("no experimental features", "CDI devices", "containerd-snapshotter has no effect", "packet rules"):
        assert words in bare_engine.log(), words


@pytest.mark.parametrize("keys, words", [
    ({"cgroup-parent": "x"}, "should be a valid slice"),
    ({"cgroup-parent": "/x", "exec-opts": ["native.cgroupdriver=systemd"]}, "needs native.cgroupdriver=cgroupfs"),
    ({"storage-opts": ["overlay2.size=1g"]}, "storage-opts"),
    ({"exec-opts": ["a=b"]}, "invalid option in exec-opts: a=b"),
    ({"log-driver": "splunk"}, "error looking up logging plugin splunk"),
    ({"log-opts": {"max-size": "x"}}, "invalid size: 'x'"),
    ({"log-opts": {"nonsense": "x"}}, "unknown log opt 'nonsense'"),
    ({"log-opts": {"max-file": "3"}}, "max-file cannot be set when max-size is not set"),
    ({"min-api-version": "1.60"}, "invalid min-api-version: 1.60"),
    ({"bip": "10.0.0.1"}, "bip: invalid CIDR address: 10.0.0.1"),
    ({"default-address-pools": [{"base": "10.0.0.0/16", "size": 8}]}, "invalid size 8"),
    ({"runtimes": {"x": {"path": "crun"}}}, "not an absolute path"),
    ({"ipv6": True}, "IPv6"),
    ({"authorization-plugins": ["x"]}, "plugins are not supported"),
])
def test_what_cannot_be_done_is_refused(bare_engine, keys, words):
    assert words in refusal(bare_engine, **keys)


def test_sighup_applies_what_it_can_and_names_the_rest(bare_engine):
    engine = started(bare_engine, labels=["a=1"])
    engine.docker("run", "-d", "--name", "kept", "busybox", "sleep", "1000")
    (engine.root / "daemon.json").write_text(json.dumps({
        "labels": ["a=2"], "debug": True, "live-restore": True, "insecure-registries": ["registry.test"],
        "registry-mirrors": ["http://mirror.test"], "shutdown-timeout": 3, "mtu": 1300}))
    events = engine.popen("events", "--filter", "type=daemon", "--format", "{{json .}}", stdout=subprocess.PIPE, text=True)
    wait_until(lambda: info(engine)["NEventsListener"] == 1, "the events are subscribed")
    engine.process.send_signal(signal.SIGHUP)
    event = json.loads(events.stdout.readline())
    events.kill()
    events.wait()
    assert event["Action"] == "reload" and event["Actor"]["Attributes"]["labels"] == '["a=2"]'
    assert event["Actor"]["ID"] == info(engine)["ID"]
    shown = info(engine)
    assert shown["Labels"] == ["a=2"] and shown["Debug"] and shown["LiveRestoreEnabled"]
    assert shown["RegistryConfig"]["Mirrors"] == ["http://mirror.test"]
    assert shown["RegistryConfig"]["IndexConfigs"]["registry.test"]["Secure"] is False
    assert re.search(r"in effect after a restart of berthd: .*mtu", engine.log())
    pid = engine.inspect("kept")["State"]["Pid"]
    engine.stop()
    engine.start("--config-file", str(engine.root / "daemon.json"))
    assert engine.inspect("kept")["State"]["Pid"] == pid


def test_a_broken_file_at_sighup_changes_nothing(bare_engine):
    engine = started(bare_engine, labels=["a=1"])
    (engine.root / "daemon.json").write_text('{"labels": 5}')
    engine.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "configuration not changed: " in engine.log(), "the refusal is logged")
    assert info(engine)["Labels"] == ["a=1"]


@pytest.mark.parametrize("flags", [["-H", "fd://"], []], ids=["named", "at the default path"])
def test_a_socket_of_systemd(bare_engine, flags):
    """LISTEN_FDS: the socket exists before berthd and after it."""
    path = bare_engine.socket
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        program = "import os,sys; fd=int(sys.argv[1]); os.dup2(fd, 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execv(sys.argv[2], sys.argv[2:])"
        with open(bare_engine.log_path, "ab") as log:
            bare_engine.process = subprocess.Popen(["/usr/bin/python3", "-c", program, str(listener.fileno()), str(BUILD / "berthd"), *flags],
                                                   env=bare_engine.environment, pass_fds=[listener.fileno()], stdout=log, stderr=log, start_new_session=True)
        wait_until(bare_engine.answers, "the inherited socket is served", 30)
        bare_engine.stop()
        assert stat.S_ISSOCK(os.stat(path).st_mode), "systemd's socket stays"


def test_fd_without_systemd_is_refused(bare_engine):
    done = berthd(bare_engine, "-H", "fd://")
    assert done.returncode == 1 and "no sockets found via socket activation" in done.stderr


def test_tcp_needs_the_explicit_choice(bare_engine):
    port = free_port()
    done = berthd(bare_engine, "--validate", "-H", f"tcp://127.0.0.1:{port}")
    assert done.returncode == 1 and "--tlsverify=false" in done.stderr
    bare_engine.start("-H", f"unix://{bare_engine.socket}", "-H", f"tcp://127.0.0.1:{port}", "--tlsverify=false")
    assert "reachable without TLS" in bare_engine.log()
    out = bare_engine.docker("-H", f"tcp://127.0.0.1:{port}", "version", "--format", "{{.Server.APIVersion}}").stdout
    assert out.strip() == "1.51"


def test_the_third_signal_forces_the_end(bare_engine):
    engine = started(bare_engine, "--shutdown-timeout", "-1")
    engine.docker("run", "-d", "--name", "deaf", "--stop-timeout", "-1", "busybox", "sh", "-c", "trap '' TERM; while :; do sleep 1; done")
    engine.process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping" in engine.log(), "the first signal is heard")
    engine.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        engine.process.wait(1)
    engine.process.send_signal(signal.SIGTERM)
    engine.process.wait(10)
    assert "forced to stop by signal number 3" in engine.log()
    engine.start()
    engine.docker("rm", "-f", "deaf")


def test_without_a_run_time_directory_a_private_one_is_made(bare_engine):
    private = pathlib.Path(f"/tmp/berth-{os.getuid()}")
    if private.exists() and any(private.iterdir()):
        pytest.skip(f"{private} is in use")
    if pathlib.Path(f"/run/user/{os.getuid()}").exists():
        pytest.skip("this user has a login session, whose run-time directory would be used")
    bare_engine.environment.pop("XDG_RUNTIME_DIR")
    bare_engine.socket = str(private / "docker.sock")
    try:
        bare_engine.start()
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert f"XDG_RUNTIME_DIR is not set: using {private}, so set DOCKER_HOST=unix://{private}/docker.sock" in bare_engine.log()
        bare_engine.stop()
        assert list(private.iterdir()) == []
    finally:
        bare_engine.stop()


def test_journald_without_a_journal_fails_in_plain_words(engine):
    if os.path.exists("/run/systemd/journal/socket"):
        pytest.skip("this machine has a journald")
    name = engine.docker("create", "--log-driver", "journald", "--log-opt", "tag={{.Name}}", "busybox", "true").stdout.strip()
    failed = engine.docker("start", name, check=False)
    assert "failed to initialize logging driver: journald is not enabled on this host" in failed.stderr
    engine.docker("rm", name)


def test_labels_variables_and_tag_are_in_the_logs_details(engine):
    name = engine.docker("run", "-d", "--label", "com.example.team=red", "-e", "COLOR=blue", "--log-opt", "labels-regex=^com", "--log-opt", "env=COLOR",
                         "--log-opt", "tag={{.ImageName}}", "busybox", "echo", "hello").stdout.strip()
    engine.docker("wait", name)
    assert engine.docker("logs", "--details", name).stdout == "COLOR=blue,com.example.team=red,tag=busybox hello\n"
    engine.docker("rm", name)
