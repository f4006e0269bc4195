"""docker push to Debian's docker-registry, and what else a registry is asked: login, search, distribution."""
import base64
import http.server
import json
import os
import re
import shutil
import subprocess
import threading

import pytest

from images import busybox_rootfs_tar, docker_archive, layer_tar
from registry import Registry

ANONYMOUS = {"X-Registry-Auth": "e30="}


@pytest.fixture
def image(engine, request):
    """A fresh image of two layers under a name of its own; removed with all its names."""
    name = request.node.name.replace("[", "-").replace("]", "").lower()
    base, top = layer_tar({"etc/base": name.encode() * 5000}), layer_tar({"etc/top": name.encode()})
    engine.docker("load", input=docker_archive([f"{name}:1"], [base, top]))
    identity = engine.inspect(f"{name}:1")["Id"]
    yield f"{name}:1"
    engine.docker("rmi", "-f", identity, check=False)


@pytest.fixture
def locked(tmp_path):
    """A registry that asks for ann's password."""
    if not shutil.which("docker-registry") or not shutil.which("htpasswd"):
        pytest.skip("docker-registry or htpasswd is not installed")
    instance = Registry(tmp_path, password=("ann", "secret"))
    instance.start()
    yield instance
    instance.stop()


def push(engine, image, target, *options):
    engine.docker("tag", image, target)
    return engine.docker("push", *options, target).stdout


def test_a_pushed_image_is_found_by_others_and_comes_back(engine, registry):
    target = f"{registry.address}/made/app:1"
    engine.docker("load", input=docker_archive([target], [busybox_rootfs_tar(), layer_tar({"etc/base": b"base"}), layer_tar({"etc/top": b"top"})]))
    identity = engine.inspect(target)["Id"]
    out = engine.docker("push", target).stdout
    assert f"The push refers to repository [{registry.address}/made/app]" in out
    assert ": Preparing" in out and len(re.findall(": Pushed|: Mounted from", out)) == 3  # its base may have come by another test
    digest = registry.digest_of("made/app:1")
    assert f"1: digest: {digest} size: " in out
    assert f"{registry.address}/made/app@{digest}" in engine.inspect(target)["RepoDigests"]
    engine.docker("rmi", "-f", identity)
    engine.docker("pull", target)
    assert engine.inspect(target)["Id"] == identity
    assert engine.docker("run", "--rm", target, "cat", "/etc/top").stdout == "top"


def test_layers_that_are_there_are_not_sent_again(engine, registry, image):
    push(engine, image, f"{registry.address}/twice/app:1")
    again = push(engine, image, f"{registry.address}/twice/app:2")
    assert again.count("Layer already exists") == 2 and "Pushed" not in again
    elsewhere = push(engine, image, f"{registry.address}/twice/other:1")
    assert elsewhere.count("Mounted from twice/app") == 2 and "Pushed" not in elsewhere
    assert len({registry.digest_of(name) for name in ("twice/app:1", "twice/app:2", "twice/other:1")}) == 1


@pytest.mark.parametrize("form", [("v2s2", "gzip"), ("oci", "gzip"), ("oci", "zstd")])
def test_a_pulled_image_keeps_its_digest(engine, registry, form):
    source = registry.push(f"origin/{'-'.join(form)}:1", docker_archive(["x:1"], [layer_tar({"etc/base": b"base" * 9000}), layer_tar({"etc/f": str(form).encode()})]),
                           "--format", form[0], "--dest-compress-format", form[1])
    digest = registry.digest_of(source.split("/", 1)[1])
    engine.docker("pull", source)
    out = push(engine, source, f"{registry.address}/copy/{'-'.join(form)}:2")
    assert f"2: digest: {digest}" in out and "Mounted from origin/" in out
    assert registry.digest_of(f"copy/{'-'.join(form)}:2") == digest


def test_a_change_upon_a_pulled_image_sends_the_change_alone(engine, registry):
    base = layer_tar({"etc/base": b"upon" * 9000})
    source = registry.push("upon/base:1", docker_archive(["x:1"], [base]))
    engine.docker("pull", source)
    engine.docker("load", input=docker_archive(["upon:1"], [base, layer_tar({"etc/mine": b"mine"})]))
    out = push(engine, "upon:1", f"{registry.address}/upon/mine:1")
    assert out.count(": Pushed") == 1 and ("Mounted from" in out or "Layer already exists" in out)


def test_podman_runs_what_was_pushed(engine, registry, image):
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    target = f"{registry.address}/podman/app:1"
    push(engine, image, target)
    here = engine.root / "podman"
    storage = ["--root", str(here), "--runroot", str(engine.root / "podman-run"), "--storage-driver", "vfs"]
    try:
        pulled = subprocess.run(["podman", *storage, "pull", "-q", "--tls-verify=false", target], capture_output=True, text=True, check=False,
                                env=engine.environment)
        assert pulled.returncode == 0, pulled.stderr
        assert "sha256:" + pulled.stdout.strip() == engine.inspect(image)["Id"]
    finally:
        subprocess.run(["podman", "unshare", "rm", "-rf", str(here)], check=False, capture_output=True, env=engine.environment)


def test_all_tags_are_pushed(engine, registry, image):
    engine.docker("tag", image, f"{registry.address}/every:a")
    out = push(engine, image, f"{registry.address}/every:b")
    engine.docker("push", "--all-tags", f"{registry.address}/every")
    assert registry.digest_of("every:a") == registry.digest_of("every:b") and "a: digest" not in out


def test_a_push_is_an_event(engine, registry, image):
    target = f"{registry.address}/event:1"
    push(engine, image, target)
    (event,) = engine.events_of({"type": ["image"], "event": ["push"], "image": [target]})
    assert event["Actor"]["ID"] == target and event["Actor"]["Attributes"]["name"] == f"{registry.address}/event"


def test_the_stream_ends_with_the_digest_for_programs(engine, registry, image):
    target = f"{registry.address}/aux"
    engine.docker("tag", image, target + ":1")
    status, _, body = engine.api("POST", f"/images/{target}/push?tag=1", headers=ANONYMOUS)
    lines = [json.loads(line) for line in body.split(b"\r\n") if line]
    assert status == 200
    aux = lines[-1]["aux"]
    assert lines[-1]["progressDetail"] == {} and aux["Tag"] == "1" and aux["Digest"] == registry.digest_of("aux:1") and aux["Size"] > 0


def test_what_cannot_be_pushed_is_said(engine, registry, image):
    done = engine.docker("push", f"{registry.address}/absent:1", check=False)
    assert done.returncode == 1 and f"An image does not exist locally with the tag: {registry.address}/absent" in done.stderr
    engine.docker("tag", image, f"{registry.address}/partly:1")
    done = engine.docker("push", f"{registry.address}/partly:2", check=False)
    assert f"tag does not exist: {registry.address}/partly:2" in done.stderr
    digest = "sha256:" + "0" * 64
    assert engine.api("POST", f"/images/{registry.address}/partly@{digest}/push", headers=ANONYMOUS)[0] == 400
    engine.docker("tag", image, "127.0.0.1:9/nobody:1")
    assert "connect" in engine.docker("push", "127.0.0.1:9/nobody:1", check=False).stderr.lower()


def test_login_is_checked_and_opens_the_registry(engine, locked, image):
    target = f"{locked.address}/private:1"
    engine.docker("tag", image, target)
    assert "no basic auth credentials" in engine.docker("push", target, check=False).stderr
    wrong = engine.docker("login", "-u", "ann", "--password-stdin", locked.address, input="wrong", check=False)
    assert wrong.returncode != 0 and "401 Unauthorized" in wrong.stderr
    assert "Login Succeeded" in engine.docker("login", "-u", "ann", "--password-stdin", locked.address, input="secret").stdout
    assert "digest: sha256:" in engine.docker("push", target).stdout
    engine.docker("logout", locked.address)
    assert engine.docker("pull", target, check=False).returncode != 0


def test_auth_says_401_for_a_wrong_password(engine, locked):
    body = {"username": "ann", "password": "wrong", "serveraddress": f"http://{locked.address}/v1/"}
    status, _, answer = engine.api("POST", "/auth", body)
    assert status == 401 and "401" in answer["message"]
    status, _, answer = engine.api("POST", "/auth", {**body, "password": "secret"})
    assert (status, answer) == (200, {"Status": "Login Succeeded", "IdentityToken": ""})


def test_distribution_describes_an_image_without_pulling_it(engine, registry):
    registry.push("seen:1", docker_archive(["x:1"], [layer_tar({"f": b"seen"})]))
    status, _, answer = engine.api("GET", f"/distribution/{registry.address}/seen:1/json", headers=ANONYMOUS)
    assert status == 200
    assert answer["Descriptor"]["digest"] == registry.digest_of("seen:1") and answer["Descriptor"]["size"] > 0
    assert answer["Descriptor"]["mediaType"].endswith("json")
    assert answer["Platforms"] == [{"architecture": "amd64", "os": "linux"}]
    assert engine.api("GET", f"/distribution/{registry.address}/seen:2/json")[0] == 404


class SearchPage(http.server.BaseHTTPRequestHandler):
    """The first version of the registry's API, which the search is all that is left of."""

    def do_GET(self):
        found = [{"name": "team/tool", "description": "a tool", "star_count": 7, "is_official": False, "is_automated": False},
                 {"name": "tool", "description": "the tool", "star_count": 90, "is_official": True, "is_automated": False}]
        self.server.asked.append(self.path)
        body = json.dumps({"num_results": 2, "results": found}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def index():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), SearchPage)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_search_asks_the_registry_in_the_term(engine, index):
    term = f"127.0.0.1:{index.server_port}/tool"
    out = engine.docker("search", term, "--limit", "5").stdout
    assert "team/tool" in out and "the tool" in out
    assert index.asked == ["/v1/search?q=tool&n=5"]
    out = engine.docker("search", "--filter", "is-official=true", "--filter", "stars=8", term).stdout
    assert "team/tool" not in out and "the tool" in out
    assert engine.api("GET", f"/images/search?term={term}&limit=101")[0] == 400


HELPER = """#!/bin/sh
# docker-credential-shelf: keeps everything in one directory.
cd "$SHELF" || exit 1
case $1 in
store) cat > entry ;;
get) read -r server || true; if [ -e entry ]; then cat entry; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm -f entry ;;
esac
"""


def berth(engine, *arguments, **options):
    from engine import BUILD
    environment = {**engine.environment, "DOCKER_HOST": "unix://" + engine.socket, **options.pop("environment", {})}
    return subprocess.run([str(BUILD / "berth"), *arguments], env=environment, capture_output=True, text=True, check=False, **options)


def test_our_own_client_logs_in_pushes_and_forgets(engine, locked, image, tmp_path):
    target = f"{locked.address}/ours:1"
    engine.docker("tag", image, target)
    settings = {"environment": {"DOCKER_CONFIG": str(tmp_path / "config")}}
    refused = berth(engine, "login", "-u", "ann", "--password-stdin", locked.address, input="wrong", **settings)
    assert refused.returncode == 1 and "401" in refused.stderr and not (tmp_path / "config/config.json").exists()
    done = berth(engine, "login", "-u", "ann", "--password-stdin", locked.address, input="secret\n", **settings)
    assert done.stdout == "Login Succeeded\n" and "stored unencrypted" in done.stderr
    kept = json.loads((tmp_path / "config/config.json").read_text())
    assert kept["auths"][locked.address]["auth"] == base64.b64encode(b"ann:secret").decode()
    assert (tmp_path / "config/config.json").stat().st_mode & 0o777 == 0o600
    assert "1: digest: sha256:" in berth(engine, "push", target, **settings).stdout
    assert berth(engine, "push", "-q", target, **settings).stdout == target + "\n"
    assert "existing credentials" in berth(engine, "login", locked.address, **settings).stdout
    assert berth(engine, "logout", locked.address, **settings).stdout == f"Removing login credentials for {locked.address}\n"
    assert "no basic auth credentials" in berth(engine, "push", target, **settings).stderr


def test_a_credential_helper_keeps_the_password(engine, locked, image, tmp_path):
    target = f"{locked.address}/helped:1"
    engine.docker("tag", image, target)
    helper = tmp_path / "docker-credential-shelf"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"credHelpers": {locked.address: "shelf"}, "psFormat": "kept"}))
    settings = {"environment": {"DOCKER_CONFIG": str(tmp_path), "SHELF": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}}
    done = berth(engine, "login", "-u", "ann", "--password-stdin", locked.address, input="secret", **settings)
    assert done.returncode == 0 and "unencrypted" not in done.stderr, done.stderr
    assert json.loads((tmp_path / "entry").read_text()) == {"ServerURL": locked.address, "Username": "ann", "Secret": "secret"}
    kept = json.loads(config.read_text())
    assert kept["auths"] == {locked.address: {}} and kept["psFormat"] == "kept"
    assert berth(engine, "push", target, **settings).returncode == 0
    berth(engine, "logout", locked.address, **settings)
    assert not (tmp_path / "entry").exists()
    assert berth(engine, "push", target, **settings).returncode == 1


def test_proxies_of_the_configuration_reach_containers(engine, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"proxies": {"default": {"httpProxy": "http://proxy:1", "noProxy": "inside"}}}))
    done = berth(engine, "run", "--rm", "-e", "no_proxy=mine", "busybox", "env", environment={"DOCKER_CONFIG": str(tmp_path)})
    assert {"HTTP_PROXY=http://proxy:1", "http_proxy=http://proxy:1", "NO_PROXY=inside", "no_proxy=mine"} <= set(done.stdout.split())
