"""The service of a plain user works at all."""


def test_the_service_runs_a_container(service):
    assert service.docker("run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"
