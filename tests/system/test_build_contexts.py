"""`docker build --build-context`, bake's targets as contexts and compose's additional_contexts; ssh agents of the client."""
import json
import os
import shutil
import signal
import subprocess

import pytest

from buildx import command, docker, engine, plugins, write  # noqa: F401 (fixtures)
from images import needed_by
from repositories import repositories  # noqa: F401


def shown(engine, image, script):
    return engine.docker("run", "--rm", "--network", "none", image, "sh", "-c", script).stdout


@pytest.fixture
def other(tmp_path):
    """A directory beside the context, with an ignore file."""
    directory = tmp_path / "other"
    directory.mkdir()
    write(directory, word="other\n", lost="", __dockerignore="lost\n")
    return directory


def test_a_directory_is_a_source_of_copies_and_mounts(engine, docker, tmp_path, other):
    write(tmp_path, Dockerfile="""FROM busybox
COPY --from=extra . /extra
RUN --mount=from=extra,target=/m cat /m/word > /seen; touch /m/x || touch /read-only
RUN --mount=from=extra,target=/m,rw echo more >> /m/word && cat /m/word > /written
""")
    docker("build", "--build-context", "extra=other", "-t", "ctx:dir", ".")
    assert shown(engine, "ctx:dir", "ls -a /extra; cat /seen /written; ls /read-only").split() == [
        ".", "..", ".dockerignore", "word", "other", "other", "more", "/read-only"]
    assert (other / "word").read_text() == "other\n"
    assert docker("build", "--build-context", "extra=other", ".").stderr.count("CACHED") == 3
    write(other, word="changed\n")
    assert "CACHED" not in docker("build", "--build-context", "extra=other", ".").stderr


def test_a_directory_may_be_a_base(engine, docker, tmp_path, other):
    write(tmp_path, Dockerfile="FROM extra AS made\nFROM busybox\nCOPY --from=made /word /word\n")
    docker("build", "--build-context", "extra=other", "-t", "ctx:base", ".")
    assert shown(engine, "ctx:base", "cat /word") == "other\n"


def test_a_directory_that_no_step_names_is_not_sent(docker, tmp_path, other):
    write(tmp_path, Dockerfile="FROM busybox\n")
    assert "[context extra]" not in docker("build", "--build-context", "extra=other", ".").stderr


@pytest.mark.parametrize("name, line", [("alpine", "FROM alpine"), ("alpine:3", "FROM docker.io/library/alpine:3"), ("alpine", "FROM alpine:latest"),
                                        ("base", "FROM scratch AS base\nRUN false\nFROM base"), ("linked", "FROM scratch\nCOPY --from=linked / /")])
def test_an_image_takes_the_place_of_another(engine, docker, tmp_path, name, line):
    write(tmp_path, Dockerfile=line + "\nCMD [\"echo\", \"placed\"]\n")
    docker("build", "--build-context", f"{name}=docker-image://busybox", "-t", "ctx:image", ".")
    assert shown(engine, "ctx:image", "echo runs") == "runs\n"


def test_a_repository_may_be_named(engine, docker, tmp_path, repositories):
    write(tmp_path, Dockerfile="FROM busybox\nCOPY --from=code word /word\nCOPY --from=page context /page\n")
    (repositories.directory / "page").write_text("page\n")
    docker("build", "--build-context", f"code={repositories.url}/app.git#v1:sub", "--build-context", f"page={repositories.web}/page", "-t", "ctx:git", ".")
    assert shown(engine, "ctx:git", "cat /word /page") == "sub\npage\n"


def test_an_oci_layout_is_refused(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM odd\n")
    (tmp_path / "layout").mkdir()
    write(tmp_path / "layout", index__json=json.dumps({"schemaVersion": 2, "manifests": []}), __x="")
    failed = docker("build", "--build-context", "odd=oci-layout://layout@sha256:" + "0" * 64, ".", check=False)
    assert failed.returncode != 0 and "oci" in failed.stderr.lower()


def test_bake_builds_on_another_target(engine, docker, tmp_path):
    write(tmp_path, Base="FROM busybox\nARG WORD\nENV WORD=$WORD\nRUN echo $WORD > /word\n",
          Dockerfile="FROM base\nRUN cat /word > /seen && echo $WORD >> /seen\n",
          bake__json=json.dumps({"target": {"base": {"dockerfile": "Base", "args": {"WORD": "baked"}},
                                            "app": {"contexts": {"base": "target:base"}, "tags": ["ctx:bake"]}}}))
    docker("buildx", "bake", "-f", "bake.json", "app")
    assert shown(engine, "ctx:bake", "cat /seen") == "baked\nbaked\n"


def test_compose_gives_contexts_by_name(engine, docker, tmp_path, other):
    write(tmp_path, Dockerfile="FROM busybox\nCOPY --from=extra word /word\n",
          compose__yaml="services:\n  app:\n    image: ctx:compose\n    build:\n      context: .\n      additional_contexts: {extra: ./other}\n")
    docker("compose", "-p", "ctxc", "build")
    assert shown(engine, "ctx:compose", "cat /word") == "other\n"


@pytest.fixture
def agent(tmp_path_factory):
    """The environment of an ssh agent with one key, whose comment is "key-of-the-test"."""
    if not shutil.which("ssh-agent"):
        pytest.skip("openssh-client is not installed")
    directory = tmp_path_factory.mktemp("agent")
    started = subprocess.run(["ssh-agent", "-s", "-a", str(directory / "socket")], capture_output=True, text=True, check=True).stdout
    pid = int(started.split("SSH_AGENT_PID=")[1].split(";")[0])
    environment = dict(os.environ, SSH_AUTH_SOCK=str(directory / "socket"))
    try:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "key-of-the-test", "-f", str(directory / "key")], check=True)
        subprocess.run(["ssh-add", "-q", str(directory / "key")], env=environment, check=True, capture_output=True)
        yield directory / "socket"
    finally:
        os.kill(pid, signal.SIGTERM)


def test_a_step_reaches_the_agent_of_the_client(engine, docker, tmp_path, agent):
    for path in ("/usr/bin/ssh-add", *needed_by(["/usr/bin/ssh-add"])):
        place = tmp_path / "root" / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    write(tmp_path, Dockerfile="""FROM busybox
COPY root /
RUN --mount=type=ssh ssh-add -L > /keys; echo $SSH_AUTH_SOCK > /name; stat -c '%a %u' $SSH_AUTH_SOCK > /mode
RUN --mount=type=ssh,id=work,target=/agent,mode=0660,uid=5 echo $SSH_AUTH_SOCK > /second; stat -c '%a %u' /agent > /access; test -S /agent
""")
    docker("build", "--no-cache", "--ssh", f"default={agent}", "--ssh", f"work={agent}", "-t", "ctx:ssh", ".")
    assert shown(engine, "ctx:ssh", "cat /keys").endswith(" key-of-the-test\n")
    assert shown(engine, "ctx:ssh", "cat /name /mode /second /access; ls /agent /run/buildkit 2>/dev/null || true").splitlines() == [
        "/run/buildkit/ssh_agent.0", "600 0", "/agent", "660 5"]
    assert not list((engine.root / "run/berth/build-agents").iterdir())


def test_an_agent_that_is_required_must_be_there(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN --mount=type=ssh test -z \"$SSH_AUTH_SOCK\"\nRUN --mount=type=ssh,required true\n")
    assert "no SSH key \"default\" forwarded from the client" in docker("build", ".", check=False).stderr
