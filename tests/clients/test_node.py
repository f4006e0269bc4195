"""dockerode and Testcontainers: each test of node/*_test.js by its name, in a process of its own."""
import pathlib
import re

import pytest

HERE = pathlib.Path(__file__).parent / "node"
NEEDED = {"redis": "redis|database|alias|compose project", "ryuk": "reaper", "compose_v2": "compose project"}


def titles(name):
    return re.findall(r'^test\("([^"]+)"', (HERE / name).read_text(), re.M)


def run_one(request, name, title):
    for fixture, pattern in NEEDED.items():
        if re.search(pattern, title):
            request.getfixturevalue(fixture)
    # Inside of a container Testcontainers would take the default bridge's gateway for the host of published ports.
    variables = {"TESTCONTAINERS_RYUK_DISABLED": "true", "TESTCONTAINERS_HOST_OVERRIDE": "127.0.0.1"}
    command = [request.getfixturevalue("node"), "--test-reporter=tap", f"--test-name-pattern=^{title}$", str(HERE / name)]
    report = request.getfixturevalue("run")(*command, variables=variables, check=False)
    output = re.sub(r"^# Subtest.*\n(ok .* # SKIP.*\n  ---\n.*\n  \.\.\.\n)?", "", report.stdout, flags=re.M) + report.stderr
    assert re.search(r"^# pass 1$", output, re.M) and re.search(r"^# fail 0$", output, re.M), output


@pytest.mark.parametrize("title", titles("dockerode_test.js"))
def test_dockerode(request, title):
    run_one(request, "dockerode_test.js", title)


@pytest.mark.parametrize("title", titles("testcontainers_test.js"))
def test_testcontainers(request, title):
    run_one(request, "testcontainers_test.js", title)
