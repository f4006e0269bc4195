"""Contexts that are git repositories, and what ADD fetches: `docker build URL` through buildx, POST /build with `remote`."""
import hashlib
import os
import urllib.parse

import pytest

from buildx import command, docker, engine, plugins, write  # noqa: F401 (fixtures)
from repositories import Handler, repositories  # noqa: F401
from test_build_clients import post, texts


def shown(engine, image, script):
    return engine.docker("run", "--rm", "--network", "none", image, "sh", "-c", script).stdout


@pytest.mark.parametrize("fragment, word", [("", "second"), ("#v1", "first"), ("#other", "other"), ("#refs/heads/other", "other"), ("#:sub", "sub"),
                                            ("#v1:sub", "sub"), ("#FIRST", "first")])
def test_a_repository_is_a_context(engine, docker, repositories, fragment, word):
    url = repositories.url + "/app.git" + fragment.replace("FIRST", repositories.first)
    assert "[internal] load git source " + url in docker("build", "-t", "git:context", url).stderr
    names = shown(engine, "git:context", "cat /all/word; ls -a /all").split()
    assert names[0] == word and ".git" not in names and "ignored" not in names


def test_submodules_are_there_too(engine, docker, repositories):
    docker("build", "-t", "git:part", repositories.url + "/app.git")
    assert shown(engine, "git:part", "cat /all/part/file") == "of the submodule\n"


@pytest.mark.parametrize("fragment, word", [("", "second"), ("#other", "other"), ("#FIRST", "first")])
def test_a_server_of_plain_files_will_do(engine, docker, repositories, fragment, word):
    url = repositories.web + "/app.git" + fragment.replace("FIRST", repositories.first)
    docker("build", "-t", "git:web", url)
    assert shown(engine, "git:web", "cat /all/word").strip() == word


def test_the_git_directory_stays_when_it_is_asked_for(engine, docker, repositories):
    docker("build", "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1", "-t", "git:kept", repositories.url + "/app.git")
    assert shown(engine, "git:kept", "cat /all/.git/HEAD").strip() == repositories.second


def test_the_dockerfile_may_come_from_elsewhere(engine, docker, repositories):
    docker("build", "-t", "git:apart", "-f", "-", repositories.url + "/app.git", input="FROM busybox\nCOPY word /apart\n")
    assert shown(engine, "git:apart", "cat /apart") == "second\n"


def test_a_token_of_the_client_goes_to_the_host_of_the_repository(docker, repositories, tmp_path):
    write(tmp_path, token="whisper")
    Handler.authorizations.clear()
    docker("build", "--secret", "id=GIT_AUTH_TOKEN,src=token", repositories.web + "/app.git#v1")
    assert Handler.authorizations[0] == "basic eC1hY2Nlc3MtdG9rZW46d2hpc3Blcg=="


@pytest.mark.parametrize("url, said", [("{git}/none.git", "failed to fetch remote"), ("{git}/app.git#none", "none"),
                                       ("{git}/app.git#:none", "none"), ("{git}/app.git#--upload-pack=/bin/true", "invalid git reference"),
                                       ("git@127.0.0.1:none.git", "ssh agent"), ("{git}/evil.git", "transport 'file' not allowed")])
def test_what_cannot_be_fetched_is_named(docker, repositories, url, said):
    failed = docker("build", url.format(git=repositories.url), check=False)
    assert failed.returncode != 0 and said in failed.stderr


@pytest.mark.parametrize("remote, word", [("{git}/app.git#v1", "first"), ("{web}/app.git#other:sub", "sub")])
def test_the_classic_builder_takes_a_repository(engine, repositories, remote, word):
    url = remote.format(git=repositories.url, web=repositories.web)
    status, stream = post(engine, b"", "t=git:classic&remote=" + urllib.parse.quote(url, safe=""))
    assert status == 200 and "Successfully tagged git:classic" in texts(stream), stream
    assert shown(engine, "git:classic", "cat /all/word").strip() == word


@pytest.mark.parametrize("remote", ["file:///etc", "ext::sh -c true", "git@127.0.0.1:x.git", "/etc"])
def test_the_classic_builder_refuses_other_sources(engine, remote):
    status, stream = post(engine, b"", "remote=" + urllib.parse.quote(remote, safe=""))
    assert 400 <= status < 600 and "message" in stream[0]


def test_add_takes_a_repository(engine, docker, repositories, tmp_path):
    write(tmp_path, Dockerfile=f"FROM busybox\nADD {repositories.url}/app.git#v1:sub /sub\nADD --keep-git-dir=true {repositories.url}/app.git#v1 /whole\n")
    docker("build", "-t", "git:add", ".")
    assert shown(engine, "git:add", "cat /sub/word; ls -a /sub; cat /whole/word; cat /whole/.git/HEAD").split() == [
        "sub", ".", "..", "Dockerfile", "word", "first", repositories.first]
    assert "CACHED" in docker("build", ".").stderr


def test_the_checksum_of_a_repository_is_its_commit(docker, repositories, tmp_path):
    for checksum, status in ((repositories.first, 0), ("0" * 40, 1)):
        write(tmp_path, Dockerfile=f"FROM scratch\nADD --checksum={checksum} {repositories.url}/app.git#v1 /\n")
        assert docker("build", ".", check=False).returncode == status


def test_add_takes_a_file_of_a_web_server(engine, docker, repositories, tmp_path):
    place = repositories.directory / "download.txt"
    place.write_text("downloaded\n")
    os.utime(place, (1_000_000_000, 1_000_000_000))
    digest = "sha256:" + hashlib.sha256(b"downloaded\n").hexdigest()
    write(tmp_path, Dockerfile=f"""FROM busybox
ARG SUM={digest}
ADD --checksum=$SUM {repositories.web}/download.txt /named/
ADD --chown=7:8 --chmod=0751 {repositories.web}/download.txt?x=1 /renamed
""")
    docker("build", "-t", "git:url", ".")
    assert shown(engine, "git:url", "cat /named/download.txt; stat -c '%a %u %Y' /named/download.txt; stat -c '%a %u %g' /renamed").split() == [
        "downloaded", "600", "0", "1000000000", "751", "7", "8"]


def test_a_download_with_another_digest_is_refused(docker, repositories, tmp_path):
    (repositories.directory / "odd.txt").write_text("odd\n")
    wrong = "sha256:" + "0" * 64
    for line, said in ((f"ADD --checksum={wrong} {repositories.web}/odd.txt /", "digest mismatch"), (f"ADD {repositories.web}/absent /", "404"),
                       (f"ADD --checksum={wrong} local /", "checksum can't be specified"), (f"ADD --checksum=odd {repositories.web}/odd.txt /", "odd")):
        write(tmp_path, Dockerfile="FROM scratch\n" + line + "\n", local="")
        failed = docker("build", ".", check=False)
        assert failed.returncode != 0 and said in failed.stderr, failed.stderr
