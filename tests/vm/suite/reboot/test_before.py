"""Before a reboot: containers of each restart policy, for test_after.py to find again."""
from engine import wait_until

from service import PATIENCE

POLICIES = {"always": "always", "unless": "unless-stopped", "never": "no"}


def test_containers_of_each_policy_run_or_were_stopped_by_hand(service):
    service.docker("rm", "-f", *service.docker("ps", "-aq").stdout.split() or ["none"], check=False)
    service.docker("volume", "create", "kept")
    for name, policy in POLICIES.items():
        for suffix in ("", "-stopped"):
            service.docker("run", "-d", "--name", name + suffix, "--restart", policy, "--stop-timeout", "1", "--memory", "64m", "-v", "kept:/kept", "busybox",
                           "sh", "-c", "echo $HOSTNAME $(cat /proc/sys/kernel/random/boot_id) >>/kept/starts; exec sleep 100000")
    service.docker("stop", "-t", "0", *[name + "-stopped" for name in POLICIES])
    running = set(service.docker("ps", "--format", "{{.Names}}").stdout.split())
    assert running == set(POLICIES)


def test_the_service_starts_with_the_users_session(service):
    wait_until(lambda: service.property("UnitFileState") == "enabled", "the unit is enabled", PATIENCE)
