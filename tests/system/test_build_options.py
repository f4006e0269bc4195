"""Options of `docker build`, by buildx and by the classic builder: what steps get, what becomes of the result, platforms."""
import json
import platform
import tarfile

import pytest

from buildx import command, docker, engine, plugins, write  # noqa: F401 (fixtures)
from images import busybox_rootfs_tar, docker_archive

BUILDERS = pytest.mark.parametrize("build", ["buildx", "classic"])
HOST = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
FOREIGN = "arm64" if HOST == "amd64" else "amd64"


@pytest.fixture
def run_build(engine, docker, tmp_path):
    """Builds by either client; the result, which need not be good."""
    def run(build, *options, check=True):
        if build == "buildx":
            return docker("build", *options, ".", check=check)
        return engine.docker("build", *options, str(tmp_path), check=check, env={"DOCKER_BUILDKIT": "0"})

    return run


def shown(engine, image, script):
    return engine.docker("run", "--rm", "--network", "none", image, "sh", "-c", script).stdout


@BUILDERS
def test_a_step_gets_memory_to_share_and_limits(engine, run_build, tmp_path, build):
    write(tmp_path, Dockerfile="FROM busybox\nRUN df -k /dev/shm | awk 'END{print $2}' > /seen; ulimit -n >> /seen; ulimit -Hn >> /seen\n")
    run_build(build, "--no-cache", "--shm-size", "2m", "--ulimit", "nofile=100:200", "-t", "opt:limits")
    assert shown(engine, "opt:limits", "cat /seen").split() == ["2048", "100", "200"]


@BUILDERS
def test_a_step_may_have_no_network_or_the_hosts(engine, run_build, tmp_path, build):
    write(tmp_path, Dockerfile="FROM busybox\nRUN ls /sys/class/net > /seen || true; cat /proc/net/dev | tail -n +3 | cut -d: -f1 > /seen\n")
    run_build(build, "--no-cache", "--network", "none", "-t", "opt:none")
    assert shown(engine, "opt:none", "cat /seen").split() == ["lo"]
    with open("/proc/net/dev", encoding="ascii") as file:
        own = sorted(line.split(":")[0].strip() for line in file.readlines()[2:])
    options = ["--network", "host"] + (["--allow", "network.host"] if build == "buildx" else [])
    run_build(build, "--no-cache", *options, "-t", "opt:host")
    assert sorted(shown(engine, "opt:host", "cat /seen").split()) == own


@BUILDERS
def test_pull_asks_the_registry_though_the_image_is_here(engine, run_build, registry, tmp_path, build):
    def push(word):
        return registry.push(f"opt/base-{build}:1", docker_archive(["x:1"], [busybox_rootfs_tar()], {"Env": ["WORD=" + word]}))
    reference = push("old")
    engine.docker("pull", reference)
    push("new")
    write(tmp_path, Dockerfile=f"FROM {reference}\nLABEL x=y\n")
    run_build(build, "-t", "opt:pull")
    assert "WORD=old" in engine.inspect("opt:pull")["Config"]["Env"]
    run_build(build, "--pull", "-t", "opt:pull")
    assert "WORD=new" in engine.inspect("opt:pull")["Config"]["Env"]


def test_the_cache_may_be_left_out_for_one_stage(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox AS One\nRUN echo one-filter > /one\nFROM busybox AS two\nCOPY --from=one /one /\nRUN echo two-filter\n")
    docker("build", ".")
    again = docker("build", "--no-cache-filter", "one", ".").stderr
    assert "one-filter" in again and again.count("CACHED") == 2


def test_what_was_built_is_written_down(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nLABEL metadata=1\n")
    docker("build", "--metadata-file", "facts", "--iidfile", "id", "-t", "opt:facts", ".")
    facts = json.loads((tmp_path / "facts").read_text())
    identity = engine.inspect("opt:facts")["Id"]
    assert facts["containerimage.config.digest"] == identity == (tmp_path / "id").read_text() and facts["image.name"] == "docker.io/library/opt:facts"


def test_the_result_may_be_pushed(engine, docker, registry, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nLABEL pushed=1\n")
    docker("build", "--push", "-t", f"{registry.address}/opt/pushed:1", ".")
    engine.docker("rmi", f"{registry.address}/opt/pushed:1")
    engine.docker("pull", f"{registry.address}/opt/pushed:1")
    assert engine.inspect(f"{registry.address}/opt/pushed:1")["Config"]["Labels"] == {"pushed": "1"}


def test_the_result_may_have_several_forms(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="FROM scratch\nCOPY word /\n", word="word\n")
    docker("build", "--output", "type=local,dest=out", "--output", "type=tar,dest=out.tar", "--output", "type=docker,name=opt:forms", ".")
    assert (tmp_path / "out/word").read_text() == "word\n"
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert archive.extractfile("word").read() == b"word\n"
    assert engine.inspect("opt:forms")["Id"]


@pytest.mark.parametrize("options", [["--output", "type=oci,dest=x.tar"], ["--platform", "linux/amd64,linux/arm64"]])
def test_the_client_knows_what_the_docker_driver_has_not(docker, tmp_path, options):
    write(tmp_path, Dockerfile="FROM scratch\nCOPY Dockerfile /\n")
    failed = docker("build", *options, ".", check=False)
    assert failed.returncode != 0 and "not supported for the docker driver" in failed.stderr


@BUILDERS
def test_an_image_of_files_may_be_of_another_platform(engine, run_build, tmp_path, build):
    write(tmp_path, Dockerfile="FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /\nLABEL arch=$TARGETARCH\n")
    run_build(build, "--platform", "linux/" + FOREIGN, "-t", "opt:foreign")
    image = engine.inspect("opt:foreign")
    assert image["Architecture"] == FOREIGN and image["Config"]["Labels"]["arch"] == FOREIGN
    run_build(build, "--platform", "linux/" + HOST, "-t", "opt:own")
    assert engine.inspect("opt:own")["Architecture"] == HOST


@BUILDERS
def test_a_step_of_another_platform_says_what_it_lacks(engine, run_build, tmp_path, build):
    (tmp_path / "sh").write_bytes(b"\x7fELF no program of this machine")
    (tmp_path / "sh").chmod(0o755)
    write(tmp_path, Dockerfile="FROM scratch\nCOPY sh /bin/sh\nRUN true\n")
    failed = run_build(build, "--no-cache", "--platform", "linux/" + FOREIGN, check=False)
    assert failed.returncode != 0 and "exec format error" in failed.stderr + failed.stdout and "binfmt" in failed.stderr + failed.stdout
