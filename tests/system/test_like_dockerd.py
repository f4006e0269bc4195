"""What dockerd 28.5.2 said and did when it was asked the same, side by side."""
import io
import json
import socket
import tarfile

import pytest

RUNTIME = "OCI runtime create failed: unable to start container process: exec: "


def host(**fields):
    return {"Image": "busybox", "Cmd": ["true"], "HostConfig": fields}


CREATE = [
    ({}, "config cannot be empty in order to create a container"),
    (host(CapAdd=["fly"]), 'invalid CapAdd: unknown capability: "CAP_FLY"'),
    (host(CapDrop=["CAP_FLY"]), 'invalid CapDrop: unknown capability: "CAP_FLY"'),
    (host(CpuShares=-1), "invalid CPU shares (-1): value must be a positive integer"),
    (host(ExtraHosts=["db:nowhere"]), 'invalid IP address in add-host: "nowhere"'),
    (host(SecurityOpt=["no-new-privileges:maybe"]), 'invalid --security-opt 2: "no-new-privileges:maybe"'),
    (host(LogConfig={"Type": "tape"}), 'error looking up logging plugin tape: plugin "tape" not found'),
    (host(Binds=["/tmp:/x:ro,rw"]), "invalid mode: ro,rw"),
    (host(Mounts=[{"Type": "tape", "Target": "/x"}]), 'invalid mount config for type "tape": mount type unknown'),
    (host(Mounts=[{"Type": "tmpfs", "Target": "/x", "BindOptions": {}}]), 'BindOptions must not be specified on mount type "tmpfs"'),
    (host(Mounts=[{"Type": "volume", "Target": "/x", "VolumeOptions": {"Subpath": "s"}}]),
     'invalid mount config for type "volume": must not set Subpath when using anonymous volumes'),
    (host(Mounts=[{"Type": "volume", "Source": "v", "Target": "/x"}]),
     "create v: volume name is too short, names should be at least two alphanumeric characters"),
]


@pytest.mark.parametrize("body,message", CREATE, ids=lambda value: value[:40] if isinstance(value, str) else "")
def test_a_create_is_refused_in_its_words(engine, body, message):
    status, _, reply = engine.api("POST", "/containers/create", body)
    assert (status, reply["message"]) == (400, message)


REFUSALS = [
    ("DELETE", "/containers/{name}", 409,
     'cannot remove container "{name}": container is running: stop the container before removing or force remove'),
    ("POST", "/containers/{name}/kill?signal=FOO", 400, "cannot kill container: {name}: invalid signal: FOO"),
    ("POST", "/containers/{name}/rename", 400, "Neither old nor new names may be empty"),
    ("POST", "/containers/{name}/rename?name=/", 400,
     "Error when allocating new name: Invalid container name (/), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
    ("POST", "/containers/{name}/attach?stream=1&stdin=1&detachKeys=foo", 400, "Invalid detach keys (foo) provided"),
    ("GET", "/containers/json?filters=%7B%22status%22:%5B%22odd%22%5D%7D", 400,
     "invalid filter 'status=odd': invalid value for state (odd): must be one of created, running, paused, restarting, removing, exited, dead"),
    ("GET", "/containers/json?filters=%7B%22health%22:%5B%22odd%22%5D%7D", 400,
     "invalid filter 'health=odd': invalid value for health (odd): must be one of none, starting, healthy, unhealthy"),
]


@pytest.mark.parametrize("method,path,status,message", REFUSALS, ids=lambda value: value if isinstance(value, str) and value[0] == "/" else "")
def test_a_request_is_refused_in_its_words(engine, container, method, path, status, message):
    container("-i", "--name", "like-refused", "busybox", "sleep", "1000")
    answer = engine.api(method, path.format(name="like-refused"))
    assert (answer[0], answer[2]["message"]) == (status, message.format(name="like-refused"))


def test_ports_are_chosen_by_that_of_the_host(engine, container):
    identity = container("-p", "127.0.0.1::80", "-p", "127.0.0.1::81/udp", "busybox", "sleep", "1000")
    ports = {key: value[0]["HostPort"] for key, value in engine.inspect(identity)["NetworkSettings"]["Ports"].items()}

    def chosen(port):
        return engine.docker("ps", "-q", "--no-trunc", "--filter", f"publish={port}").stdout.split()

    assert chosen(ports["80/tcp"]) == [identity] and chosen(ports["81/udp"] + "/udp") == [identity]
    assert chosen(80) == [] and chosen(ports["81/udp"]) == []


def test_ps_quotes_arguments_with_blanks(engine, container):
    identity = container("busybox", "sh", "-c", "sleep 1000")
    (shown,) = [item for item in engine.api("GET", "/containers/json")[2] if item["Id"] == identity]
    assert shown["Command"] == "sh -c 'sleep 1000'"


def test_a_container_knows_that_it_is_one(engine, container):
    identity = container("busybox", "sleep", "1000")
    assert engine.docker("exec", identity, "stat", "-c", "%a %u %s", "/.dockerenv").stdout == "755 0 0\n"
    assert engine.docker("diff", identity).stdout == ""
    with tarfile.open(fileobj=io.BytesIO(engine.docker("export", identity, text=False).stdout)) as archive:
        assert ".dockerenv" in archive.getnames()


def test_the_mark_of_a_container_goes_into_no_image_and_stays_removed(engine, container):
    identity = container("busybox", "sh", "-c", "rm /.dockerenv; exec sleep 1000")
    engine.docker("exec", identity, "sh", "-c", "while [ -e /.dockerenv ]; do sleep 0.01; done")
    engine.docker("restart", "-t", "0", identity)
    assert engine.docker("exec", identity, "ls", "/.dockerenv", check=False).returncode == 1
    marked = container("busybox", "sleep", "1000")
    engine.docker("commit", marked, "like:committed")
    layers = engine.docker("save", "like:committed", text=False).stdout
    engine.docker("rmi", "like:committed")
    assert b".dockerenv" not in layers


def test_variables_keep_their_places(engine):
    shown = engine.docker("run", "--rm", "-h", "box", "-e", "A=1", "-e", "PATH=/x:/bin", "busybox", "env").stdout
    assert shown.split() == ["PATH=/x:/bin", "HOSTNAME=box", "A=1", "HOME=/root"]


def test_an_unknown_user_of_an_exec_is_an_error_of_the_request(engine, container):
    identity = container("busybox", "sleep", "1000")
    made = engine.api("POST", f"/containers/{identity}/exec", {"Cmd": ["true"], "User": "nobody-here"})[2]["Id"]
    status, _, reply = engine.api("POST", f"/exec/{made}/start", {})
    assert (status, reply["message"]) == (400, "unable to find user nobody-here: no matching entries in passwd file")
    assert engine.docker("exec", "-u", "nobody-here", identity, "true", check=False).returncode == 1


def test_a_failed_exec_says_so_on_standard_output(engine, container):
    done = engine.docker("exec", container("busybox", "sleep", "1000"), "nosuch", check=False)
    assert done.returncode == 127 and done.stdout.startswith(
        'OCI runtime exec failed: exec failed: unable to start container process: exec: "nosuch": executable file not found in $PATH')


def test_a_failed_start_names_the_runtime(engine):
    done = engine.docker("run", "--name", "like-failed", "busybox", "nosuch", check=False)
    state = engine.inspect("like-failed")["State"]
    engine.docker("rm", "like-failed")
    assert done.returncode == 127 and RUNTIME + '"nosuch": executable file not found in $PATH' in done.stderr
    assert state["ExitCode"] == 127 and state["Error"].startswith("failed to create task for container: failed to create shim task: " + RUNTIME)


def test_a_taken_port_names_the_endpoint(engine, container):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = engine.docker("run", "--name", "like-taken", "-p", f"127.0.0.1:{port}:80", "busybox", "true", check=False)
    engine.docker("rm", "like-taken")
    assert done.returncode == 125 and (
        "failed to set up container networking: driver failed programming external connectivity on endpoint like-taken (") in done.stderr


def test_a_container_dies_after_its_network_and_volumes_are_released(engine):
    identity = engine.docker("create", "--name", "like-dying", "-v", "like-volume:/v", "busybox", "true").stdout.strip()
    engine.docker("start", "-a", identity)
    engine.docker("rm", identity)
    engine.docker("volume", "rm", "like-volume")
    seen = [event["Action"] for event in engine.events_of({}) if identity in json.dumps(event)]
    assert seen[-4:] == ["disconnect", "unmount", "die", "destroy"]


def test_an_exec_without_arguments_has_dockerd_s_text(engine, container):
    identity = container("busybox", "sleep", "1000")
    engine.docker("exec", identity, "true")
    assert [event["Action"] for event in engine.events(identity)][-3:] == ["exec_create: true ", "exec_start: true ", "exec_die"]


def test_there_is_no_log_before_the_first_start(engine):
    identity = engine.docker("create", "busybox", "true").stdout.strip()
    path = engine.inspect(identity)["LogPath"]
    engine.docker("rm", identity)
    assert path == ""


def test_a_joined_network_shows_the_files_of_its_owner_and_no_sandbox(engine, container):
    owner = container("busybox", "sleep", "1000")
    joined = engine.inspect(container("--network", f"container:{owner}", "busybox", "sleep", "1000"))
    assert joined["HostsPath"] == engine.inspect(owner)["HostsPath"]
    assert joined["NetworkSettings"]["SandboxID"] == "" and joined["NetworkSettings"]["SandboxKey"] == ""
