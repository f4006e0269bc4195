"""What containers owe each other, and every event of a container's life with what it tells."""
import socket

import pytest

from engine import wait_until


def test_a_new_name_is_known_to_dns_at_once(engine, network):
    network("renames")
    first = engine.docker("run", "-d", "--name", "old-name", "--network", "renames", "busybox", "sleep", "1000").stdout.strip()
    other = engine.docker("run", "-d", "--name", "asks", "--network", "renames", "busybox", "sleep", "1000").stdout.strip()

    def finds(name):
        return engine.docker("exec", other, "nslookup", name, "127.0.0.11", check=False).returncode == 0
    wait_until(lambda: finds("old-name"), "the old name")
    engine.docker("rename", "old-name", "new-name")
    wait_until(lambda: finds("new-name") and not finds("old-name"), "the new name in place of the old one")
    renamed = [event for event in engine.events(first) if event["Action"] == "rename"]
    assert renamed[0]["Actor"]["Attributes"]["oldName"] == "/old-name" and renamed[0]["Actor"]["Attributes"]["name"] == "new-name"


@pytest.mark.parametrize("options, text", [
    (["--volumes-from", "absent"], "No such container: absent"),
    (["--pid", "container:absent"], "No such container: absent"),
    (["--ipc", "container:absent"], "No such container: absent"),
    (["--network", "container:absent"], "No such container: absent"),
    (["--uts", "host", "-h", "x"], "conflicting options: hostname and the UTS mode"),
    (["--link", "absent"], "could not get container for absent: No such container: absent"),
    (["--restart", "on-failure:-1"], "maximum retry count cannot be negative"),
    (["--restart", "always:3"], "maximum retry count"),
    (["--health-cmd", "x", "--health-interval", "10us"], "cannot be less than 1ms"),
    (["--name", "a b"], "Invalid container name (a b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
])
def test_create_refuses_in_dockers_words(engine, options, text):
    refused = engine.docker("create", *options, "busybox", "true", check=False)
    assert refused.returncode != 0 and text in refused.stderr and "Unable to find image" not in refused.stderr


def test_a_foreign_network_takes_no_mac_address(engine):
    """The CLI puts it into the endpoint; docker-py and older clients do not."""
    status, _, reply = engine.api("POST", "/containers/create", {"Image": "busybox", "Cmd": ["true"], "MacAddress": "02:42:00:00:00:01",
                                                                 "HostConfig": {"NetworkMode": "host"}})
    assert (status, reply["message"]) == (400, "conflicting options: mac-address and the network mode")


def test_a_private_ipc_namespace_is_not_shared(engine, container):
    donor = container("busybox", "sleep", "1000")
    refused = engine.docker("run", "--rm", "--ipc", f"container:{donor}", "busybox", "true", check=False)
    assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in refused.stderr


def test_namespaces_of_a_container_that_does_not_run_cannot_be_joined(engine):
    donor = engine.docker("create", "busybox", "true").stdout.strip()
    refused = engine.docker("run", "--rm", "--pid", f"container:{donor}", "busybox", "true", check=False)
    assert refused.returncode == 125 and "non running container" in refused.stderr
    engine.docker("rm", donor)


def test_the_events_of_a_life(engine):
    engine.docker("volume", "create", "life-volume")
    identity = engine.docker("create", "--name", "life", "--label", "team=red", "--stop-timeout", "0", "-v", "life-volume:/data", "busybox", "sh", "-c",
                             "trap 'exit 7' TERM; while :; do sleep 0.05; done").stdout.strip()
    engine.docker("start", "life")
    engine.docker("update", "--restart", "no", "life")
    engine.docker("top", "life")
    engine.api("POST", "/containers/life/kill?signal=TERM")
    engine.docker("wait", "life")
    engine.docker("rm", "life")
    seen = [event for event in engine.events(identity) if event["Type"] == "container"]
    assert [event["Action"] for event in seen] == ["create", "start", "update", "top", "kill", "die", "destroy"]
    for event in seen:
        attributes = event["Actor"]["Attributes"]
        assert (attributes["image"], attributes["name"], attributes["team"]) == ("busybox", "life", "red")
        assert (event["status"], event["id"], event["from"], event["scope"]) == (event["Action"], identity, "busybox", "local")
        assert event["timeNano"] // 10**9 == event["time"]
    assert seen[4]["Actor"]["Attributes"]["signal"] == "15"
    assert seen[5]["Actor"]["Attributes"]["exitCode"] == "7" and seen[5]["Actor"]["Attributes"]["execDuration"].isdigit()
    volume = {event["Action"]: event["Actor"]["Attributes"] for event in engine.events_of({"volume": ["life-volume"]}) if event["Type"] == "volume"}
    assert volume["create"] == {"driver": "local"}
    assert volume["mount"] == {"driver": "local", "container": identity, "destination": "/data", "read/write": "true", "propagation": ""}
    assert volume["unmount"] == {"driver": "local", "container": identity}
    engine.docker("volume", "rm", "life-volume")


def test_a_stop_by_kill_tells_both_signals(engine, container):
    identity = container("busybox", "sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")
    wait_until(lambda: engine.docker("top", identity).stdout.count("sleep"), "the trap is set")
    engine.docker("stop", "-t", "0", identity)
    told = [(event["Action"], event["Actor"]["Attributes"].get("signal")) for event in engine.events(identity)]
    assert [entry for entry in told if entry[0] in ("kill", "die", "stop")] == [("kill", "15"), ("kill", "9"), ("die", None), ("stop", None)]


def test_a_request_without_a_host_is_refused(engine):
    for request, status in ((b"GET /_ping HTTP/1.1\r\n\r\n", b"400"), (b"GET /_ping HTTP/1.1\r\nHost:\r\n\r\n", b"200"), (b"GET /_ping HTTP/1.0\r\n\r\n", b"200"),
                            (b"GET http://any.where/_ping HTTP/1.1\r\nHost: d\r\n\r\n", b"200")):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(engine.socket)
            client.sendall(request)
            assert client.recv(4096).split(b" ")[1] == status


def test_an_image_is_created_from_something(engine):
    status, _, reply = engine.api("POST", "/images/create")
    assert status == 400 and reply["message"]
