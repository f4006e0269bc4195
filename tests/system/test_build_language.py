"""What the Dockerfile reference says, instruction by instruction, through BuildKit's API. Results come out as a directory (-o)."""
import os
import re
import signal
import time

from buildx import command, docker, engine, plugins, steps_under_way, write  # noqa: F401 (fixtures)
from engine import wait_until


def tree_of(directory):
    """{path: text} of the regular files below."""
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file() and not path.is_symlink()}


def test_parents_are_kept_from_the_pivot_on(docker, tmp_path):
    for path in ("a/b/c/d/foo", "a/b/c/d/e/bay", "a/b2/c/d/e/bar", "a/b/c2/d/e/baz", "a/b/c2/d/e2/baz", "x/1.txt", "x/2.md"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "a/b").chmod(0o750)
    write(tmp_path, Dockerfile="""FROM scratch
COPY --parents a/b/c/d/foo x/*.txt /plain/
COPY --parents a/b/./c/d /pivot/
COPY --parents a/./*/c/d/e /wild/
COPY --parents a/b*/./c/**/e /deep/
COPY --parents --exclude=**/*.md x /without/
""")
    docker("build", "-o", "out", ".")
    assert sorted(tree_of(tmp_path / "out")) == sorted([
        "plain/a/b/c/d/foo", "plain/x/1.txt", "pivot/c/d/foo", "pivot/c/d/e/bay", "wild/b/c/d/e/bay", "wild/b2/c/d/e/bar",
        "deep/c/d/e/bay", "deep/c/d/e/bar", "without/x/1.txt"])
    assert (tmp_path / "out/plain/a/b").stat().st_mode & 0o777 == 0o750


def test_patterns_leave_files_out(docker, tmp_path):
    for path in ("dir1/1.png", "dir1/2.txt", "dir2/3.txt", "home.txt", "home.md", "home.c"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("")
    write(tmp_path, Dockerfile="""FROM scratch
COPY --exclude=*/*.png --exclude=home* . /1
COPY --exclude=*.txt dir* /2/
COPY --exclude=*.txt --exclude=*.md hom* /3/
COPY nothing* /4/
""")
    docker("build", "-o", "out", ".")
    assert sorted(tree_of(tmp_path / "out")) == ["1/Dockerfile", "1/dir1/2.txt", "1/dir2/3.txt", "2/1.png", "3/home.c"]


def test_modes_may_be_symbolic_and_owners_have_their_own_group(docker, engine, tmp_path):
    (tmp_path / "d/sub").mkdir(parents=True)
    write(tmp_path, file="", Dockerfile="""FROM busybox
RUN echo other:x:77:88::/:/bin/sh >> /etc/passwd && ln -s /etc /link && mkdir -m 1777 /sticky
COPY --chmod=u=rwX,go=rX . /all/
COPY --chmod=750 file /new/parent/file
COPY --chown=other file /by-name
COPY --chown=55 file /by-number
COPY --link file /link/file
COPY --link file /sticky/file
COPY d/ /link2/
USER other
WORKDIR /work/here
""")
    (tmp_path / "file").chmod(0o600)
    docker("build", "-t", "bkl:modes", ".")
    script = "stat -c '%a %u:%g' /all/file /all/d/sub /new/parent /new/parent/file /by-name /by-number /work /work/here /sticky; test -L /link || echo directory; ls /etc/file 2>&1 | wc -c"
    shown = engine.docker("run", "--rm", "--network", "none", "--user", "0", "bkl:modes", "sh", "-c", script).stdout.splitlines()
    assert shown[:9] == ["644 0:0", "755 0:0", "750 0:0", "750 0:0", "600 77:88", "600 55:55", "755 77:88", "755 77:88", "1777 0:0"]
    assert shown[9] == "directory"


def test_a_copied_directory_goes_through_a_link_of_the_image(docker, engine, tmp_path):
    (tmp_path / "root/lib/sub").mkdir(parents=True)
    (tmp_path / "root/lib/sub/file").write_text("through\n")
    write(tmp_path, Dockerfile="FROM busybox\nRUN mkdir -p /usr/lib && rm -rf /lib && ln -s usr/lib /lib\nCOPY root/ /\n")
    docker("build", "-t", "bkl:link", ".")
    assert engine.docker("run", "--rm", "--network", "none", "bkl:link", "sh", "-c", "readlink /lib; cat /usr/lib/sub/file").stdout == "usr/lib\nthrough\n"


def test_heredocs_are_files_and_programs(docker, tmp_path):
    write(tmp_path, Dockerfile=r"""FROM busybox AS made
ARG name=world
WORKDIR /out
COPY <<EOF <<"RAW" /out/
Hello '${name}'!\\n
EOF
Hello ${name}!\n
RAW
RUN <<EOF
#!/bin/awk -f
BEGIN { print "of awk" > "/out/awk" }
EOF
RUN <<EOF cat - > shell
in $name
EOF
RUN <<-EOF
	name="new world"
	echo "Hello ${name}!" > script
EOF
RUN cat <<ONE | tr a-z A-Z > one; cat <<TWO > two
first
ONE
second
TWO
FROM scratch
COPY --from=made /out /
""")
    docker("build", "-o", "out", ".")
    assert tree_of(tmp_path / "out") == {"EOF": "Hello 'world'!\\n\n", "RAW": "Hello ${name}!\\n\n", "awk": "of awk\n", "shell": "in world\n",
                                         "script": "Hello new world!\n", "one": "FIRST\n", "two": "second\n"}


def test_a_heredoc_leads_nowhere_by_its_name(docker, tmp_path):
    write(tmp_path, Dockerfile="FROM scratch\nCOPY <<../../x /\ntext\n../../x\n")
    assert "a heredoc cannot be named ../../x" in docker("build", ".", check=False).stderr


def test_triggers_run_in_stages_upon_a_stage(docker, tmp_path):
    write(tmp_path, Dockerfile="""FROM busybox AS source
RUN echo from source > /file
FROM busybox AS base
ONBUILD COPY --from=source /file /out/copied
ONBUILD RUN <<EOF
echo triggered >> /out/ran
EOF
FROM base AS child
FROM child AS grandchild
FROM scratch
COPY --from=grandchild /out /
""")
    docker("build", "-o", "out", ".")
    assert tree_of(tmp_path / "out") == {"copied": "from source\n", "ran": "triggered\n"}


def test_arguments_have_dockers_scopes(docker, tmp_path):
    write(tmp_path, Dockerfile="""ARG first="foo bar" second=box
ARG third="$second-foo"
FROM busy$second AS made
ARG third fourth="1 2" first
ARG needs=${ABSENT:?"is not asked for"}
ARG EMPTY=
ARG UNSET
RUN mkdir /out && echo "$first:$third:$fourth:$second:$needs" > /out/args && echo "$HTTP_PROXY $no_proxy" > /out/proxies
RUN echo "stage:$TARGETSTAGE:$TARGETARCH" > /out/automatic; env | grep -E '^(EMPTY|UNSET)' >> /out/automatic
ARG TARGETSTAGE TARGETARCH TARGETOS BUILDPLATFORM
RUN echo "stage:$TARGETSTAGE:$TARGETOS/$TARGETARCH" > /out/declared && test "$BUILDPLATFORM" = "$TARGETOS/$TARGETARCH"
FROM scratch AS last
COPY --from=made /out /
""")
    docker("build", "--build-arg", "needs=given", "--build-arg", "http_proxy=hp", "--build-arg", "NO_PROXY=np", "-o", "out", ".")
    got = tree_of(tmp_path / "out")
    assert got["args"] == "foo bar:box-foo:1 2::given\n" and got["proxies"] == "hp np\n"
    assert got["automatic"] == "stage::\nEMPTY=\n" and got["declared"].startswith("stage:last:linux/")


def test_escape_and_its_comments(docker, tmp_path):
    write(tmp_path, Dockerfile="""# syntax=docker/dockerfile:1
# escape=`
# check=skip=all

FROM busybox AS made
# a comment
RUN mkdir /out && `
  # in between
  echo 'C:\\dir' > /out/file
ENV A="x`"y" B=a` b
RUN echo "$A|$B" > /out/env
FROM scratch
COPY --from=made /out /
""")
    docker("build", "-o", "out", ".")
    assert tree_of(tmp_path / "out") == {"file": "C:\\dir\n", "env": "x\"y|a b\n"}


def test_a_step_keeps_what_it_writes_to_a_volume(docker, engine, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN mkdir /data && echo before > /data/a\nVOLUME /data\nRUN echo after > /data/b\n")
    docker("build", "-t", "bkl:volume", ".")
    assert engine.docker("run", "--rm", "--network", "none", "bkl:volume", "ls", "/data").stdout.split() == ["a", "b"]
    assert engine.docker("volume", "ls", "-q").stdout == ""


def held(command, tmp_path, dockerfile, *options):
    """A build whose step says "holding" and sleeps."""
    write(tmp_path, Holder=dockerfile)
    process = command("build", "--no-cache", "-f", "Holder", *options, ".")
    wait_until(lambda: re.match(r"#\d+ \d+\.\d+ holding", process.stderr.readline()), "the build is in its step")
    return process


def interrupt(process):
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0


def test_a_step_is_nobodys_container_and_its_secret_on_no_disk(command, engine, tmp_path):
    since = time.time()
    write(tmp_path, word="whisper")
    process = held(command, tmp_path, "FROM busybox\nRUN --mount=type=secret,id=word,env=WORD test ${#WORD} = 7 && echo holding; sleep 1000\n",
                   "--secret", "id=word,src=word")
    try:
        (step,) = steps_under_way(engine)
        assert "whisper" not in (engine.root / "data/berth/containers" / step / "container.json").read_text()
        assert engine.docker("ps", "-aq").stdout == "" and engine.api("GET", "/info")[2]["Containers"] == 0
        assert "Total reclaimed space: 0B" in engine.docker("container", "prune", "-f").stdout
    finally:
        interrupt(process)
    wait_until(lambda: not steps_under_way(engine), "the step's container is gone")
    events = engine.docker("events", "--since", str(since), "--until", str(time.time()), "--format", "{{.Type}} {{.Action}}").stdout.split("\n")
    assert [event for event in events if event.startswith(("container", "network")) and "prune" not in event] == []


def test_a_step_ends_with_its_engine(command, engine, tmp_path):
    process = held(command, tmp_path, "FROM busybox\nRUN echo holding; sleep 1000\n")
    engine.kill_9("berth-engine")
    process.kill()
    process.communicate()
    wait_until(engine.answers, "the new engine")
    wait_until(lambda: not steps_under_way(engine), "the step's container is gone")


def test_a_build_that_waits_for_a_cache_can_be_stopped(command, engine, tmp_path):
    mount = "--mount=type=cache,id=waited,target=/c,sharing=locked"
    holder = held(command, tmp_path, f"FROM busybox\nRUN {mount} echo holding; sleep 1000\n")
    builds = engine.root / "data/berth/builds"
    before = set(os.listdir(builds))
    try:
        write(tmp_path, Dockerfile=f"FROM busybox\nRUN {mount} echo waited for\n")
        waiting = command("build", "--no-cache", ".")
        wait_until(lambda: "waited for" in waiting.stderr.readline(), "the step that waits is shown")
        begun = time.monotonic()
        interrupt(waiting)
        wait_until(lambda: set(os.listdir(builds)) == before, "the files of the stopped build are gone")
        assert time.monotonic() - begun < 5
    finally:
        interrupt(holder)


def test_a_prune_takes_nothing_from_a_build(command, engine, tmp_path):
    process = held(command, tmp_path, "FROM busybox\nENV kept=1\nRUN echo holding; while [ ! -e /go ]; do sleep 0.05; done\nENV done=1\n", "-t", "bkl:pruned")
    try:
        engine.docker("image", "prune", "-af")
        engine.docker("system", "prune", "-f")
        (step,) = steps_under_way(engine)
        engine.docker("exec", step, "touch", "/go")
        process.communicate(timeout=30)
        assert process.returncode == 0 and "kept=1" in engine.inspect("bkl:pruned")["Config"]["Env"]
    finally:
        process.kill()
