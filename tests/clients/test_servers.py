"""Servers of Debian, each as its own user with its data in a volume: a web application behind nginx with PostgreSQL and Redis, by compose as
a user would drive it, and MariaDB by itself."""
import io
import json
import os
import re
import tarfile
import urllib.request

import pytest

from engine import wait_until

pytestmark = pytest.mark.xdist_group("servers")  # they share a project

# What the entry points of the official images do: root makes the directory, then the server runs as its user.
POSTGRES = """#!/bin/sh
set -e
data=/var/lib/postgresql/data
bin=$(echo /usr/lib/postgresql/*/bin)
as() { setpriv --reuid postgres --regid postgres --init-groups "$@"; }
mkdir -p $data && chown postgres:postgres $data && chmod 700 $data
if [ ! -s $data/PG_VERSION ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password && chown postgres /tmp/password
    as $bin/initdb -D $data --no-sync -U app --pwfile=/tmp/password -A scram-sha-256 --no-instructions
    echo "host all all all scram-sha-256" >> $data/pg_hba.conf
    echo "database was made"
fi
exec setpriv --reuid postgres --regid postgres --init-groups $bin/postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp
"""

APPLICATION = """
import os, socket
import flask, psycopg2

application = flask.Flask(__name__)


def database():
    return psycopg2.connect(host="db", user="app", password=os.environ["PASSWORD"], dbname="postgres")


@application.route("/visit/<who>", methods=["GET", "POST"])
def visit(who):
    with database() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS visits (who text, note text)")
        cursor.execute("INSERT INTO visits VALUES (%s, %s)", (who, flask.request.get_data(as_text=True)))
        cursor.execute("SELECT count(*), coalesce(sum(length(note)), 0) FROM visits")
        count, size = cursor.fetchone()
    with socket.create_connection(("cache", 6379)) as cache:
        cache.sendall(b"INCR hits\\r\\n")
        hits = int(cache.recv(100)[1:])
    return {"count": count, "size": int(size), "hits": hits, "host": socket.gethostname(), "client": flask.request.headers["X-Real-IP"]}
"""

NGINX = """
user www-data;
daemon off;
error_log /dev/stderr;
pid /tmp/nginx.pid;
events {}
http {
    access_log /dev/stdout;
    resolver 127.0.0.11 valid=1s;
    server {
        listen 80;
        client_max_body_size 8m;
        location / {
            set $upstream http://web:8000;
            proxy_pass $upstream;
            proxy_set_header X-Real-IP $remote_addr;
        }
    }
}
"""

PROJECT = """
services:
  db:
    image: debian
    entrypoint: [sh, /entrypoint.sh]
    init: true
    environment: {POSTGRES_PASSWORD: secret}
    shm_size: 128m
    stop_signal: SIGINT
    restart: unless-stopped
    volumes: ["data:/var/lib/postgresql/data", "./postgres.sh:/entrypoint.sh:ro"]
    healthcheck: {test: [CMD, pg_isready, -h, localhost, -U, app], interval: 500ms, timeout: 10s, retries: 60}
    networks: [back]
  cache:
    image: debian
    user: redis
    command: redis-server --save "" --bind 0.0.0.0 --protected-mode no
    read_only: true
    networks: [back]
  web:
    image: debian
    user: www-data
    working_dir: /app
    command: gunicorn --bind 0.0.0.0:8000 --worker-tmp-dir /dev/shm application
    environment: {PASSWORD: secret}
    volumes: ["./application.py:/app/application.py:ro"]
    depends_on: {db: {condition: service_healthy}, cache: {condition: service_started}}
    networks: [front, back]
  proxy:
    image: debian
    command: nginx -c /nginx.conf
    init: true
    volumes: ["./nginx.conf:/nginx.conf:ro"]
    ports: ["127.0.0.1::80"]
    depends_on: [web]
    networks: [front]
volumes: {data: {}}
networks: {front: {}, back: {internal: true}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, engine, run, debian, compose_v2):
    """`docker compose` in a directory with the project, which is up."""
    directory = tmp_path_factory.mktemp("servers")
    directory.chmod(0o755)
    for name, text in {"compose.yml": PROJECT, "postgres.sh": POSTGRES, "application.py": APPLICATION, "nginx.conf": NGINX}.items():
        (directory / name).write_text(text)

    def compose(*arguments, **options):
        return run("docker", "compose", "-p", "servers", *arguments, cwd=directory, **options)

    compose("up", "-d", "--wait")
    visit(compose, "first")  # makes the table
    yield compose
    compose("down", "-v", "-t", "1", check=False)


def visit(project, who, note=b""):
    """The reply to a POST through nginx, from the first time that all behind it works."""
    address = project("port", "proxy", "80").stdout.strip()

    def answer():
        try:
            with urllib.request.urlopen(f"http://{address}/visit/{who}", note, timeout=20) as reply:
                return json.loads(reply.read())
        except OSError:
            return None
    return wait_until(answer, f"{address} answers", 60)


def rows(project):
    return project("exec", "-T", "-e", "PGPASSWORD=secret", "db", "psql", "-h", "localhost", "-U", "app", "-Atc", "SELECT count(*) FROM visits", "postgres").stdout.strip()


def test_a_request_goes_through_all_of_them(project):
    first = visit(project, "ann")
    assert visit(project, "bob", b"x" * (2 << 20))["size"] >= 2 << 20
    assert re.fullmatch(r"[0-9a-f]{12}", first["host"]) and re.fullmatch(r"[\d.]+", first["client"])
    assert int(rows(project)) >= 2
    assert "POST /visit/ann" in project("logs", "proxy").stdout and "database was made" in project("logs", "db").stdout


def test_each_server_runs_as_its_own_user(project, engine):
    users = {service: project("exec", "-T", service, "ps", "-eo", "user:20,args", "--no-headers").stdout for service in ("db", "cache", "web", "proxy")}
    assert re.search(r"^postgres +/usr/lib/postgresql/\d+/bin/postgres", users["db"], re.M) and re.search("^redis +redis-server", users["cache"], re.M)
    assert re.search("^www-data +/usr/bin/python3 /usr/bin/gunicorn", users["web"], re.M)
    assert re.search("^root +nginx: master", users["proxy"], re.M) and re.search("^www-data +nginx: worker", users["proxy"], re.M)
    data = engine.docker("volume", "inspect", "-f", "{{.Mountpoint}}", "servers_data").stdout.strip()
    assert os.stat(data).st_uid not in (0, os.getuid()), "a subordinate id of the user"


def test_more_of_a_service_share_the_requests(project):
    project("up", "-d", "--no-recreate", "--scale", "web=3")
    wait_until(lambda: len({visit(project, "many")["host"] for _ in range(6)}) >= 2, "several of them answer", 40)
    project("up", "-d", "--no-recreate", "--scale", "web=1")
    assert project("ps", "-q", "web").stdout.count("\n") == 1


def test_a_database_that_is_killed_comes_back_with_its_data(project, engine):
    before = rows(project)
    (identity,) = project("ps", "-q", "db").stdout.split()
    project("exec", "-T", "db", "sh", "-c", "kill -9 $(head -n 1 /var/lib/postgresql/data/postmaster.pid)", check=False)
    wait_until(lambda: engine.inspect(identity)["RestartCount"] == 1 and engine.inspect(identity)["State"].get("Health", {}).get("Status") == "healthy", "it is healthy again", 60)
    assert rows(project) == before
    assert "automatic recovery in progress" in project("logs", "db").stdout


def test_a_dump_goes_out_and_into_a_new_database(project, engine):
    visit(project, "large", b"x" * (2 << 20))
    dump = project("exec", "-T", "-e", "PGPASSWORD=secret", "db", "pg_dump", "-h", "localhost", "-U", "app", "postgres").stdout
    assert "CREATE TABLE public.visits" in dump and len(dump) > 2 << 20
    project("exec", "-T", "-e", "PGPASSWORD=secret", "db", "createdb", "-h", "localhost", "-U", "app", "copy")
    loaded = project("exec", "-T", "-e", "PGPASSWORD=secret", "db", "psql", "-h", "localhost", "-U", "app", "-q", "copy", input=dump, stdin=None)
    assert "ERROR" not in loaded.stderr
    project("cp", "db:/var/lib/postgresql/data/PG_VERSION", "-", check=True)
    (identity,) = project("ps", "-q", "db").stdout.split()
    archive = engine.docker("cp", f"{identity}:/var/lib/postgresql/data/base", "-", text=False).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert {member.uname or member.uid for member in tar} and len(tar.getnames()) > 300


def test_all_is_made_anew_and_the_data_are_there(project):
    before = int(rows(project))
    project("down", "-t", "10")
    project("up", "-d", "--wait")
    assert visit(project, "again")["count"] == before + 1
    assert "database was made" not in project("logs", "db").stdout


def test_nothing_is_left_after_down_with_volumes(project, engine):
    project("down", "-v", "-t", "1")
    kinds = (["ps", "-aq"], ["network", "ls", "-q"], ["volume", "ls", "-q"])
    assert [engine.docker(*kind, "--filter", "label=com.docker.compose.project=servers").stdout for kind in kinds] == ["", "", ""]


MARIADB = """
set -e
id mysql 2>/dev/null || useradd -r mysql
chown mysql:mysql /var/lib/mysql
[ -d /var/lib/mysql/mysql ] || mariadb-install-db --user=mysql --auth-root-authentication-method=normal --skip-test-db >/dev/null
exec mariadbd --user=mysql --socket=/tmp/mysql.sock --innodb-buffer-pool-size=16M --innodb-flush-method=fsync
"""


def test_mariadb_keeps_its_data_over_a_stop(engine, debian):
    engine.docker("run", "-d", "--name", "mariadb", "-v", "mariadb:/var/lib/mysql", "--health-cmd", "mariadb --socket=/tmp/mysql.sock -e 'SELECT 1'",
                  "--health-interval", "500ms", "debian", "sh", "-c", MARIADB)

    def ask(statement):
        wait_until(lambda: engine.inspect("mariadb")["State"]["Health"]["Status"] == "healthy", "mariadb is healthy", 60)
        return engine.docker("exec", "mariadb", "mariadb", "--socket=/tmp/mysql.sock", "-Ne", statement).stdout

    try:
        ask("CREATE DATABASE d; CREATE TABLE d.t (n INT) ENGINE=InnoDB; INSERT INTO d.t VALUES (1), (2)")
        engine.docker("stop", "-t", "30", "mariadb")
        assert engine.inspect("mariadb")["State"]["ExitCode"] == 0
        engine.docker("start", "mariadb")
        assert ask("SELECT sum(n) FROM d.t") == "3\n"
    finally:
        engine.docker("rm", "-fv", "mariadb")
        engine.docker("volume", "rm", "mariadb")
