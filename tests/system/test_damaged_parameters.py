"""Query parameters that cannot be what they should: refused with a reason, as by dockerd, never dropped in silence."""
import urllib.parse

import pytest

REFUSED = [
    ("GET", "/containers/json?limit=junk", "limit"),
    ("GET", "/containers/json?limit=99999999999999999999", "limit"),
    ("GET", "/containers/json?filters=junk", ""),
    ("GET", "/images/busybox/json?platform=junk", ""),
    ("GET", '/images/busybox/json?manifests=1&platform={"os":"linux","architecture":"amd64"}', "conflicting options"),
    ("GET", "/images/busybox/history?platform={}", "both OS and Architecture"),
    ("DELETE", "/images/busybox?platforms=junk", ""),
    ("DELETE", '/images/busybox?platforms={"os":"linux"}', "both OS and Architecture"),
    ("GET", "/networks/bridge?verbose=junk", 'strconv.ParseBool: parsing "junk": invalid syntax'),
    ("GET", "/events?since=junk", "junk"),
    ("GET", "/events?since=2000000000&until=1000000000", "cannot be after"),
    ("GET", "/events?since=nans&until=1", "nans"),
    ("GET", "/system/df?type=junk", "unknown object type"),
    ("GET", "/images/search?term=x&limit=junk", "limit"),
    ("GET", "/images/search?term=x&limit=-1", "limit"),
    ("GET", "/version?a=%zz", "invalid URL escape"),
    ("GET", "/version?a=1;b=2", "invalid semicolon separator in query"),
    ("POST", "/images/create?fromImage=busybox&platform=a/b/c/d", "platform"),
    ("POST", "/images/load?platform=junk", ""),
    ("POST", "/containers/create?name=-bad", ""),
    ("POST", "/containers/prune?filters=" + '{"until":["1h","2h"]}', "more than one until filter"),
    ("POST", "/containers/prune?filters=" + '{"until":["junk"]}', "junk"),
    ("POST", "/volumes/prune?filters=" + '{"all":["junk"]}', "all=[junk]"),
    ("POST", "/images/prune?filters=" + '{"dangling":["junk"]}', "dangling=[junk]"),
]
CONTAINER = [
    ("GET", "logs?stdout=1&since=junk", "junk"),
    ("GET", "logs?stdout=1&until=1h-nans", ""),
    ("POST", "stop?t=junk", "junk"),
    ("POST", "restart?t=1.5", "1.5"),
    ("POST", "resize?h=junk&w=1", "junk"),
    ("POST", "kill?signal=junk", "junk"),
    ("POST", "wait?condition=junk", "junk"),
    ("GET", "stats?stream=1&one-shot=1", "cannot have"),
]
FILTERS = [("containers", "exited", "junk"), ("containers", "expose", "junk"), ("containers", "publish", "99999"), ("containers", "is-task", "junk"),
           ("containers", "health", "junk"), ("containers", "status", "junk"), ("containers", "junk", "x"), ("images", "dangling", "junk"),
           ("images", "until", "junk"), ("networks", "type", "junk"), ("networks", "dangling", "junk"), ("volumes", "dangling", "junk")]


def refused(engine, method, path, text):
    path, mark, query = path.partition("?")
    status, _, reply = engine.api(method, path + mark + urllib.parse.quote(query, safe="=&%;,/"))
    assert status == 400, (status, reply)
    assert text in reply["message"], reply


@pytest.mark.parametrize("method, path, text", REFUSED, ids=lambda value: value[:40])
def test_a_damaged_parameter_is_refused(engine, method, path, text):
    refused(engine, method, path, text)


def test_damaged_parameters_of_a_container_are_refused(engine, container):
    name = container("busybox", "sleep", "1000")
    for method, path, text in CONTAINER:
        refused(engine, method, f"/containers/{name}/{path}", text)


@pytest.mark.parametrize("kind, key, value", FILTERS)
def test_a_damaged_filter_is_refused_whatever_it_would_match(engine, kind, key, value):
    path = {"containers": "/containers/json", "images": "/images/json"}.get(kind, "/" + kind)
    refused(engine, "GET", f'{path}?filters={{"label":["nothing-has-it"],"{key}":["{value}"]}}', "")


def test_numbers_beyond_an_int_mean_its_end(engine, container):
    name = container("busybox", "sleep", "1000")
    assert name in [item["Id"] for item in engine.api("GET", "/containers/json?all=1&limit=4294967297")[2]]
    assert engine.api("POST", f"/containers/{name}/stop?signal=KILL&t=4294967296")[0] == 204


def test_a_start_with_a_host_config_is_refused(engine, container):
    name = engine.docker("create", "busybox", "true").stdout.strip()
    status, _, reply = engine.api("POST", f"/containers/{name}/start", {"Privileged": True})
    assert status == 400 and "non-empty request body" in reply["message"]
    assert engine.api("POST", f"/containers/{name}/start", {})[0] == 204
    engine.docker("rm", "-f", name)


def test_another_platform_of_an_image_is_not_removed(engine):
    query = urllib.parse.quote('{"os":"linux","architecture":"s390x"}')
    assert engine.api("DELETE", f"/images/busybox?platforms={query}")[0] == 404
    assert engine.api("GET", "/images/busybox/json")[0] == 200
