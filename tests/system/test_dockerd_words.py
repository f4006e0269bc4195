"""Words and shapes of images, volumes and networks as a dockerd 28.5.2 gave them to the same requests."""
import json
import time

import pytest

from engine import needs_cli
from images import busybox_rootfs_tar, docker_archive


def refusal(engine, *arguments):
    done = engine.docker(*arguments, check=False)
    assert done.returncode != 0
    return done.stderr


def events_of(engine, since, kind):
    lines = engine.docker("events", "--since", f"{since:.9f}", "--until", f"{time.time():.9f}", "--filter", f"type={kind}", "--format",
                          "{{.Action}} {{.Actor.ID}} {{json .Actor.Attributes}}").stdout.splitlines()
    return [(action, identity, json.loads(attributes)) for action, identity, attributes in (line.split(" ", 2) for line in lines)]


@pytest.fixture
def labelled(engine):
    """An image with a label; its name."""
    engine.docker("load", input=docker_archive(["words:1"], [busybox_rootfs_tar()], {"Labels": {"x": "y"}}))
    yield "words:1"
    engine.docker("rmi", "-f", "words:1", check=False)


def test_events_of_an_image_carry_its_labels_and_id(engine, labelled):
    since = time.time()
    identity = engine.inspect(labelled)["Id"]
    engine.docker("tag", labelled, "words:2")
    engine.docker("rmi", "words:2", labelled)
    assert events_of(engine, since, "image") == [
        ("tag", identity, {"name": "words:2", "x": "y"}), ("untag", identity, {"name": identity, "x": "y"}),
        ("untag", identity, {"name": identity, "x": "y"}), ("delete", identity, {"name": identity})]


def test_a_commit_makes_an_image_and_names_it(engine, container):
    identity = container("busybox", "true")
    since = time.time()
    made = engine.docker("commit", identity, "words:commit").stdout.strip()
    engine.docker("rmi", "words:commit")
    assert [(action, name["name"]) for action, _, name in events_of(engine, since, "image")][:2] == [("create", made), ("tag", "words:commit")]


def test_an_import_names_the_image_first(engine):
    since = time.time()
    made = engine.docker("import", "-", "words:import", input=busybox_rootfs_tar()).stdout.decode().strip()
    engine.docker("rmi", "words:import")
    assert [(action, name["name"]) for action, _, name in events_of(engine, since, "image")][:2] == [("tag", "words:import"), ("import", made)]


def test_the_event_of_a_pull_has_the_repository_as_its_name(engine, registry):
    reference = registry.push("words/app:1", docker_archive(["x:1"], [busybox_rootfs_tar()], {"Labels": {"p": "q"}}))
    since = time.time()
    engine.docker("pull", "-q", reference)
    assert events_of(engine, since, "image") == [("pull", reference, {"name": reference.removesuffix(":1"), "p": "q"})]


def test_layers_of_an_image_that_is_here_are_not_told_of(engine, registry):
    reference = registry.push("words/same:1", docker_archive(["x:1"], [busybox_rootfs_tar()], created_by="same"))
    engine.docker("pull", reference)
    lines = engine.docker("pull", reference).stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["1", "Digest", "Status"]


def test_a_pull_of_all_tags_ends_with_one_status(engine, registry):
    for tag in ("1", "2"):
        reference = registry.push(f"words/all:{tag}", docker_archive(["x:1"], [busybox_rootfs_tar()], created_by=tag))
    repository = reference.removesuffix(":2")
    lines = engine.docker("pull", "-a", repository).stdout.splitlines()
    assert [line for line in lines if line.startswith("Status")] == [f"Status: Downloaded newer image for {repository}"]


def test_an_image_of_one_platform_is_pulled_for_another_with_a_warning(engine, registry):
    reference = registry.push("words/one:1", docker_archive(["x:1"], [busybox_rootfs_tar()], created_by="one"))
    done = engine.docker("pull", "--platform", "linux/s390x", reference)
    assert (f"WARNING: image with reference {reference} was found but its platform (linux/amd64) does not match the specified platform "
            "(linux/s390x)") in done.stdout


@pytest.mark.parametrize("reference,words", [("127.0.0.1:9/x", "dial tcp 127.0.0.1:9: connect: connection refused"),
                                             ("nowhere.invalid/x", "dial tcp: lookup nowhere.invalid: no such host")])
def test_a_registry_that_is_not_reached(engine, reference, words):
    assert words in refusal(engine, "pull", reference)


@pytest.mark.parametrize("arguments", [("image", "inspect", "A:b"), ("rmi", "A:b"), ("save", "A:b"), ("history", "A:b")])
def test_a_name_that_cannot_be_one_is_invalid(engine, arguments):
    assert "invalid reference format: repository name (library/A) must be lowercase" in refusal(engine, *arguments)


def test_an_image_without_labels_has_null(engine):
    assert engine.inspect("busybox")["Config"]["Labels"] is None


def test_an_image_had_options_of_containers_until_1_50(engine):
    old, new = (engine.api("GET", f"/{version}/images/busybox/json")[2]["Config"] for version in ("v1.49", "v1.50"))
    assert set(old) - set(new) == {"Hostname", "Domainname", "Image", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"}


def test_a_list_with_shared_sizes_has_them(engine, labelled):
    engine.docker("tag", labelled, "words:shared")
    sizes = [image["SharedSize"] for image in engine.api("GET", "/images/json?shared-size=1")[2]]
    engine.docker("rmi", "words:shared")
    assert all(size >= 0 for size in sizes)
    assert {image["SharedSize"] for image in engine.api("GET", "/images/json")[2]} == {-1}


def test_a_push_needs_no_credentials_header(engine, registry):
    engine.docker("tag", "busybox", f"{registry.address}/words/push:1")
    status, _, reply = engine.api("POST", f"/images/{registry.address}/words/push/push?tag=1")
    engine.docker("rmi", f"{registry.address}/words/push:1")
    assert status == 200 and "digest: sha256:" in str(reply)


@pytest.mark.parametrize("name,words", [
    ("a b", 'create a b: "a b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. '
            "If you intended to pass a host directory, use absolute path"),
    ("a", "create a: volume name is too short, names should be at least two alphanumeric characters")])
def test_a_volume_that_cannot_be_named_so(engine, name, words):
    assert words in refusal(engine, "volume", "create", name)


def test_an_unknown_volume_driver_names_the_volume(engine):
    assert 'create words-v: error looking up volume plugin absent: plugin "absent" not found' in refusal(
        engine, "volume", "create", "-d", "absent", "words-v")


@pytest.mark.parametrize("filters", ["nonsense", '["x"]', '{"label":"x"}', '{"label":[1]}'])
def test_a_filter_that_is_none_is_invalid(engine, filters):
    for path in ("images/json", "containers/json", "networks", "volumes"):
        status, _, reply = engine.api("GET", f"/{path}?filters={filters}")
        assert (status, reply["message"]) == (400, "invalid filter")


def test_a_time_that_is_none(engine):
    assert 'failed to parse value as time or duration: "soon"' in refusal(engine, "images", "--filter", "until=soon")


def test_a_stopped_container_keeps_what_it_was_connected_with(engine, network):
    network("words-net", "--subnet", "10.98.0.0/24")
    identity = engine.docker("create", "busybox", "true").stdout.strip()
    engine.docker("network", "connect", "--ip", "10.98.0.77", "--alias", "words", "words-net", identity)
    engine.docker("network", "connect", "words-net", identity)
    endpoint = engine.inspect(identity)["NetworkSettings"]["Networks"]["words-net"]
    assert endpoint["IPAMConfig"]["IPv4Address"] == "10.98.0.77" and "words" in endpoint["Aliases"]


def test_an_address_that_cannot_be_is_complained_of_in_full(engine):
    needs_cli("1.44")  # an older one does not send it
    assert ("invalid config for network bridge: invalid endpoint settings:\n* user specified IP address is supported on user defined networks "
            "only\n* user specified IP address is supported only when connecting to networks with user configured subnets") in refusal(
                engine, "run", "--rm", "--ip", "10.5.0.3", "busybox", "true")


def test_a_network_in_use_is_not_removed(engine, network, container):
    network("words-used")
    container("--network", "words-used", "busybox", "sleep", "1000")
    assert "error while removing network: network words-used has active endpoints" in refusal(engine, "network", "rm", "words-used")


def test_a_container_does_not_join_the_host_later(engine, container):
    identity = container("busybox", "sleep", "1000")
    assert "cannot connect container to host network - container must be created in host network mode" in refusal(
        engine, "network", "connect", "host", identity)


def test_a_configuration_has_no_driver(engine, network):
    network("words-config", "--config-only", "--subnet", "10.99.0.0/24")
    assert engine.api("GET", "/networks/words-config")[2]["Driver"] == "null"
