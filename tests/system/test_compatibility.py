"""docs/compatibility.md says what the engine does: each route is asked for, each run flag tried."""
import pathlib
import re

import pytest

from engine import needs_cli

TEXT = (pathlib.Path(__file__).resolve().parents[2] / "docs/compatibility.md").read_text()


def rows(heading):
    section = TEXT.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| ")]
    return [row for row in cells if row[0] not in ("method", "flag", "---")]


ROUTES = rows("API routes")
FLAGS = {re.findall(r"`(--[a-z0-9-]+)`", row[0])[-1]: row[1] for row in rows("Flags of `docker run` and `docker create`")}
# Names of nothing, so that asking does no harm; a body where the route demands one before it looks anything up.
BODIES = {"/networks/create": {"Name": "bridge"}, "/containers/create": {"Image": "compat-none"}, "/volumes/create": {"Name": "-"},
          "/auth": {"serveraddress": "127.0.0.1:9"}}


@pytest.mark.parametrize("method,route,state", [row[:3] for row in ROUTES])
def test_a_route_is_served_as_documented(engine, method, route, state):
    path = re.sub(r"\{[a-z]+\}|\*", "compat-none", route)
    if "/networks/{id}/" in route:
        path = path.replace("compat-none", "bridge")
    if state == "works" and (method, route) == ("GET", "/events"):
        path += "?since=1&until=2"
    if route == "/images/search":
        path += "?term=127.0.0.1:9/none"
    if route.startswith("/distribution/"):
        path = path.replace("compat-none", "127.0.0.1:9/none")
    if route == "/images/create":
        path += "?fromImage=INVALID"
    body = BODIES.get(route, {}) if method == "POST" else None
    status, _, reply = engine.api(method, "/v1.51" + path, body)
    message = reply.get("message", "") if isinstance(reply, dict) else ""
    expected = re.search(r"\((\d+)\)", state)
    if expected:
        assert status == int(expected.group(1)), (status, message)
        assert (message == "page not found") == state.startswith("absent")
    else:
        assert state == "works"
        assert status != 501 and message != "page not found", (status, message)


def test_every_flag_of_the_cli_has_a_row(engine):
    listed = set(re.findall(r"^ +(?:-\w, )?(--[a-z0-9-]+)", engine.docker("run", "--help").stdout, re.MULTILINE))
    assert listed - set(FLAGS) == set()


WARNED = {
    "--blkio-weight": "100", "--blkio-weight-device": "/dev/null:100", "--cgroup-parent": "/x", "--cpu-period": "10000", "--cpu-quota": "10000",
    "--cpu-rt-period": "1000", "--cpu-rt-runtime": "1000", "--cpu-shares": "100", "--cpus": "1", "--cpuset-cpus": "0", "--cpuset-mems": "0",
    "--device-cgroup-rule": "c 1:3 rwm", "--device-read-bps": "/dev/null:1mb", "--device-read-iops": "/dev/null:10",
    "--device-write-bps": "/dev/null:1mb", "--device-write-iops": "/dev/null:10", "--link-local-ip": "169.254.1.1",
    "--memory": "64m", "--memory-reservation": "32m", "--memory-swappiness": "10", "--pids-limit": "10"}
REFUSED = {"--gpus": "all", "--storage-opt": "size=1G"}


@pytest.mark.parametrize("flag", sorted(WARNED))
def test_a_warned_flag_is_warned_of(engine, flag):
    # Docker's CLI 26.1 drops rates of devices: its request has empty lists of them.
    needs_cli("1.48" if re.fullmatch(r"--device-(read|write)-i?o?b?ps", flag) else "1.44")
    assert FLAGS[flag] in ("warned", "delegated")
    done = engine.docker("create", f"{flag}={WARNED[flag]}", "busybox", "true", check=False)
    assert done.returncode == 0, done.stderr
    engine.docker("rm", done.stdout.split()[-1])
    served = engine.api("GET", "/info")[2]["MemoryLimit"]
    if FLAGS[flag] == "warned" or not served:
        assert "WARNING" in done.stderr, done.stderr


@pytest.mark.parametrize("flag", sorted(REFUSED))
def test_a_refused_flag_is_refused(engine, flag):
    needs_cli("1.44")
    assert FLAGS[flag] == "refused"
    done = engine.docker("create", f"{flag}={REFUSED[flag]}", "busybox", "true", check=False)
    assert done.returncode != 0 and done.stderr
