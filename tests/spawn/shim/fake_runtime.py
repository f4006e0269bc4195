#!/usr/bin/env python3
"""An OCI runtime as small as the shim's tests need it: no namespaces, runc's command line."""
import fcntl
import json
import os
import signal
import socket
import sys
import termios


def fail(log, text):
    with open(log, "a") as out:
        out.write(json.dumps({"level": "error", "msg": text}) + "\n")
    sys.exit(1)


def spawn(options, process, log, fifo):
    """Forks the process; it waits on `fifo` before it executes, and has the runtime's stdio."""
    program = process["args"][0]
    if not os.access(program, os.X_OK):
        fail(log, f'exec: "{program}": executable file not found in $PATH')
    slave = None
    if process.get("terminal"):
        master, slave = os.openpty()
        with socket.socket(socket.AF_UNIX) as console:
            console.connect(options["--console-socket"])
            socket.send_fds(console, [b"/dev/pts/ptmx"], [master])
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if slave is not None:
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for number in range(3):
                os.dup2(slave, number)
        if fifo:
            with open(fifo) as gate:
                gate.read()
        os.execve(program, process["args"], os.environ)
    with open(options["--pid-file"] + ".tmp", "w") as out:
        out.write(str(pid))
    os.rename(options["--pid-file"] + ".tmp", options["--pid-file"])


def main():
    words = sys.argv[1:]
    options, rest = {}, []
    while words:
        word = words.pop(0)
        if word in ("--detach", "--force", "--all"):
            options[word] = True
        elif word.startswith("--"):
            options[word] = words.pop(0)
        else:
            rest.append(word)
    verb, container = rest[0], rest[1]
    log = options["--log"]
    fifo = os.path.join(options["--root"], container)
    if verb == "create":
        os.mkfifo(fifo)
        with open(os.path.join(options["--bundle"], "config.json")) as source:
            process = json.load(source)["process"]
        try:
            spawn(options, process, log, fifo)
        except SystemExit:
            os.unlink(fifo)
            raise
    elif verb == "start":
        with open(fifo, "w"):
            pass
    elif verb == "exec":
        with open(options["--process"]) as source:
            spawn(options, json.load(source), log, None)
    elif verb == "delete":
        if os.path.exists(fifo):
            os.unlink(fifo)
        elif "--force" not in options:
            fail(log, f"container {container} does not exist")
    elif verb == "kill":
        os.kill(int(open(os.path.join(options["--root"], "pid")).read()), int(rest[2]))
    else:
        fail(log, f"unknown verb {verb}")


signal.signal(signal.SIGPIPE, signal.SIG_DFL)
main()
