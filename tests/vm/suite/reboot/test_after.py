"""After a reboot, orderly or not: nobody logged in, nobody asked the engine for anything yet."""
import pytest

from engine import wait_until

from service import PATIENCE, Service


@pytest.fixture(scope="module")
def found():
    """The service as it is found."""
    return Service()


def test_the_engine_was_started_without_a_request(found):
    wait_until(lambda: found.property("ActiveState") == "active", "the service runs; its log: " + found.log(), PATIENCE)
    wait_until(found.answers, "the engine answers", PATIENCE)


def test_always_and_unless_stopped_are_back_and_the_others_are_not(found):
    # Docker's always means also: stopped by hand, but only until the engine starts again.
    expected = {"always", "unless", "always-stopped"}
    running = lambda: set(found.docker("ps", "--format", "{{.Names}}").stdout.split())  # noqa: E731
    wait_until(lambda: running() >= expected, "containers with a restart policy are back", PATIENCE)
    assert running() == expected
    assert found.inspect("never")["State"]["Status"] == "exited"


def test_the_limits_are_back_as_well(found):
    assert (found.cgroup_of("always") / "memory.max").read_text() == "67108864\n"


def test_volumes_kept_what_was_written(found):
    lines = found.docker("exec", "unless", "cat", "/kept/starts").stdout.splitlines()
    boots = {line.split()[1] for line in lines}
    assert len(boots) >= 2


def test_nothing_of_the_former_boot_is_in_the_way_of_a_new_container(found):
    assert found.docker("run", "--rm", "busybox", "echo", "fresh").stdout == "fresh\n"
