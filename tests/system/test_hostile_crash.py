"""The engine is killed at random moments: afterwards its store is whole and it works. BERTH_CRASH_ROUNDS (10) for a long run."""
import os
import random
import signal
import subprocess
import threading
import time

from engine import wait_until
from images import docker_archive, layer_tar

ROUNDS = int(os.environ.get("BERTH_CRASH_ROUNDS", "10"))


def busy(engine, stop, archives):
    """Loads, creates, starts and removes without end; what fails while the engine is away does not matter."""
    number = 0
    while not stop.is_set():
        number += 1
        archive = archives[number % len(archives)]
        for words, data in ((("load",), archive), (("run", "--rm", "busybox", "true"), None), (("create", "--name", f"c{number}", "busybox", "true"), None),
                            (("start", f"c{number}"), None), (("rm", "-f", f"c{number}"), None), (("rmi", "-f", f"crash:{number % len(archives)}"), None)):
            try:
                engine.docker(*words, input=data, check=False, timeout=30)
            except subprocess.TimeoutExpired:
                pass
            if stop.is_set():
                return


def directories(engine, name):
    path = engine.root / "data" / "berth" / name
    return {entry.name for entry in path.iterdir()} if path.is_dir() else set()


def check_whole(engine):
    for identity in engine.docker("ps", "-aq", "--no-trunc").stdout.split():
        state = engine.inspect(identity)["State"]
        assert state["Status"] in ("created", "exited", "running"), state
        engine.docker("rm", "-f", identity)
    for identity in set(engine.docker("images", "-q", "--no-trunc").stdout.split()):
        engine.inspect(identity)
        done = engine.docker("create", identity, "true", check=False)
        assert done.returncode == 0, done.stderr
        engine.docker("rm", done.stdout.strip())
    assert engine.docker("run", "--rm", "busybox", "echo", "works").stdout == "works\n"
    wait_until(lambda: not engine.pids("berth-shim"), "no shim is left", 20)
    left = [entry.name for entry in (engine.root / "run/berth/c").iterdir()]
    assert left == [], left
    # A removed container's files go behind the answer.
    wait_until(lambda: directories(engine, "containers") == set(), "no container's directory is left", 20)


def test_kill_9_at_random_moments_leaves_a_whole_store(own_engine):
    engine = own_engine
    generator = random.Random(int(os.environ.get("BERTH_CRASH_SEED", "1")))
    archives = [docker_archive([f"crash:{number}"], [layer_tar({f"f{number}": os.urandom(2 << 20)}), layer_tar({"g": b"x" * number})])
                for number in range(3)]
    stop = threading.Event()
    workers = [threading.Thread(target=busy, args=(engine, stop, archives)) for _ in range(2)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(ROUNDS):
            time.sleep(generator.uniform(0.05, 0.6))  # the random moment is the test
            for pid in engine.pids("berth-engine"):
                os.kill(pid, signal.SIGKILL)
            wait_until(engine.answers, f"the engine answers again: {engine.log()[-2000:]}")
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    check_whole(engine)
    base = {name: directories(engine, name) for name in ("layers", "content")}
    for identity in set(engine.docker("images", "-q", "--no-trunc", "crash").stdout.split()):
        engine.docker("rmi", "-f", identity)
    engine.stop()
    engine.start()
    check_whole(engine)
    assert base is not None and engine.docker("images", "-q", "crash").stdout == ""
