"""POST /build as SDKs and other clients ask for it: bodies, headers and the stream itself."""
import gzip
import io
import json
import re
import tarfile
import threading

import pytest

from engine import wait_until
from images import add_file, busybox_rootfs_tar, docker_archive, layer_tar


def context(dockerfile, **files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in {"Dockerfile": dockerfile, **files}.items():
            add_file(archive, name, text.encode())
    return buffer.getvalue()


def post(engine, body, query="", headers=None):
    """(status, objects of the stream, or the error)."""
    status, _, reply = engine.api("POST", "/build?" + query, body, headers or {"Content-Type": "application/tar"})
    if isinstance(reply, dict):
        return status, [reply]
    return status, [json.loads(line) for line in reply.decode().splitlines()]


def texts(stream):
    return "".join(line.get("stream", "") for line in stream)


@pytest.fixture(autouse=True)
def no_image_stays(engine):
    before = set(engine.docker("images", "-aq", "--no-trunc").stdout.split())
    yield
    for _ in range(3):
        made = set(engine.docker("images", "-aq", "--no-trunc").stdout.split()) - before
        if made:
            engine.docker("rmi", "-f", *made, check=False)


def test_docker_py_builds_and_finds_the_image(client):
    image, log = client.images.build(fileobj=io.BytesIO(context("FROM busybox\nRUN echo seen\nLABEL a=b\n")), custom_context=True, tag="sdk-built:1")
    assert image.labels == {"a": "b"} and image.tags == ["sdk-built:1"]
    assert any(line.get("stream") == "seen\n" for line in log)
    kept = client.containers.list(all=True, filters={"ancestor": "busybox"})
    for container in kept:  # docker-py asks to keep them
        container.remove()


def test_docker_py_raises_build_error_with_the_log(client):
    errors = pytest.importorskip("docker.errors")
    with pytest.raises(errors.BuildError) as failure:
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN echo out; exit 5\n"), forcerm=True)
    assert "returned a non-zero code: 5" in failure.value.msg


def test_the_stream_is_dockers_to_the_letter(engine):
    status, stream = post(engine, context("FROM busybox\nRUN echo out; echo err >&2\nLABEL a=b\n"), "t=shape:1")
    assert status == 200
    identity = next(line["aux"]["ID"] for line in stream if "aux" in line)
    expected = [r"Step 1/3 : FROM busybox", r"\n", r" ---> [0-9a-f]{12}\n", r"Step 2/3 : RUN echo out; echo err >&2", r"\n",
                r" ---> Running in [0-9a-f]{12}\n", r"(out\n|\x1b\[91merr\n\x1b\[0m)", r"(out\n|\x1b\[91merr\n\x1b\[0m)",
                r" ---> Removed intermediate container [0-9a-f]{12}\n", r" ---> [0-9a-f]{12}\n", r"Step 3/3 : LABEL a=b", r"\n",
                f" ---> {identity[7:19]}\n", f"Successfully built {identity[7:19]}\n", r"Successfully tagged shape:1\n"]
    said = [line["stream"] for line in stream if "stream" in line]
    assert len(said) == len(expected) and all(re.fullmatch(one, text) for one, text in zip(expected, said)), said


def test_an_error_has_both_of_its_keys_and_the_commands_code(engine):
    _, stream = post(engine, context("FROM busybox\nRUN exit 9\n"), "forcerm=1")
    text = "The command '/bin/sh -c exit 9' returned a non-zero code: 9"
    assert stream[-1] == {"errorDetail": {"code": 9, "message": text}, "error": text}
    _, stream = post(engine, context("FROM busybox\nCOPY absent /\n"))
    assert stream[-1]["errorDetail"] == {"message": stream[-1]["error"]}


@pytest.mark.parametrize("body, query, error", [
    (context("", other=""), "", "the Dockerfile (Dockerfile) cannot be empty"),
    (context("FROM busybox"), "dockerfile=other", "Cannot locate specified Dockerfile: other"),
    (context("FROM busybox"), "squash=1", "squash is only supported with experimental mode"),
    (context("FROM busybox"), "t=Bad%20Name", "invalid reference format"),
    (context("FROM busybox"), "buildargs=%7B", None),
    (context("FROM busybox"), "memory=x", None),
    (b"no archive at all", "", None),
])
def test_what_is_wrong_before_the_first_step_has_a_status(engine, body, query, error):
    status, stream = post(engine, body, query)
    assert 400 <= status < 500 and set(stream[0]) == {"message"}
    assert error is None or stream[0]["message"].startswith(error)


def test_a_compressed_context_needs_no_content_type(engine):
    status, stream = post(engine, gzip.compress(context("FROM busybox\nCOPY a /\n", a="x")), "q=1", {"Content-Type": ""})
    assert status == 200 and re.fullmatch(r"sha256:[0-9a-f]{64}\n", texts(stream)), stream


def test_a_quiet_build_that_fails_tells_everything(engine):
    _, stream = post(engine, context("FROM busybox\nRUN echo words; exit 1\n"), "q=1&forcerm=1")
    assert "words\n" in texts(stream) and "error" in stream[-1]


def test_a_base_that_is_not_here_is_pulled(engine, registry):
    reference = registry.push("build/base:1", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"v": b"1"})]))
    _, stream = post(engine, context(f"FROM {reference}\nCOPY --from={reference} /v /w\n"))
    assert any("Pulling from build/base" in line.get("status", "") for line in stream), stream
    assert "Successfully built" in texts(stream)
    _, again = post(engine, context(f"FROM {reference}\n"), "pull=1")
    assert any("Image is up to date" in line.get("status", "") for line in again)
    _, absent = post(engine, context("FROM 127.0.0.1:1/none\n"))
    assert "error" in absent[-1]


def test_steps_of_another_image_are_a_cache(engine):
    dockerfile = "FROM busybox\nRUN echo cached > /c\nENV A=1\n"
    _, first = post(engine, context(dockerfile), "t=cache:1")
    archive = engine.docker("save", "cache:1", text=False).stdout
    engine.docker("rmi", "cache:1")
    engine.docker("load", input=archive)
    _, second = post(engine, context(dockerfile), "cachefrom=" + json.dumps(["cache:1"]).replace('"', "%22"))
    assert texts(second).count("Using cache") == 2
    assert texts(first).splitlines()[-2] == texts(second).splitlines()[-1]


def test_builds_at_the_same_time_do_not_disturb_each_other(engine):
    results = {}

    def build(number):
        results[number] = post(engine, context(f"FROM busybox\nRUN echo {number} > /n\nCOPY f /f\nCMD cat /n /f\n", f=f"file {number}\n"), f"t=parallel:{number}")

    threads = [threading.Thread(target=build, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert results[number][0] == 200, results[number]
        assert engine.docker("run", "--rm", f"parallel:{number}").stdout == f"{number}\nfile {number}\n"


def test_an_image_in_the_middle_of_a_build_is_not_pruned(engine):
    body = context("FROM busybox\nENV A=1\nRUN echo in; while ! [ -e /go ]; do sleep 0.1; done\nENV B=1\n")
    result = []
    thread = threading.Thread(target=lambda: result.append(post(engine, body, "t=pruned:1")))
    thread.start()
    wait_until(lambda: engine.docker("ps", "-q").stdout.split(), "the container of RUN")
    engine.docker("image", "prune", "-f")
    engine.docker("exec", engine.docker("ps", "-q").stdout.split()[0], "touch", "/go")
    thread.join()
    assert "Successfully tagged pruned:1" in texts(result[0][1])


def test_the_context_of_a_hostile_archive_stays_inside(engine, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add_file(archive, "Dockerfile", b"FROM scratch\nCOPY link/passwd /p\n")
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(entry)
    _, stream = post(engine, buffer.getvalue())
    assert "stat link/passwd: file does not exist" in stream[-1]["error"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add_file(archive, "../Dockerfile", b"FROM scratch\n")
    status, stream = post(engine, buffer.getvalue())
    assert status == 400
