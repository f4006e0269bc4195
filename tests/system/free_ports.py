"""Ports of the host for tests that must name one."""
import pathlib
import random
import socket


def free_port():
    """A port that nobody has, of those that the kernel gives to no connection: it stays free until the test takes it."""
    return free_ports(1)


def free_ports(count):
    """The first of `count` such ports in a row."""
    first = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    for port in random.sample(range(10000, max(first, 20000) - count + 1), 1000):
        if all(is_free(each) for each in range(port, port + count)):
            return port
    raise AssertionError(f"no {count} ports are free")


def is_free(port):
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(type=kind) as probe:
                probe.bind(("", port))
    except OSError:
        return False
    return True
