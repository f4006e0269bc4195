"""The log driver syslog over TLS: certificates, framing, a service that goes away and comes back."""
import queue
import socket
import ssl
import subprocess
import threading

import pytest

from engine import wait_until

OPENSSL = "/usr/bin/openssl"


def openssl(*arguments):
    subprocess.run([OPENSSL, *map(str, arguments)], check=True, capture_output=True)


class Authority:
    """Makes certificates in a directory."""

    def __init__(self, directory):
        self.directory, self.certificate, self.key = directory, directory / "ca.pem", directory / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=authority",
                "-keyout", self.key, "-out", self.certificate)

    def issue(self, name, subject):
        certificate, key, request, extensions = (self.directory / f"{name}.{kind}" for kind in ("pem", "key", "csr", "ext"))
        extensions.write_text(f"subjectAltName={subject}")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", "2", "-extfile", extensions,
                "-out", certificate)
        return certificate, key


class Service:
    """A syslog service behind TLS on loopback."""

    def __init__(self, pair, port=0, clients_of=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        if clients_of:
            context.load_verify_locations(clients_of)
            context.verify_mode = ssl.CERT_REQUIRED
        listener = socket.create_server(("127.0.0.1", port))
        self.port = listener.getsockname()[1]
        self.address = f"tcp+tls://127.0.0.1:{self.port}"
        self.listener = context.wrap_socket(listener, server_side=True)
        self.connections = queue.Queue()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while self.listener.fileno() >= 0:
            try:
                connection = self.listener.accept()[0]
                connection.settimeout(20)
                self.connections.put(connection)
            except OSError:  # the handshake failed, or the listener is closed
                pass

    def connection(self):
        return self.connections.get(timeout=20)

    def read_to_end(self):
        with self.connection() as connection:
            return connection.makefile("r").read()

    def close(self):
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    directory = tmp_path_factory.mktemp("authority")
    directory.chmod(0o755)
    return Authority(directory)


@pytest.fixture
def service(authority):
    made = []

    def serve(subject="IP:127.0.0.1", **options):
        made.append(Service(authority.issue("service", subject), **options))
        return made[-1]

    yield serve
    for one in made:
        one.close()


def log_options(address, **options):
    given = {"syslog-address": address, **{"syslog-" + key.replace("_", "-"): value for key, value in options.items()}}
    return ["--log-driver", "syslog", *(word for key, value in given.items() for word in ("--log-opt", f"{key}={value}"))]


def test_each_line_arrives_and_docker_logs_has_a_copy(engine, container, authority, service):
    served = service()
    identity = container(*log_options(served.address, tls_ca_cert=authority.certificate), "--log-opt", "tag=secure", "busybox", "sh", "-c",
                         "echo out; echo bad >&2; seq 3000")
    received = served.read_to_end().splitlines()
    assert [line.split(" ")[-1] for line in received if line.startswith("<30>")] == ["out", *map(str, range(1, 3001))]
    assert [line.split(" ")[-1] for line in received if line.startswith("<27>")] == ["bad"] and " secure[" in received[0]
    assert engine.docker("logs", identity).stdout.endswith("\n2999\n3000\n")


def test_rfc5424_messages_have_their_length_before_them(container, authority, service):
    served = service()
    container(*log_options(served.address, tls_ca_cert=authority.certificate, format="rfc5424"), "busybox", "sh", "-c", "echo one; echo second")
    text = served.read_to_end()
    for words in ("one", "second"):
        length, _, text = text.partition(" ")
        message, text = text[:int(length)], text[int(length):]
        assert message.startswith("<30>1 ") and message.endswith(f" - {words}\n")
    assert text == ""


def test_a_service_that_wants_a_certificate_gets_ours(container, authority, service):
    served = service(clients_of=authority.certificate)
    certificate, key = authority.issue("client", "DNS:client")
    container(*log_options(served.address, tls_ca_cert=authority.certificate, tls_cert=certificate, tls_key=key), "busybox", "echo", "known")
    assert served.read_to_end().endswith("]: known\n")


def test_unverified_when_told(container, service):
    served = service("DNS:elsewhere.test")
    container(*log_options(served.address, tls_skip_verify="true"), "busybox", "echo", "trusted")
    assert served.read_to_end().endswith("]: trusted\n")


@pytest.mark.parametrize("subject,known,text", [
    ("IP:127.0.0.1", False, "x509: unable to get local issuer certificate"), ("IP:127.0.0.9", True, "x509: IP address mismatch")])
def test_a_certificate_that_does_not_fit_fails_the_start(engine, authority, service, subject, known, text):
    served = service(subject)
    options = log_options(served.address, **({"tls_ca_cert": authority.certificate} if known else {}))
    refused = engine.docker("run", "--rm", *options, "busybox", "true", check=False)
    assert refused.returncode == 125 and f"failed to initialize logging driver: tls: failed to verify certificate: {text}" in refused.stderr


@pytest.mark.parametrize("options,text", [
    ({}, "connect: connection refused"), ({"tls_ca_cert": "/absent/ca.pem"}, 'could not read CA certificate "/absent/ca.pem": no such file or directory'),
    ({"tls_cert": "/absent/c.pem", "tls_key": "/absent/c.key"}, 'Could not load X509 key pair: certificate "/absent/c.pem"')])
def test_what_is_missing_fails_the_start(engine, options, text):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused = engine.docker("run", "--rm", *log_options(f"tcp+tls://127.0.0.1:{port}", **options), "busybox", "true", check=False)
    assert refused.returncode != 0 and "failed to initialize logging driver: " in refused.stderr and text in refused.stderr


def test_a_service_that_comes_back_gets_the_next_lines(engine, container, authority, service):
    first = service()
    identity = container(*log_options(first.address, tls_ca_cert=authority.certificate), "busybox", "sh", "-c",
                         "echo before; while [ ! -e /go ]; do echo meanwhile; sleep 0.1; done; exec sleep 1000")
    with first.connection() as connection:
        assert connection.makefile("r").readline().endswith("]: before\n")
        first.close()
        second = service(port=first.port)
    with second.connection() as connection:
        assert connection.makefile("r").readline().endswith("]: meanwhile\n")
    engine.docker("exec", identity, "touch", "/go")


def test_no_relay_is_left_when_the_container_ends(engine, container, authority, service):
    served = service()
    identity = container(*log_options(served.address, tls_ca_cert=authority.certificate), "busybox", "sleep", "1000")
    connection = served.connection()
    (relay,) = engine.pids("berth-tls-relay")
    engine.docker("rm", "-f", identity)
    assert connection.recv(1) == b""
    wait_until(lambda: relay not in engine.processes(), "the relay has ended")
    connection.close()
