"""`docker ps`: every flag and filter, over one set of containers."""
import json
import re

import pytest


@pytest.fixture(scope="module")
def containers(engine):
    """{short name: identity}: four containers, the oldest first; all carry the label set=ps."""
    engine.docker("network", "create", "ps-net")
    engine.docker("tag", "busybox", "ps-image:one")
    made = {}

    def add(name, *arguments, verb="run"):
        flags = ["-d"] if verb == "run" else []
        made[name] = engine.docker(verb, *flags, "--name", f"ps-{name}", "--label", "set=ps", *arguments).stdout.strip()

    add("ended", "busybox", "sh", "-c", "exit 7")
    add("web", "-p", "127.0.0.1::80", "--expose", "81/udp", "--network", "ps-net", "-v", "ps-volume:/data", "busybox", "sleep", "1000")
    add("healthy", "--label", "colour=red", "--health-cmd", "true", "--health-interval", "100ms", "busybox", "sleep", "1000")
    add("made", "ps-image:one", "true", verb="create")
    engine.docker("wait", made["ended"])
    yield made
    engine.docker("rm", "-fv", *made.values())
    engine.docker("network", "rm", "ps-net")
    engine.docker("rmi", "ps-image:one")
    engine.docker("volume", "rm", "ps-volume")


def names(engine, *arguments):
    shown = engine.docker("ps", "--filter", "label=set=ps", "--format", "{{.Names}}", *arguments).stdout.split()
    return " ".join(name.removeprefix("ps-") for name in shown)


FILTERS = {
    "ancestor=ps-image:one": "made healthy web ended", "ancestor=absent": "", "before=ps-healthy": "web ended", "since=ps-web": "made healthy",
    "exited=7": "ended", "exited=0": "", "expose=81/udp": "web", "expose=80/tcp": "web", "expose=8000-9000": "", "publish=80": "", "publish=81/udp": "",
    "name=ps-h": "healthy", "name=^ps-made$": "made", "name=/ps-web": "web", "label=colour": "healthy", "label=colour=red": "healthy",
    "label=colour=blue": "", "network=ps-net": "web", "volume=ps-volume": "web", "volume=/data": "web", "status=created": "made",
    "status=exited": "ended", "status=running": "healthy web", "status=paused": "", "is-task=false": "made healthy web ended", "is-task=true": "",
    "health=none": "made web ended",
}


@pytest.mark.parametrize("chosen", FILTERS)
def test_a_filter_chooses(engine, containers, chosen):
    assert names(engine, "-a", "--filter", chosen) == FILTERS[chosen]


def test_filters_of_one_kind_are_or_and_of_several_and(engine, containers):
    assert names(engine, "-a", "--filter", "name=ps-web", "--filter", "name=ps-made") == "made web"
    assert names(engine, "-a", "--filter", "name=ps-web", "--filter", "status=created") == ""


def test_an_id_and_its_beginning_are_filters(engine, containers):
    assert names(engine, "--filter", f"id={containers['web'][:12]}") == "web"


@pytest.mark.parametrize("wrong", ["status=odd", "health=odd", "absent=x", "is-task=perhaps", "before=absent"])
def test_a_wrong_filter_is_refused(engine, containers, wrong):
    done = engine.docker("ps", "--filter", wrong, check=False)
    assert done.returncode == 1 and wrong.split("=")[0 if wrong.startswith("absent") else 1] in done.stderr


def test_only_those_that_run_are_listed_without_all(engine, containers):
    assert names(engine) == "healthy web" and names(engine, "--all") == "made healthy web ended"


def test_last_and_latest_take_the_newest_of_any_state(engine, containers):
    assert names(engine, "-n", "2") == "made healthy" and names(engine, "--latest") == "made"


def test_quiet_prints_ids_short_and_whole(engine, containers):
    assert engine.docker("ps", "-aq", "--filter", "name=ps-web").stdout.strip() == containers["web"][:12]
    assert engine.docker("ps", "-q", "--no-trunc", "--filter", "name=ps-web").stdout.strip() == containers["web"]


def test_size_has_the_writable_layer_and_the_whole(engine, containers):
    engine.docker("exec", containers["web"], "dd", "if=/dev/zero", "of=/written", "bs=1000", "count=2000")
    size = engine.docker("ps", "-s", "--filter", "name=ps-web", "--format", "{{.Size}}").stdout
    written, whole = re.fullmatch(r"(\S+)MB \(virtual (\S+)MB\)\n", size).groups()
    assert 2 <= float(written) < 2.2 and float(whole) > float(written) + 1


def test_each_column_of_a_format(engine, containers):
    shown = json.loads(engine.docker("ps", "--no-trunc", "--filter", "name=ps-web", "--format", "{{json .}}").stdout)
    assert shown["ID"] == containers["web"] and shown["Image"] == "busybox" and shown["Command"] == '"sleep 1000"'
    assert re.fullmatch(r"81/udp, 127\.0\.0\.1:\d+->80/tcp", shown["Ports"]) and shown["State"] == "running" and shown["Status"].startswith("Up ")
    assert (shown["Mounts"], shown["Networks"], shown["LocalVolumes"], shown["Labels"]) == ("ps-volume", "ps-net", "1", "set=ps")


def test_an_exit_is_in_the_status(engine, containers):
    assert engine.docker("ps", "-a", "--filter", "name=ps-ended", "--format", "{{.Status}}").stdout.startswith("Exited (7) ")
    assert engine.docker("ps", "-a", "--filter", "name=ps-made", "--format", "{{.Status}}").stdout == "Created\n"
