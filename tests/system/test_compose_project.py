"""A project as people have them: six services that wait for each other's health, two networks, a volume, a published port."""
import json

import pytest

from engine import wait_until
from test_clients import compose, newer, run  # noqa: F401 (fixtures)
from test_leaks import container_network_links

PROJECT = """
x-health: &health {test: [CMD, test, -e, /ready], interval: 1s, timeout: 20s, retries: 30}
services:
  web:
    image: busybox
    command: sh -c 'wget -q -O /index.html http://api/ && echo web serves && exec httpd -f -p 80 -h /'
    init: true
    depends_on: {api: {condition: service_healthy}}
    networks: [front]
    ports: ['127.0.0.1::80']
  api:
    image: busybox
    command: sh -c '(wget -q -O - http://database/; wget -q -O - http://cache/) > /index.html && touch /ready && exec httpd -f -p 80 -h /'
    init: true
    healthcheck: *health
    depends_on: {database: {condition: service_healthy}, cache: {condition: service_healthy}}
    networks: [front, back]
  mailer: &worker
    image: busybox
    command: sh -c 'wget -q -O - http://database/ && exec sleep 1000'
    init: true
    depends_on: {database: {condition: service_healthy}}
    networks: {back: {aliases: [worker]}}
  indexer: *worker
  database:
    image: busybox
    command: sh -c 'echo rows > /data/index.html; httpd -p 80 -h /data; touch /ready; exec sleep 1000'
    init: true
    healthcheck: *health
    volumes: ['rows:/data']
    networks: [back]
  cache:
    image: busybox
    command: sh -c 'echo entries > /index.html; httpd -p 80 -h /; touch /ready; exec sleep 1000'
    init: true
    healthcheck: *health
    networks: [back]
  console:
    image: busybox
    command: sleep 1000
    profiles: [debug]
    networks: [back]
networks: {front: {}, back: {internal: true}}
volumes: {rows: {}}
"""


def left_over(engine, holder):
    return {
        "containers": engine.docker("ps", "-aq").stdout.split(),
        "networks": engine.docker("network", "ls", "-q").stdout.split(),
        "volumes": engine.docker("volume", "ls", "-q").stdout.split(),
        "links": container_network_links(holder),
        "shims": len(engine.pids("berth-shim")),
    }


@pytest.fixture
def untouched(engine):
    """What there was before the project is there afterwards, and nothing else."""
    holder = json.loads((engine.root / "run/berth/holder.json").read_text())["pid"]
    before = left_over(engine, holder)
    yield
    wait_until(lambda: left_over(engine, holder) == before, f"nothing but {before} is left")


def containers_of(engine, *services):
    """Their inspections by service; compose itself takes a second to say as much."""
    identities = engine.docker("ps", "-q", "--filter", "label=com.docker.compose.service").stdout.split()
    shown = [engine.inspect(identity) for identity in identities]
    return [one for one in shown if not services or one["Config"]["Labels"]["com.docker.compose.service"] in services]


def page_of(engine):
    (web,) = containers_of(engine, "web")
    port = engine.docker("port", web["Id"], "80").stdout.strip()
    return run(engine, "curl", "-s", "--retry-connrefused", "--retry", "20", "--retry-delay", "0", f"http://{port}/index.html").stdout


def test_six_services_come_up_are_scaled_and_leave_nothing(engine, untouched, compose, tmp_path):  # noqa: F811
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    compose("up", "-d")
    assert page_of(engine) == "rows\nentries\n"
    shown = {one["Config"]["Labels"]["com.docker.compose.service"]: one["State"] for one in containers_of(engine)}
    assert sorted(shown) == ["api", "cache", "database", "indexer", "mailer", "web"]
    assert {name for name, state in shown.items() if state.get("Health", {}).get("Status") == "healthy"} == {"api", "cache", "database"}
    compose("up", "-d", "--scale", "mailer=3")
    assert len(containers_of(engine, "mailer")) == 3
    found = compose("exec", "-T", "api", "nslookup", "worker").stdout.splitlines()[2:]
    assert len({line for line in found if line.startswith("Address: ")}) == 4
    assert "web serves" in compose("logs", "web").stdout
    compose("down", "-v", "-t", "0")
