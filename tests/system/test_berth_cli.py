"""Our own client, and the programs as they lie when installed."""
import re
import shutil
import subprocess

import pytest

from engine import BUILD, wait_until
from images import busybox_rootfs_tar, docker_archive, layer_tar
from test_streams import PROMPT, Terminal


@pytest.fixture
def berth(engine):
    def run(*arguments, check=True, **options):
        options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
        done = subprocess.run([str(BUILD / "berth"), *arguments], env=engine.environment, text=not isinstance(options.get("input"), bytes),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False, **options)
        assert not check or done.returncode == 0, done
        return done
    return run


def test_run_prints_and_keeps_the_exit_code(berth):
    done = berth("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2; exit 3", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)


def test_run_exit_codes_of_the_engine(berth):
    assert berth("run", "--rm", "busybox", "no-such", check=False).returncode == 127
    assert berth("run", "--rm", "busybox", "/etc/notexecutable", check=False).returncode == 126
    assert berth("run", "--rm", "--name", "a b", "busybox", "true", check=False).returncode == 125
    assert berth("run", "--nonsense", "busybox", check=False).returncode == 125


def test_run_takes_standard_input(berth):
    assert berth("run", "-i", "--rm", "busybox", "wc", "-c", input="x" * 300_000).stdout.strip() == "300000"


def test_run_flags_act(berth, engine):
    directory = engine.root / "cli"
    directory.mkdir(exist_ok=True)
    out = berth("run", "--rm", "-e", "A=1", "-w", "/tmp", "-u", "1000", "--hostname", "h", "--read-only", "--tmpfs", "/s:size=1m",
                "-v", f"{directory}:/d:ro", "--cap-drop", "ALL", "--network", "none", "busybox", "sh", "-c",
                "echo $A $PWD $(id -u) $(hostname); grep -c ' /s ' /proc/mounts; ls /sys/class/net").stdout
    assert out == "1 /tmp 1000 h\n1\nlo\n"


def test_a_terminal_has_the_size_of_ours(berth, engine):
    def popen(*arguments, **options):
        return subprocess.Popen([str(BUILD / "berth"), *arguments], env=engine.environment, **options)
    terminal = Terminal(type("Own", (), {"popen": staticmethod(popen)}), "run", "-it", "--rm", "busybox", "sh")
    terminal.expect(PROMPT)
    terminal.type(b"stty size\n")
    terminal.expect(b"33 101")
    terminal.type(b"exit 4\n")
    assert terminal.close() == 4


def test_detached_ps_exec_logs_stop_and_rm(berth):
    identity = berth("run", "-d", "--name", "by-berth", "busybox", "sh", "-c", "echo line; trap 'exit 5' TERM; while :; do sleep 0.1; done").stdout.strip()
    assert re.search(rf"^{identity[:12]}   busybox .* Up .* by-berth$", berth("ps").stdout, re.M)
    assert berth("exec", "by-berth", "echo", "inside").stdout == "inside\n"
    assert berth("exec", "-i", "by-berth", "cat", input="through").stdout == "through"
    assert berth("exec", "by-berth", "sh", "-c", "exit 9", check=False).returncode == 9
    wait_until(lambda: berth("logs", "by-berth").stdout == "line\n", "the line")
    assert berth("stop", "by-berth").stdout == "by-berth\n"
    assert "Exited (5)" in berth("ps", "-a", "-f", "name=by-berth").stdout
    assert berth("rm", "by-berth").stdout == "by-berth\n"
    assert berth("rm", "by-berth", check=False).stderr == "berth: No such container: by-berth\n"


def test_load_import_and_images(berth):
    assert berth("load", input=docker_archive(["cli:1"], [busybox_rootfs_tar(), layer_tar({"etc/cli": b"1"})])).stdout == b"Loaded image: cli:1\n"
    berth("import", "-", "cli:2", input=busybox_rootfs_tar())
    assert re.search(r"^cli +1 ", berth("images").stdout, re.M) and re.search(r"^cli +2 ", berth("images").stdout, re.M)
    assert berth("load", input=b"nonsense" * 100, check=False).returncode == 1


def test_diff_commit_and_export(berth, engine, tmp_path):
    name = berth("run", "-d", "busybox", "sh", "-c", "echo 1 > /made; sleep 1000").stdout.strip()
    wait_until(lambda: berth("diff", name).stdout == "A /made\n", "the file")
    made = berth("commit", "-m", "why", "-c", "CMD cat /made", name, "by-berth:1").stdout.strip()
    assert engine.inspect("by-berth:1")["Id"] == made and engine.inspect(made)["Comment"] == "why"
    assert berth("run", "--rm", "by-berth:1").stdout == "1\n"
    berth("export", "-o", str(tmp_path / "root.tar"), name)
    assert "made" in subprocess.run(["tar", "-tf", str(tmp_path / "root.tar")], capture_output=True, text=True, check=True).stdout.splitlines()
    berth("rm", "-f", name)
    engine.docker("rmi", "by-berth:1")


def test_pull_and_run_of_an_absent_image(berth, registry):
    reference = registry.push("cli/app:1", docker_archive(["x:1"], [busybox_rootfs_tar(), layer_tar({"etc/p": b"p\n"})]))
    done = berth("run", "--rm", reference, "cat", "/etc/p")
    assert done.stdout.endswith("p\n") and f"Unable to find image '{reference}' locally" in done.stderr
    assert f"Status: Image is up to date for {reference}" in berth("pull", reference).stdout


def test_info_version_and_setup(berth, engine):
    assert "Storage driver: " in berth("info").stdout
    assert "API: 1.51 (minimum 1.24)" in berth("version").stdout
    assert berth("setup", "check").stdout.endswith("this host can run berth\n")
    assert berth("setup", "host").stdout == f"unix://{engine.socket}\n"
    lines = berth("setup", "install").stdout.splitlines()
    assert lines[0] == f"an engine runs already at unix://{engine.socket}" and 'the docker context "berth"' in lines[1]
    assert lines[2] == f"docker clients reach it with: export DOCKER_HOST=unix://{engine.socket}"


def test_an_engine_that_is_absent_is_named(engine):
    done = subprocess.run([str(BUILD / "berth"), "-H", "unix:///nowhere.sock", "ps"], env=engine.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "/nowhere.sock" in done.stderr


def test_setup_starts_and_stops_an_engine_from_an_installed_tree(bare_engine):
    prefix = bare_engine.root / "usr"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "libexec/berth").mkdir(parents=True)
    for name in ("berthd", "berth"):
        shutil.copy(BUILD / name, prefix / "bin" / name)
    for name in ("berth-engine", "berth-network", "berth-shim", "berth-runtime", "berth-init", "berth-systemd", "berth-tls-relay"):
        shutil.copy(BUILD / name, prefix / "libexec/berth" / name)

    def setup(action):
        return subprocess.run([prefix / "bin/berth", "setup", action], env=bare_engine.environment, capture_output=True, text=True, timeout=60, check=False)
    assert f"the engine answers at unix://{bare_engine.socket}\n" in setup("install").stdout
    bare_engine.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    assert bare_engine.docker("run", "--rm", "--init", "busybox", "echo", "installed").stdout == "installed\n"
    assert setup("uninstall").returncode == 0
    wait_until(lambda: not bare_engine.processes(), "nothing runs any more")


def test_uninstall_says_that_an_engine_of_somebody_else_runs_on(own_engine):
    done = subprocess.run([BUILD / "berth", "setup", "uninstall"], env=own_engine.environment, capture_output=True, text=True, timeout=60, check=True)
    assert "runs on at unix://" + own_engine.socket in done.stdout and "was stopped" not in done.stdout
    assert own_engine.docker("version").returncode == 0
