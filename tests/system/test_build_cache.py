"""What `docker build` takes from earlier builds and other machines: --cache-from, what buildx refuses, du and prune."""
import json

import pytest

from buildx import command, docker, engine, plugins, write  # noqa: F401


def forget(engine):
    """Every image but busybox."""
    base = engine.inspect("busybox")["Id"]
    # Parents go with the last of their children, or once those are gone.
    while ids := [image for image in engine.docker("images", "-aq", "--no-trunc").stdout.split() if image != base]:
        engine.docker("rmi", "-f", *ids, check=False)


def test_a_pushed_image_is_the_cache_of_another_machine(engine, docker, registry, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo for-everybody > /f\nCOPY word /word\nRUN cat /word\n", word="a")
    name = f"{registry.address}/cached/app:1"
    docker("build", "--cache-to", "type=inline", "-t", name, ".")
    engine.docker("push", name)
    forget(engine)
    assert "CACHED" not in docker("build", ".").stderr
    forget(engine)
    shown = docker("build", "--cache-from", f"type=registry,ref={name}", "-t", "again", ".").stderr
    assert shown.count("CACHED") == 3
    forget(engine)
    write(tmp_path, word="b")
    assert docker("build", "--cache-from", name, ".").stderr.count("CACHED") == 1


def test_a_cache_that_cannot_be_read_is_a_warning(docker, registry, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo without > /f\n")
    shown = docker("build", "--no-cache-filter", "none", "--cache-from", f"{registry.address}/none:1", ".").stderr
    assert f"no cache from {registry.address}/none:1" in shown
    (tmp_path / "cache").mkdir()
    docker("build", "--cache-from", "type=local,src=cache", ".")


@pytest.mark.parametrize("options, said", [
    (["--cache-to", "type=registry,ref=x/y"], "Cache export is not supported for the docker driver"),
    (["--cache-to", "type=local,dest=c"], "Cache export is not supported for the docker driver"),
    (["--provenance=true"], "Attestation is not supported for the docker driver"),
    (["--sbom=true"], "Attestation is not supported for the docker driver")])
def test_what_dockerds_own_driver_refuses_is_refused_alike(docker, tmp_path, options, said):
    write(tmp_path, Dockerfile="FROM scratch\nLABEL a=b\n")
    failed = docker("build", *options, ".", check=False)
    assert failed.returncode != 0 and said.lower() in failed.stderr.lower()


@pytest.fixture
def caches(engine, docker, tmp_path):
    """Two cache mounts of 1 MiB each, `old` before `new`."""
    engine.api("POST", "/build/prune")
    for name in ("old", "new"):
        write(tmp_path, Dockerfile=f"FROM busybox\nRUN --mount=type=cache,id={name},target=/c head -c 1048576 /dev/zero > /c/f\n")
        docker("build", "--no-cache", ".")

    def names():
        return sorted(cache["Description"].split()[-1] for cache in engine.api("GET", "/system/df?type=build-cache")[2]["BuildCache"])

    assert names() == ["new", "old"]
    return names


def test_usage_is_filtered(docker, caches):
    assert "cached mount old" in docker("buildx", "du", "--verbose").stdout
    assert "cached mount" not in docker("buildx", "du", "--verbose", "--filter", "type=regular").stdout
    shown = docker("buildx", "du", "--verbose", "--filter", "type=exec.cachemount").stdout
    assert "cached mount old" in shown and "cached mount new" in shown


def test_a_prune_leaves_what_may_stay_the_youngest_first(docker, caches):
    docker("buildx", "prune", "-f", "--filter", "until=1h")
    assert caches() == ["new", "old"]
    docker("buildx", "prune", "-f", "--keep-storage", "1500kb")
    assert caches() == ["new"]
    docker("builder", "prune", "-af")
    assert caches() == []


def test_a_prune_over_the_api_knows_the_limits(engine, caches):
    assert engine.api("POST", "/build/prune?max-used-space=3000000")[2]["SpaceReclaimed"] == 0
    assert engine.api("POST", "/build/prune?reserved-space=3000000&max-used-space=1")[2]["SpaceReclaimed"] == 0
    assert engine.api("POST", "/build/prune?max-used-space=1500000")[2]["SpaceReclaimed"] == 1 << 20
    assert caches() == ["new"]
    kept = json.dumps({"type": ["regular"]})
    assert engine.api("POST", "/build/prune?filters=" + kept.replace('"', "%22").replace(" ", ""))[2]["CachesDeleted"] is None
    assert engine.api("POST", "/build/prune?filters=%7B%22odd%22%3A%5B%22x%22%5D%7D")[0] == 400
