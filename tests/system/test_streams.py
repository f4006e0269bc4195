"""stdin, stdout, terminals, logs, attach and exec."""
import fcntl
import hashlib
import os
import pty
import select
import struct
import subprocess
import termios
import threading

from engine import wait_until


def test_100_mib_through_stdin_and_out_again(engine):
    data = os.urandom(1 << 20) * 100
    process = engine.popen("run", "-i", "--rm", "busybox", "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    feeder = threading.Thread(target=lambda: (process.stdin.write(data), process.stdin.close()))
    feeder.start()
    digest, size = hashlib.sha256(), 0
    while chunk := process.stdout.read(1 << 20):
        digest.update(chunk)
        size += len(chunk)
    feeder.join()
    assert process.wait(60) == 0
    assert size == len(data)
    assert digest.hexdigest() == hashlib.sha256(data).hexdigest()


def test_stdout_and_stderr_stay_apart(engine):
    done = engine.docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_end_of_stdin_is_not_the_end_of_output(engine):
    out = engine.docker("run", "-i", "--rm", "busybox", "sh", "-c", "cat; sleep 0.5; echo late", input="early\n").stdout
    assert out == "early\nlate\n"


# What is typed before the shell has asked for it may be lost in its change of terminal modes, as on any terminal.
PROMPT = b"# "


class Terminal:
    """A docker CLI on a pseudo terminal of 33 rows and 101 columns."""

    def __init__(self, engine, *arguments):
        self.master, slave = pty.openpty()
        self.resize(33, 101)
        self.process = engine.popen(*arguments, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.seen = b""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.master, text)

    def expect(self, text, seconds=20):
        def arrived():
            if select.select([self.master], [], [], 0)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    pass
            return text in self.seen
        try:
            wait_until(arrived, f"{text!r} on the terminal", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; seen: {self.seen!r}") from None

    def close(self):
        code = self.process.wait(20)
        os.close(self.master)
        return code


def test_terminal_has_the_window_size_of_the_client(engine):
    terminal = Terminal(engine, "run", "-it", "--rm", "busybox", "sh")
    terminal.expect(PROMPT)
    terminal.type(b"stty size; tty\n")
    terminal.expect(b"33 101")
    terminal.expect(b"/dev/pts/0")
    terminal.resize(20, 70)
    terminal.process.send_signal(28)
    terminal.type(b"while ! stty size | grep '20 70'; do sleep 0.05; done; echo re''sized\n")
    terminal.expect(b"resized")
    terminal.type(b"exit 9\n")
    assert terminal.close() == 9


def test_detach_keys_leave_the_container_running(engine):
    terminal = Terminal(engine, "run", "-it", "--name", "detached", "busybox", "sh")
    terminal.expect(PROMPT)
    terminal.type(b"echo rea''dy\n")
    terminal.expect(b"ready")
    terminal.type(b"\x10\x11")
    assert terminal.close() == 0
    assert engine.inspect("detached")["State"]["Running"]
    again = Terminal(engine, "attach", "detached")
    again.type(b"echo ba''ck\n")
    again.expect(b"back")
    again.type(b"exit\n")
    assert again.close() == 0
    engine.docker("rm", "-f", "detached")


def test_logs_tail_and_follow(engine, container):
    identity = container("busybox", "sh", "-c", "for i in 1 2 3; do echo line $i; done; mkfifo /tmp/go; read x < /tmp/go; echo last >&2")
    wait_until(lambda: "line 3" in engine.docker("logs", identity).stdout, "the first lines")
    assert engine.docker("logs", "--tail", "2", identity).stdout == "line 2\nline 3\n"
    follower = engine.popen("logs", "-f", identity, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: engine.docker("exec", identity, "test", "-p", "/tmp/go", check=False).returncode == 0, "the fifo")
    engine.docker("exec", identity, "sh", "-c", "echo > /tmp/go", check=False)  # 137 when the container ends first
    out, err = follower.communicate(timeout=20)
    assert out == "line 1\nline 2\nline 3\n" and err == "last\n"


def test_logs_of_a_stopped_container_with_timestamps(engine):
    engine.docker("run", "--name", "logged", "busybox", "echo", "héllo <&>")
    line = engine.docker("logs", "-t", "logged").stdout
    assert line.endswith("Z héllo <&>\n") and len(line.split(" ")[0]) == len("2024-01-01T00:00:00.000000000Z")
    engine.docker("rm", "logged")


def test_attach_shows_what_comes_and_ends_with_the_container(engine, container):
    identity = container("-i", "busybox", "sh", "-c", "read x; echo got $x; exit 4")
    done = engine.docker("attach", identity, input="word\n", check=False)
    assert done.stdout == "got word\n" and done.returncode == 4


def test_start_attached_shows_the_output(engine):
    identity = engine.docker("create", "busybox", "sh", "-c", "echo fresh; exit 6").stdout.strip()
    done = engine.docker("start", "-a", identity, check=False)
    assert (done.stdout, done.returncode) == ("fresh\n", 6)
    engine.docker("rm", identity)


def test_exec_keeps_streams_and_exit_code(engine, container):
    identity = container("busybox", "sleep", "1000")
    done = engine.docker("exec", "-i", "-e", "A=b", "-w", "/tmp", "-u", "user", identity, "sh", "-c", "cat; echo $A $PWD; id -u; echo e >&2; exit 137",
                         input="in\n", check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("in\nb /tmp\n1000\n", "e\n", 137)


def test_exec_of_an_absent_command_is_127(engine, container):
    identity = container("busybox", "sleep", "1000")
    done = engine.docker("exec", identity, "no-such-command", check=False)
    assert done.returncode == 127
    assert "executable file not found" in done.stdout + done.stderr


def test_exec_with_a_terminal(engine, container):
    identity = container("busybox", "sleep", "1000")
    terminal = Terminal(engine, "exec", "-it", identity, "sh")
    terminal.expect(PROMPT)
    terminal.type(b"stty size\n")
    terminal.expect(b"33 101")
    terminal.type(b"exit 3\n")
    assert terminal.close() == 3


def test_exec_ends_with_its_container(engine, container):
    identity = container("busybox", "sleep", "1000")
    running = engine.popen("exec", identity, "sh", "-c", "echo up; sleep 1000", stdout=subprocess.PIPE, text=True)
    assert running.stdout.readline() == "up\n"
    engine.docker("kill", identity)
    assert running.wait(20) == 137


def test_exec_detached(engine, container):
    identity = container("busybox", "sleep", "1000")
    engine.docker("exec", "-d", identity, "touch", "/tmp/made")
    wait_until(lambda: engine.docker("exec", identity, "test", "-e", "/tmp/made", check=False).returncode == 0, "the file")


def test_a_killed_client_does_not_disturb_the_container(engine):
    client = engine.popen("run", "--rm", "--name", "left-alone", "busybox", "sh", "-c", "echo up; while [ ! -e /tmp/go ]; do echo x; sleep 0.05; done",
                          stdout=subprocess.PIPE, text=True)
    assert client.stdout.readline() == "up\n"
    client.kill()
    client.wait()
    # The first output may be here before the engine has heard that the start is done.
    wait_until(lambda: engine.inspect("left-alone")["State"]["Running"], "the container runs")
    engine.docker("exec", "left-alone", "touch", "/tmp/go")
    wait_until(lambda: engine.docker("inspect", "left-alone", check=False).returncode != 0, "the removal of the container")


def test_a_stalled_attacher_does_not_stop_the_others(engine, container):
    identity = container("busybox", "sh", "-c", "while [ ! -e /tmp/go ]; do sleep 0.05; done; dd if=/dev/zero bs=1M count=16 2>/dev/null; echo; echo the-end")
    stalled = engine.popen("attach", "--no-stdin", identity, stdout=subprocess.PIPE)
    reader = engine.popen("attach", "--no-stdin", identity, stdout=subprocess.PIPE)
    wait_until(lambda: [event["Action"] for event in engine.events(identity)].count("attach") == 2, "both are attached")
    engine.docker("exec", identity, "touch", "/tmp/go")
    assert reader.communicate(timeout=60)[0].endswith(b"the-end\n")
    assert stalled.communicate(timeout=60)[0].endswith(b"the-end\n")


def test_exec_into_an_absent_directory_makes_none(engine, container):
    identity = container("busybox", "sleep", "1000")
    done = engine.docker("exec", "-w", "/nope/a", identity, "pwd", check=False)
    assert done.returncode == 127 and "no such file or directory" in done.stdout + done.stderr
    assert engine.docker("exec", identity, "test", "-e", "/nope", check=False).returncode == 1
