"""Build records (docker buildx history) and what a Dockerfile is asked instead of a build (docker build --check, --call).

Debian 13's buildx (0.13) has neither: BERTH_NEWER_CLIENTS must name a directory with a newer one (0.20), else all this is skipped."""
import json
import re
import signal

import pytest

from buildx import command, docker, engine, plugins, write  # noqa: F401
from engine import wait_until

@pytest.fixture
def history(docker):
    """Runs `docker buildx history`; older buildx has none."""
    if not re.search(r"^ +history", docker("buildx", "--help").stdout, re.M):
        pytest.skip("this buildx has no command history")

    def run(*arguments, **options):
        return docker("buildx", "history", *arguments, **options)

    run("rm", "--all")
    return run


@pytest.fixture
def checks(docker):
    """The newer clients know the options."""
    if "--check" not in docker("buildx", "build", "--help").stdout:
        pytest.skip("this buildx has no --check and --call")


def records(history):
    return [json.loads(line) for line in history("ls", "--format", "json").stdout.splitlines()]


def test_a_build_leaves_a_record_with_its_log(docker, history, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox AS made\nARG WORD\nRUN echo said-$WORD\n")
    docker("build", "--no-cache", "--target", "made", "--build-arg", "WORD=once", "-t", "history:1", ".")
    (record,) = records(history)
    assert record["status"] == "Completed" and record["name"].endswith("(made)")
    assert record["completed_steps"] == record["total_steps"] > 2
    shown = history("inspect").stdout
    assert re.search(r"Target:\s+made", shown) and re.search(r"WORD\s+once", shown)
    assert "said-once" in history("logs").stderr


def test_a_record_of_a_failure_says_why(docker, history, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo before; exit 4\n")
    docker("build", ".", check=False)
    (record,) = records(history)
    assert record["status"] == "Error"
    assert "exit code: 4" in history("inspect", check=False).stdout
    assert "before" in history("logs").stderr


def test_records_survive_the_engine(engine, docker, history, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo kept-over-a-crash\n")
    docker("build", "--no-cache", ".")
    engine.kill_9("berth-engine")
    wait_until(engine.answers, "the new engine")
    assert len(records(history)) == 1 and "kept-over-a-crash" in history("logs").stderr


def test_a_removed_record_is_gone_with_its_files(engine, docker, history, tmp_path):
    write(tmp_path, Dockerfile="FROM scratch\nLABEL a=b\n")
    docker("build", ".")
    ref = records(history)[0]["ref"].split("/")[-1]
    history("rm", ref)
    assert records(history) == [] and history("rm", ref, check=False).returncode != 0
    assert list((engine.root / "data/berth/build-history").iterdir()) == []


def test_a_build_under_way_is_listed_and_followed(engine, command, docker, history, tmp_path):
    write(tmp_path, Dockerfile="FROM busybox\nRUN echo under-way; sleep 1000\n")
    build = command("build", "--no-cache", ".")
    wait_until(lambda: "under-way" in build.stderr.readline(), "the step runs")
    (record,) = records(history)
    assert record["status"] == "Running" and "completed_at" not in record
    logs = command("buildx", "history", "logs")
    wait_until(lambda: "under-way" in logs.stderr.readline(), "the log of a running build")
    build.send_signal(signal.SIGINT)
    build.communicate(timeout=30)
    logs.communicate(timeout=30)
    wait_until(lambda: records(history)[0]["status"] == "Error", "the record is complete")
    assert "Canceled" in history("inspect").stdout


def test_a_record_is_exported_whole(docker, history, tmp_path):
    write(tmp_path, Dockerfile="FROM scratch\nLABEL exported=1\n")
    docker("build", ".")
    history("export", "-o", "build.dockerbuild")
    assert (tmp_path / "build.dockerbuild").stat().st_size > 500


def test_targets_and_arguments_are_told_without_a_build(checks, docker, tmp_path):
    write(tmp_path, Dockerfile="# BASE is what all begins with\nARG BASE=busybox\nFROM $BASE AS one\nRUN --mount=type=secret,id=word,required true\n"
          "# two is the last one\nFROM one AS two\nARG WORD=w\nRUN exit 9\n")
    told = json.loads(docker("build", "--call=targets,format=json", ".").stdout)
    assert [(target["name"], target.get("default", False)) for target in told["targets"]] == [("one", False), ("two", True)]
    assert told["targets"][1]["description"] == "is the last one"
    told = json.loads(docker("build", "--call=outline,format=json", ".").stdout)
    assert [(arg["name"], arg["value"]) for arg in told["args"]] == [("BASE", "busybox"), ("WORD", "w")]
    assert told["secrets"][0]["name"] == "word" and told["secrets"][0]["required"]
    assert "two" in docker("build", "--call=targets", ".").stdout


def test_checks_are_shown_without_a_build_and_after_one(checks, docker, tmp_path):
    write(tmp_path, Dockerfile="from busybox as One\nENV key value\nWORKDIR relative\nCMD echo $key\n")
    checked = docker("build", "--check", ".", check=False)
    assert checked.returncode == 1
    for rule in ("StageNameCasing", "LegacyKeyValueFormat", "WorkdirRelativePath", "JSONArgsRecommended", "ConsistentInstructionCasing"):
        assert rule in checked.stdout, checked
    assert "JSONArgsRecommended: JSON arguments recommended for CMD" in docker("build", ".").stderr
    write(tmp_path, Dockerfile="FROM busybox\nCMD [\"true\"]\n")
    assert "no warnings found" in docker("build", "--check", ".").stdout


def test_a_dockerfile_makes_errors_of_its_warnings(docker, tmp_path):
    write(tmp_path, Dockerfile="# check=error=true\nFROM busybox\nCMD true\n")
    assert "lint violation found for rules: JSONArgsRecommended" in docker("build", ".", check=False).stderr
    write(tmp_path, Dockerfile="# check=skip=JSONArgsRecommended;error=true\nFROM busybox\nCMD true\n")
    docker("build", ".")
