"""`docker build` where buildx is installed (Debian 13's, fetched by tools/newer-clients), bake and compose's builds: BuildKit's API."""
import json
import os
import signal
import socket
import tarfile

import pytest

from buildx import command, docker, engine, plugins, steps_under_way, write  # noqa: F401 (fixtures)
from engine import wait_until


def test_a_build_ends_in_the_image_store(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nCOPY file /file\nRUN echo built > /run-file\nCMD [\"cat\", \"/file\", \"/run-file\"]\n", file="copied\n")
    shown = docker("build", "-t", "bk:first", "-t", "bk:second", ".").stderr
    assert "[internal] load build definition from Dockerfile" in shown and "naming to docker.io/library/bk:first" in shown
    assert "RUN echo built" in shown and "DONE" in shown
    assert engine.docker("run", "--rm", "--network", "none", "bk:second").stdout == "copied\nbuilt\n"
    assert engine.docker("ps", "-aq", "--filter", "name=buildx_buildkit").stdout == ""


def test_output_of_a_step_is_shown(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo to-stdout; echo to-stderr >&2\n")
    shown = docker("build", ".").stderr
    assert "to-stdout" in shown and "to-stderr" in shown


def test_a_failing_step_is_named(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo before; exit 3\n")
    failed = docker("build", ".", check=False)
    assert failed.returncode == 1
    assert "process \"/bin/sh -c echo before; exit 3\" did not complete successfully: exit code: 3" in failed.stderr


def test_a_missing_dockerfile_is_named(docker):
    failed = docker("build", "-f", "none", ".", check=False)
    assert failed.returncode != 0 and "none" in failed.stderr


def test_a_second_build_is_cached(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo for-the-cache\n")
    docker("build", ".")
    assert "CACHED" in docker("build", ".").stderr


def test_quiet_prints_the_id_and_the_id_file_has_it(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nLABEL of=quiet\n")
    printed = docker("build", "-q", "--iidfile", "id", "-t", "bk:quiet", ".").stdout.strip()
    assert printed == engine.inspect("bk:quiet")["Id"] == (tmp_path / "id").read_text()


def test_options_reach_the_builder(engine, docker, tmp_path):
    write(tmp_path, Other="FROM busybox AS one\nARG WORD\nRUN echo $WORD > /word && grep elsewhere /etc/hosts > /hosts\nFROM busybox AS two\nRUN exit 1\n")
    docker("build", "-f", "Other", "--target", "one", "--build-arg", "WORD=said", "--label", "l=v", "--add-host", "elsewhere:10.1.2.3",
           "--no-cache", "-t", "bk:options", ".")
    assert engine.inspect("bk:options")["Config"]["Labels"]["l"] == "v"
    out = engine.docker("run", "--rm", "--network", "none", "bk:options", "cat", "/word", "/hosts").stdout.split()
    assert out[:2] == ["said", "10.1.2.3"]


def test_dockerignore_keeps_files_at_home(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nCOPY . /all\n", __dockerignore="*.secret\n# no\n!kept.secret\n", kept__secret="", lost__secret="", other="")
    docker("build", "-t", "bk:ignore", ".")
    names = engine.docker("run", "--rm", "--network", "none", "bk:ignore", "ls", "/all").stdout.split()
    assert names == ["Dockerfile", "kept.secret", "other"]


def test_a_tree_arrives_as_it_is(engine, docker, tmp_path):
    (tmp_path / "tree/sub").mkdir(parents=True)
    (tmp_path / "tree/sub/large").write_bytes(b"x" * (6 << 20))
    (tmp_path / "tree/script").write_text("#!/bin/sh\n")
    (tmp_path / "tree/script").chmod(0o751)
    (tmp_path / "tree/link").symlink_to("sub/large")
    os.link(tmp_path / "tree/script", tmp_path / "tree/twin")
    for number in range(300):
        (tmp_path / f"tree/sub/f{number}").write_text(str(number) * 100)
    write(tmp_path, Dockerfile="FROM busybox\nCOPY tree /tree\n")
    docker("build", "-t", "bk:tree", ".")
    script = "cd /tree; stat -c '%a %s %u' script twin; readlink link; wc -c < sub/large; ls sub | wc -l; cat sub/f7 | head -c 3"
    assert engine.docker("run", "--rm", "--network", "none", "bk:tree", "sh", "-c", script).stdout.split() == [
        "751", "10", "0", "751", "10", "0", "sub/large", str(6 << 20), "301", "777"]


def test_a_dockerfile_may_come_from_standard_input(engine, docker):
    docker("build", "-t", "bk:stdin", "-", input="FROM busybox\nENV FROM_STDIN=1\n")
    assert "FROM_STDIN=1" in engine.inspect("bk:stdin")["Config"]["Env"]


def test_a_secret_is_there_for_its_step_only(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="""FROM busybox
RUN --mount=type=secret,id=word,uid=7,mode=0440 cat /run/secrets/word > /copy && stat -c '%a %u' /run/secrets/word > /status && stat -f -c %T /run/secrets/word >> /status
RUN --mount=type=secret,id=word,env=WORD test ${#WORD} = 7 && ! test -e /run/secrets/word
""", word="whisper")
    docker("build", "--no-cache", "--secret", "id=word,src=word", "-t", "bk:secret", ".")
    out = engine.docker("run", "--rm", "--network", "none", "bk:secret", "sh", "-c", "cat /copy; ls /run/secrets 2>/dev/null; cat /status")
    assert out.stdout == "whisper440 7\ntmpfs\n"
    assert "whisper" not in engine.docker("history", "--no-trunc", "bk:secret").stdout
    assert not list((engine.root / "run/berth/build-secrets").iterdir())


def test_a_secret_that_is_required_must_be_there(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN --mount=type=secret,id=none test ! -e /run/secrets/none\nRUN --mount=type=secret,id=none,required true\n")
    assert "secret none: not found" in docker("build", ".", check=False).stderr


def test_a_cache_outlives_the_build_until_a_prune(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="""FROM busybox
ARG WORD
RUN --mount=type=cache,target=/c,uid=5,mode=0750 echo $WORD >> /c/words && cat /c/words > /seen && stat -c '%a %u' /c >> /seen
""")
    def seen(word):
        docker("build", "--build-arg", "WORD=" + word, "-t", "bk:cache", ".")
        return engine.docker("run", "--rm", "--network", "none", "bk:cache", "sh", "-c", "cat /seen; ls -d /c 2>/dev/null || true").stdout.split()
    assert seen("one") == ["one", "750", "5"]
    engine.kill_9("berth-engine")
    wait_until(engine.answers, "the new engine")
    assert seen("two") == ["one", "two", "750", "5"]
    (cache,) = engine.api("GET", "/system/df")[2]["BuildCache"]
    assert cache["Type"] == "exec.cachemount" and cache["Size"] == 8 and not cache["InUse"]
    assert cache["ID"] in docker("buildx", "du", "--verbose").stdout
    assert cache["ID"][:12] in docker("builder", "prune", "-f").stdout
    assert engine.api("GET", "/system/df")[2]["BuildCache"] == []
    assert seen("three") == ["three", "750", "5"]
    pruned = engine.api("POST", "/build/prune")[2]
    assert pruned["SpaceReclaimed"] == 6 and len(pruned["CachesDeleted"]) == 1


def test_a_cache_may_begin_with_files_of_a_stage(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="""FROM busybox AS made
RUN mkdir /d && echo staged > /d/file
FROM busybox
RUN --mount=type=cache,id=begun,from=made,source=/d,target=/c,sharing=locked echo more >> /c/file
RUN --mount=type=cache,id=begun,from=made,source=/d,target=/other,ro cat /other/file > /seen; ! touch /other/x
""")
    docker("build", "-t", "bk:begun", ".")
    assert engine.docker("run", "--rm", "--network", "none", "bk:begun", "cat", "/seen").stdout == "staged\nmore\n"


@pytest.mark.parametrize("sharing, seen", [("shared", "again\n"), ("private", "")])
def test_a_cache_in_use_is_shared_or_another_is_taken(engine, command, docker, tmp_path, sharing, seen):
    write(tmp_path, Holder=f"FROM busybox\nRUN --mount=type=cache,id={sharing},target=/c,sharing={sharing} echo again > /c/file; echo holding; sleep 1000\n",
          Dockerfile=f"FROM busybox\nRUN --mount=type=cache,id={sharing},target=/c,sharing={sharing} cat /c/file > /seen || true\n")
    holder = command("build", "-f", "Holder", ".")
    try:
        wait_until(lambda: "holding" in holder.stderr.readline(), "the first build is in its step")
        docker("build", "-t", "bk:" + sharing, ".")
        assert [cache["InUse"] for cache in engine.api("GET", "/system/df")[2]["BuildCache"] if cache["Description"].endswith(sharing)].count(True) == 1
    finally:
        holder.send_signal(signal.SIGINT)
        holder.communicate(timeout=30)
    assert engine.docker("run", "--rm", "--network", "none", "bk:" + sharing, "cat", "/seen").stdout == seen


def test_a_step_sees_files_of_the_context_and_of_a_stage(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="""FROM busybox AS made
RUN mkdir /d && echo staged > /d/file
FROM busybox
RUN --mount=target=/context --mount=type=bind,from=made,source=/d,target=/stage cat /context/word /stage/file > /both; touch /context/x || touch /read-only
RUN --mount=target=/context,rw --mount=from=made,source=d/file,target=/file,rw echo more > /context/new && echo more >> /file && cat /context/word /file > /written
""", word="first\n")
    docker("build", "-t", "bk:bind", ".")
    show = ["run", "--rm", "--network", "none", "bk:bind", "sh", "-c", "cat /both /written; ls -d /read-only /context /stage /file 2>/dev/null"]
    assert engine.docker(*show, check=False).stdout.split() == ["first", "staged", "first", "staged", "more", "/read-only"]
    assert not (tmp_path / "new").exists()
    assert docker("build", ".").stderr.count("CACHED") == 3
    write(tmp_path, word="second\n")
    docker("build", "-t", "bk:bind", ".")
    assert engine.docker(*show, check=False).stdout.split()[0] == "second"


def test_a_mounted_tmpfs_is_of_its_size(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN --mount=type=tmpfs,target=/t,size=1m echo x > /t/x && df -k /t | awk 'END{print $1, $2}' > /size\n")
    docker("build", "-t", "bk:tmpfs", ".")
    out = engine.docker("run", "--rm", "--network", "none", "bk:tmpfs", "sh", "-c", "cat /size; ls /t 2>/dev/null || true").stdout
    assert out == "tmpfs 1024\n"


def test_a_mount_that_cannot_be_is_refused(docker, tmp_path):
    for mount, said in (("type=ssh,source=/x", "unexpected key 'source'"), ("target=/x,source=/none", "\"/none\": not found"), ("type=odd,target=/x", "unsupported mount type \"odd\"")):
        write(tmp_path, Dockerfile=f"FROM busybox\nRUN --mount={mount} true\n")
        failed = docker("build", ".", check=False)
        assert failed.returncode != 0 and said in failed.stderr


def test_output_as_a_directory_and_as_an_archive(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox AS made\nRUN mkdir /o && echo result > /o/file && ln -s file /o/link && chmod 750 /o/file\nFROM scratch\nCOPY --from=made /o /\n")
    docker("build", "-o", "out", ".")
    assert (tmp_path / "out/file").read_text() == "result\n" and os.readlink(tmp_path / "out/link") == "file"
    assert (tmp_path / "out/file").stat().st_mode & 0o777 == 0o750
    docker("build", "-o", "type=tar,dest=out.tar", ".")
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert archive.extractfile("file").read() == b"result\n"


def test_ctrl_c_stops_the_build_and_leaves_nothing(engine, command, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo sleeping; sleep 1000\n")
    build = command("build", "--no-cache", ".")
    wait_until(lambda: steps_under_way(engine), "the step's container")
    build.send_signal(signal.SIGINT)
    build.communicate(timeout=30)
    assert build.returncode != 0
    wait_until(lambda: not steps_under_way(engine), "the step's container is gone")


def test_buildx_lists_the_builder(docker):
    listed = docker("buildx", "ls").stdout
    assert "docker" in listed and "running" in listed and "error" not in listed
    assert "linux/" in docker("buildx", "inspect").stdout
    docker("buildx", "du")
    docker("buildx", "prune", "-f")


def test_bake_builds_its_targets(engine, docker, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nARG WORD\nENV WORD=$WORD\n",
          bake__json=json.dumps({"group": {"default": {"targets": ["a", "b"]}},
                                 "target": {name: {"tags": [f"bk:bake-{name}"], "args": {"WORD": name}} for name in "ab"}}))
    docker("buildx", "bake", "-f", "bake.json")
    assert "WORD=b" in engine.inspect("bk:bake-b")["Config"]["Env"]


def test_compose_builds_what_it_runs(engine, docker, tmp_path):
    (tmp_path / "app").mkdir()
    write(tmp_path / "app", Dockerfile="FROM busybox\nCOPY word /word\nCMD [\"cat\", \"/word\"]\n", word="composed\n")
    write(tmp_path, compose__yaml="services:\n  app:\n    build: ./app\n    network_mode: none\n")
    try:
        docker("compose", "-p", "bkc", "build")
        assert "composed" in docker("compose", "-p", "bkc", "run", "--rm", "app").stdout
    finally:
        docker("compose", "-p", "bkc", "down", "-t", "0", check=False)
    assert engine.docker("images", "-q", "bkc-app").stdout


@pytest.mark.parametrize("route", ["/grpc", "/session"])
def test_without_an_upgrade_the_request_is_refused(engine, route):
    status, _, reply = engine.api("POST", route, headers={"X-Docker-Expose-Session-Uuid": "x"})
    assert status == 400 and "h2c" in reply["message"]


def test_bytes_that_are_no_http2_end_the_connection(engine):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(engine.socket)
        client.sendall(b"POST /grpc HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        client.sendall(b"this is no preface of HTTP/2" * 10)
        while client.recv(4096):
            pass
    assert engine.api("GET", "/_ping")[0] == 200
