"""Docker's own Python SDK as the client: what it reads from replies and what went wrong elsewhere."""
import hashlib
import json
import threading

import pytest

from engine import wait_until

docker = pytest.importorskip("docker", reason="python3-docker is not installed")
errors = pytest.importorskip("docker.errors")


def test_version_auto_takes_the_engines(client):
    version = client.version()
    assert version["ApiVersion"] == "1.51" and client.api._version == "1.51"
    assert tuple(int(part) for part in version["Version"].split(".")) >= (20, 10)
    assert client.ping() is True


def test_run_returns_the_output_and_raises_on_failure(client):
    assert client.containers.run("busybox", ["echo", "out"], remove=True) == b"out\n"
    with pytest.raises(errors.ContainerError) as failure:
        client.containers.run("busybox", ["sh", "-c", "echo bad >&2; exit 9"], remove=True)
    assert failure.value.exit_status == 9 and b"bad" in failure.value.stderr


@pytest.mark.parametrize("limit", [-1, 0])
def test_a_limit_below_one_is_none(client, made, limit):
    for _ in range(3):
        made.append(client.containers.create("busybox", "true"))
    listed = {entry["Id"] for entry in client.api.containers(all=True, limit=limit)}
    assert {container.id for container in made} <= listed
    assert [entry["Id"] for entry in client.api.containers(limit=1)] == [made[-1].id]


def test_wait_stop_kill_and_exit_codes(client, made):
    container = client.containers.run("busybox", ["sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.05; done"], detach=True)
    made.append(container)
    container.stop(timeout=10)
    assert container.wait()["StatusCode"] == 7
    container.start()
    container.kill()
    assert container.wait()["StatusCode"] == 137
    container.reload()
    assert container.status == "exited"


def test_wait_for_the_next_exit_ignores_the_last_one(client, made):
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True)
    made.append(container)
    container.kill()
    container.wait()
    results = []
    waiter = threading.Thread(target=lambda: results.append(container.wait(condition="next-exit")))
    waiter.start()
    container.start()
    assert results == []
    container.kill(signal="SIGINT")
    container.kill()
    waiter.join(20)
    assert results and results[0]["StatusCode"] in (130, 137)


def test_wait_removed_answers_for_a_container_that_is_gone(client):
    container = client.containers.create("busybox", ["sh", "-c", "exit 4"])
    removed = client.containers.create("busybox", ["sh", "-c", "exit 4"], auto_remove=True)
    container.start()
    assert container.wait()["StatusCode"] == 4
    container.remove()
    results = []
    waiter = threading.Thread(target=lambda: results.append(client.api.wait(removed.id, condition="removed")))
    waiter.start()
    removed.start()
    waiter.join(20)
    # The waiter may come after the end: then 404 is right.
    assert not results or results[0]["StatusCode"] == 4
    wait_until(lambda: removed.id not in {entry.id for entry in client.containers.list(all=True)}, "the container is gone")


def test_logs_streams_tail_and_times(client, made):
    container = client.containers.run("busybox", ["sh", "-c", "echo one; echo two >&2; printf three"], detach=True)
    made.append(container)
    container.wait()
    assert sorted(container.logs().split(b"\n")) == [b"one", b"three", b"two"]
    assert container.logs(stderr=False) == b"one\nthree"
    assert container.logs(stdout=False) == b"two\n"
    assert container.logs(stderr=False, tail=1) == b"three"
    line = container.logs(stdout=False, timestamps=True).split(b" ", 1)
    assert len(line[0]) == len("2026-01-01T00:00:00.000000000Z") and line[1] == b"two\n"
    assert container.logs(until=1) == b"" and container.logs(since=4_000_000_000) == b""


def test_a_long_line_keeps_its_bytes_in_a_followed_log(client, made):
    text = "ä" * 20_000
    container = client.containers.run("busybox", ["sh", "-c", f"printf %s {text}; echo; echo end"], detach=True)
    made.append(container)
    assert b"".join(container.logs(stream=True, follow=True)).decode() == text + "\nend\n"


def test_following_a_log_ends_with_the_container(client, made):
    container = client.containers.run("busybox", ["sh", "-c", "echo first; sleep 1000"], detach=True)
    made.append(container)
    stream = container.logs(stream=True, follow=True)
    assert next(stream) == b"first\n"
    container.kill()
    assert list(stream) == []


def test_attach_sees_the_first_byte_and_ends_at_exit(client, made):
    container = client.containers.create("busybox", ["sh", "-c", "echo a; echo b >&2"])
    made.append(container)
    stream = container.attach(stream=True, demux=True)
    container.start()
    output = list(stream)
    assert b"".join(out for out, _ in output if out) == b"a\n"
    assert b"".join(err for _, err in output if err) == b"b\n"
    assert container.attach(logs=True, stream=False) == b"a\nb\n"


def test_attach_socket_takes_stdin_to_its_end(client, made):
    container = client.containers.create("busybox", ["sha256sum"], stdin_open=True)
    made.append(container)
    sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    container.start()
    sock._sock.sendall(b"x" * 1_000_000)
    sock._sock.shutdown(1)
    received = b""
    while chunk := sock._sock.recv(65536):
        received += chunk
    assert received[8:] == hashlib.sha256(b"x" * 1_000_000).hexdigest().encode() + b"  -\n"
    assert container.wait()["StatusCode"] == 0


def test_exec_output_exit_codes_and_environment(client, made):
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, environment={"OUTER": "1"})
    made.append(container)
    assert container.exec_run("echo hi") == (0, b"hi\n")
    code, (out, err) = container.exec_run(["sh", "-c", "echo o; echo e >&2; exit 3"], demux=True)
    assert (code, out, err) == (3, b"o\n", b"e\n")
    out = container.exec_run(["sh", "-c", "echo $OUTER $INNER; pwd; id -u"], environment={"INNER": "2"}, workdir="/tmp", user="1000").output
    assert out == b"1 2\n/tmp\n1000\n"
    assert b"".join(container.exec_run(["sh", "-c", "echo 1; echo 2"], stream=True).output) == b"1\n2\n"
    assert not container.exec_run("true", detach=True).output
    assert container.exec_run(["stty", "size"], tty=True).exit_code == 0


def test_an_exec_that_cannot_start_says_so_in_the_stream(client, made):
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True)
    made.append(container)
    code, output = container.exec_run(["/no/such/program"])
    assert code == 127 and b"no such file or directory" in output
    code, output = container.exec_run(["/etc/notexecutable"])
    assert code == 126 and b"permission denied" in output
    container.kill()
    container.wait()
    with pytest.raises(errors.APIError) as failure:
        container.exec_run("true")
    assert failure.value.status_code == 409 and "is not running" in failure.value.explanation


def test_resize_takes_height_and_width(client, made):
    container = client.containers.run("busybox", ["sh", "-c", "read x; stty size"], detach=True, tty=True, stdin_open=True)
    made.append(container)
    container.resize(height=33, width=101)
    sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    sock._sock.sendall(b"\n")
    container.wait()
    assert b"33 101" in container.logs()


def test_events_flow_at_once_with_dockers_words(client, made):
    stream = client.events(decode=True, filters={"type": "container"})
    container = client.containers.run("busybox", ["sh", "-c", "exit 5"], detach=True, labels={"mine": "yes"})
    made.append(container)
    seen = {}
    for event in stream:
        if event["id"] == container.id:
            seen[event["Action"]] = event
            if event["Action"] == "die":
                break
    stream.close()
    assert list(seen) == ["create", "start", "die"]
    attributes = seen["die"]["Actor"]["Attributes"]
    assert attributes["exitCode"] == "5" and attributes["mine"] == "yes" and attributes["name"] == container.name
    assert seen["die"]["status"] == "die" and seen["die"]["from"] == "busybox" and seen["die"]["scope"] == "local"
    assert seen["die"]["timeNano"] // 10**9 == seen["die"]["time"]


def test_streams_that_a_client_leaves_do_not_stay(client, engine):
    for _ in range(5):
        stream = client.events(decode=True)
        stream.close()
    wait_until(lambda: client.info()["NEventsListener"] == 0, "nobody listens any more")


def test_list_and_inspect_have_ports_mounts_and_networks(client, made, tmp_path):
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, ports={"80/tcp": None, "81/tcp": ("127.0.0.1", None)},
                                      volumes={str(tmp_path): {"bind": "/data", "mode": "ro"}, "sdk-volume": {"bind": "/vol"}})
    made.append(container)
    container.reload()
    bindings = container.ports["80/tcp"]
    assert {binding["HostIp"] for binding in bindings} == {"0.0.0.0", "::"}
    assert len({binding["HostPort"] for binding in bindings}) == 1 and int(bindings[0]["HostPort"]) > 0
    assert [binding["HostIp"] for binding in container.ports["81/tcp"]] == ["127.0.0.1"]
    entry = next(entry for entry in client.api.containers() if entry["Id"] == container.id)
    assert {(port["PrivatePort"], port["Type"]) for port in entry["Ports"]} == {(80, "tcp"), (81, "tcp")}
    assert {(mount["Type"], mount["Destination"], mount["RW"]) for mount in entry["Mounts"]} == {("bind", "/data", False), ("volume", "/vol", True)}
    for settings in (entry["NetworkSettings"], container.attrs["NetworkSettings"]):
        bridge = settings["Networks"]["bridge"]
        assert bridge["NetworkID"] and bridge["IPAddress"].startswith("172.") and bridge["Gateway"] and bridge["MacAddress"]
    assert container.attrs["HostConfig"]["LogConfig"]["Type"] == "json-file"
    container.stop(timeout=0)
    container.reload()
    assert container.ports == {} and container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == ""
    container.remove()
    client.volumes.get("sdk-volume").remove()


def test_states_are_dockers(client, made):
    container = client.containers.create("busybox", ["sleep", "1000"])
    made.append(container)
    assert container.status == "created"
    container.start()
    container.reload()
    assert container.status == "running"
    container.stop(timeout=0)
    container.reload()
    assert container.status == "exited"
    for state in ("configured", "stopped"):
        with pytest.raises(errors.APIError) as failure:
            client.containers.list(filters={"status": state})
        assert failure.value.status_code == 400


def test_network_mode_default_means_bridge(client, made):
    container = client.containers.run("busybox", ["sleep", "1000"], detach=True, network_mode="default")
    made.append(container)
    container.reload()
    assert container.attrs["HostConfig"]["NetworkMode"] == "bridge"
    assert list(container.attrs["NetworkSettings"]["Networks"]) == ["bridge"]


def test_a_working_directory_that_is_absent_is_made(client):
    assert client.containers.run("busybox", ["pwd"], working_dir="/a/b/c", remove=True) == b"/a/b/c\n"


def test_a_bind_source_is_made_for_binds_and_demanded_for_mounts(client, made, tmp_path):
    source = tmp_path / "new/deep"
    client.containers.run("busybox", ["touch", "/d/file"], volumes=[f"{source}:/d"], remove=True)
    assert (source / "file").exists()
    with pytest.raises(errors.APIError) as failure:
        client.containers.create("busybox", "true", mounts=[docker.types.Mount("/d", str(tmp_path / "none"), type="bind")])
    assert failure.value.status_code == 400 and "bind source path does not exist" in failure.value.explanation


def test_tmpfs_options_hold(client):
    out = client.containers.run("busybox", ["sh", "-c", "grep -E ' /(t|m) ' /proc/mounts; stat -c %a /m"], remove=True,
                                tmpfs={"/t": "size=1m,exec"}, mounts=[docker.types.Mount("/m", None, type="tmpfs", tmpfs_size=2 << 20, tmpfs_mode=0o1700)]).decode()
    first = next(line for line in out.splitlines() if " /t " in line)
    second = next(line for line in out.splitlines() if " /m " in line)
    assert "size=1024k" in first and "noexec" not in first and "nosuid" in first
    assert "size=2048k" in second and "noexec" in second and out.splitlines()[-1] == "1700"


def test_a_name_conflict_and_absent_things(client, made):
    made.append(client.containers.create("busybox", "true", name="sdk-taken"))
    with pytest.raises(errors.APIError) as failure:
        client.containers.create("busybox", "true", name="sdk-taken")
    assert failure.value.status_code == 409 and "is already in use by container" in failure.value.explanation
    for call in (client.containers.get, client.api.remove_container, client.api.stop, client.api.kill, client.volumes.get, client.networks.get):
        with pytest.raises(errors.NotFound):
            call("sdk-absent")


def test_info_is_complete_for_the_sdk(client):
    info = client.info()
    assert info["Swarm"]["LocalNodeState"] == "inactive" and "name=rootless" in info["SecurityOptions"]
    assert info["OperatingSystem"] and info["MemTotal"] > 0 and info["NCPU"] > 0
    with pytest.raises(errors.APIError) as failure:
        client.swarm.reload()
    assert failure.value.status_code == 503


def test_a_missing_network_fails_the_start_and_another_platform_the_create(engine, client, made):
    container = client.containers.create("busybox", "true", network="sdk-none")
    made.append(container)
    with pytest.raises(errors.NotFound) as failure:
        container.start()
    assert failure.value.explanation == "failed to set up container networking: network sdk-none not found"
    status, _, reply = engine.api("POST", "/containers/create?platform=linux/s390x", {"Image": "busybox", "Cmd": ["true"]})
    assert status == 404 and "does not match the specified platform (linux/s390x)" in reply["message"]


def test_a_field_without_effect_is_said(client, made):
    created = client.api.create_container("busybox", "true", host_config=client.api.create_host_config(mem_limit="64m", cgroup_parent="/x"))
    made.append(client.containers.get(created["Id"]))
    lines = json.dumps(created["Warnings"])
    assert "CgroupParent" in lines
    limited = client.info()["MemoryLimit"]
    assert limited or "memory limit" in lines
