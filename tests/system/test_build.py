"""docker build by the classic builder (POST /build), through the stock CLI without BuildKit."""
import io
import os
import re
import subprocess
import tarfile

import pytest

from engine import wait_until
from images import add_file


@pytest.fixture
def build(engine, tmp_path):
    """Builds a Dockerfile with some files {path: text}; returns the CLI's result. The images go after the test."""
    before = set(engine.docker("images", "-aq", "--no-trunc").stdout.split())

    def run(dockerfile, files=None, options=(), check=True, into="context"):
        context = tmp_path / into
        for path, text in {"Dockerfile": dockerfile, **(files or {})}.items():
            place = context / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text if isinstance(text, bytes) else text.encode())
        return engine.docker("build", *options, str(context), check=check, env={"DOCKER_BUILDKIT": "0"})

    yield run
    for _ in range(3):
        made = set(engine.docker("images", "-aq", "--no-trunc").stdout.split()) - before
        if made:
            engine.docker("rmi", "-f", *made, check=False)


def built_id(result):
    return re.search(r"Successfully built ([0-9a-f]{12})", result.stdout).group(1)


def run_image(engine, image, *command):
    return engine.docker("run", "--rm", image, *command).stdout


def config_of(engine, image):
    return engine.inspect(image)["Config"]


def history_of(engine, image):
    return engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image).stdout.splitlines()


def test_run_copy_and_configuration_make_an_image(engine, build):
    result = build("""FROM busybox
RUN echo made > /made && echo seen
COPY file /there/
ENV A=1
CMD ["cat", "/made", "/there/file"]
""", {"file": "copied\n"}, ["-t", "built:1", "-t", "built:two"])
    assert run_image(engine, "built:1") == "made\ncopied\n"
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Sending build context") or lines[0].startswith("Step 1/5")
    assert "Step 1/5 : FROM busybox" in lines and "Step 5/5 : CMD [\"cat\", \"/made\", \"/there/file\"]" in lines
    assert "seen" in lines
    assert any(re.fullmatch(r" ---> Running in [0-9a-f]{12}", line) for line in lines)
    assert any(re.fullmatch(r" ---> Removed intermediate container [0-9a-f]{12}", line) for line in lines)
    assert lines[-3:] == [f"Successfully built {built_id(result)}", "Successfully tagged built:1", "Successfully tagged built:two"]
    assert engine.docker("ps", "-aq").stdout == ""


def test_the_history_tells_instructions_as_docker_does(engine, build):
    build("""FROM busybox
ARG WHO=me
RUN echo $WHO
COPY file /x
WORKDIR /work
ENV A=1 B=2
CMD echo $A
""", {"file": "x"}, ["-t", "told:1"])
    history = history_of(engine, "told:1")
    assert history[:4] == ["/bin/sh -c #(nop)  CMD [\"/bin/sh\" \"-c\" \"echo $A\"]", "/bin/sh -c #(nop)  ENV A=1 B=2",
                           "/bin/sh -c #(nop) WORKDIR /work", history[3]]
    assert re.fullmatch(r"/bin/sh -c #\(nop\) COPY file:[0-9a-f]{64} in /x ?", history[3])
    assert history[4:6] == ["|1 WHO=me /bin/sh -c echo $WHO", "/bin/sh -c #(nop)  ARG WHO=me"]


def test_what_was_built_before_comes_from_the_cache(engine, build):
    dockerfile = "FROM busybox\nRUN echo once\nCOPY file /f\nRUN cat /f\n"
    first = build(dockerfile, {"file": "one"})
    second = build(dockerfile)
    assert second.stdout.count(" ---> Using cache") == 3 and built_id(first) == built_id(second)
    third = build(dockerfile, {"file": "two"})
    assert third.stdout.count(" ---> Using cache") == 1 and built_id(first) != built_id(third)
    fourth = build(dockerfile, options=["--no-cache"])
    assert " ---> Using cache" not in fourth.stdout


def test_a_command_that_fails_ends_the_build_with_its_code(engine, build):
    result = build("FROM busybox\nRUN echo before; exit 7\nRUN echo after\n", check=False)
    assert result.returncode == 7
    assert "The command '/bin/sh -c echo before; exit 7' returned a non-zero code: 7" in result.stderr
    assert "before" in result.stdout and "Step 3/3" not in result.stdout
    # Docker keeps the container of a step that failed.
    kept = engine.docker("ps", "-aq").stdout.split()
    assert len(kept) == 1
    engine.docker("rm", *kept)
    build("FROM busybox\nRUN exit 8\n", options=["--force-rm"], check=False)
    assert engine.docker("ps", "-aq").stdout == ""


def test_stages_copy_from_each_other_and_a_target_stops_early(engine, build):
    dockerfile = """ARG BASE=busybox
FROM ${BASE} AS one
RUN mkdir /out && echo from one > /out/x && chown 1000:1000 /out/x
FROM busybox AS two
COPY --from=one /out/ /got/
COPY --from=0 /out/x /index
CMD ["sh", "-c", "cat /got/x /index; stat -c %u /got/x"]
FROM two
CMD ["echo", "last"]
"""
    build(dockerfile, options=["-t", "staged:last"])
    assert run_image(engine, "staged:last") == "last\n"
    build(dockerfile, options=["-t", "staged:two", "--target", "two"])
    assert run_image(engine, "staged:two") == "from one\nfrom one\n1000\n"
    failed = build(dockerfile, options=["--target", "none"], check=False)
    assert "failed to reach build target none in Dockerfile" in failed.stderr


def test_copy_follows_dockers_rules_of_directories(engine, build):
    build("""FROM busybox
RUN mkdir /existing && ln -s existing /link
COPY a /file
COPY a /existing
COPY a b /new/
COPY dir /tree
COPY dir/ /link/
COPY *.txt /texts/
COPY --chown=user:daemon a /owned
WORKDIR /w
COPY a .
""", {"a": "A", "b": "B", "dir/sub/c": "C", "dir/d": "D", "1.txt": "1", "2.txt": "2"}, ["-t", "copied:1"])
    listing = run_image(engine, "copied:1", "sh", "-c", "find /file /existing /new /tree /texts /w -type f | sort; stat -c '%u:%g' /owned")
    assert listing.split() == ["/existing/a", "/existing/d", "/existing/sub/c", "/file", "/new/a", "/new/b",
                               "/texts/1.txt", "/texts/2.txt", "/tree/d", "/tree/sub/c", "/w/a", "1000:1"]


@pytest.mark.parametrize("line, error", [
    ("COPY absent /", "COPY failed: file not found in build context or excluded by .dockerignore: stat absent: file does not exist"),
    ("COPY ../up /", "COPY failed: forbidden path outside the build context: ../up ()"),
    ("COPY a b /file", "COPY failed: When using COPY with more than one source file, the destination must be a directory and end with a /"),
    ("COPY *.none /", "COPY failed: no source files were specified"),
    ("RUN --mount=type=cache,target=/c true", "the --mount option requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ "
                                              "to learn how to build images with BuildKit enabled"),
    ("FOO bar", "dockerfile parse error on line 2: unknown instruction: FOO"),
])
def test_mistakes_are_told_with_dockers_texts(build, line, error):
    result = build(f"FROM busybox\n{line}\n", {"a": "", "b": ""}, check=False)
    assert result.returncode == 1 and error in result.stderr


def test_add_unpacks_archives_but_copy_does_not(engine, build):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        add_file(archive, "in/side", b"content", uid=1000)
    build("FROM busybox\nADD a.tgz /added/\nCOPY a.tgz /copied/\n", {"a.tgz": packed.getvalue()}, ["-t", "added:1"])
    assert run_image(engine, "added:1", "sh", "-c", "cat /added/in/side; stat -c %u /added/in/side; ls /copied").split() == ["content1000", "a.tgz"]


def test_build_arguments_are_variables_of_run_and_no_part_of_the_image(engine, build):
    result = build("FROM busybox\nARG A=default\nARG B\nENV C=${A}-${B:-none}\nRUN echo got $A $B $C $HTTP_PROXY\n",
                   options=["-t", "argued:1", "--build-arg", "A=given", "--build-arg", "HTTP_PROXY=http://p:1", "--build-arg", "D=1"])
    assert "got given given-none http://p:1" in result.stdout
    assert "[Warning] One or more build-args [D] were not consumed" in result.stdout
    environment = config_of(engine, "argued:1")["Env"]
    assert "C=given-none" in environment and not any(entry.startswith(("A=", "HTTP_PROXY=")) for entry in environment)
    assert not any("http://p:1" in line for line in history_of(engine, "argued:1"))


def test_every_instruction_reaches_the_configuration(engine, build):
    build("""FROM busybox
MAINTAINER me
EXPOSE 80 90/udp
VOLUME ["/data"]
USER user
WORKDIR relative
LABEL own=1
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD true
SHELL ["/bin/sh", "-e", "-c"]
ENTRYPOINT ["/bin/echo"]
CMD ["hello"]
ONBUILD RUN echo triggered
""", options=["-t", "configured:1", "--label", "given=$x"])
    config = config_of(engine, "configured:1")
    assert config["ExposedPorts"] == {"80/tcp": {}, "90/udp": {}} and config["Volumes"] == {"/data": {}}
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("user", "/relative", "SIGINT")
    assert config["Labels"] == {"own": "1", "given": "$x"} and config["Shell"] == ["/bin/sh", "-e", "-c"]
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000}
    assert (config["Entrypoint"], config["Cmd"], config["OnBuild"]) == (["/bin/echo"], ["hello"], ["RUN echo triggered"])
    assert engine.inspect("configured:1")["Author"] == "me"


def test_triggers_of_the_base_run_in_the_build_upon_it(engine, build):
    build("FROM busybox\nONBUILD RUN echo triggered > /t\n", options=["-t", "trigger:1"])
    result = build("FROM trigger:1\nCMD cat /t\n", options=["-t", "triggered:1"], into="upon")
    assert "# Executing 1 build trigger\n" in result.stdout
    assert run_image(engine, "triggered:1") == "triggered\n" and not config_of(engine, "triggered:1").get("OnBuild")


def test_quiet_prints_the_id_alone(engine, build):
    result = build("FROM busybox\nRUN echo quiet\n", options=["-q"])
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", result.stdout)


def test_intermediate_images_are_hidden_and_go_with_the_last(engine, build):
    build("FROM busybox\nENV A=1\nENV B=1\n", options=["-t", "parents:1"])
    shown, everything = (set(engine.docker("images", option).stdout.split()) for option in ("-q", "-aq"))
    assert len(everything) == len(shown) + 1
    assert engine.docker("rmi", "parents:1").stdout.count("Deleted: sha256:") == 2
    assert len(set(engine.docker("images", "-aq").stdout.split())) == len(everything) - 2


def test_a_build_from_scratch_has_the_copied_files_only(engine, build):
    build("FROM busybox AS tools\nFROM scratch\nCOPY --from=tools /bin/busybox /busybox\nENTRYPOINT [\"/busybox\", \"ls\", \"/\"]\n", options=["-t", "scratch:1"])
    assert "busybox" in run_image(engine, "scratch:1").split()


def test_a_client_that_leaves_leaves_nothing_behind(engine, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo go; sleep 1000\n")
    process = engine.popen("build", str(tmp_path), env={"DOCKER_BUILDKIT": "0"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: engine.docker("ps", "-q").stdout.split(), "the container of RUN")
    process.kill()
    process.wait()
    wait_until(lambda: not engine.docker("ps", "-aq").stdout.split(), "the container's removal")
    builds = os.path.join(engine.root, "data", "berth", "builds")
    wait_until(lambda: not os.path.isdir(builds) or not os.listdir(builds), "the context's removal")


def test_a_dockerfile_may_lie_outside_of_the_context_or_come_through_stdin(engine, build, tmp_path):
    other = tmp_path / "elsewhere"
    other.write_text("FROM busybox\nCOPY a /a\n")
    build("FROM absent\n", {"a": "x", ".dockerignore": "none\n"}, ["-f", str(other), "-t", "outside:1"])
    assert run_image(engine, "outside:1", "cat", "/a") == "x"
    piped = engine.docker("build", "-t", "piped:1", "-", input="FROM busybox\nENV P=1\n", env={"DOCKER_BUILDKIT": "0"})
    assert built_id(piped)


def test_a_compressed_context_is_taken(build):
    assert built_id(build("FROM busybox\nCOPY a /\n", {"a": "x"}, ["--compress"]))
