"""What a container uses, OOM kills and the journal, where there are cgroups and a journald."""
import json
import time

import pytest

from engine import UnixConnection, wait_until

from service import PATIENCE

EAT = ("dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1")


def sample(service, name, query="stream=false"):
    return service.api("GET", f"/containers/{name}/stats?{query}")[2]


def read(directory, name):
    return int((directory / name).read_text().split()[0])


def test_figures_are_those_of_the_cgroup(service, container):
    name = container("-m", "256m", "--pids-limit", "50", "busybox", "sh", "-c", "while :; do :; done")
    directory = service.cgroup_of(name)
    before = int((directory / "cpu.stat").read_text().split()[1]) * 1000
    value = sample(service, name)
    after = int((directory / "cpu.stat").read_text().split()[1]) * 1000
    assert before <= value["precpu_stats"]["cpu_usage"]["total_usage"] < value["cpu_stats"]["cpu_usage"]["total_usage"] <= after
    assert value["memory_stats"]["limit"] == 256 << 20
    assert abs(value["memory_stats"]["usage"] - read(directory, "memory.current")) < 1 << 20
    assert value["memory_stats"]["stats"]["inactive_file"] >= 0 and value["memory_stats"]["stats"]["anon"] > 0
    assert value["pids_stats"] == {"current": 1, "limit": 50}
    assert "eth0" in value["networks"]


def test_the_cli_shows_the_limit(service, container):
    name = container("-m", "64m", "busybox", "sleep", "1000")
    shown = service.docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name).stdout
    assert shown.rstrip().endswith("/ 64MiB 1"), shown


def test_top_lists_the_processes_of_the_cgroup(service, container):
    name = container("busybox", "sh", "-c", "sleep 1234; true")
    wait_until(lambda: "sleep 1234" in service.docker("top", name).stdout, "the child is shown", PATIENCE)
    assert len(service.docker("top", name).stdout.splitlines()) == 3


def test_an_oom_kill_of_a_child_is_told_while_the_container_lives(service, container):
    name = container("-m", "64m", "busybox", "sleep", "1000")
    connection = UnixConnection(service.socket, 120)
    connection.request("GET", "/events?filters=" + json.dumps({"container": [name], "event": ["oom"]}).replace(" ", "").replace('"', "%22"))
    events = connection.getresponse()
    assert service.docker("exec", name, *EAT, check=False).returncode == 137
    event = json.loads(events.readline())
    assert event["Action"] == "oom" and event["Actor"]["ID"] == name
    state = service.inspect(name)["State"]
    assert state["Running"] and state["OOMKilled"]
    connection.close()


def test_an_oom_kill_of_process_1_comes_before_the_exit(service):
    service.docker("run", "--name", "oomed", "-m", "64m", "busybox", *EAT, check=False)
    filters = "%7B%22container%22:%5B%22oomed%22%5D%7D"
    reply = UnixConnection(service.socket, 120)
    reply.request("GET", f"/events?since=0&until={time.time():.9f}&filters={filters}")
    actions = [json.loads(line)["Action"] for line in reply.getresponse().read().splitlines()]
    assert "oom" in actions and actions.index("oom") < actions.index("die"), actions
    service.docker("rm", "oomed")


@pytest.fixture
def journaled(service):
    made = []

    def run(*arguments):
        made.append(service.docker("run", "-d", "--log-driver", "journald", *arguments).stdout.strip())
        return made[-1]
    yield run
    service.docker("rm", "-f", *made, check=False)


def entries(service, name):
    text = service.run("journalctl", "--quiet", "--output=json", "CONTAINER_ID_FULL=" + name)
    return [json.loads(line) for line in text.splitlines()]


def test_lines_are_in_the_journal_with_dockers_fields(service, journaled):
    name = journaled("--name", "jour", "--label", "com.example.team=red", "--log-opt", "labels=com.example.team", "--log-opt", "tag={{.Name}}!",
                     "busybox", "sh", "-c", "echo good; echo bad >&2")
    found = wait_until(lambda: len(lines := entries(service, name)) == 2 and lines, "both lines are stored", PATIENCE)
    by_text = {entry["MESSAGE"]: entry for entry in found}
    assert by_text["good"]["PRIORITY"] == "6" and by_text["bad"]["PRIORITY"] == "3"
    expected = {"CONTAINER_NAME": "jour", "CONTAINER_ID": name[:12], "CONTAINER_TAG": "jour!", "SYSLOG_IDENTIFIER": "jour!",
                "IMAGE_NAME": "busybox", "COM_EXAMPLE_TEAM": "red"}
    assert expected.items() <= by_text["good"].items()


def test_docker_logs_reads_the_journal_back(service, journaled):
    long = 40000
    name = journaled("--log-opt", "env=COLOR", "-e", "COLOR=blue", "busybox", "sh", "-c",
                     f"echo one; echo two >&2; printf '%{long}s\\n' x; printf end")
    wait_until(lambda: service.docker("logs", name).stdout.endswith("end"), "all is stored", PATIENCE)
    done = service.docker("logs", name)
    assert done.stdout == "one\n" + " " * (long - 1) + "x\nend" and done.stderr == "two\n"
    assert service.docker("logs", "--tail", "1", name).stdout == "end"
    details = service.docker("logs", "--details", "--timestamps", name).stdout.splitlines()[0]
    assert details.endswith(" COLOR=blue one") and details[:2] == "20", details
    assert service.docker("logs", "--since", "1h", name).stdout == done.stdout
    assert service.docker("logs", "--until", "1h", name).stdout == ""


def test_a_follower_of_the_journal_sees_lines_as_they_come_and_the_end(service, journaled):
    name = journaled("busybox", "sh", "-c", "echo begun; read -r line < /dev/null; while [ ! -e /go ]; do sleep 0.1; done; echo over")
    follower = service.popen("logs", "--follow", name, stdout=-1, text=True)
    assert follower.stdout.readline() == "begun\n"
    service.docker("exec", name, "touch", "/go")
    assert follower.stdout.read() == "over\n"
    assert follower.wait(60) == 0
