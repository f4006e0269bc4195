"""`berth cp` beside `docker cp`: the same trees and the same words for the same places."""
import io
import os
import subprocess
import tarfile

import pytest

from engine import BUILD, DOCKER, needs_cli
from images import add_directory, add_file, add_link

PREFIXES = ("Error response from daemon: ", "Error: ", "berth: ")


@pytest.fixture
def make_box(engine):
    """Containers with /srv/dir/inside, /srv/file, links and a directory that may not be written to."""
    made = []
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_directory(tar, "srv")
        add_file(tar, "srv/file", b"file", mode=0o640, mtime=1234567890)
        add_directory(tar, "srv/dir")
        add_file(tar, "srv/dir/inside", b"inside")
        add_link(tar, "srv/dir/other", "srv/dir/inside", tarfile.LNKTYPE)
        add_link(tar, "srv/link", "dir")
        add_link(tar, "srv/filelink", "/srv/file")
        add_directory(tar, "srv/closed", 0o555)
        add_file(tar, "srv/closed/kept", b"kept")

    def make(*arguments):
        name = engine.docker("create", *arguments, "busybox", "sleep", "1000").stdout.strip()
        made.append(name)
        engine.docker("cp", "-", f"{name}:/", input=buffer.getvalue())
        return name

    yield make
    engine.docker("rm", "-f", *made, check=False)


@pytest.fixture
def box(make_box):
    return make_box()


def run(engine, program, *arguments, **options):
    environment = dict(engine.environment, DOCKER_HOST="unix://" + engine.socket)
    return subprocess.run([program, "cp", *arguments], env=environment, capture_output=True, timeout=60, check=False, **options)


def berth(engine, *arguments, **options):
    return run(engine, str(BUILD / "berth"), *arguments, **options)


def error_of(done):
    """What was said last: docker's client lets its library's words out before, and says that it copied also where it failed."""
    lines = [line for line in done.stderr.decode().splitlines() if not line.startswith("Successfully copied")]
    text = lines[-1] if done.returncode else ""
    for prefix in PREFIXES:
        text = text.removeprefix(prefix)
    return text


def tree(root):
    """What lies below a directory of ours."""
    found = {}
    for path in root.rglob("*"):
        stat = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (stat.st_mode, content, stat.st_mtime_ns if path.is_file() and not path.is_symlink() else None)
    return found


def tree_in(engine, name, path):
    with tarfile.open(fileobj=io.BytesIO(engine.docker("cp", f"{name}:{path}", "-", text=False).stdout)) as tar:
        return {m.name: (m.type, m.mode, m.uid, m.gid, m.linkname, tar.extractfile(m).read() if m.isfile() else None) for m in tar}


def places_in(engine, name):
    """{place: {path: what it is}} of /w; times of directories are of the moment."""
    places = {}
    for path, entry in tree_in(engine, name, "/w").items():
        _, place, rest = (path + "//").split("/", 2)
        places.setdefault(place, {})[rest] = tuple(str(field).replace(place, "PLACE") for field in entry)
    return places


@pytest.fixture
def here(tmp_path):
    (tmp_path / "file").write_text("file")
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/inside").write_text("inside")
    os.chmod(tmp_path / "dir/inside", 0o600)
    os.link(tmp_path / "dir/inside", tmp_path / "dir/second")
    (tmp_path / "link").symlink_to("dir")
    (tmp_path / "filelink").symlink_to(tmp_path / "file")
    return tmp_path


def some(sources, targets):
    """A few of all pairs; BERTH_COPIES=all makes it all."""
    pairs = [(source, target) for source in sources for target in targets]
    return pairs if os.environ.get("BERTH_COPIES") else pairs[::13]


OUT = some(("/srv/file", "/srv/dir", "/srv/dir/", "/srv/dir/.", "/srv/link", "/srv/link/", "/srv/link/.", "srv/dir", "/srv/filelink", "/srv/filelink/", "/absent"),
           ("new", "there", "there/", "taken", "taken/", "new/", "new/.", "toward", "far", "absent/x"))
IN = some(("file", "file/", "file/.", "dir", "dir/", "dir/.", "link", "link/", "link/.", "filelink", "absent", "."),
          ("new", "there", "there/", "there/.", "taken", "taken/", "new/", "new/.", "toward", "far", "absent/x"))


def same_results(engine, cases, flags, copy, trees):
    """Copies each case with both clients, to places of their own, and compares what they said and left."""
    said = {}
    for number, (source, target) in enumerate(cases):
        for kind, program in (("docker", DOCKER), ("berth", str(BUILD / "berth"))):
            place = f"{number}-{kind}"
            said[place] = error_of(run(engine, program, *flags, *copy(source, place, target))).replace(place, "PLACE")
    left = trees()
    differences = {}
    for number, case in enumerate(cases):
        docker, berth = (f"{number}-docker", f"{number}-berth")
        if said[docker] != said[berth] or left.get(docker) != left.get(berth):
            differing = {path for path, _ in set((left.get(docker) or {}).items()) ^ set((left.get(berth) or {}).items())}
            differences[case] = (said[docker], said[berth], sorted(differing))
    assert not differences, "\n".join(f"{case}: {difference}" for case, difference in differences.items())


@pytest.mark.parametrize("flags", [(), ("-L",)])
def test_out_of_a_container_as_docker_does(engine, box, tmp_path, flags):
    for number in range(len(OUT)):
        for kind in ("docker", "berth"):
            place = tmp_path / f"{number}-{kind}"
            (place / "there").mkdir(parents=True)
            (place / "taken").write_text("taken")
            os.utime(place / "taken", (1, 1))
            (place / "toward").symlink_to("there")
            (place / "far").symlink_to("fresh")
    same_results(engine, OUT, flags, lambda source, place, target: (f"{box}:{source}", f"{tmp_path}/{place}/{target}"),
                 lambda: {place.name: tree(place) for place in tmp_path.iterdir()})


@pytest.mark.parametrize("flags", [(), ("-L",)])
def test_into_a_container_as_docker_does(engine, box, here, flags):
    needs_cli("1.48")  # an older one has other words
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for place in (f"{number}-{kind}" for number in range(len(IN)) for kind in ("docker", "berth")):
            add_directory(tar, f"w/{place}")
            add_directory(tar, f"w/{place}/there")
            add_file(tar, f"w/{place}/taken", b"taken")
            add_link(tar, f"w/{place}/toward", "there")
            add_link(tar, f"w/{place}/far", f"/w/{place}/fresh")
    engine.docker("cp", "-", f"{box}:/", input=buffer.getvalue())
    same_results(engine, IN, flags, lambda source, place, target: (f"{here}/{source}", f"{box}:/w/{place}/{target}"), lambda: places_in(engine, box))


def test_a_closed_directory_comes_out_with_what_is_in_it(engine, box, tmp_path):
    assert berth(engine, f"{box}:/srv/closed", str(tmp_path)).returncode == 0
    assert (tmp_path / "closed/kept").read_text() == "kept" and (tmp_path / "closed").stat().st_mode & 0o777 == 0o555
    os.chmod(tmp_path / "closed", 0o755)


@pytest.mark.parametrize("state", ["created", "running", "stopped"])
def test_in_every_state(engine, box, tmp_path, state):
    if state != "created":
        engine.docker("start", box)
    if state == "stopped":
        engine.docker("kill", box)
        engine.docker("wait", box)
    (tmp_path / "in").write_bytes(b"there and back\0" * 100_000)
    done = berth(engine, str(tmp_path / "in"), f"{box}:/etc/taken")
    assert done.stderr.decode() == f"Successfully copied 1.5MB to {box}:/etc/taken\n"
    done = berth(engine, "-q", f"{box}:/etc/taken", str(tmp_path / "out"))
    assert (done.stderr, (tmp_path / "out").read_bytes()) == (b"", (tmp_path / "in").read_bytes())


def test_a_device_is_left_out_and_named(engine, make_box, tmp_path):
    box = make_box("-v", "/dev/null:/srv/null")
    said = berth(engine, f"{box}:/srv", str(tmp_path / "out")).stderr.decode()
    assert "berth: out/null is left out: it is a device" in said and not (tmp_path / "out/null").exists()
    assert (tmp_path / "out/file").read_text() == "file"
    os.chmod(tmp_path / "out/closed", 0o755)


def test_a_stream_goes_both_ways(engine, box):
    out = berth(engine, f"{box}:/srv/dir", "-")
    with tarfile.open(fileobj=io.BytesIO(out.stdout)) as tar:
        assert "dir/inside" in tar.getnames()
    assert berth(engine, "-", f"{box}:/tmp", input=out.stdout).returncode == 0
    assert "dir/inside" in "\n".join(tree_in(engine, box, "/tmp"))
    assert error_of(berth(engine, "-", f"{box}:/etc/passwd", input=out.stdout)) == f'destination "{box}:/etc/passwd" must be a directory'


def test_a_gives_the_files_to_the_containers_user(engine, make_box, here):
    box = make_box("--user", "user")
    assert berth(engine, "-a", f"{here}/file", f"{box}:/tmp/mine").returncode == 0
    assert berth(engine, f"{here}/file", f"{box}:/tmp/kept").returncode == 0
    owners = {name: entry[2] for name, entry in tree_in(engine, box, "/tmp").items()}
    assert owners["tmp/mine"] == 1000 and owners["tmp/kept"] != 1000 or os.getuid() == 1000


def test_a_hostile_container_writes_nothing_beside_the_target(engine, make_box, tmp_path):
    box = make_box()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add_directory(tar, "srv/trap")
        add_link(tar, "srv/trap/a", str(tmp_path / "outside"))
        add_link(tar, "srv/trap/b", "../../outside")
    engine.docker("cp", "-", f"{box}:/", input=buffer.getvalue())
    (tmp_path / "outside").mkdir()
    (tmp_path / "target").mkdir()
    assert berth(engine, f"{box}:/srv/trap", str(tmp_path / "target")).returncode == 0
    # The links are there now; a second copy puts directories and files in their place, not behind them.
    engine.docker("start", box)
    engine.docker("exec", box, "sh", "-c", "cd /srv/trap; rm a b; mkdir a b; echo 1 > a/x; echo 1 > b/x")
    berth(engine, f"{box}:/srv/trap", str(tmp_path / "target"))
    assert list((tmp_path / "outside").iterdir()) == []


@pytest.mark.parametrize("arguments,text", [
    (("a", "b"), "must specify at least one container source"),
    (("a:/x", "b:/x"), "copying between containers is not supported"),
    (("", "b:/x"), "source can not be empty"),
    (("b:/x", ""), "destination can not be empty"),
    (("no-such:/etc", "-"), "No such container: no-such"),
    (("/dev/null", "no-such:/x"), "No such container: no-such"),
])
def test_the_words_of_what_cannot_be(engine, arguments, text):
    assert error_of(berth(engine, *arguments)) == text
