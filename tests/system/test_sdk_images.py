"""Docker's own Python SDK as the client: pull, names, history, and images in use."""
import pytest

from engine import UnixConnection
from images import busybox_rootfs_tar, docker_archive, layer_tar

pytest.importorskip("docker", reason="python3-docker is not installed")
errors = pytest.importorskip("docker.errors")


def test_an_absent_image_raises_image_not_found(client):
    with pytest.raises(errors.ImageNotFound) as failure:
        client.images.get("absent:tag")
    assert failure.value.explanation == "No such image: absent:tag"
    with pytest.raises(errors.ImageNotFound):
        client.containers.create("absent:tag", "true")


def test_an_empty_entrypoint_clears_the_images(client, made):
    client.images.load(docker_archive(["sdk-entry:1"], [busybox_rootfs_tar()], {"Entrypoint": ["/bin/echo", "entry"], "Cmd": ["/bin/echo", "cmd"]}))
    api = client.api

    def output(**config):
        body = api.create_container_config("sdk-entry:1", None)
        body.update(config)
        container = client.containers.get(api.create_container_from_config(body)["Id"])
        made.append(container)
        container.start()
        container.wait()
        return container.logs()

    assert output() == b"entry /bin/echo cmd\n"
    assert output(Entrypoint=[]) == b"cmd\n"
    assert output(Entrypoint=["/bin/echo"], Cmd=["mine"]) == b"mine\n"


def test_pull_names_as_docker_does(client, registry):
    reference = registry.push("sdk/app:1", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"v": b"1"})]))
    repository = reference.rsplit(":", 1)[0]
    image = client.images.pull(repository, tag="1")
    assert image.tags == [reference] and len(image.attrs["RepoDigests"]) == 1
    first = image.id
    # A tag that exists here is asked for again: the registry may have moved it.
    registry.push("sdk/app:1", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"v": b"2"})]))
    assert client.images.pull(reference, tag="1").id != first
    lines = list(client.api.pull(repository, tag="1", stream=True, decode=True))
    assert lines[-1] == {"status": f"Status: Image is up to date for {reference}"}
    with pytest.raises(errors.NotFound) as failure:
        client.images.pull(repository, tag="none")
    assert "none" in failure.value.explanation
    client.images.remove(reference)


def test_both_the_name_and_the_tag_parameter_may_carry_a_tag(engine, client, registry):
    reference = registry.push("sdk/two:right", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"t": b"2"})]))
    repository = reference.rsplit(":", 1)[0]
    status, _, body = engine.api("POST", f"/images/create?fromImage={repository}:wrong&tag=right")
    assert status == 200, body
    assert client.images.get(reference).tags == [reference]
    client.images.remove(reference)


def test_short_names_are_docker_hubs(client):
    assert client.images.get("busybox").id == client.images.get("docker.io/library/busybox:latest").id
    with pytest.raises(errors.ImageNotFound):
        client.images.get("localhost/busybox")


def test_history_is_raw_json_with_whole_ids(engine, client):
    command = "RUN a && b < c > d"
    client.images.load(docker_archive(["sdk-history:1"], [layer_tar({"a": b"1"})], created_by=command))
    image = client.images.get("sdk-history:1")
    history = image.history()
    assert history[0]["Id"] == image.id and image.id.startswith("sha256:") and history[0]["CreatedBy"] == command
    connection = UnixConnection(engine.socket)
    connection.request("GET", "/images/sdk-history:1/history")
    assert command.encode() in connection.getresponse().read()
    connection.close()
    client.images.remove("sdk-history:1")


def test_an_image_in_use_is_409_and_force_spares_the_running_container(client, made):
    client.images.load(docker_archive(["sdk-used:1"], [busybox_rootfs_tar(), layer_tar({"used": b"1"})]))
    container = client.containers.run("sdk-used:1", ["sleep", "1000"], detach=True)
    made.append(container)
    for name in ("sdk-used:1", container.image.id):
        with pytest.raises(errors.APIError) as failure:
            client.images.remove(name)
        assert failure.value.status_code == 409, failure.value
    assert "is being used by running container" in failure.value.explanation
    client.images.remove("sdk-used:1", force=True)
    container.reload()
    assert container.status == "running"
    container.remove(force=True)


def test_an_old_client_finds_the_configuration_twice(engine):
    """docker-compose 1.29 takes the volumes of an image from ContainerConfig, which 1.45 dropped."""
    old, new = (engine.api("GET", f"/v{version}/images/busybox/json")[2] for version in ("1.44", "1.45"))
    assert old["ContainerConfig"] == old["Config"] == new["Config"] and "ContainerConfig" not in new
