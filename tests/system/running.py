"""The engine that most tests begin with."""
from engine import Engine
from images import busybox_rootfs_tar


def running_engine():
    """A started engine with the image `busybox` in it, for as long as the generator lives."""
    instance = Engine()
    instance.start()
    instance.docker("import", "-", "busybox", input=busybox_rootfs_tar())
    yield instance
    # A stop would wait ten seconds for each `sleep` that is a container's first process.
    instance.kill_containers()
    instance.stop()
    instance.remove()
