"""POST /build?version=2: BuildKit's builds of docker up to 20.10 (DOCKER_BUILDKIT=1), which has no buildx, and of SDKs that send a tar."""
import base64
import io
import json
import signal
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from buildx import steps_under_way
from engine import DOCKER, wait_until
from running import running_engine

BUILDKIT = {"DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}


@pytest.fixture(scope="module")
def engine():
    """An engine of their own: the images of their steps would be in the way of tests that count images."""
    yield from running_engine()


@pytest.fixture
def build(engine, tmp_path):
    """`docker build` of a CLI that has BuildKit's client built in."""
    version = subprocess.run([DOCKER, "--version"], text=True, stdout=subprocess.PIPE, check=True).stdout.split()[2]
    if int(version.split(".")[0]) > 20:
        pytest.skip(f"docker {version} has BuildKit's client in its plugin buildx alone")

    def run(dockerfile, *options, files=None, context=tmp_path, **more):
        for name, text in {"Dockerfile": dockerfile, **(files or {})}.items():
            (tmp_path / name).write_text(text)
        return engine.docker("build", *options, str(context), env=BUILDKIT, **more)

    return run


def tar_of(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def lines_of(data):
    if isinstance(data, dict):  # a single one
        return [data]
    return [json.loads(line) for line in data.splitlines() if line.strip()]


def test_files_come_over_the_session(engine, build, tmp_path):
    (tmp_path / "secret").write_text("whisper")
    shown = build("FROM busybox\nCOPY word /word\nRUN --mount=type=secret,id=s cat /run/secrets/s > /secret && echo shown-$(cat /word)\n",
                  "-t", "session:1", "--secret", f"id=s,src={tmp_path}/secret", files={"word": "copied"}).stderr
    assert "shown-copied" in shown and "[internal] load build definition from Dockerfile" in shown
    assert engine.docker("run", "--rm", "--network", "none", "session:1", "cat", "/word", "/secret").stdout == "copiedwhisper"


def test_a_failure_is_told_and_ends_the_cli(build):
    failed = build("FROM busybox\nRUN echo before; exit 6\n", check=False)
    assert failed.returncode == 1 and "before" in failed.stderr
    assert "process \"/bin/sh -c echo before; exit 6\" did not complete successfully: exit code: 6" in failed.stderr


def test_quiet_prints_the_id_and_the_id_file_has_it(engine, build, tmp_path):
    assert build("FROM busybox\nLABEL quiet=1\n", "-q", "-t", "session:quiet").stdout.strip() == engine.inspect("session:quiet")["Id"]
    build("FROM busybox\nLABEL quiet=1\n", "--iidfile", str(tmp_path / "id"), "-t", "session:quiet")
    assert (tmp_path / "id").read_text() == engine.inspect("session:quiet")["Id"]


def test_a_tar_on_standard_input_is_the_context(engine, build):
    context = tar_of(Dockerfile="FROM busybox\nCOPY f /f\n", f="from the tar")
    engine.docker("build", "-t", "session:tar", "-", env=BUILDKIT, input=context)
    assert engine.docker("run", "--rm", "--network", "none", "session:tar", "cat", "/f").stdout == "from the tar"


def test_output_goes_to_a_directory(build, tmp_path):
    build("FROM busybox AS made\nRUN echo result > /file\nFROM scratch\nCOPY --from=made /file /\n", "-o", str(tmp_path / "out"))
    assert (tmp_path / "out/file").read_text() == "result\n"


def test_ctrl_c_stops_the_build(engine, build, tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo sleeping; sleep 1000\n")
    process = engine.popen("build", "--no-cache", str(tmp_path), env=BUILDKIT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: steps_under_way(engine), "the step's container")
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    wait_until(lambda: not steps_under_way(engine), "the step's container is gone")


def test_an_sdk_sends_a_tar_and_gets_traces_and_the_id(engine):
    context = tar_of(Dockerfile="FROM busybox\nARG WORD\nRUN <<EOF\necho said-$WORD\nEOF\nLABEL l=$WORD\n")
    query = "version=2&t=session:sdk&nocache=1&buildargs=%7B%22WORD%22%3A%22w%22%7D"
    status, _, data = engine.api("POST", "/build?" + query, context, {"Content-Type": "application/x-tar"})
    lines = lines_of(data)
    assert status == 200 and lines[-1] == {"id": "moby.image.id", "aux": {"ID": engine.inspect("session:sdk")["Id"]}}
    traces = b"".join(base64.b64decode(line["aux"]) for line in lines if line.get("id") == "moby.buildkit.trace")
    assert b"said-w" in traces and engine.inspect("session:sdk")["Config"]["Labels"]["l"] == "w"


def test_a_build_that_cannot_be_is_an_error_of_the_stream(engine):
    status, _, data = engine.api("POST", "/build?version=2", tar_of(Dockerfile="FROM busybox\nODD\n"), {"Content-Type": "application/x-tar"})
    assert status == 200 and "unknown instruction: ODD" in lines_of(data)[-1]["error"] and "code" not in lines_of(data)[-1]["errorDetail"]
    assert engine.api("POST", "/build?version=2&outputs=%5B%7B%7D%2C%7B%7D%5D", tar_of(Dockerfile="FROM busybox\n"))[0] == 400


def test_a_build_is_cancelled_by_its_id(engine):
    assert engine.api("POST", "/build/cancel")[0] == 400
    assert engine.api("POST", "/build/cancel?id=none")[0] == 200
    context = tar_of(Dockerfile="FROM busybox\nRUN sleep 1000\n")
    with ThreadPoolExecutor() as pool:
        running = pool.submit(engine.api, "POST", "/build?version=2&nocache=1&buildid=b1", context, {"Content-Type": "application/x-tar"})
        wait_until(lambda: steps_under_way(engine), "the step's container")
        assert engine.api("POST", "/build/cancel?id=b1")[0] == 200
        assert "error" in lines_of(running.result(timeout=30)[2])[-1]
    wait_until(lambda: not steps_under_way(engine), "the step's container is gone")
