"""`docker images`, `volume`, `network`, `system` and `events`: flags and filters that no other file has."""
import json
import re
import time

import pytest

from engine import needs_cli
from images import docker_archive, layer_tar


@pytest.fixture(scope="module")
def images(engine):
    """Two images of one repository, with labels, the first made first."""
    for number, created in (("one", "2001-01-01T00:00:00Z"), ("two", "2002-01-01T00:00:00Z")):
        engine.docker("load", input=docker_archive([f"lists/app:{number}"], [layer_tar({"file": number.encode()})],
                                                   {"Labels": {"number": number, "set": "lists"}, "Env": ["CREATED=" + created]}, created_by=number))
    engine.docker("tag", "lists/app:one", "lists/other:one")
    yield
    engine.docker("rmi", "-f", "lists/app:one", "lists/app:two", "lists/other:one")


def tags(engine, *arguments):
    listed = engine.docker("images", "--filter", "label=set=lists", "--format", "{{.Repository}}:{{.Tag}}", *arguments).stdout.split()
    return " ".join(sorted(name.removeprefix("lists/") for name in listed))


ALL_IMAGES = "app:one app:two other:one"
IMAGE_FILTERS = {"reference=lists/app": "app:one app:two", "reference=lists/*:one": "app:one other:one", "reference=absent": "", "label=number": ALL_IMAGES,
                 "label=number=two": "app:two", "label=number=three": "", "dangling=false": ALL_IMAGES, "dangling=true": "",
                 "before=busybox": ALL_IMAGES, "since=busybox": ""}


@pytest.mark.parametrize("chosen", IMAGE_FILTERS)
def test_a_filter_chooses_images(engine, images, chosen):
    assert tags(engine, "--filter", chosen) == IMAGE_FILTERS[chosen]


def test_images_of_one_repository_and_of_one_tag(engine, images):
    assert tags(engine, "lists/app") == "app:one app:two" and tags(engine, "lists/app:two") == "app:two" and tags(engine, "absent") == ""


def test_images_quiet_whole_with_digests_and_history(engine, images):
    (whole,) = engine.docker("images", "-q", "--no-trunc", "lists/app:one").stdout.split()
    assert whole == engine.docker("image", "inspect", "-f", "{{.Id}}", "lists/app:one").stdout.strip()
    assert engine.docker("images", "-q", "lists/app:one").stdout.strip() == whole.removeprefix("sha256:")[:12]
    assert "DIGEST" in engine.docker("images", "--digests").stdout.splitlines()[0]
    assert engine.docker("history", "--format", "{{.CreatedBy}} {{.Size}}", "lists/app:one").stdout == "one 3B\n"
    assert engine.docker("history", "-q", "--no-trunc", "lists/app:one").stdout.strip() == whole
    assert engine.docker("history", "-H=false", "--format", "{{.CreatedAt}} {{.Size}}", "lists/app:one").stdout.endswith("Z 3\n")


def test_rmi_of_one_of_two_tags_untags_and_of_the_last_deletes(engine, images):
    engine.docker("tag", "lists/app:two", "lists/brief:one")
    assert engine.docker("rmi", "lists/brief:one").stdout == "Untagged: lists/brief:one\n"
    done = engine.docker("rmi", "lists/brief:one", "lists/none", check=False)
    assert done.returncode == 1 and done.stderr.count("No such image") == 2


@pytest.fixture(scope="module")
def volumes(engine):
    """Two volumes with a label, one of them used by a container."""
    engine.docker("volume", "create", "--label", "set=lists", "--label", "colour=red", "lists-free")
    engine.docker("volume", "create", "--label", "set=lists", "-d", "local", "lists-used")
    engine.docker("create", "--name", "lists-user", "-v", "lists-used:/data", "busybox", "true")
    yield
    engine.docker("rm", "lists-user")
    engine.docker("volume", "rm", "lists-free", "lists-used")


BOTH = "lists-free lists-used"
VOLUME_FILTERS = {"name=lists-f": "lists-free", "label=colour": "lists-free", "label=colour=blue": "", "dangling=true": "lists-free",
                  "dangling=false": "lists-used", "driver=local": BOTH, "driver=other": ""}


@pytest.mark.parametrize("chosen", VOLUME_FILTERS)
def test_a_filter_chooses_volumes(engine, volumes, chosen):
    listed = engine.docker("volume", "ls", "--filter", "label=set=lists", "--filter", chosen, "--format", "{{.Name}}").stdout.split()
    assert " ".join(sorted(listed)) == VOLUME_FILTERS[chosen]


def test_a_volume_is_shown_and_removed(engine, volumes):
    shown = json.loads(engine.docker("volume", "inspect", "lists-free").stdout)[0]
    assert (shown["Driver"], shown["Scope"], shown["Labels"]) == ("local", "local", {"set": "lists", "colour": "red"})
    assert re.match(r"\d{4}-\d\d-\d\dT", shown["CreatedAt"]) and shown["Mountpoint"].endswith("/lists-free/_data")
    assert engine.docker("volume", "inspect", "-f", "{{.Name}}", "lists-used").stdout == "lists-used\n"
    assert "volume is in use - [" in engine.docker("volume", "rm", "lists-used", check=False).stderr
    assert "no such volume" in engine.docker("volume", "rm", "lists-absent", check=False).stderr.lower()
    assert engine.docker("volume", "rm", "-f", "lists-absent").returncode == 0
    unnamed = engine.docker("volume", "create").stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{64}", unnamed) and engine.docker("volume", "rm", unnamed).stdout.strip() == unnamed


def test_networks_in_every_form(engine):
    assert engine.docker("network", "ls", "--filter", "type=builtin", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").stdout.splitlines() == [
        "bridge bridge local", "host host local", "none null local"]
    (whole,) = engine.docker("network", "ls", "-q", "--no-trunc", "--filter", "name=^bridge$").stdout.split()
    assert engine.docker("network", "ls", "-q", "--filter", "driver=bridge", "--filter", "name=^bridge$").stdout.strip() == whole[:12]
    assert engine.docker("network", "inspect", "-f", "{{.Id}}", "bridge").stdout.strip() == whole
    assert engine.docker("network", "inspect", "--verbose", "bridge").returncode == 0
    assert "lists-absent" in engine.docker("network", "inspect", "lists-absent", check=False).stderr


def test_a_forced_removal_of_an_absent_network_is_no_fault(engine):
    needs_cli("1.42")
    assert engine.docker("network", "rm", "-f", "lists-absent").returncode == 0


def test_df_counts_by_kind_and_in_detail(engine, images, volumes):
    kinds = dict(line.split("|") for line in engine.docker("system", "df", "--format", "{{.Type}}|{{.TotalCount}}").stdout.splitlines())
    assert set(kinds) >= {"Images", "Containers", "Local Volumes"} and int(kinds["Local Volumes"]) >= 2
    detail = engine.docker("system", "df", "-v").stdout
    assert re.search(r"^lists/app +one ", detail, re.M) and re.search(r"^lists-used +1 ", detail, re.M) and re.search(r"^lists-free +0 ", detail, re.M)


def test_info_and_version_in_formats(engine):
    assert engine.docker("info", "--format", "{{.OSType}} {{json .Plugins.Network}}").stdout.startswith('linux ["bridge"')
    assert engine.docker("version", "-f", "{{.Server.APIVersion}}").stdout == "1.51\n"


@pytest.fixture(scope="module")
def happened(engine):
    """(container, since, until): a life that is over."""
    since = time.time() - 0.001
    identity = engine.docker("create", "--name", "lists-life", "--label", "of=life", "-v", "lists-life:/v", "busybox", "sh", "-c", "exit 3").stdout.strip()
    engine.docker("start", "-a", identity, check=False)
    engine.docker("rm", identity)
    engine.docker("volume", "rm", "lists-life")
    return identity, since, time.time() + 0.001


EVENT_FILTERS = {"container=lists-life": "create attach start die destroy", "event=die": "die", "label=of=life": "create attach start die destroy",
                 "image=absent": "", "type=image": "", "type=network": "connect disconnect", "volume=lists-life": "create mount unmount destroy",
                 "network=bridge": "connect disconnect", "scope=swarm": "", "daemon=absent": ""}


@pytest.mark.parametrize("chosen", EVENT_FILTERS)
def test_a_filter_chooses_events(engine, happened, chosen):
    _, since, until = happened
    shown = engine.docker("events", "--since", f"{since:.9f}", "--until", f"{until:.9f}", "--filter", chosen, "--format", "{{.Action}}").stdout
    assert " ".join(shown.split()) == EVENT_FILTERS[chosen]


def test_events_tell_who_and_why(engine, happened):
    identity, since, until = happened
    line = engine.docker("events", "--since", f"{since:.9f}", "--until", f"{until:.9f}", "--filter", "event=die", "--format", "{{json .}}").stdout
    event = json.loads(line)
    assert (event["Type"], event["Actor"]["ID"], event["status"], event["from"]) == ("container", identity, "die", "busybox")
    attributes = event["Actor"]["Attributes"]
    assert (attributes["name"], attributes["exitCode"], attributes["image"], attributes["of"]) == ("lists-life", "3", "busybox", "life")
    assert since < event["timeNano"] / 1e9 < until
